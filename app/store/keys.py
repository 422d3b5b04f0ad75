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

import base64
import contextlib
import hashlib
import os
import time
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from app.core.views import KeyState, KeysView
from app.store.durable import write_whole
from app.store.keystore import KeystoreAbsent, KeystoreUnavailable
from app.store.sealed import open_whole, seal_whole

if TYPE_CHECKING:
    from app.store.keystore import Keystore

_KEY_BYTES = 32
_ID_BYTES = 8
_ENVELOPE_MAGIC = b"SDK1"
_ENVELOPE_HEAD_BYTES = len(_ENVELOPE_MAGIC) + _ID_BYTES + _KEY_BYTES
_NONCE_BYTES = 12
_FREE_TRIES = 2
_LONGEST_DELAY_SECONDS = 60.0
_BASE32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_FROM_CROCKFORD = str.maketrans(_CROCKFORD + "OIL", _BASE32 + _BASE32[0] + 2 * _BASE32[1], "- \t\r\n")
_CHECK_BYTES = 3
_GROUP = 4


class KeysLocked(Exception):
    """The private key that this was sealed to is not at hand."""


@dataclass(frozen=True)
class SessionKey:
    """The key of one session, and the same sealed to the store's public key."""

    key: bytes = field(repr=False)
    envelope: bytes = field(repr=False)


@dataclass(frozen=True)
class _Wrapping:
    """A private key under a passphrase, with what the derivation needs."""

    salt: bytes
    sealed: bytes
    iterations: int = 3
    lanes: int = 4
    memory_kib: int = 64 * 1024


@dataclass(frozen=True)
class _Pair:
    """What is on the disk of a key pair."""

    public_key: bytes
    keystore: str = ""
    """The keystore that the private key was given to; empty when none was."""
    wrapping: _Wrapping | None = None
    is_code_noted: bool = False

    @property
    def id(self) -> str:
        return _id_of(self.public_key)


@dataclass(frozen=True)
class _Content:
    """The file."""

    pairs: tuple[_Pair, ...]
    """The last one is used for what is new."""


class _Outcome(Enum):
    """What became of an attempt."""

    DONE = auto()
    ABSENT = auto()
    UNAVAILABLE = auto()
    REFUSED = auto()
    NOTHING = auto()


@dataclass(frozen=True)
class Answer:
    """What a worker has found out, for :meth:`Keys.take`."""

    outcome: _Outcome
    keystore: str = ""
    found: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    """Private keys by their ids."""
    in_keystore: frozenset[str] = frozenset()
    """Those of them that the keystore has."""
    made: bytes = field(default=b"", repr=False)
    """A private key that is to be used for what is new."""
    wrapping: _Wrapping | None = field(default=None, repr=False)
    takes_away_passphrase: bool = False
    is_about_secret: bool = False


