"""The journal of a session: its durable events, a line each, in the order in which they were taken in.

A line is a checksum and a JSON object that names the event's type. Reading stops at the first line that is not
whole. After a crash that can only be the last one, which is cut off; anything else is kept beside before it is.
"""

from __future__ import annotations

import json
import shutil
import typing
import zlib
from pathlib import Path
from typing import Any

import msgspec

from app.core.events import Event, Request, RequestFailed
from app.core.problems import Problem
from app.store.durable import AppendLog

_TYPES: dict[str, type[Any]] = {t.__name__: t for t in (*typing.get_args(Event), *typing.get_args(Request))}


def encode(event: Event) -> bytes:
    """One line of the journal."""
    entry = {"type": type(event).__name__, "event": msgspec.to_builtins(event)}
    if isinstance(event, RequestFailed):
        entry["request"] = type(event.request).__name__
    # A service may have said anything: numbers of any length, halves of characters. The standard library keeps both.
    line = json.dumps(entry, separators=(",", ":")).encode("ascii")
    return b"%08x %s\n" % (zlib.crc32(line), line)


def decode(line: bytes) -> Event | None:
    """The event of a line, or None where the line is torn, rotten, or of a newer version."""
    checksum, _, content = line.rstrip(b"\n").partition(b" ")
    if not line.endswith(b"\n") or checksum != b"%08x" % zlib.crc32(content):
        return None
    try:
        return _read(json.loads(content))
    except (msgspec.MsgspecError, ValueError, KeyError, TypeError):
        return None


def _read(entry: dict[str, Any]) -> Event:
    told = entry["event"]
    if entry["type"] != RequestFailed.__name__:
        event: Event = msgspec.convert(told, _TYPES[entry["type"]])
        return event
    request: Request = msgspec.convert(told["request"], _TYPES[entry["request"]])
    return RequestFailed(request, msgspec.convert(told["problem"], Problem), told["retry_after_seconds"])


class Journal:
    """Append-only, one file a session."""

    def __init__(self, path: Path) -> None:
        self.events: list[Event] = []
        """What was in the journal when it was opened."""
        written = path.read_bytes() if path.exists() else b""
        good_bytes = 0
        for line in written.splitlines(keepends=True):
            event = decode(line)
            if event is None:
                break
            self.events.append(event)
            good_bytes += len(line)
        if b"\n" in written[good_bytes:]:
            shutil.copyfile(path, path.with_suffix(".unreadable"))
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
