"""What the audio tests share: synthetic sound, a spool in memory, a source that does as it is told."""

from __future__ import annotations

import queue
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from app.audio.capture import Capture, Patience
from app.audio.files import decode
from app.audio.keeping import SpoolWriter
from app.audio.level import LevelTap
from app.audio.signal import Block, Samples
from app.audio.source import Source, Stamp
from app.core.events import CaptureEnded, CaptureLost, ChunkSealed, Fact

CAPTURE = (sys.executable, "-m", "app", "capture-worker")
RATE_HZ = 16_000
JOIN_SECONDS = 30.0


def tone(seconds: float, hertz: float = 440.0, amplitude: float = 0.5, rate_hz: int = RATE_HZ) -> Samples:
    """A sine wave; an amplitude of 1.0 is full scale."""
    moments = np.arange(int(seconds * rate_hz)) / rate_hz
    return np.rint(np.sin(2 * np.pi * hertz * moments) * amplitude * 32_767).astype(np.int16)


def noise(seconds: float, amplitude: float = 0.05, seed: int = 7) -> Samples:
    """White noise."""
    random = np.random.default_rng(seed)
    return np.clip(random.normal(0, amplitude * 32_767, int(seconds * RATE_HZ)), -32_768, 32_767).astype(np.int16)


@dataclass(frozen=True)
class Talk:
    """Words of 0.15 to 0.5 s with short breaks between them, and now and then a pause; where those are is known."""

    samples: Samples
    pauses: Sequence[tuple[int, int]]

    def is_in_pause(self, sample: int) -> bool:
        """Whether nobody speaks there."""
        return any(first <= sample <= last for first, last in self.pauses)


def talk(seconds: float, seed: int = 3, pause_every: int = 10, room: float = 0.002) -> Talk:
    """Somebody speaking in a room that hums; with ``pause_every`` words to a sentence."""
    random = np.random.default_rng(seed)
    parts: list[Samples] = []
    pauses: list[tuple[int, int]] = []
    position = words = 0
    while position < seconds * RATE_HZ:
        word = noise(random.uniform(0.15, 0.5), random.uniform(0.05, 0.2), int(random.integers(1 << 30)))
        words += 1
        quiet = random.uniform(0.4, 0.9) if words % pause_every == 0 else random.uniform(0.02, 0.08)
        parts += [word, np.zeros(int(quiet * RATE_HZ), np.int16)]
        position += len(word)
        if words % pause_every == 0:
            pauses.append((position, position + len(parts[-1])))
        position += len(parts[-1])
    spoken = np.concatenate(parts).astype(np.int32) + noise(position / RATE_HZ + 1, room, seed)[:position]
    return Talk(np.clip(spoken, -32_768, 32_767).astype(np.int16), pauses)


@dataclass
class MemorySpool:
    """Keeps everything, save for as many refusals as it is told, from the append or the seal of that number on."""

    error: OSError | None = None
    fails_at_append: int = -1
    fails_at_seal: int = -1
    refusals: int = 1 << 30
    appended: list[bytes] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    sealed: list[tuple[int, int, int, bytes]] = field(default_factory=list)

    def append(self, pcm: bytes, at: float) -> None:
        """Keep the samples."""
        self._refuse(len(self.appended) == self.fails_at_append)
        self.appended.append(pcm)
        self.times.append(at)

    def _refuse(self, is_here: bool) -> None:
        if self.error and is_here and self.refusals:
            self.refusals -= 1
            raise self.error

    def seal(self, index: int, first_sample: int, sample_count: int, data: bytes) -> None:
        """Keep the chunk; like a real spool it refuses samples that it was not given before."""
        self._refuse(len(self.sealed) == self.fails_at_seal)
        assert first_sample + sample_count <= first_of(self.sealed, first_sample) + len(b"".join(self.appended)) // 2
        self.sealed.append((index, first_sample, sample_count, data))

    @property
    def pcm(self) -> Samples:
        """All that was appended."""
        return np.frombuffer(b"".join(self.appended), "<i2").astype(np.int16)

    @property
    def decoded(self) -> Samples:
        """All chunks, each decoded on its own, joined."""
        return np.concatenate([np.empty(0, np.int16), *(decode(data) for *_, data in self.sealed)])