class Keys:
    """The store's key pairs, as far as they are at hand."""

    def __init__(self, path: Path, wall_clock: Callable[[], float] = time.time) -> None:
        """Read ``keys.json``. One that cannot be read is kept beside, and its copy used.

        Raises:
            OSError: the disk cannot be read.
        """
        self._path = path
        self._wall_clock = wall_clock
        self._pairs = list(_load(path))
        self._private: dict[str, bytes] = {}
        self._in_keystore: set[str] = set()
        self._expected: tuple[str, ...] = ()
        self._fresh = b"" if self._pairs else os.urandom(_KEY_BYTES)
        """The private key for what is new, while it is nowhere but in memory."""
        self._keystore: Keystore | None = None
        self._keystore_name = ""
        self._asked: _Outcome | None = None
        self._wrong_tries = 0
        self._next_try_at: float | None = None
        self._was_refused = False

    # What is known ------------------------------------------------------------------------------------------------

    @property
    def key_id(self) -> str:
        """Names the pair that new sessions are sealed to."""
        return _id_of(self._public)

    @property
    def has_private(self) -> bool:
        """Whether its private key is at hand."""
        return bool(self._fresh) or self.key_id in self._private

    @property
    def is_durable(self) -> bool:
        """Whether it outlives the app."""
        return not self._fresh

    def view(self) -> KeysView:
        """For a screen; the caller counts the sealed sessions."""
        pair = None if self._fresh else self._pairs[-1]
        return KeysView(
            state=self._state(),
            keystore=self._keystore_name or (pair.keystore if pair else ""),
            has_passphrase=bool(pair and pair.wrapping),
            recovery_code=self._recovery_code(pair),
            next_try_at=self._next_try_at,
            was_refused=self._was_refused,
        )

    def _state(self) -> KeyState:
        if self._fresh:
            return KeyState.WAITING if self._asked is None and not self._pairs else KeyState.SESSION_ONLY
        pair = self._pairs[-1]
        if self.has_private:
            return KeyState.PROTECTED if pair.id in self._in_keystore else KeyState.PASSPHRASE
        if pair.wrapping and (self._asked or not pair.keystore):
            return KeyState.LOCKED
        if self._asked is None:
            return KeyState.WAITING
        return KeyState.MISSING if self._asked is _Outcome.DONE else KeyState.LOCKED

    def _recovery_code(self, pair: _Pair | None) -> str:
        if pair is None or pair.is_code_noted or pair.id not in self._private:
            return ""
        return _as_code(self._private[pair.id])

    def note_recovery_code(self) -> None:
        """The doctor has the recovery code: it is not shown again.

        Raises:
            OSError: the disk refused.
        """
        if not self._fresh:
            self._save([*self._pairs[:-1], replace(self._pairs[-1], is_code_noted=True)])

    def expect(self, key_ids: Iterable[str]) -> None:
        """Name the keys that something on this computer is sealed to, where ``keys.json`` is gone.

        They are looked for in the keystore, and no new pair is begun there unasked.
        """
        self._expected = tuple(dict.fromkeys((*self._expected, *key_ids)))

    # Sessions' keys -----------------------------------------------------------------------------------------------

    def new_session_key(self, session_id: str) -> SessionKey:
        """A new key for a session. It needs nobody's answer."""
        key = os.urandom(_KEY_BYTES)
        return SessionKey(key, _seal_envelope(self._public, session_id, key))

    def open_envelope(self, session_id: str, envelope: bytes) -> SessionKey:
        """The key in a session's envelope.

        Raises:
            KeysLocked: the private key that it was sealed to is not at hand.
            ValueError: it is damaged, or another session's.
        """
        private = self._private_of(key_id_of(envelope))
        if private is None:
            raise KeysLocked(key_id_of(envelope))
        return SessionKey(_open_envelope(private, session_id, envelope), envelope)

    def derive(self, purpose: str) -> bytes | None:
        """A key for something that belongs to the store as a whole, or None while that cannot be read."""
        private = self._private_of(self.key_id)
        return None if private is None else _hkdf(private, b"", b"ScribeDesk store\0" + purpose.encode(), _KEY_BYTES)

    @property
    def _public(self) -> bytes:
        return _public_of(self._fresh) if self._fresh else self._pairs[-1].public_key

    def _private_of(self, key_id: str) -> bytes | None:
        if self._fresh and key_id == _id_of(_public_of(self._fresh)):
            return self._fresh
        return self._private.get(key_id)

    # Unlocking ----------------------------------------------------------------------------------------------------

    def ask(self, keystore: Keystore, passphrase: str = "") -> Callable[[], Answer]:
        """Ask the keystore for what is not at hand, and give it what only memory has.

        A passphrase guards a new pair where there is no keystore to do so, and is tried on an old one.
        """
        self._keystore = keystore
        errand = _Errand(tuple(self._pairs), dict(self._private), self._fresh, self._expected)
        return lambda: _ask(errand, keystore, passphrase)

    def try_secret(self, secret: str) -> Callable[[], Answer]:
        """Try what somebody typed: a recovery code, or a passphrase. Before ``next_try_at`` nothing is tried."""
        if self._next_try_at is not None and self._wall_clock() < self._next_try_at:
            return lambda: Answer(_Outcome.NOTHING)
        errand = _Errand(tuple(self._pairs), dict(self._private), self._fresh, self._expected)
        keystore = self._keystore if self._asked is _Outcome.DONE else None
        return lambda: _try_secret(errand, keystore, secret)

    def set_passphrase(self, passphrase: str) -> Callable[[], Answer]:
        """Guard the key with a passphrase as well. The empty one takes it away, if the keystore has the key."""
        private = self._private_of(self.key_id)
        if private is None or (not passphrase and self.key_id not in self._in_keystore):
            return lambda: Answer(_Outcome.NOTHING)
        if not passphrase:
            return lambda: Answer(_Outcome.NOTHING, takes_away_passphrase=True)
        return lambda: Answer(_Outcome.NOTHING, wrapping=_wrap(private, passphrase))

    def begin_new(self, keystore: Keystore) -> Callable[[], Answer]:
        """Make a new pair beside the old ones, in the keystore, or in memory where that does not take it."""
        self._keystore = keystore
        made = os.urandom(_KEY_BYTES)
        return lambda: replace(_keep(keystore, made), made=made)

    def take(self, answer: Answer) -> bool:
        """Take in a worker's answer. Whether anything changed.

        Raises:
            OSError: ``keys.json`` could not be written; asking again repeats it.
        """
        before = (self.view(), self.key_id, len(self._private))
        self._note_outcome(answer)
        self._private.update(answer.found)
        self._in_keystore |= answer.in_keystore
        if answer.made and not self.has_private:
            self._fresh = answer.made
        self._make_durable(answer)
        return before != (self.view(), self.key_id, len(self._private))

    def _note_outcome(self, answer: Answer) -> None:
        self._keystore_name = answer.keystore or self._keystore_name
        if answer.outcome is _Outcome.REFUSED:
            self._refuse()
        elif answer.outcome is not _Outcome.NOTHING and not answer.is_about_secret:
            self._asked = answer.outcome
        if answer.found or answer.wrapping:
            self._wrong_tries, self._next_try_at, self._was_refused = 0, None, False

    def _refuse(self) -> None:
        self._was_refused = True
        self._wrong_tries += 1
        if self._wrong_tries > _FREE_TRIES:
            delay = min(_LONGEST_DELAY_SECONDS, 2.0 ** (self._wrong_tries - _FREE_TRIES - 1))
            self._next_try_at = self._wall_clock() + delay

    def _make_durable(self, answer: Answer) -> None:
        if self._fresh:
            self._make_fresh_durable(answer)
        elif not self._pairs[-1:] or answer.wrapping or answer.takes_away_passphrase or answer.in_keystore:
            self._save(self._amended(answer))

    def _make_fresh_durable(self, answer: Answer) -> None:
        fresh_id = self.key_id
        if adopted := [key_id for key_id in self._expected if key_id in self._private and not self._pairs]:
            pairs = [_Pair(_public_of(self._private[key_id]), answer.keystore) for key_id in adopted]
            self._save(pairs)
        elif fresh_id in answer.in_keystore or answer.wrapping:
            keystore = answer.keystore if fresh_id in answer.in_keystore else ""
            self._save([*self._pairs, _Pair(self._public, keystore, answer.wrapping)])
            self._private[fresh_id] = self._fresh
        else:
            return
        self._fresh = b""

    def _amended(self, answer: Answer) -> list[_Pair]:
        pairs = [replace(p, keystore=answer.keystore) if p.id in answer.in_keystore else p for p in self._pairs]
        if answer.wrapping or answer.takes_away_passphrase:
            pairs[-1] = replace(pairs[-1], wrapping=answer.wrapping)
        return pairs

    def _save(self, pairs: list[_Pair]) -> None:
        if pairs == self._pairs:
            return
        content = msgspec.json.format(msgspec.json.encode(_Content(tuple(pairs))))
        write_whole(self._path, content)
        self._pairs = pairs
        write_whole(_copy_of(self._path), content)


