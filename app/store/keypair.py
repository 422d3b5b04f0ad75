"""Key pairs and what is done with them: envelopes, keys derived for a purpose, recovery codes, passphrases.

X25519, HKDF-SHA256, AES-256-GCM and Argon2id. Nothing here touches a file or a keystore.
"""

from __future__ import annotations

import base64
import hashlib
import os
import unicodedata
from dataclasses import dataclass, field, replace

from app.store.sealed import open_whole, seal_whole

_KEY_BYTES = 32
_ID_BYTES = 8
_NONCE_BYTES = 12
_ENVELOPE_MAGIC = b"SDK1"
_HEAD_BYTES = len(_ENVELOPE_MAGIC) + _ID_BYTES + _KEY_BYTES
_BASE32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_TO_CROCKFORD = str.maketrans(_BASE32, _CROCKFORD)
_FROM_CROCKFORD = str.maketrans(_CROCKFORD + "OIL", _BASE32 + "ABB", "- \t\r\n")
_CHECK_BYTES = 3
_CODE_GROUP = 4


def id_of(public: bytes) -> str:
    """The name of a key pair."""
    return hashlib.sha256(public).digest()[:_ID_BYTES].hex()


@dataclass(frozen=True)
class KeyPair:
    """A private key, and the public one that belongs to it."""

    private: bytes = field(repr=False)
    public: bytes

    @classmethod
    def make(cls) -> KeyPair:
        """A new one."""
        return cls.of(os.urandom(_KEY_BYTES))

    @classmethod
    def of(cls, private: bytes) -> KeyPair:
        """The pair of a private key.

        Raises:
            ValueError: it is none.
        """
        from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

        return cls(private, X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw())

    @property
    def id(self) -> str:
        """Its name."""
        return id_of(self.public)

    def derive(self, purpose: str) -> bytes:
        """A key for one purpose, the same each time."""
        return _hkdf(self.private, b"", b"ScribeDesk store\0" + purpose.encode(), _KEY_BYTES)

    def open_envelope(self, name: str, envelope: bytes) -> bytes:
        """The key in an envelope.

        Raises:
            ValueError: it is damaged, or belongs to another name or pair.
        """
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        head, sealed = envelope[:_HEAD_BYTES], envelope[_HEAD_BYTES:]
        once = X25519PublicKey.from_public_bytes(head[-_KEY_BYTES:])
        shared = X25519PrivateKey.from_private_bytes(self.private).exchange(once)
        secret, nonce = _envelope_secret(shared, head, self.public)
        try:
            return AESGCM(secret).decrypt(nonce, sealed, head + name.encode())
        except InvalidTag as error:
            raise ValueError("damaged envelope") from error


def pair_named(key_id: str, private: bytes | None) -> KeyPair | None:
    """The pair of a private key, if it is the one of that name."""
    if private is None or len(private) != _KEY_BYTES:
        return None
    pair = KeyPair.of(private)
    return pair if pair.id == key_id else None


# Envelopes ----------------------------------------------------------------------------------------------------------


def seal_envelope(public: bytes, name: str, key: bytes) -> bytes:
    """Seal a key, under a name, to a public key: with a secret shared between that and a pair forgotten at once."""
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    once = X25519PrivateKey.generate()
    head = _ENVELOPE_MAGIC + bytes.fromhex(id_of(public)) + once.public_key().public_bytes_raw()
    secret, nonce = _envelope_secret(once.exchange(X25519PublicKey.from_public_bytes(public)), head, public)
    return head + AESGCM(secret).encrypt(nonce, key, head + name.encode())


def key_id_of(envelope: bytes) -> str:
    """Which pair an envelope was sealed to.

    Raises:
        ValueError: it is no envelope.
    """
    if len(envelope) < _HEAD_BYTES or not envelope.startswith(_ENVELOPE_MAGIC):
        raise ValueError("damaged envelope")
    return envelope[len(_ENVELOPE_MAGIC) :][:_ID_BYTES].hex()


def _envelope_secret(shared: bytes, head: bytes, public: bytes) -> tuple[bytes, bytes]:
    """A key and a nonce that are used once, since the pair behind ``shared`` is."""
    made = _hkdf(shared, head + public, b"ScribeDesk envelope", _KEY_BYTES + _NONCE_BYTES)
    return made[:_KEY_BYTES], made[_KEY_BYTES:]


def _hkdf(secret: bytes, salt: bytes, purpose: bytes, length: int) -> bytes:
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    return HKDF(SHA256(), length, salt, purpose).derive(secret)


# Recovery codes -----------------------------------------------------------------------------------------------------


def as_code(private: bytes) -> str:
    """A private key as something to write down: no letter looks like a digit, and a slip of the pen is noticed."""
    code = base64.b32encode(private + _check(private)).decode().translate(_TO_CROCKFORD)
    return "-".join(code[at : at + _CODE_GROUP] for at in range(0, len(code), _CODE_GROUP))


def from_code(code: str) -> bytes | None:
    """The private key that was written down, however it was typed, or None where that is no such code."""
    try:
        checked = base64.b32decode(code.upper().translate(_FROM_CROCKFORD))
    except ValueError:
        return None
    private, check = checked[:-_CHECK_BYTES], checked[-_CHECK_BYTES:]
    return private if _check(private) == check else None


def _check(private: bytes) -> bytes:
    return hashlib.sha256(private).digest()[:_CHECK_BYTES]


# Passphrases --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Wrapping:
    """A private key under a passphrase, with what the derivation needs. Making and opening one takes a while."""

    salt: bytes
    sealed: bytes = b""
    iterations: int = 3
    lanes: int = 4
    memory_kib: int = 64 * 1024


def wrap(pair: KeyPair, passphrase: str) -> Wrapping:
    """Put a private key under a passphrase."""
    empty = Wrapping(os.urandom(16))
    return replace(empty, sealed=seal_whole(_stretch(empty, passphrase), "passphrase", pair.id, pair.private))


def unwrap(key_id: str, wrapping: Wrapping, passphrase: str) -> KeyPair | None:
    """The pair of that name, or None where the passphrase is wrong or the wrapping damaged."""
    try:
        key = _stretch(wrapping, passphrase)
        return pair_named(key_id, open_whole(key, "passphrase", key_id, wrapping.sealed))
    except ValueError:
        return None


def _stretch(wrapping: Wrapping, passphrase: str) -> bytes:
    from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

    typed = unicodedata.normalize("NFKC", passphrase).encode(errors="surrogatepass")
    return Argon2id(
        salt=wrapping.salt,
        length=_KEY_BYTES,
        iterations=wrapping.iterations,
        lanes=wrapping.lanes,
        memory_cost=wrapping.memory_kib,
    ).derive(typed)