def first_of(sealed: Sequence[tuple[int, int, int, bytes]], otherwise: int) -> int:
    """The first sample of the first chunk."""
    return sealed[0][1] if sealed else otherwise


class ScriptedSource:
    """Gives the blocks it is given, in order; an exception in the script is raised there.

    At the script's end it waits to be ended, as a microphone would, or to be found stalled; with ``last_words`` it
    gives those after ``end`` was called, as a callback that was under way.
    """

    name = "scripted"

    def __init__(self, script: Sequence[Block | Exception], rate_hz: int = RATE_HZ, last_words: Block | None = None):
        self._rate_hz = rate_hz
        self._queue: queue.SimpleQueue[Block | Exception | None] = queue.SimpleQueue()
        self._last_words = last_words
        self.close_count = 0
        for item in script:
            self._queue.put(item)

    def open(self) -> int:
        """Begin."""
        return self._rate_hz

    def read(self, timeout_seconds: float) -> Block | None:
        """The script's next item."""
        assert not self.close_count, "read after close"
        try:
            item = self._queue.get(timeout=timeout_seconds)
        except queue.Empty:
            raise TimeoutError from None
        if isinstance(item, Exception):
            raise item
        return item

    def end(self) -> None:
        """Give the last words, then the end."""
        if self._last_words is not None:
            self._queue.put(self._last_words)
        self._queue.put(None)

    def close(self) -> None:
        """Count."""
        self.close_count += 1


class ScriptedMicrophone(ScriptedSource):
    """A source that is live: each block of the script comes with when it was heard."""

    def __init__(self, script: Sequence[tuple[Block, Stamp]], rate_hz: int = RATE_HZ):
        super().__init__([block for block, _ in script], rate_hz)
        self._stamps = [stamp for _, stamp in script]
        self.stamp = Stamp(0.0, 0.0)

    def read(self, timeout_seconds: float) -> Block | None:
        """The script's next block."""
        block = super().read(timeout_seconds)
        if block is not None:
            self.stamp = self._stamps.pop(0)
        return block


class Take:
    """A capture with stand-ins around it."""

    def __init__(
        self,
        source: Source,
        spool: SpoolWriter,
        *,
        media_type: str = "audio/wav",
        max_chunk_seconds: float = 20.0,
        first_chunk: int = 0,
        first_sample: int = 0,
        patience: Patience | None = None,
    ) -> None:
        self.tap = LevelTap()
        self.facts: list[Fact] = []
        self._posted: queue.SimpleQueue[Fact] = queue.SimpleQueue()
        self.capture = Capture(
            source,
            take=1,
            first_chunk=first_chunk,
            first_sample=first_sample,
            media_type=media_type,
            max_chunk_seconds=max_chunk_seconds,
            spool=spool,
            post=self._posted.put,
            tap=self.tap,
            clock=lambda: 1_000.0,
            patience=patience,
        )

    def await_fact(self, *kinds: type[Fact]) -> Fact:
        """The next fact of these kinds."""
        while True:
            fact = self._posted.get(timeout=JOIN_SECONDS)
            self.facts.append(fact)
            if isinstance(fact, kinds):
                return fact

    def await_end(self) -> CaptureEnded | CaptureLost:
        """The take's last fact; the thread is over after it."""
        last = self.await_fact(CaptureEnded, CaptureLost)
        assert isinstance(last, CaptureEnded | CaptureLost)
        assert self.capture.join(JOIN_SECONDS)
        return last

    @property
    def chunks(self) -> list[ChunkSealed]:
        """The chunks that were reported."""
        return [fact for fact in self.facts if isinstance(fact, ChunkSealed)]


def blocks_of(samples: Samples, size: int) -> list[Block]:
    """A mono recording as a source would hand it over."""
    return [samples[first : first + size, np.newaxis] for first in range(0, len(samples), size)]