# What workers do ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Errand:
    """What a worker needs to know."""

    pairs: tuple[_Pair, ...]
    private: Mapping[str, bytes] = field(repr=False)
    fresh: bytes = field(repr=False)
    expected: tuple[str, ...]

    @property
    def wanted(self) -> tuple[str, ...]:
        """Ids of the pairs whose private key is looked for, those for what is new first."""
        ids = [pair.id for pair in reversed(self.pairs)] + list(self.expected)
        return tuple(key_id for key_id in dict.fromkeys(ids) if key_id not in self.private)


def _ask(errand: _Errand, keystore: Keystore, passphrase: str) -> Answer:
    try:
        answer = _ask_keystore(errand, keystore)
    except KeystoreUnavailable as error:
        outcome = _Outcome.ABSENT if isinstance(error, KeystoreAbsent) else _Outcome.UNAVAILABLE
        answer = Answer(outcome, keystore.name)
    return _with_passphrase(errand, answer, passphrase) if passphrase else answer


def _ask_keystore(errand: _Errand, keystore: Keystore) -> Answer:
    found = {}
    for key_id in errand.wanted:
        kept = keystore.read(_entry(key_id))
        if kept is not None and _is_private_of(kept, key_id):
            found[key_id] = kept
    in_keystore = frozenset(found) | frozenset(
        pair.id for pair in errand.pairs if pair.id in errand.private and _has(errand, pair, keystore)
    )
    if errand.fresh and (errand.pairs or not errand.expected):
        _give(keystore, errand.fresh)
        in_keystore |= {_id_of(_public_of(errand.fresh))}
    return Answer(_Outcome.DONE, keystore.name, found, in_keystore)


