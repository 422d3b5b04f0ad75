"""The captured side of a session: its takes, its chunks, and the gaps between takes."""

from __future__ import annotations

from dataclasses import replace

from app.core.events import (
    CaptureEnded,
    CaptureInterrupted,
    CaptureLost,
    CaptureStarted,
    ChunkSealed,
    DiskRecovered,
    DiskRefused,
    Event,
    GapFound,
    SoundNoticed,
    StartCapture,
)
from app.core.problems import Problem
from app.core.views import Gap

SAMPLE_RATE_HZ = 16_000
"""Everything behind the resampler is 16 kHz mono."""


class Recording:
    """Counts what has been sealed, and remembers every stretch of the visit that has no audio.

    A take is one opening of the microphone. A visit has one take more than it has gaps.
    """

    def __init__(self) -> None:
        self.chunks: list[ChunkSealed] = []
        self.microphone = ""
        self.is_open = False
        """A take was asked for and is not over yet."""
        self.is_ending = False
        """The open take was asked to end."""
        self.is_capturing = False
        """Samples of the open take are arriving."""
        self.stopped_at: float | None = None
        """When the visit was over; None while it goes on."""
        self.sound = ""
        """What is noteworthy of the open take's sound."""
        self.disk_problem: Problem | None = None
        """Why some of the open take is held in memory for now."""
        self.is_in_real_time = True
        """A second of sound takes a second to record; not so from a file."""
        self._clock = (0.0, 0)
        """The newest time of day that was told, and how many samples were sealed then."""
        self._take = -1
        self._gaps: list[Gap] = []
        """Gaps that are over."""
        self._open_gap: Gap | None = None
        self._found: dict[tuple[int, str], Gap] = {}
        """Stretches without sound within takes."""

    @property
    def sample_count(self) -> int:
        """Samples sealed so far."""
        return sum(c.sample_count for c in self.chunks)

    @property
    def seconds(self) -> float:
        """Audio sealed so far."""
        return self.sample_count / SAMPLE_RATE_HZ

    @property
    def newest_at(self) -> float:
        """A time of day that has come for sure: the last one told, and what was sealed since."""
        at, samples = self._clock
        since = (self.sample_count - samples) / SAMPLE_RATE_HZ if self.is_in_real_time else 0.0
        return at + since

    def note_time(self, event: Event) -> None:
        """What an event tells of the time of day."""
        at = event.began_at + event.seconds if isinstance(event, GapFound) else getattr(event, "at", None)
        if at is not None:
            self._clock = (at, self.sample_count)

    @property
    def gaps(self) -> tuple[Gap, ...]:
        """All gaps in order. The last one may still last, but not beyond the visit's end."""
        over = sorted([*self._gaps, *self._found.values()], key=lambda gap: gap.position_seconds)
        if self._open_gap is None:
            return tuple(over)
        lasted = None if self.stopped_at is None else _between(self._open_gap, self.stopped_at)
        return (*over, replace(self._open_gap, seconds=lasted))

    def begin_take(self, media_type: str, max_chunk_seconds: float) -> StartCapture:
        """Open the next take where the last one ended."""
        self._take += 1
        self.is_open = True
        return StartCapture(self._take, len(self.chunks), self.sample_count, media_type, max_chunk_seconds)

    def is_current(
        self, event: CaptureStarted | CaptureLost | CaptureEnded | SoundNoticed | DiskRefused | DiskRecovered
    ) -> bool:
        """Whether a fact is about the open take; late facts of an older one change nothing."""
        return self.is_open and event.take == self._take

    def is_known(self, event: GapFound) -> bool:
        """Whether a gap lies in a take that there is or was; it is a fact even when it comes late."""
        return event.take <= self._take

    def mark_gap(self, reason: str, at: float) -> None:
        """A gap begins. One that lasts already keeps its start and its reason; after the visit there is none."""
        if self._open_gap is None and (self.stopped_at is None or at < self.stopped_at):
            self._open_gap = Gap(self.seconds, None, reason, at)

    def on_started(self, event: CaptureStarted) -> None:
        """The first sample of a take: a gap that was open is over, unless the take is to end at once."""
        self.is_capturing = True
        self.microphone = event.microphone
        if self._open_gap is not None and not self.is_ending:
            self._gaps.append(replace(self._open_gap, seconds=_between(self._open_gap, event.at)))
            self._open_gap = None

    def on_over(self, event: CaptureLost | CaptureEnded | CaptureInterrupted, reason: str = "") -> None:
        """The open take is over, and with a ``reason`` a gap begins.

        Only now is it known at which sample an open gap stands.
        """
        self.is_open = self.is_ending = self.is_capturing = False
        self.sound, self.disk_problem = "", None
        if reason:
            self.mark_gap(reason, event.at)
        if self._open_gap is not None:
            self._open_gap = replace(self._open_gap, position_seconds=self.seconds)

    def on_gap_found(self, event: GapFound) -> None:
        """A take has, or lacks, a stretch without sound. What is told again has grown."""
        gap = Gap(
            event.first_sample / SAMPLE_RATE_HZ,
            event.seconds,
            event.reason,
            event.began_at,
            takes_up_recording=event.reason == "silent",
        )
        self._found[event.first_sample, event.reason] = gap

    def on_sealed(self, chunk: ChunkSealed) -> None:
        """A chunk is on disk. Each is told of once, in order; a repeat (replay after a crash) changes nothing."""
        if chunk.index == len(self.chunks):
            self.chunks.append(chunk)

    def span_seconds(self, index: int) -> tuple[float, float]:
        """Where a chunk lies in the recording."""
        chunk = self.chunks[index]
        first = chunk.first_sample / SAMPLE_RATE_HZ
        return first, first + chunk.sample_count / SAMPLE_RATE_HZ


def _between(gap: Gap, at: float) -> float:
    return max(0.0, at - (gap.began_at or 0.0))
