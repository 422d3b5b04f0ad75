"""The capture thread: source → samples → level → spool → chunker → encoder → spool.

Owns one take: one opening of a source. Whatever happens to the source, all that it gave is sealed before the take
is reported over; and however the thread ends, it says so.
"""

from __future__ import annotations

import errno
import logging
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from app.audio.chunker import Chunker
from app.audio.encoder import Encoder
from app.audio.level import LevelMeter, LevelTap
from app.audio.signal import Block, Conditioner, Samples
from app.audio.source import Source, SourceFailed
from app.core.events import CaptureEnded, CaptureLost, CaptureStarted, ChunkSealed, Fact
from app.core.problems import Problem, ProblemKind
from app.core.recording import SAMPLE_RATE_HZ

_log = logging.getLogger(__name__)

_APPEND_SAMPLES = SAMPLE_RATE_HZ // 4


class SpoolWriter(Protocol):
    """Where captured audio is made to last. Both raise ``OSError`` when the disk will not take it."""

    def append(self, pcm: bytes) -> None:
        """Keep samples (16 kHz, mono, 16 bit, little-endian) that follow those of the last call."""

    def seal(self, index: int, first_sample: int, sample_count: int, data: bytes) -> None:
        """Keep a whole chunk; durable on return."""


@dataclass(frozen=True)
class Patience:
    """How long a source may give nothing before it counts as lost."""

    before_first_seconds: float = 3.0
    between_seconds: float = 1.0


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
        self._take = take
        self._post = post
        self._tap = tap
        self._clock = clock
        self._patience = patience or Patience()
        self._sealer = _Sealer(media_type, first_chunk, first_sample, spool, post)
        self._intake = _Intake(spool, LevelMeter(tap, first_sample), Chunker(max_chunk_seconds), self._sealer)
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
        problem = self._problem_of(self._source.close) or problem
        self._sealer.abandon()
        self._tap.fall_silent()
        if problem:
            self._post(CaptureLost(self._take, problem, self._clock()))
        else:
            self._post(CaptureEnded(self._take, self._clock()))

    def _problem_of(self, work: Callable[[], Problem | None]) -> Problem | None:
        try:
            return work()
        except OSError as error:
            return _disk_problem(error)
        except Exception as bug:  # noqa: BLE001  a dead thread that says nothing would look like a recording one
            where = "".join(traceback.format_tb(bug.__traceback__))
            _log.error("Capture ended by %s\n%s", type(bug).__name__, where)  # no message: it may quote
            return Problem(ProblemKind.BUG, type(bug).__name__)

    def _record(self) -> Problem | None:
        problem = None
        conditioner = None
        try:
            conditioner = Conditioner(self._source.open())
            self._drain(conditioner)
        except SourceFailed as failure:
            problem = failure.problem
        if conditioner:
            self._intake.take(conditioner.flush())
        self._intake.finish()
        return problem

    def _drain(self, conditioner: Conditioner) -> None:
        block = self._read(self._patience.before_first_seconds)
        if block is not None:
            self._post(CaptureStarted(self._take, self._source.name, self._clock()))
        while block is not None:
            self._intake.take(conditioner.push(block))
            block = self._read(self._patience.between_seconds)

    def _read(self, seconds: float) -> Block | None:
        try:
            return self._source.read(seconds)
        except TimeoutError as error:
            problem = Problem(ProblemKind.MICROPHONE_LOST, f"no audio for {seconds:g} s")
            raise SourceFailed(problem) from error


def seal_samples(
    pcm: bytes, *, first_chunk: int, first_sample: int, media_type: str, max_chunk_seconds: float, spool: SpoolWriter
) -> None:
    """Make chunks of samples that are kept already but are in no chunk, as after a crash.

    Raises:
        OSError: the disk will not take a chunk.
    """
    chunker = Chunker(max_chunk_seconds)
    sealer = _Sealer(media_type, first_chunk, first_sample, spool, lambda _: None)
    for piece in (*chunker.push(np.frombuffer(pcm, "<i2").astype(np.int16)), *chunker.finish()):
        sealer.take(piece.samples, piece.ends_chunk)


class _Intake:
    """Samples on their way: measured at once, kept every quarter of a second, then encoded."""

    def __init__(self, spool: SpoolWriter, meter: LevelMeter, chunker: Chunker, sealer: _Sealer) -> None:
        self._spool = spool
        self._meter = meter
        self._chunker = chunker
        self._sealer = sealer
        self._waiting: list[Samples] = []
        self._waiting_count = 0

    def take(self, samples: Samples) -> None:
        self._meter.push(samples)
        self._waiting.append(samples)
        self._waiting_count += len(samples)
        if self._waiting_count >= _APPEND_SAMPLES:
            self._pass_on()

    def finish(self) -> None:
        if self._waiting_count:
            self._pass_on()
        for piece in self._chunker.finish():
            self._sealer.take(piece.samples, piece.ends_chunk)

    def _pass_on(self) -> None:
        samples = np.concatenate(self._waiting)
        self._waiting, self._waiting_count = [], 0
        self._spool.append(samples.astype("<i2", copy=False).tobytes())
        for piece in self._chunker.push(samples):
            self._sealer.take(piece.samples, piece.ends_chunk)


class _Sealer:
    """The open chunk's encoder, and the running numbers of chunks and samples."""

    def __init__(
        self, media_type: str, first_chunk: int, first_sample: int, spool: SpoolWriter, post: Callable[[Fact], None]
    ) -> None:
        self._media_type = media_type
        self._index = first_chunk
        self._first_sample = first_sample
        self._spool = spool
        self._post = post
        self._encoder: Encoder | None = None

    def take(self, samples: Samples, ends_chunk: bool) -> None:
        encoder = self._encoder = self._encoder or Encoder(self._media_type)
        encoder.write(samples)
        if ends_chunk:
            self._seal(encoder)

    def abandon(self) -> None:
        """Drop a chunk that could not be sealed; its samples are in the spool all the same."""
        if self._encoder:
            self._encoder.finish()
            self._encoder = None

    def _seal(self, encoder: Encoder) -> None:
        data = encoder.finish()
        count = encoder.sample_count
        self._spool.seal(self._index, self._first_sample, count, data)
        self._post(ChunkSealed(self._index, self._first_sample, count, len(data)))
        self._index += 1
        self._first_sample += count
        self._encoder = None


def _disk_problem(error: OSError) -> Problem:
    kind = ProblemKind.DISK_FULL if error.errno in (errno.ENOSPC, errno.EDQUOT) else ProblemKind.DISK_FAILED
    return Problem(kind, errno.errorcode.get(error.errno or 0, type(error).__name__))
