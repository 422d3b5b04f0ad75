"""From samples to what lasts: into the spool's log first, then into chunks. Runs on the capture thread.

A disk that refuses is no reason to stop listening. What it does not take is held in memory and tried again, while
somebody is told; only when the memory set aside for that is full, or the visit ends and it still refuses, is there
nothing more to be done.
"""

from __future__ import annotations

import errno
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from app.audio.chunker import Chunker
from app.audio.encoder import Encoder
from app.audio.signal import Samples
from app.core.events import ChunkSealed, Fact
from app.core.problems import Problem, ProblemKind
from app.core.recording import SAMPLE_RATE_HZ

_APPEND_SAMPLES = SAMPLE_RATE_HZ // 4
_MOST_FINISHED_BYTES = 16 * 1024 * 1024
_INSIST_SECONDS = 0.05


class ChunkWriter(Protocol):
    """Where chunks are made to last."""

    def seal(self, index: int, first_sample: int, sample_count: int, data: bytes) -> None:
        """Keep a whole chunk; durable on return. Raises ``OSError`` when the disk will not take it."""


class SpoolWriter(ChunkWriter, Protocol):
    """Where captured audio is made to last."""

    def append(self, pcm: bytes, at: float) -> None:
        """Keep samples (16 kHz, mono, 16 bit, little-endian) that follow those of the last call.

        ``at`` is the wall clock's time at their end. Raises ``OSError`` when the disk will not take them.
        """


@dataclass(frozen=True)
class DiskPatience:
    """How long a disk may refuse."""

    held_seconds: float = 300.0
    """Of audio in memory."""
    try_again_seconds: float = 0.25
    at_end_seconds: float = 2.0


class DiskGaveUp(Exception):
    """The disk has refused for too long."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.detail)
        self.problem = problem


class Keeper:
    """The way of one take's samples. Both of its methods raise :class:`DiskGaveUp`."""

    def __init__(
        self,
        spool: SpoolWriter,
        chunker: Chunker,
        sealer: Sealer,
        tell: Callable[[Problem | None], None],
        patience: DiskPatience,
    ) -> None:
        """``tell`` is called with what is wrong with the disk, and with None when it is in order again."""
        self._spool = spool
        self._chunker = chunker
        self._sealer = sealer
        self._tell = tell
        self._patience = patience
        self._fresh: list[Samples] = []
        self._fresh_count = 0
        self._held: deque[tuple[Samples, float]] = deque()
        self._problem: Problem | None = None
        self._tried_at = 0.0
        self.kept_at: float | None = None
        """When the last sample that the disk has was heard."""

    def take(self, samples: Samples, at: float) -> None:
        """Keep samples, the last of which was heard at wall-clock time ``at``."""
        self._fresh.append(samples)
        self._fresh_count += len(samples)
        if self._fresh_count >= _APPEND_SAMPLES:
            self._hold(at)
            if not self._problem or time.monotonic() - self._tried_at >= self._patience.try_again_seconds:
                self._try_to_write()
            self._check_held()

    def finish(self, at: float) -> None:
        """Keep the rest, and make the last chunk of it."""
        if self._fresh_count:
            self._hold(at)
        ends_at = time.monotonic() + self._patience.at_end_seconds
        self._insist(ends_at)
        for piece in self._chunker.finish():
            self._sealer.take(piece.samples, piece.ends_chunk)
        self._insist(ends_at)
        if self._sealer.gave_up_for:
            raise DiskGaveUp(self._sealer.gave_up_for)

    def _hold(self, at: float) -> None:
        self._held.append((np.concatenate(self._fresh), at))
        self._fresh, self._fresh_count = [], 0

    def _check_held(self) -> None:
        held_seconds = sum(len(samples) for samples, _ in self._held) / SAMPLE_RATE_HZ
        if self._problem and held_seconds > self._patience.held_seconds:
            raise DiskGaveUp(self._problem)

    def _insist(self, ends_at: float) -> None:
        while not self._try_to_write():
            assert self._problem
            if time.monotonic() >= ends_at:
                raise DiskGaveUp(self._problem)
            time.sleep(min(_INSIST_SECONDS, self._patience.try_again_seconds))

    def _try_to_write(self) -> bool:
        self._tried_at = time.monotonic()
        try:
            self._write()
        except OSError as error:
            if self._problem is None:
                self._problem = disk_problem(error)
                self._tell(self._problem)
            return False
        if self._problem:
            self._problem = None
            self._tell(None)
        return True

    def _write(self) -> None:
        """The log first: a chunk that the disk refuses holds nothing up."""
        while self._held:
            samples, at = self._held[0]
            self._spool.append(samples.astype("<i2", copy=False).tobytes(), at)
            self._held.popleft()
            self.kept_at = at
            for piece in self._chunker.push(samples):
                self._sealer.take(piece.samples, piece.ends_chunk)
        self._sealer.write()


