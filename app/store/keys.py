"""The keys to what is kept on this computer.

A store has a key pair. What is recorded is sealed to its public key, which lies in the clear in ``keys.json``, so
that a locked or hung keystore never keeps a visit from being recorded; only reading what is sealed waits for the
private key. That lies in the system's keystore, or in ``keys.json`` wrapped with a passphrase, or, written as a
recovery code, in the doctor's drawer. No key is ever replaced or overwritten: a new one begins beside the old ones,
and each session names the one that it was sealed to.

:class:`Keys` is owned by one thread. What may take long (the keystore, the passphrase's derivation) it hands out as
functions for a worker, whose answers it takes in.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from app.core.views import KeyState, KeysView
from app.store.keyfile import KeptPair, load_pairs, save_pairs
from app.store.keypair import KeyPair, as_code, key_id_of, seal_envelope
from app.store.unlocking import (
    KEYSTORE_OUTCOMES,
    Answer,
    Outcome,
    Question,
    ask_keystore,
    give_new,
    guard,
    try_secret,
)

if TYPE_CHECKING:
    from app.store.keystore import Keystore

__all__ = ["Answer", "Keys", "KeysLocked", "SessionKey", "key_id_of"]

_KEY_BYTES = 32
_FREE_TRIES = 2
_LONGEST_DELAY_SECONDS = 60.0


class KeysLocked(Exception):
    """The private key that this was sealed to is not at hand."""


@dataclass(frozen=True)
class SessionKey:
    """The key of one session, and the same sealed to the store's public key."""

    key: bytes = field(repr=False)
    envelope: bytes = field(repr=False)


