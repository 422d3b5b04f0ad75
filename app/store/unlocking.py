"""How a private key is come by: from the keystore, a recovery code, a passphrase. For workers: all of it may block.

A question carries what a worker needs to know, so that it shares nothing with the thread that owns the keys.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from typing import TYPE_CHECKING

from app.store.keyfile import KeptPair
from app.store.keypair import KeyPair, Wrapping, from_code, pair_named, unwrap, wrap
from app.store.keystore import KeystoreAbsent, KeystoreUnavailable

if TYPE_CHECKING:
    from app.store.keystore import Keystore


class Outcome(Enum):
    """What became of a question."""

    ANSWERED = auto()
    """The keystore said what it has."""
    ABSENT = auto()
    UNAVAILABLE = auto()
    OPENED = auto()
    """The secret was right."""
    REFUSED = auto()
    """The secret was wrong."""
    NOTHING = auto()


KEYSTORE_OUTCOMES = frozenset({Outcome.ANSWERED, Outcome.ABSENT, Outcome.UNAVAILABLE})


@dataclass(frozen=True)
class Answer:
    """What a worker has found out."""

    outcome: Outcome
    keystore: str = ""
    found: Mapping[str, KeyPair] = field(default_factory=dict, repr=False)
    """Pairs by their ids."""
    in_keystore: frozenset[str] = frozenset()
    """Ids of the pairs that the keystore has for certain."""
    made: KeyPair | None = field(default=None, repr=False)
    """To be used for what is new."""
    key_id: str = ""
    """The pair that ``wrapping`` is of, or that ``has_no_wrapping`` is about."""
    wrapping: Wrapping | None = field(default=None, repr=False)
    has_no_wrapping: bool = False


@dataclass(frozen=True)
class Question:
    """What a worker needs to know."""

    kept: tuple[KeptPair, ...]
    at_hand: Mapping[str, KeyPair] = field(repr=False)
    fresh: KeyPair | None = field(repr=False)
    """A pair that only memory has."""
    expected: tuple[str, ...]
    """Ids of further pairs that something is sealed to."""

    @property
    def wanted(self) -> tuple[str, ...]:
        """Ids of the pairs whose private key is looked for, the one for what is new first."""
        ids = [pair.id for pair in reversed(self.kept)] + list(self.expected)
        return tuple(key_id for key_id in dict.fromkeys(ids) if key_id not in self.at_hand)

    @property
    def is_first_start(self) -> bool:
        """There was never a key here, so that a new one may be begun unasked."""
        return not self.kept and not self.expected


def ask_keystore(question: Question, keystore: Keystore, passphrase: str = "") -> Answer:
    """Look for what is wanted, and give the keystore what it should have and has not."""
    found: dict[str, KeyPair] = {}
    held: set[str] = set()
    try:
        _look(question, keystore, found, held)
        outcome = Outcome.ANSWERED
    except KeystoreAbsent:
        outcome = Outcome.ABSENT
    except KeystoreUnavailable:
        outcome = Outcome.UNAVAILABLE
    answer = Answer(outcome, keystore.name, found, frozenset(held))
    return _with_passphrase(question, answer, passphrase) if passphrase else answer


def _look(question: Question, keystore: Keystore, found: dict[str, KeyPair], held: set[str]) -> None:
    for key_id in question.wanted:
        if pair := pair_named(key_id, keystore.read(entry_of(key_id))):
            found[key_id] = pair
            held.add(key_id)
    for kept in question.kept:
        if (pair := question.at_hand.get(kept.id)) and _has(keystore, kept, pair):
            held.add(kept.id)
    if question.fresh and (question.kept or question.is_first_start):
        give(keystore, question.fresh)
        held.add(question.fresh.id)


def _has(keystore: Keystore, kept: KeptPair, pair: KeyPair) -> bool:
    """Whether the keystore has a key that was unlocked otherwise. One that it has lost it is given again."""
    told = keystore.read(entry_of(pair.id))
    if told is None and (kept.keystore or not kept.wrapping):
        give(keystore, pair)
        return True
    return told == pair.private


def give(keystore: Keystore, pair: KeyPair) -> None:
    """Let the keystore have a key, and look whether it has it. What it has already is left alone.

    Raises:
        KeystoreUnavailable: it has not.
    """
    entry = entry_of(pair.id)
    told = keystore.read(entry)
    if told is None:
        keystore.keep(entry, pair.private)
        told = keystore.read(entry)
    if told != pair.private:
        raise KeystoreUnavailable("the keystore does not give back what it was given")


def give_new(keystore: Keystore, pair: KeyPair) -> Answer:
    """Begin a new pair in the keystore, or in memory where that does not take it."""
    try:
        give(keystore, pair)
    except KeystoreUnavailable as error:
        outcome = Outcome.ABSENT if isinstance(error, KeystoreAbsent) else Outcome.UNAVAILABLE
        return Answer(outcome, keystore.name, made=pair)
    return Answer(Outcome.ANSWERED, keystore.name, in_keystore=frozenset({pair.id}), made=pair)


def _with_passphrase(question: Question, answer: Answer, passphrase: str) -> Answer:
    """Use the passphrase for what the keystore has not done."""
    if question.fresh and question.is_first_start:
        is_guarded = question.fresh.id in answer.in_keystore
        return answer if is_guarded else guard(question.fresh, passphrase, answer)
    left = replace(question, at_hand={**question.at_hand, **answer.found})
    return replace(answer, found={**answer.found, **_open_wrappings(left, passphrase)})


def guard(pair: KeyPair, passphrase: str, answer: Answer | None = None) -> Answer:
    """Put a pair under a passphrase."""
    return replace(answer or Answer(Outcome.NOTHING), key_id=pair.id, wrapping=wrap(pair, passphrase))


def try_secret(question: Question, secret: str, keystore: Keystore | None) -> Answer:
    """Try a recovery code or a passphrase. A keystore that had lost the key is given it again."""
    found = _open_with_code(question, secret) or _open_wrappings(question, secret)
    if not found:
        return Answer(Outcome.REFUSED)
    if keystore is None:
        return Answer(Outcome.OPENED, found=found)
    known = replace(question, at_hand={**question.at_hand, **found}, fresh=None)
    told = ask_keystore(known, keystore)
    return replace(told, outcome=Outcome.OPENED, found={**told.found, **found})


def _open_with_code(question: Question, secret: str) -> dict[str, KeyPair]:
    private = from_code(secret)
    pairs = (pair_named(key_id, private) for key_id in question.wanted)
    return {pair.id: pair for pair in pairs if pair}


def _open_wrappings(question: Question, passphrase: str) -> dict[str, KeyPair]:
    wrapped = [(kept.id, kept.wrapping) for kept in question.kept if kept.wrapping and kept.id in question.wanted]
    pairs = (unwrap(key_id, wrapping, passphrase) for key_id, wrapping in wrapped)
    return {pair.id: pair for pair in pairs if pair}


def entry_of(key_id: str) -> str:
    """The keystore's entry for a pair."""
    return f"master-key {key_id}"
