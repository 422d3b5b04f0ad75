"""A test of the microphone: a few seconds are recorded, judged, and played back. Nothing reaches the disk.

Runs on a thread of its own.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np

from app.audio.attention import verdict
from app.audio.level import dbfs
from app.audio.signal import Block, Conditioner, Samples
from app.audio.source import Source, SourceFailed
from app.core.problems import Problem, ProblemKind
from app.core.recording import SAMPLE_RATE_HZ
from app.core.views import MicrophoneTest

_STALLED_SECONDS = 3.0

Play = Callable[[Samples, threading.Event], None]
"""Plays samples until they are over or the event is set. Raises :class:`SourceFailed`."""


class MicrophoneCheck:
    """One test. ``start``, ``play_now`` and ``end`` return at once."""

    def __init__(
        self, source: Source, play: Play, tell: Callable[[MicrophoneTest], None], seconds: float = 10.0
    ) -> None:
        """``tell`` is called on the test's thread, at each stage and a few times a second while recording."""
        self._source = source
        self._play = play
        self._tell = tell
        self._most_samples = round(seconds * SAMPLE_RATE_HZ)
        self._heard: list[Samples] = []
        self._count = 0
        self._peak = 0
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="microphone test", daemon=True)

    def start(self) -> None:
        """Begin to record."""
        self._thread.start()

    def play_now(self) -> None:
        """That is enough: play what there is."""
        self._source.end()

    def end(self) -> None:
        """Break off, whatever it is doing."""
        self._is_over.set()
        self._source.end()

    def join(self, timeout_seconds: float) -> bool:
        """Wait until the microphone and the loudspeaker are free again; whether they are."""
        self._thread.join(timeout_seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._record()
            samples = np.concatenate((*self._heard, np.empty(0, np.int16)))
            if not len(samples):
                raise SourceFailed(Problem(ProblemKind.MICROPHONE_LOST, "nothing was heard"))
            notice = verdict(samples)
            if not self._is_over.is_set():
                self._tell(self._view("playing", notice))
                self._play(samples, self._is_over)
            self._tell(self._view("done", notice))
        except SourceFailed as failure:
            self._tell(self._view("failed", problem=failure.problem))

    def _record(self) -> None:
        try:
            conditioner = Conditioner(self._source.open())
            while self._count < self._most_samples and (block := self._read()) is not None:
                self._take(conditioner.push(block))
                self._tell(self._view("recording"))
            self._take(conditioner.flush())
        finally:
            self._source.close()

    def _read(self) -> Block | None:
        try:
            return self._source.read(_STALLED_SECONDS)
        except TimeoutError as error:
            problem = Problem(ProblemKind.MICROPHONE_LOST, f"no audio for {_STALLED_SECONDS:g} s")
            raise SourceFailed(problem) from error

    def _take(self, samples: Samples) -> None:
        samples = samples[: self._most_samples - self._count]
        self._heard.append(samples)
        self._count += len(samples)
        self._peak = max(self._peak, int(np.abs(samples.astype(np.int32)).max(initial=0)))

    def _view(self, stage: str, notice: str = "", problem: Problem | None = None) -> MicrophoneTest:
        return MicrophoneTest(stage, self._count / SAMPLE_RATE_HZ, dbfs(self._peak), notice, problem)