def _has(errand: _Errand, pair: _Pair, keystore: Keystore) -> bool:
    """Whether the keystore has a key that was unlocked otherwise. One that it has lost it is given again."""
    private = errand.private[pair.id]
    kept = keystore.read(_entry(pair.id))
    if kept is None and (pair.keystore or not pair.wrapping):
        _give(keystore, private)
        return True
    return kept == private


def _give(keystore: Keystore, private: bytes) -> None:
    """Let the keystore have a key, and look whether it has it. What it has already is left alone.

    Raises:
        KeystoreUnavailable: it has not.
    """
    entry = _entry(_id_of(_public_of(private)))
    kept = keystore.read(entry)
    if kept is None:
        keystore.keep(entry, private)
        kept = keystore.read(entry)
    if kept != private:
        raise KeystoreUnavailable("the keystore does not give back what it was given")


def _keep(keystore: Keystore, private: bytes) -> Answer:
    try:
        _give(keystore, private)
    except KeystoreUnavailable as error:
        outcome = _Outcome.ABSENT if isinstance(error, KeystoreAbsent) else _Outcome.UNAVAILABLE
        return Answer(outcome, keystore.name)
    return Answer(_Outcome.DONE, keystore.name, in_keystore=frozenset({_id_of(_public_of(private))}))


def _with_passphrase(errand: _Errand, answer: Answer, passphrase: str) -> Answer:
    """Use the passphrase for what the keystore has not done."""
    if errand.fresh and not errand.pairs:
        is_guarded = answer.outcome is _Outcome.DONE
        return answer if is_guarded else replace(answer, wrapping=_wrap(errand.fresh, passphrase))
    left = replace(errand, private={**errand.private, **answer.found})
    return replace(answer, found={**answer.found, **_open_with_passphrase(left, passphrase)})


def _try_secret(errand: _Errand, keystore: Keystore | None, secret: str) -> Answer:
    found = _open_with_code(errand, secret) or _open_with_passphrase(errand, secret)
    if not found:
        return Answer(_Outcome.REFUSED)
    answer = Answer(_Outcome.DONE, found=found, is_about_secret=True)
    if keystore is None:
        return answer
    # It answered before, and had lost the key.
    known = replace(errand, private={**errand.private, **found}, fresh=b"")
    with contextlib.suppress(KeystoreUnavailable):
        kept = _ask_keystore(known, keystore)
        answer = replace(answer, keystore=kept.keystore, in_keystore=kept.in_keystore)
    return answer


def _open_with_code(errand: _Errand, secret: str) -> dict[str, bytes]:
    private = _from_code(secret)
    if private is None:
        return {}
    return {key_id: private for key_id in errand.wanted if _is_private_of(private, key_id)}


def _open_with_passphrase(errand: _Errand, passphrase: str) -> dict[str, bytes]:
    found = {}
    for pair in errand.pairs:
        if pair.wrapping and pair.id in errand.wanted:
            with contextlib.suppress(ValueError):
                private = _unwrap(pair.id, pair.wrapping, passphrase)
                found.update({pair.id: private} if _is_private_of(private, pair.id) else {})
    return found


def _wrap(private: bytes, passphrase: str) -> _Wrapping:
    key_id = _id_of(_public_of(private))
    empty = _Wrapping(os.urandom(16), b"")
    return replace(empty, sealed=seal_whole(_stretch(empty, passphrase), "passphrase", key_id, private))


def _unwrap(key_id: str, wrapping: _Wrapping, passphrase: str) -> bytes:
    """The private key.

    Raises:
        ValueError: the passphrase is wrong, or the wrapping damaged.
    """
    return open_whole(_stretch(wrapping, passphrase), "passphrase", key_id, wrapping.sealed)