class Keys:
    """The store's key pairs, as far as they are at hand."""

    def __init__(self, path: Path, wall_clock: Callable[[], float] = time.time) -> None:
        """Read ``keys.json``. One that cannot be read is kept beside, and its copy used.

        Raises:
            OSError: the disk cannot be read.
        """
        self._path = path
        self._wall_clock = wall_clock
        self._kept = load_pairs(path)
        self._at_hand: dict[str, KeyPair] = {}
        self._in_keystore: set[str] = set()
        self._expected: tuple[str, ...] = ()
        self._fresh = None if self._kept else KeyPair.make()
        """The pair for what is new, while it is nowhere but in memory."""
        self._keystore: Keystore | None = None
        self._keystore_name = ""
        self._told: Outcome | None = None
        """What the keystore said the last time."""
        self._wrong_tries = 0
        self._next_try_at: float | None = None
        self._was_refused = False

    # What is known ----------------------------------------------------------------------------------------------

    @property
    def key_id(self) -> str:
        """Names the pair that new sessions are sealed to."""
        return self._fresh.id if self._fresh else self._kept[-1].id

    @property
    def has_private(self) -> bool:
        """Whether its private key is at hand."""
        return self._current is not None

    @property
    def is_durable(self) -> bool:
        """Whether it outlives the app."""
        return self._fresh is None

    def is_lasting(self, key_id: str) -> bool:
        """Whether a key is one of those that outlive the app, at hand or not."""
        return any(kept.id == key_id for kept in self._kept)

    def view(self) -> KeysView:
        """For a screen; the caller counts the sealed sessions."""
        kept = None if self._fresh else self._kept[-1]
        return KeysView(
            state=self._fresh_state() if self._fresh else self._kept_state(),
            keystore=self._keystore_name or (kept.keystore if kept else ""),
            has_passphrase=bool(kept and kept.wrapping),
            recovery_code=as_code(self._current.private) if kept and self._current and not kept.is_code_noted else "",
            next_try_at=self._next_try_at,
            was_refused=self._was_refused,
        )

    def _fresh_state(self) -> KeyState:
        if self._kept:
            return KeyState.SESSION_ONLY
        if self._told is None:
            return KeyState.WAITING
        is_lost = self._expected and self._told is Outcome.ANSWERED
        return KeyState.MISSING if is_lost else KeyState.SESSION_ONLY

    def _kept_state(self) -> KeyState:
        kept = self._kept[-1]
        if self.has_private:
            return KeyState.PROTECTED if kept.id in self._in_keystore else KeyState.PASSPHRASE
        if kept.wrapping and (self._told or not kept.keystore):
            return KeyState.LOCKED
        if self._told is None:
            return KeyState.WAITING
        return KeyState.MISSING if self._told is Outcome.ANSWERED else KeyState.LOCKED

    def note_recovery_code(self) -> None:
        """The doctor has the recovery code: it is not shown again.

        Raises:
            OSError: the disk refused.
        """
        if self._fresh is None:
            self._save((*self._kept[:-1], replace(self._kept[-1], is_code_noted=True)))

    def expect(self, key_ids: Iterable[str]) -> None:
        """Name the keys that something on this computer is sealed to, where ``keys.json`` is gone.

        They are looked for in the keystore, and no new pair is begun there unasked.
        """
        self._expected = tuple(dict.fromkeys((*self._expected, *key_ids)))

    # Keys for use -----------------------------------------------------------------------------------------------

    def new_session_key(self, session_id: str) -> SessionKey:
        """A new key for a session. It needs nobody's answer."""
        key = os.urandom(_KEY_BYTES)
        public = self._fresh.public if self._fresh else self._kept[-1].public_key
        return SessionKey(key, seal_envelope(public, session_id, key))

    def open_envelope(self, session_id: str, envelope: bytes) -> SessionKey:
        """The key in a session's envelope.

        Raises:
            KeysLocked: the private key that it was sealed to is not at hand.
            ValueError: it is damaged, or another session's.
        """
        pair = self._pair(key_id_of(envelope))
        if pair is None:
            raise KeysLocked(key_id_of(envelope))
        return SessionKey(pair.open_envelope(session_id, envelope), envelope)

    def derive(self, purpose: str) -> bytes | None:
        """A key for something that belongs to the store as a whole, or None while that cannot be read."""
        return self._current.derive(purpose) if self._current else None

    @property
    def _current(self) -> KeyPair | None:
        return self._pair(self.key_id)

    def _pair(self, key_id: str) -> KeyPair | None:
        return self._fresh if self._fresh and self._fresh.id == key_id else self._at_hand.get(key_id)

    # Unlocking --------------------------------------------------------------------------------------------------

    def ask(self, keystore: Keystore, passphrase: str = "") -> Callable[[], Answer]:
        """Ask the keystore for what is not at hand, and give it what only memory has.

        A passphrase guards a new pair where there is no keystore to do so, and is tried on an old one.
        """
        self._keystore = keystore
        question = self._question()
        return lambda: ask_keystore(question, keystore, passphrase)

    def try_secret(self, secret: str) -> Callable[[], Answer]:
        """Try what somebody typed: a recovery code, or a passphrase. Before ``next_try_at`` nothing is tried."""
        if self._next_try_at is not None and self._wall_clock() < self._next_try_at:
            return lambda: Answer(Outcome.NOTHING)
        question = self._question()
        keystore = self._keystore if self._told is Outcome.ANSWERED else None
        return lambda: try_secret(question, secret, keystore)

    def set_passphrase(self, passphrase: str) -> Callable[[], Answer]:
        """Guard the key with a passphrase as well. The empty one takes it away, if the keystore has the key."""
        pair = self._current
        if pair is None:
            return lambda: Answer(Outcome.NOTHING)
        if not passphrase:
            return lambda: Answer(Outcome.NOTHING, key_id=pair.id, has_no_wrapping=True)
        return lambda: guard(pair, passphrase)

    def begin_new(self, keystore: Keystore) -> Callable[[], Answer]:
        """Where the key is lost: make a new pair beside, in the keystore, or in memory if that does not take it."""
        self._keystore = keystore
        if self._fresh is None and self.has_private:
            return lambda: Answer(Outcome.NOTHING)
        made = self._fresh or KeyPair.make()
        return lambda: give_new(keystore, made)

    def _question(self) -> Question:
        return Question(self._kept, dict(self._at_hand), self._fresh, self._expected)

    def take(self, answer: Answer) -> bool:
        """Take in a worker's answer. Whether anything changed.

        Raises:
            OSError: ``keys.json`` could not be written; asking again repeats it.
        """
        before = (self.view(), self.key_id, set(self._at_hand))
        self._note_outcome(answer)
        self._at_hand.update(answer.found)
        self._open_sealed_pairs()
        self._in_keystore |= answer.in_keystore
        if answer.made and not self.has_private:
            self._fresh = answer.made
        if self._fresh is None:
            self._amend(answer)
        else:
            self._keep_fresh(self._fresh, answer)
        return before != (self.view(), self.key_id, set(self._at_hand))

    def _note_outcome(self, answer: Answer) -> None:
        self._keystore_name = answer.keystore or self._keystore_name
        if answer.outcome in KEYSTORE_OUTCOMES:
            self._told = answer.outcome
        if answer.outcome is Outcome.REFUSED:
            self._refuse()
        elif answer.found or answer.wrapping:
            self._wrong_tries, self._next_try_at, self._was_refused = 0, None, False

    def _refuse(self) -> None:
        self._was_refused = True
        self._wrong_tries += 1
        if self._wrong_tries > _FREE_TRIES:
            delay = min(_LONGEST_DELAY_SECONDS, 2.0 ** (self._wrong_tries - _FREE_TRIES - 1))
            self._next_try_at = self._wall_clock() + delay

    def _open_sealed_pairs(self) -> None:
        for kept in self._kept:
            with contextlib.suppress(ValueError):  # Not sealed, or damaged.
                if outer := self._at_hand.get(key_id_of(kept.sealed)):
                    self._at_hand[kept.id] = KeyPair.of(outer.open_envelope(kept.id, kept.sealed))

    def _amend(self, answer: Answer) -> None:
        """Write down what has become of the pairs on the disk."""
        kept = [replace(k, keystore=answer.keystore) if k.id in answer.in_keystore else k for k in self._kept]
        is_unguarded = answer.has_no_wrapping and answer.key_id in self._in_keystore
        if answer.key_id == kept[-1].id and (answer.wrapping or is_unguarded):
            kept[-1] = replace(kept[-1], wrapping=answer.wrapping)
        self._save(tuple(kept))

    def _keep_fresh(self, fresh: KeyPair, answer: Answer) -> None:
        """Let the pair that only memory has outlive the app, if somebody guards it now."""
        adopted = [] if self._kept else [self._at_hand[i] for i in self._expected if i in self._at_hand]
        wrapping = answer.wrapping if answer.key_id == fresh.id else None
        if adopted:
            # What was recorded meanwhile is sealed to the fresh one.
            inner = KeptPair(fresh.public, sealed=seal_envelope(adopted[-1].public, fresh.id, fresh.private))
            self._save((inner, *(KeptPair(pair.public, self._name_for(pair.id, answer)) for pair in adopted)))
        elif fresh.id in answer.in_keystore or wrapping:
            self._save((*self._kept, KeptPair(fresh.public, self._name_for(fresh.id, answer), wrapping)))
        else:
            return
        self._at_hand[fresh.id] = fresh
        self._fresh = None

    @staticmethod
    def _name_for(key_id: str, answer: Answer) -> str:
        return answer.keystore if key_id in answer.in_keystore else ""

    def _save(self, kept: tuple[KeptPair, ...]) -> None:
        if kept != self._kept:
            save_pairs(self._path, kept)
            self._kept = kept