class Sealer:
    """The open chunk's encoder, the finished chunks that are not on the disk yet, and the running numbers."""

    def __init__(
        self,
        media_type: str,
        first_chunk: int,
        first_sample: int,
        chunks: ChunkWriter,
        post: Callable[[Fact], None],
    ) -> None:
        self._media_type = media_type
        self._index = first_chunk
        self._first_sample = first_sample
        self._chunks = chunks
        self._post = post
        self._encoder: Encoder | None = None
        self._finished: deque[tuple[ChunkSealed, bytes]] = deque()
        self.gave_up_for: Problem | None = None
        """Why no chunks are made any more: their samples are in the log, and chunks can be made of it later."""

    @property
    def next_index(self) -> int:
        """Number of the chunk that is open, or would be."""
        return self._index

    def take(self, samples: Samples, ends_chunk: bool) -> None:
        """Encode samples; at its end a chunk is finished, and waits for :meth:`write`."""
        if self.gave_up_for:
            return
        encoder = self._encoder = self._encoder or Encoder(self._media_type)
        encoder.write(samples)
        if ends_chunk:
            data = encoder.finish()
            self._encoder = None
            sealed = ChunkSealed(self._index, self._first_sample, encoder.sample_count, len(data))
            self._finished.append((sealed, data))
            self._index += 1
            self._first_sample += sealed.sample_count

    def write(self) -> None:
        """Put what is finished on the disk, and say so.

        Raises:
            OSError: the disk refused it.
        """
        try:
            while self._finished:
                sealed, data = self._finished[0]
                self._chunks.seal(sealed.index, sealed.first_sample, sealed.sample_count, data)
                self._finished.popleft()
                self._post(sealed)
        except OSError as error:
            if sum(len(data) for _, data in self._finished) > _MOST_FINISHED_BYTES:
                self.gave_up_for = disk_problem(error)
                self.abandon()
            raise

    def abandon(self) -> None:
        """Drop what is not on the disk; its samples are in the log all the same."""
        self._finished.clear()
        if self._encoder:
            self._encoder.finish()
            self._encoder = None


def seal_samples(
    captured: Iterable[bytes],
    *,
    first_chunk: int,
    first_sample: int,
    media_type: str,
    max_chunk_seconds: float,
    spool: ChunkWriter,
) -> int:
    """Make chunks of samples that are kept already but are in no chunk, as after a crash, or anew.

    Returns the number that the next chunk would have.

    Raises:
        OSError: the disk will not take a chunk.
    """
    chunker = Chunker(max_chunk_seconds)
    sealer = Sealer(media_type, first_chunk, first_sample, spool, lambda _: None)
    for pcm in captured:
        for piece in chunker.push(np.frombuffer(pcm, "<i2").astype(np.int16)):
            sealer.take(piece.samples, piece.ends_chunk)
            sealer.write()
    for piece in chunker.finish():
        sealer.take(piece.samples, piece.ends_chunk)
        sealer.write()
    return sealer.next_index


def disk_problem(error: OSError) -> Problem:
    """What is wrong with the disk, in words for people."""
    kind = ProblemKind.DISK_FULL if error.errno in (errno.ENOSPC, errno.EDQUOT) else ProblemKind.DISK_FAILED
    return Problem(kind, errno.errorcode.get(error.errno or 0, type(error).__name__))
