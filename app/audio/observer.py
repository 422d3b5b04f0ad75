"""What there is to tell about a microphone while it records: its gaps, and what is noteworthy in its sound.

Blocks in, facts out; runs on the capture thread.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from app.audio.attention import Attention
from app.audio.gaps import ClockGaps, Gap, ZeroRuns
from app.audio.signal import Samples
from app.audio.source import Stamp
from app.core.events import Fact, GapFound, SoundNoticed


class Observer:
    """Watches one take of a microphone."""

    def __init__(self, take: int, first_sample: int) -> None:
        self._take = take
        self._next_sample = first_sample
        self._clock_gaps = ClockGaps()
        self._zero_runs = ZeroRuns()
        self._attention = Attention(is_start=first_sample == 0)

    def push(self, seconds: float, stamp: Stamp, samples: Samples) -> Iterator[Fact]:
        """Take in a block that lasts so long, and the samples that were made of it."""
        if gap := self._clock_gaps.push(seconds, stamp, self._next_sample):
            yield self._found(gap)
        if not len(samples):
            return
        yield from self._all_found(self._zero_runs.push(samples, self._next_sample, stamp.wall_time))
        self._next_sample += len(samples)
        notice = self._attention.push(samples, self._zero_runs.seconds, self._zero_runs.is_gated)
        if notice is not None:
            yield SoundNoticed(self._take, notice, stamp.wall_time)

    def finish(self) -> Iterator[Fact]:
        """The take is over."""
        if gap := self._clock_gaps.finish():
            yield self._found(gap)
        yield from self._all_found(self._zero_runs.finish())

    def _all_found(self, gaps: Iterable[Gap]) -> Iterator[GapFound]:
        return (self._found(gap) for gap in gaps)

    def _found(self, gap: Gap) -> GapFound:
        return GapFound(self._take, gap.first_sample, gap.seconds, gap.reason, gap.began_at)
