"""Stretches of a take that hold no sound, found from when its blocks were heard and from what is in them.

Samples and stamps in, gaps out; no clock, no thread. Sample numbers are those of the session.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from app.audio.signal import Samples
from app.audio.source import Stamp
from app.core.recording import SAMPLE_RATE_HZ

_NOTICED_SECONDS = 0.3
_FLAGGED_SECONDS = 0.05
"""Where the driver itself says that it lost something, less is believed."""
_SETTLE_SECONDS = 1.0
_DRIFT = 0.002
_ASLEEP_SHARE = 0.5
_LONG_SECONDS = 3.0
_GATED_PAUSES = 20
_BEGINNING_SECONDS = 1.0


@dataclass(frozen=True)
class Gap:
    """A stretch without sound; see :class:`~app.core.events.GapFound` for where it stands."""

    first_sample: int
    seconds: float
    reason: str
    began_at: float


@dataclass
class _Step:
    """Since this block the clock is ahead of the samples. Whether it stays so is still to be seen."""

    first_sample: int
    began_at: float
    heard_at: float
    least_seconds: float
    asleep_seconds: float = 0.0
    noticed_seconds: float = _NOTICED_SECONDS


class ClockGaps:
    """Compares the clock with the samples.

    A block may come late and the next ones soon after it: what counts is how late they come when they come soonest.
    That changes slowly when a device's clock is not quite ours; such drift is followed, up to 0.2 %, and is no loss.
    What is lost makes a step that stays.
    """

    def __init__(self) -> None:
        self._audio_seconds = 0.0
        self._usual: float | None = None
        """By how much the clock is ahead of the samples when a block comes soon."""
        self._asleep_seconds = 0.0
        self._step: _Step | None = None

    def push(self, seconds: float, stamp: Stamp, first_sample: int) -> Gap | None:
        """Take in a block that begins at ``first_sample``; a gap once one is certain."""
        ahead = stamp.heard_at - self._audio_seconds - seconds
        if self._usual is None:
            self._usual, self._asleep_seconds = ahead, stamp.asleep_seconds
        excess = ahead - self._usual
        if self._step is None and (excess > _NOTICED_SECONDS or stamp.has_lost):
            began_at = self._usual + self._audio_seconds + stamp.wall_time - stamp.heard_at
            self._step = _Step(first_sample, began_at, stamp.heard_at, excess)
        self._audio_seconds += seconds
        if self._step and self._is_lasting(self._step, excess, stamp):
            return self.finish() if stamp.heard_at - self._step.heard_at >= _SETTLE_SECONDS else None
        self._step = None
        self._usual = min(ahead, self._usual + _DRIFT * seconds)
        self._asleep_seconds = stamp.asleep_seconds
        return None

    def _is_lasting(self, step: _Step, excess: float, stamp: Stamp) -> bool:
        step.least_seconds = min(step.least_seconds, excess)
        step.asleep_seconds = stamp.asleep_seconds - self._asleep_seconds
        if stamp.has_lost:
            step.noticed_seconds = _FLAGGED_SECONDS
        return step.least_seconds > step.noticed_seconds

    def finish(self) -> Gap | None:
        """The gap that was not certain yet: nothing will come to fill it."""
        step, self._step = self._step, None
        if step is None:
            return None
        self._audio_seconds += step.least_seconds
        self._asleep_seconds += step.asleep_seconds
        is_asleep = step.asleep_seconds > step.least_seconds * _ASLEEP_SHARE
        return Gap(step.first_sample, step.least_seconds, "asleep" if is_asleep else "lost", step.began_at)


class ZeroRuns:
    """Finds exact zeros, which no microphone that works gives: it is muted, or something stands in for it.

    But there are microphones that clean up after themselves and put zeros where nobody speaks. One that has done so
    many times, with sound in between, is believed: its pauses are no gaps, and it may be silent for longer before
    that is a fault.
    """

    def __init__(self, *, begins_visit: bool = False) -> None:
        """``begins_visit`` tells that these are the first samples after somebody pressed Record.

        Many drivers and sound servers give zeros until the device has woken up. There that is no fault of anything,
        and nothing was promised yet, so a short run is not marked. Behind a gap it is, being more that is missing.
        """
        self._is_beginning = begins_visit
        self._run = 0
        self._began_at = 0.0
        self._next_sample = 0
        self._pauses = 0

    @property
    def seconds(self) -> float:
        """How long the zeros have lasted that have not ended yet."""
        return self._run / SAMPLE_RATE_HZ

    @property
    def is_gated(self) -> bool:
        """Whether zeros are this microphone's way of being quiet."""
        return self._pauses > _GATED_PAUSES

    def push(self, samples: Samples, first_sample: int, ended_at: float) -> Iterator[Gap]:
        """Take in samples whose last one was heard at ``ended_at``; the runs that end among them."""
        edges = np.concatenate(([-self._run - 1], np.flatnonzero(samples), [len(samples)]))
        runs = np.diff(edges) - 1
        for index in np.flatnonzero(runs[:-1] >= _NOTICED_SECONDS * SAMPLE_RATE_HZ):
            start = int(edges[index]) + 1
            self._is_beginning &= index == 0
            yield from self._ended(first_sample + start, int(runs[index]), _time_of(start, samples, ended_at))
        self._is_beginning &= len(runs) == 1
        self._run = int(runs[-1])
        self._began_at = _time_of(len(samples) - self._run, samples, ended_at)
        self._next_sample = first_sample + len(samples)

    def finish(self) -> Iterator[Gap]:
        """The run that lasts until the end."""
        if self.seconds >= _NOTICED_SECONDS:
            yield from self._ended(self._next_sample - self._run, self._run, self._began_at)
        self._run = 0

    def _ended(self, first_sample: int, count: int, began_at: float) -> Iterator[Gap]:
        seconds = count / SAMPLE_RATE_HZ
        if self._is_beginning and seconds < _BEGINNING_SECONDS:
            return
        if seconds < _LONG_SECONDS:
            self._pauses += 1
        if seconds >= _LONG_SECONDS or not self.is_gated:
            yield Gap(first_sample, seconds, "silent", began_at)


def _time_of(index: int, samples: Samples, ended_at: float) -> float:
    return ended_at - (len(samples) - index) / SAMPLE_RATE_HZ