def _stretch(wrapping: _Wrapping, passphrase: str) -> bytes:
    from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

    typed = unicodedata.normalize("NFKC", passphrase).encode(errors="surrogatepass")
    return Argon2id(
        salt=wrapping.salt,
        length=_KEY_BYTES,
        iterations=wrapping.iterations,
        lanes=wrapping.lanes,
        memory_cost=wrapping.memory_kib,
    ).derive(typed)


# Keys and envelopes -------------------------------------------------------------------------------------------------


def key_id_of(envelope: bytes) -> str:
    """Which pair a session's envelope was sealed to.

    Raises:
        ValueError: it is no envelope.
    """
    if len(envelope) < _ENVELOPE_HEAD_BYTES or not envelope.startswith(_ENVELOPE_MAGIC):
        raise ValueError("damaged envelope")
    return envelope[len(_ENVELOPE_MAGIC) : len(_ENVELOPE_MAGIC) + _ID_BYTES].hex()


def _seal_envelope(public: bytes, session_id: str, key: bytes) -> bytes:
    """Seal a key to a public key: with a secret shared between that and a pair that is forgotten at once."""
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    once = X25519PrivateKey.generate()
    head = _ENVELOPE_MAGIC + bytes.fromhex(_id_of(public)) + once.public_key().public_bytes_raw()
    secret, nonce = _envelope_secret(once.exchange(X25519PublicKey.from_public_bytes(public)), head, public)
    return head + AESGCM(secret).encrypt(nonce, key, head + session_id.encode())


def _open_envelope(private: bytes, session_id: str, envelope: bytes) -> bytes:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    head, sealed = envelope[:_ENVELOPE_HEAD_BYTES], envelope[_ENVELOPE_HEAD_BYTES:]
    once = X25519PublicKey.from_public_bytes(head[-_KEY_BYTES:])
    shared = X25519PrivateKey.from_private_bytes(private).exchange(once)
    secret, nonce = _envelope_secret(shared, head, _public_of(private))
    try:
        return AESGCM(secret).decrypt(nonce, sealed, head + session_id.encode())
    except InvalidTag as error:
        raise ValueError("damaged envelope") from error


def _envelope_secret(shared: bytes, head: bytes, public: bytes) -> tuple[bytes, bytes]:
    """A key and a nonce that are used once, since the pair behind ``shared`` is."""
    made = _hkdf(shared, head + public, b"ScribeDesk session", _KEY_BYTES + _NONCE_BYTES)
    return made[:_KEY_BYTES], made[_KEY_BYTES:]


def _hkdf(secret: bytes, salt: bytes, purpose: bytes, length: int) -> bytes:
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    return HKDF(SHA256(), length, salt, purpose).derive(secret)


def _public_of(private: bytes) -> bytes:
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

    return X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()


def _is_private_of(candidate: bytes, key_id: str) -> bool:
    return len(candidate) == _KEY_BYTES and _id_of(_public_of(candidate)) == key_id


def _id_of(public: bytes) -> str:
    return hashlib.sha256(public).digest()[:_ID_BYTES].hex()


def _entry(key_id: str) -> str:
    return f"master-key {key_id}"


def _as_code(private: bytes) -> str:
    """A private key as something to write down: no letter looks like a digit, and a slip of the pen is noticed."""
    checked = private + hashlib.sha256(private).digest()[:_CHECK_BYTES]
    code = base64.b32encode(checked).decode().translate(str.maketrans(_BASE32, _CROCKFORD))
    return "-".join(code[at : at + _GROUP] for at in range(0, len(code), _GROUP))


def _from_code(code: str) -> bytes | None:
    try:
        checked = base64.b32decode(code.upper().translate(_FROM_CROCKFORD))
    except ValueError:
        return None
    private, check = checked[:-_CHECK_BYTES], checked[-_CHECK_BYTES:]
    return private if hashlib.sha256(private).digest()[:_CHECK_BYTES] == check else None


# The file -----------------------------------------------------------------------------------------------------------


def _copy_of(path: Path) -> Path:
    return path.with_name(path.name + ".bak")


def _load(path: Path) -> tuple[_Pair, ...]:
    """The pairs of the file, or of its copy, or none."""
    return next(filter(None, _readable(path, _copy_of(path))), ())


def _readable(*paths: Path) -> Iterator[tuple[_Pair, ...]]:
    for path in paths:
        if path.exists():
            try:
                yield msgspec.json.decode(path.read_bytes(), type=_Content).pairs
            except msgspec.MsgspecError:
                path.replace(path.with_name(path.name + ".unreadable"))
