"""The journal of a session: its durable events, a line each, in the order in which they were taken in.

A line is a checksum and a JSON object that names the event's type. Reading stops at the first line that is not
whole, which after a crash can only be the last one.
"""

from __future__ import annotations

import typing
import zlib
from pathlib import Path
from typing import Any

import msgspec

from app.core.events import Event
from app.store.durable import AppendLog

_TYPES: dict[str, type[Any]] = {t.__name__: t for t in typing.get_args(Event)}


def encode(event: Event) -> bytes:
    """One line of the journal."""
    line = msgspec.json.encode({"type": type(event).__name__, "event": event})
    return b"%08x %s\n" % (zlib.crc32(line), line)


def decode(line: bytes) -> Event | None:
    """The event of a line, or None where the line is torn, rotten, or of a newer version."""
    checksum, _, content = line.rstrip(b"\n").partition(b" ")
    if not line.endswith(b"\n") or checksum != b"%08x" % zlib.crc32(content):
        return None
    try:
        entry = msgspec.json.decode(content)
        event: Event = msgspec.convert(entry["event"], _TYPES[entry["type"]])
    except (msgspec.MsgspecError, KeyError, TypeError):
        return None
    return event


class Journal:
    """Append-only, one file a session."""

    def __init__(self, path: Path) -> None:
        self.events: list[Event] = []
        """What was in the journal when it was opened."""
        good_bytes = 0
        for line in path.read_bytes().splitlines(keepends=True) if path.exists() else ():
            event = decode(line)
            if event is None:
                break
            self.events.append(event)
            good_bytes += len(line)
        self._log = AppendLog(path, keep_bytes=good_bytes)

    def append(self, event: Event) -> None:
        """Keep an event; it is on the disk when this returns.

        Raises:
            OSError: the disk refused it.
        """
        self._log.append(encode(event))

    def close(self) -> None:
        """Let go of the file."""
        self._log.close()
