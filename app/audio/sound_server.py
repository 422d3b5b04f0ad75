"""The PulseAudio or PipeWire server, where there is one: its sources under the names that people know.

Part of the capture process. PortAudio itself knows such a server as one device called "pulse", which records from
whatever source the server likes, and says nothing when that is another one than before. Here a source has a name, and
it is told when it goes away or a recording is moved to another one.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

HOST_API = "PulseAudio"

_NO_INDEX = 0xFFFF_FFFF


class ServerGone(Exception):
    """There is no server, or it does not answer any more."""


class ServerSource(NamedTuple):
    """Something to record from."""

    number: int
    """Of this one since it was plugged in; the same thing plugged in again has another."""
    id: str
    name: str
    is_default: bool


class SoundServer:
    """A connection to the server. Each call but ``close`` raises :class:`ServerGone`; one thread at a time."""

    def __init__(self) -> None:
        self._has_changed = False
        with _failures():
            import pulsectl  # type: ignore[import-untyped]

            self._stop_listening: type[Exception] = pulsectl.PulseLoopStop
            self._pulse = pulsectl.Pulse("ScribeDesk", connect=False)
        try:
            with _failures():
                self._pulse.connect()
                self._pulse.event_mask_set("source", "source_output", "server")
                self._pulse.event_callback_set(self._on_change)
        except ServerGone:
            self.close()
            raise

    def sources(self) -> list[ServerSource]:
        """What can be recorded from.

        What a loudspeaker plays is no microphone, unless somebody made it the default. Where nothing else is there,
        it was the server that made it so.
        """
        with _failures():
            default = self._pulse.server_info().default_source_name
            every = self._pulse.source_list()
        told = [(ServerSource(s.index, s.name, s.description, s.name == default), s.monitor_of_sink) for s in every]
        microphones = [source for source, sink in told if sink == _NO_INDEX]
        return microphones and microphones + [
            source for source, sink in told if sink != _NO_INDEX and source.is_default
        ]

    def stream(self) -> tuple[int, int] | None:
        """The stream that this process records with now: its own number and its source's."""
        with _failures():
            streams = self._pulse.source_output_list()
        ours = (s for s in streams if s.proplist.get("application.process.id") == str(os.getpid()))
        return next(((int(s.index), int(s.source)) for s in ours if s.source != _NO_INDEX), None)

    def move(self, stream: int, source: int) -> None:
        """Have a stream record from this source; by that it is kept there when the default changes again."""
        with _failures():
            self._pulse.source_output_move(stream, source)

    def wait(self, seconds: float | None = None) -> None:
        """Until something may have changed, or the time is over."""
        if not self._has_changed:
            with _failures():
                self._pulse.event_listen(seconds)
        self._has_changed = False

    def close(self) -> None:
        """Let go."""
        self._pulse.close()

    def _on_change(self, _event: Any) -> None:
        self._has_changed = True
        raise self._stop_listening


@contextmanager
def _failures() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        # The library has several unrelated classes for it, and where there is no libpulse not even those.
        raise ServerGone(type(error).__name__) from error
