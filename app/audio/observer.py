"""What there is to tell about a microphone while it records: its gaps, and what is noteworthy in its sound.

Blocks in, facts out; runs on the capture thread.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from app.audio.attention import Attention
from app.audio.gaps import ClockGaps, Gap, ZeroRuns
from app.audio.signal import Samples
from app.audio.source import Stamp
from app.core.events import Fact, GapFound, SoundNoticed
from app.core.recording import SAMPLE_RATE_HZ

_LOOK_SAMPLES = SAMPLE_RATE_HZ // 4


class Observer:
    """Watches one take of a microphone."""

    def __init__(self, take: int, first_sample: int) -> None:
        self._take = take
        self._next_sample = self._looked_to = first_sample
        self._waiting: list[Samples] = []
        self._heard_at = 0.0
        self._clock_gaps = ClockGaps()
        self._zero_runs = ZeroRuns(begins_visit=take == 0)
        self._attention = Attention(is_start=first_sample == 0)

    def push(self, seconds: float, stamp: Stamp, samples: Samples) -> Iterator[Fact]:
        """Take in a block that lasts so long, and the samples that were made of it."""
        if gap := self._clock_gaps.push(seconds, stamp, self._next_sample):
            yield self._found(gap)
        self._waiting.append(samples)
        self._next_sample += len(samples)
        self._heard_at = stamp.wall_time
        if self._next_sample - self._looked_to >= _LOOK_SAMPLES:
            yield from self._look()

    def finish(self) -> Iterator[Fact]:
        """The take is over."""
        if gap := self._clock_gaps.finish():
            yield self._found(gap)
        if self._next_sample > self._looked_to:
            yield from self._look()
        yield from self._all_found(self._zero_runs.finish())

    def _look(self) -> Iterator[Fact]:
        samples = np.concatenate(self._waiting)
        yield from self._all_found(self._zero_runs.push(samples, self._looked_to, self._heard_at))
        notice = self._attention.push(samples, self._zero_runs.seconds, self._zero_runs.is_gated)
        if notice is not None:
            yield SoundNoticed(self._take, notice, self._heard_at)
        self._waiting.clear()
        self._looked_to = self._next_sample

    def _all_found(self, gaps: Iterable[Gap]) -> Iterator[GapFound]:
        return (self._found(gap) for gap in gaps)

    def _found(self, gap: Gap) -> GapFound:
        return GapFound(self._take, gap.first_sample, gap.seconds, gap.reason, gap.began_at)
