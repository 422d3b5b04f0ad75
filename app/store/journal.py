"""The journal of a session: its durable events, a sealed record each, in the order in which they were taken in.

A record is the wall clock and a JSON object that names the event's type. Three things can be wrong with a journal:

- A crash has torn its tail: that is cut off, and was never acknowledged.
- A record has rotted: it is skipped, and what follows is replayed. The machine takes late and missing facts as they
  come, and the caller skips an intent that no longer fits; stopping there would forget that the visit was ended,
  sent and noted, while the audio is recovered from its own log in either case.
- A newer version has written something that is not known here: reading stops, since nobody can tell what the rest
  builds upon. The file is kept beside as it was before anything is cut off.
"""

from __future__ import annotations

import json
import shutil
import struct
import time
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from app.core.events import ChunkSealed, Event, Request, RequestFailed
from app.store.sealed import Record, SealedLog, is_torn

_CLOCK = struct.Struct("<d")

_TYPES: dict[str, type[Any]] = {t.__name__: t for t in (*typing.get_args(Event), *typing.get_args(Request))}


def encode(event: Event) -> bytes:
    """An event as JSON."""
    entry = {"type": type(event).__name__, "event": msgspec.to_builtins(event)}
    if isinstance(event, RequestFailed):
        entry["request"] = type(event.request).__name__
    # A service may have said anything: numbers of any length, halves of characters. The standard library keeps both.
    return json.dumps(entry, separators=(",", ":")).encode("ascii")


def decode(content: bytes) -> Event | None:
    """The event, or None where it is of a newer version."""
    try:
        return _read(json.loads(content))
    except (msgspec.MsgspecError, ValueError, KeyError, TypeError):
        return None


def _read(entry: dict[str, Any]) -> Event:
    told = entry["event"]
    if entry["type"] != RequestFailed.__name__:
        event: Event = msgspec.convert(told, _TYPES[entry["type"]])
        return event
    hints = {**typing.get_type_hints(RequestFailed), "request": _TYPES[entry["request"]]}
    return RequestFailed(**{name: msgspec.convert(told[name], hints[name]) for name in hints if name in told})


class Journal:
    """Append-only, one file a session."""

    def __init__(self, path: Path, key: bytes, *, wall_clock: Callable[[], float] = time.time) -> None:
        """Read the journal.

        Raises:
            OSError: the disk cannot be read.
        """
        self.events: list[Event] = []
        """What was in the journal when it was opened."""
        self.last_written_at = 0.0
        """When the last of that was written, save for chunks: after a crash those are made late."""
        self._path = path
        self._wall_clock = wall_clock
        self._log = SealedLog(path, key, "journal")
        self._take_in()

    def _take_in(self) -> None:
        last: Record | None = None
        for record in self._log.records():
            event = decode(record.body[_CLOCK.size :])
            if event is None:
                self._set_aside(last)
                return
            self.events.append(event)
            if not isinstance(event, ChunkSealed):
                self.last_written_at = _CLOCK.unpack_from(record.body)[0]
            last = record
        if self._path.exists() and not is_torn(self._path.read_bytes()[last.ends_at if last else 0 :]):
            self._set_aside(last)

    def _set_aside(self, last: Record | None) -> None:
        shutil.copyfile(self._path, self._path.with_suffix(".unreadable"))
        self._log.cut_behind(last)

    def append(self, event: Event) -> None:
        """Keep an event; it is on the disk when this returns.

        Raises:
            OSError: the disk refused it.
        """
        self._log.append(_CLOCK.pack(self._wall_clock()) + encode(event))

    def close(self) -> None:
        """Let go of the file."""
        self._log.close()
