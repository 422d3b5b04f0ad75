"""Seals what the service keeps. The one key comes from whoever starts the service, and is never written anywhere.

Each kind of thing has a key of its own, derived from that one, and each piece is bound to its place: moved, swapped
or changed by a bit, it no longer opens.
"""

from __future__ import annotations

import os
import re
import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

KEY_BYTES = 32
_NONCE_BYTES = 12
_LONGEST_LINE = KEY_BYTES * 2 + 2


class SealBroken(Exception):
    """The bytes are not what was sealed for this place with this key."""


class KeyRefused(Exception):
    """What was handed over is no key; the text says what is wanted and repeats nothing."""


class Seal:
    """Seals and opens one kind of thing."""

    def __init__(self, key: bytes, purpose: str) -> None:
        self._cipher = AESGCM(derive(key, purpose))

    def seal(self, data: bytes, place: str) -> bytes:
        """The bytes, sealed for a place."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, data, place.encode())

    def open(self, sealed: bytes, place: str) -> bytes:
        """What was sealed for a place.

        Raises:
            SealBroken: this was not.
        """
        try:
            return self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], place.encode())
        except (InvalidTag, ValueError) as exc:
            raise SealBroken("The sealed bytes are damaged, or another's.") from exc


def derive(key: bytes, purpose: str) -> bytes:
    """The key for a purpose; tells nothing of the one it comes from."""
    return HKDF(SHA256(), KEY_BYTES, salt=None, info=f"scribe service: {purpose}".encode()).derive(key)


def key_name(key: bytes) -> str:
    """A folder's name for what is kept under a key."""
    return derive(key, "name").hex()[:16]


def read_key(descriptor: int = 0) -> bytes:
    """Read the key, a line of hexadecimal digits, and nothing behind it: the stream goes on to be watched.

    Raises:
        KeyRefused: something else came, or nothing.
    """
    line = b""
    while not line.endswith(b"\n") and len(line) <= _LONGEST_LINE:
        if not (byte := os.read(descriptor, 1)):
            break
        line += byte
    digits = line.rstrip(b"\r\n")
    if not digits:
        raise KeyRefused("No key was handed over: its first line of input is to be 64 hexadecimal digits.")
    if not re.fullmatch(rb"[0-9A-Fa-f]{64}", digits):
        raise KeyRefused("The first line of input is not a key: a key is 64 hexadecimal digits.")
    return bytes.fromhex(digits.decode())
