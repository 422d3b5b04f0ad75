"""Sealed files: logs of sealed records, and files sealed whole. Nothing in them can be read, changed or moved unseen.

AES-256-GCM with a random nonce each time. What a piece is for, and its number or name, are bound to it: a record
that is moved to another place or another log, or a file that is given another name, does not open. A key has to be
used for less than 2**32 pieces; a visit of a whole day makes 2**18.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from app.store.durable import AppendLog

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_HEAD = struct.Struct("<4sQI")
_RECORD_MAGIC = b"SDR1"
_WHOLE_MAGIC = b"SDW1"
_NONCE_BYTES = 12
_SEAL_BYTES = _NONCE_BYTES + 16
_MOST_BYTES = 1 << 26
_WINDOW_BYTES = 1 << 20

WHOLE_OVERHEAD = len(_WHOLE_MAGIC) + _SEAL_BYTES
"""By how much a file that is sealed whole is larger than what it holds."""


class Record(NamedTuple):
    """A record that was read from a log."""

    sequence: int
    """Counted from 0; where one is missing, a record was lost."""
    body: bytes
    ends_at: int
    """Where in the file the next one begins."""


def seal_whole(key: bytes, purpose: str, name: str, data: bytes) -> bytes:
    """Seal a file's content. It opens with the same key, purpose and name only."""
    return _WHOLE_MAGIC + _seal(_cipher(key), data, _whole_label(purpose, name))


def open_whole(key: bytes, purpose: str, name: str, sealed: bytes) -> bytes:
    """What was sealed.

    Raises:
        ValueError: it is damaged, or was sealed as something else.
    """
    magic, rest = sealed[: len(_WHOLE_MAGIC)], sealed[len(_WHOLE_MAGIC) :]
    data = _unseal(_cipher(key), rest, _whole_label(purpose, name)) if magic == _WHOLE_MAGIC else None
    if data is None:
        raise ValueError(f"damaged {purpose}")
    return data


class SealedLog:
    """A log of sealed records. It is read at any time, and touched on disk by the first :meth:`append` only."""

    def __init__(self, path: Path, key: bytes, purpose: str) -> None:
        self._path = path
        self._cipher = _cipher(key)
        self._purpose = b"record\0" + purpose.encode() + b"\0"
        self._log: AppendLog | None = None
        self._next = 0

    def append(self, body: bytes) -> None:
        """Add a record; it is on the disk when this returns. A torn tail is cut off first.

        Raises:
            OSError: the disk refused it.
        """
        if self._log is None:
            last = None
            for last in self.records():  # noqa: B007 - the last one is what is wanted
                pass
            self._open_behind(last)
        assert self._log is not None
        sealed = _seal(self._cipher, body, self._label(self._next))
        self._log.append(_HEAD.pack(_RECORD_MAGIC, self._next, len(sealed)) + sealed)
        self._next += 1

    def cut_behind(self, last: Record | None) -> None:
        """Remove what follows a record, or everything.

        Raises:
            OSError: the disk refused.
        """
        self.close()
        self._open_behind(last)

    def _open_behind(self, last: Record | None) -> None:
        self._log = AppendLog(self._path, keep_bytes=last.ends_at if last else 0)
        self._next = last.sequence + 1 if last else 0

    def records(self) -> Iterator[Record]:
        """The whole records, in rising sequence. Rot costs the record that it is in, no other.

        A record that does not come later than those before it was copied there: it is left out.

        Raises:
            OSError: the disk cannot be read.
        """
        if not self._path.exists():
            return
        # No memory map: a file cut short meanwhile, or a bad sector, would take the whole process down.
        with self._path.open("rb", buffering=_WINDOW_BYTES) as file:
            at: int | None = 0
            sequence = -1
            while at is not None:
                record = self._read(file, at)
                at = record.ends_at if record else _find_record(file, at + 1)
                if record and record.sequence > sequence:
                    sequence = record.sequence
                    yield record

    def _read(self, file: BinaryIO, at: int) -> Record | None:
        file.seek(at)
        head = file.read(_HEAD.size)
        if len(head) < _HEAD.size:
            return None
        magic, sequence, size = _HEAD.unpack(head)
        if magic != _RECORD_MAGIC or size > _MOST_BYTES:
            return None
        sealed = file.read(size)
        body = _unseal(self._cipher, sealed, self._label(sequence)) if len(sealed) == size else None
        return None if body is None else Record(sequence, body, at + _HEAD.size + size)

    def _label(self, sequence: int) -> bytes:
        return self._purpose + sequence.to_bytes(8, "little")

    def close(self) -> None:
        """Let go of the file."""
        if self._log is not None:
            self._log.close()
            self._log = None


def is_torn(rest: bytes) -> bool:
    """Whether this is the beginning of a record, as a crash leaves it, and not a whole one that has rotted."""
    if len(rest) < _HEAD.size:
        return _RECORD_MAGIC.startswith(rest[: len(_RECORD_MAGIC)])
    magic, _, size = _HEAD.unpack_from(rest)
    return bool(magic == _RECORD_MAGIC and len(rest) < _HEAD.size + size)


def _find_record(file: BinaryIO, at: int) -> int | None:
    """Where the next record may begin, from ``at`` on."""
    file.seek(at)
    before = b""
    while window := file.read(_WINDOW_BYTES):
        found = (before + window).find(_RECORD_MAGIC)
        if found >= 0:
            return at - len(before) + found
        at += len(window)
        before = (before + window)[1 - len(_RECORD_MAGIC) :]
    return None


def _whole_label(purpose: str, name: str) -> bytes:
    return f"whole\0{purpose}\0{name}".encode()


def _cipher(key: bytes) -> AESGCM:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    return AESGCM(key)


def _seal(cipher: AESGCM, data: bytes, label: bytes) -> bytes:
    nonce = os.urandom(_NONCE_BYTES)
    return nonce + cipher.encrypt(nonce, data, label)


def _unseal(cipher: AESGCM, sealed: bytes, label: bytes) -> bytes | None:
    from cryptography.exceptions import InvalidTag

    if len(sealed) < _SEAL_BYTES:
        return None
    try:
        return cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], label)
    except InvalidTag:
        return None
