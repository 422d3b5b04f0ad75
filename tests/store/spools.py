"""A session's spool under a key that the test knows, and samples that tell their own place."""

from __future__ import annotations

import struct
from pathlib import Path

from app.store.keys import SessionKey
from app.store.spool import Spool

KEY = SessionKey(bytes(range(32)), b"an envelope")


def pcm(first: int, count: int) -> bytes:
    """Samples that tell their own place."""
    return struct.pack(f"<{count}h", *(number % 30_000 for number in range(first, first + count)))


def begin(folder: Path) -> Spool:
    """A new session."""
    return Spool.create(folder, KEY)


def reopen(folder: Path) -> Spool:
    """A session that was there."""

    def open_envelope(session_id: str, envelope: bytes) -> SessionKey:
        assert (session_id, envelope) == (folder.name, KEY.envelope)
        return KEY

    return Spool.open(folder, open_envelope)


def damage(path: Path, position: int, flip: int = 0x10) -> None:
    """Let a byte of a file rot. Behind its end counts from there."""
    content = bytearray(path.read_bytes())
    content[position] ^= flip
    path.write_bytes(content)
