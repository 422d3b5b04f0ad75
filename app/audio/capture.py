"""The capture thread: source → samples → level → spool → chunker → encoder → spool.

Owns one take: one opening of a source. Whatever happens to the source, all that it gave is sealed before the take
is reported over; and however the thread ends, it says so. What a microphone leaves out is told as it is found.
"""

from __future__ import annotations

import logging
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field

from app.audio.chunker import Chunker
from app.audio.keeping import DiskGaveUp, DiskPatience, Keeper, Sealer, SpoolWriter, seal_samples
from app.audio.level import LevelMeter, LevelTap
from app.audio.observer import Observer
from app.audio.signal import Block, Conditioner, Samples
from app.audio.source import LiveSource, Source, SourceFailed
from app.core.events import CaptureEnded, CaptureLost, CaptureStarted, DiskRecovered, DiskRefused, Fact
from app.core.problems import Problem, ProblemKind

__all__ = ["Capture", "Patience", "SpoolWriter", "seal_samples"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Patience:
    """How long a source may give nothing before it counts as lost, and a disk take nothing."""

    before_first_seconds: float = 3.0
    between_seconds: float = 1.0
    disk: DiskPatience = field(default_factory=DiskPatience)


class Capture:
    """One take. ``start`` and ``end`` return at once; facts tell the rest."""

    def __init__(
        self,
        source: Source,
        *,
        take: int,
        first_chunk: int,
        first_sample: int,
        media_type: str,
        max_chunk_seconds: float,
        spool: SpoolWriter,
        post: Callable[[Fact], None],
        tap: LevelTap,
        clock: Callable[[], float],
        patience: Patience | None = None,
    ) -> None:
        """``clock`` tells the facts' time, seconds since 1970 UTC."""
        self._source = source
        self._microphone = source if isinstance(source, LiveSource) else None
        self._take = take
        self._post = post
        self._tap = tap
        self._clock = clock
        self._patience = patience or Patience()
        self._began_at: float | None = None
        self._meter = LevelMeter(tap, first_sample)
        self._observer = Observer(take, first_sample)
        self._sealer = Sealer(media_type, first_chunk, first_sample, spool, post)
        self._keeper = Keeper(spool, Chunker(max_chunk_seconds), self._sealer, self._tell_disk, self._patience.disk)
        self._thread = threading.Thread(target=self._run, name="capture", daemon=True)

    def start(self) -> None:
        """Open the source and begin. ``CaptureStarted`` is posted with the first block."""
        self._thread.start()

    def end(self) -> None:
        """Ask for the end. ``CaptureEnded`` is posted when the last sample is sealed."""
        self._source.end()

    def join(self, timeout_seconds: float) -> bool:
        """Wait until the take is over; whether it is."""
        self._thread.join(timeout_seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        problem = self._problem_of(self._record)
        close_problem = self._problem_of(self._source.close)
        problem = self._problem_of(self._finish) or problem or close_problem
        self._sealer.abandon()
        self._tap.fall_silent()
        if problem:
            # What was heard but could not be kept is missing too.
            at = self._began_at if self._keeper.kept_at is None else self._keeper.kept_at
            self._post(CaptureLost(self._take, problem, self._clock() if at is None else at))
        else:
            self._post(CaptureEnded(self._take, self._clock()))

    def _problem_of(self, work: Callable[[], None]) -> Problem | None:
        try:
            work()
        except (SourceFailed, DiskGaveUp) as failure:
            return failure.problem
        except Exception as bug:  # noqa: BLE001  a dead thread that says nothing would look like a recording one
            where = "".join(traceback.format_tb(bug.__traceback__))
            _log.error("Capture ended by %s\n%s", type(bug).__name__, where)  # no message: it may quote
            return Problem(ProblemKind.BUG, type(bug).__name__)
        return None

    def _record(self) -> None:
        conditioner = Conditioner(self._source.open())
        block = self._read(self._patience.before_first_seconds)
        if block is not None:
            self._began_at = self._heard_at() - (len(block) / conditioner.rate_hz if self._microphone else 0.0)
            self._post(CaptureStarted(self._take, self._source.name, self._began_at))
        try:
            while block is not None:
                self._hear(conditioner.push(block), len(block) / conditioner.rate_hz)
                block = self._read(self._patience.between_seconds)
        finally:
            self._keep(conditioner.flush())

    def _hear(self, samples: Samples, seconds: float) -> None:
        self._keep(samples)
        # Silence in a file is what was recorded; only what is live can miss something.
        if self._microphone:
            for fact in self._observer.push(seconds, self._microphone.stamp, samples):
                self._post(fact)

    def _keep(self, samples: Samples) -> None:
        self._meter.push(samples)
        self._keeper.take(samples, self._heard_at())

    def _finish(self) -> None:
        for fact in self._observer.finish():
            self._post(fact)
        self._keeper.finish(self._heard_at())

    def _heard_at(self) -> float:
        """When the last sample was heard, as far as that is known."""
        heard_at = self._microphone.stamp.wall_time if self._microphone else 0.0
        return heard_at or self._clock()

    def _tell_disk(self, problem: Problem | None) -> None:
        if problem:
            self._post(DiskRefused(self._take, problem, self._clock()))
        else:
            self._post(DiskRecovered(self._take, self._clock()))

    def _read(self, seconds: float) -> Block | None:
        try:
            return self._source.read(seconds)
        except TimeoutError as error:
            problem = Problem(ProblemKind.MICROPHONE_LOST, f"no audio for {seconds:g} s")
            raise SourceFailed(problem) from error
