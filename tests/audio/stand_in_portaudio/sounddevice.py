"""Takes sounddevice's place in a capture process: a microphone whose samples are their own numbers.

It is a model of hardware: a ring of half a second that fills by the clock, and loses what is not taken in time.
``STAND_IN_SOUND`` names a file with one JSON object: what goes wrong, if anything. The file ``pids`` beside it gets
the number of each process that loads this.
"""

from __future__ import annotations

import array
import json
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

_RING_SECONDS = 0.5
_BLOCK_SECONDS = 0.02

_file = Path(os.environ["STAND_IN_SOUND"])
_trouble: dict[str, Any] = json.loads(_file.read_text(encoding="utf-8"))
with (_file.parent / "pids").open("a", encoding="utf-8") as _pids:
    _pids.write(f"{os.getpid()}\n")


class PortAudioError(Exception):
    """What goes wrong in PortAudio."""


def query_devices() -> list[dict[str, Any]]:
    """One loudspeaker, one microphone."""
    if _trouble.get("hangs_at") == "list":
        threading.Event().wait()
    if _trouble.get("has_no_microphone"):
        return []
    own_rate = _trouble.get("own_rate", 48_000.0)
    speaker = {"name": "Speaker", "hostapi": 0, "max_input_channels": 0, "default_samplerate": own_rate}
    return [speaker, {**speaker, "name": "Numbers", "max_input_channels": 2}]


def query_hostapis() -> list[dict[str, Any]]:
    """The one there is."""
    return [{"name": "Stand-in", "default_input_device": 1}]


def _terminate() -> None:
    """Forget the devices."""


def _initialize() -> None:
    """See the devices anew."""
    _trouble.update(json.loads(_file.read_text(encoding="utf-8")))


class RawInputStream:
    """Numbers, from ``start`` on; the count of a frame is in each of its channels."""

    def __init__(
        self,
        *,
        samplerate: float,
        device: int,
        channels: int,
        dtype: str,
        latency: float,
        callback: Callable[[bytes, int, object, object], None],
        finished_callback: Callable[[], None],
    ) -> None:
        if samplerate not in _trouble.get("rates", [samplerate]):
            raise PortAudioError("Invalid sample rate")
        assert (device, dtype) == (1, "int16")
        self.samplerate = samplerate
        self.channels = channels
        self._callback = callback
        self._finished_callback = finished_callback

    def start(self) -> None:
        """Begin, unless told to hang, to crash or to refuse here."""
        if _trouble.get("hangs_at") == "start":
            threading.Event().wait()
        if _trouble.get("crashes"):
            os.abort()
        if refusal := _trouble.get("refuses"):
            raise PortAudioError("Refused", *refusal)
        for _ in range(_trouble.get("flood_blocks", 0)):
            self._callback(bytes(1_000_000), 500_000 // self.channels, None, SimpleNamespace(input_overflow=False))
        threading.Thread(target=self._run, daemon=True).start()

    def close(self) -> None:
        """Hang, as PortAudio may when a stream runs: nobody should come here then."""
        if not _trouble.get("refuses"):
            threading.Event().wait()

    def _run(self) -> None:
        began, done = time.monotonic(), 0
        while done < _trouble.get("ends_after_frames", 1 << 60):
            time.sleep(_BLOCK_SECONDS)
            heard = int((time.monotonic() - began) * self.samplerate)
            kept = max(done, heard - int(_RING_SECONDS * self.samplerate))
            self._hand_over(kept, heard, kept > done or bool(_trouble.get("overflows")))
            done = heard
            if done >= _trouble.get("falls_silent_after_frames", 1 << 60):
                threading.Event().wait()
        self._finished_callback()

    def _hand_over(self, first: int, end: int, has_lost: bool) -> None:
        numbers = array.array("h", (number & 0x7FFF for number in range(first, end) for _ in range(self.channels)))
        self._callback(numbers.tobytes(), end - first, None, SimpleNamespace(input_overflow=has_lost))
