"""How loud it is now. The capture thread writes one slot, a screen reads it when it likes; nobody waits.

Full scale is 0 dBFS for a sample of the greatest size; a sine wave that just reaches it has an RMS of -3 dBFS.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from app.audio.signal import Conditioner, Samples
from app.audio.source import Source, SourceFailed
from app.core.recording import SAMPLE_RATE_HZ
from app.core.views import Level

_WINDOW = SAMPLE_RATE_HZ * 30 // 1000
_FULL_SCALE = 32_768.0
_FLOOR_DBFS = -120.0
_STALLED_SECONDS = 3.0


class LevelTap:
    """The slot. One thread writes, any thread reads, and a read is always a whole level."""

    def __init__(self) -> None:
        self._level = Level()

    def read(self) -> Level:
        """The newest level."""
        return self._level

    def write(self, level: Level) -> None:
        """Only for the thread that owns the meter."""
        self._level = level

    def fall_silent(self) -> None:
        """No more blocks: what has been captured so far still holds."""
        self._level = Level(captured_seconds=self._level.captured_seconds)


class LevelMeter:
    """Samples into levels: the RMS of the last 30 ms, the peak of all that came since the one before."""

    def __init__(self, tap: LevelTap, first_sample: int = 0) -> None:
        self._tap = tap
        self._sample_count = first_sample
        self._pending = np.empty(0, np.int16)

    def push(self, samples: Samples) -> None:
        """Measure, and write the tap when at least one window is full."""
        self._sample_count += len(samples)
        self._pending = np.concatenate((self._pending, samples))
        whole = len(self._pending) // _WINDOW * _WINDOW
        if whole:
            self._tap.write(self._measure(self._pending[:whole]))
            self._pending = self._pending[whole:]
        else:
            self._tap.write(replace(self._tap.read(), captured_seconds=self._sample_count / SAMPLE_RATE_HZ))

    def _measure(self, windows: Samples) -> Level:
        last = windows[-_WINDOW:].astype(np.float64)
        return Level(
            rms_dbfs=dbfs(math.sqrt(float(np.mean(last * last)))),
            peak_dbfs=dbfs(float(np.max(np.abs(windows.astype(np.int32))))),
            captured_seconds=self._sample_count / SAMPLE_RATE_HZ,
            is_live=True,
        )


class Monitor:
    """A source's level and nothing else: no sample is kept. Reads on a thread of its own."""

    def __init__(self, source: Source, tap: LevelTap, on_over: Callable[[], None] = lambda: None) -> None:
        """``on_over`` is called on the monitor's thread when the source has ended, as asked or not."""
        self._source = source
        self._tap = tap
        self._on_over = on_over
        self._thread = threading.Thread(target=self._run, name="monitor", daemon=True)

    def start(self) -> None:
        """Open the source and watch it; returns at once."""
        self._thread.start()

    def end(self) -> None:
        """Ask for the end; returns at once."""
        self._source.end()

    def join(self, timeout_seconds: float) -> bool:
        """Wait until the source is closed; whether it is."""
        self._thread.join(timeout_seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._watch()
        except (SourceFailed, TimeoutError):
            pass  # A level that is not live is the message.
        finally:
            self._source.close()
            self._tap.fall_silent()
            self._on_over()

    def _watch(self) -> None:
        conditioner = Conditioner(self._source.open())
        meter = LevelMeter(self._tap)
        while (block := self._source.read(_STALLED_SECONDS)) is not None:
            meter.push(conditioner.push(block))


def dbfs(amplitude: float) -> float:
    """An amplitude in sample steps as a level."""
    if amplitude <= 0.0:
        return _FLOOR_DBFS
    return max(_FLOOR_DBFS, 20.0 * math.log10(amplitude / _FULL_SCALE))
