"""The transcriber that works on this computer alone: PocketSphinx, in a child process of our own.

Owns the child: starts it ahead of need, gives it one chunk at a time, ends it when it takes too long, starts
it again when it died. Called from the service's worker thread; ``close`` may be called from any thread.
"""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from app.service.ports import EngineUnavailable, Transcription, Utterance, Word
from app.service.sphinx_worker import LENGTH, RawWord

SAMPLE_RATE_HZ = 16_000
PAUSE_SECONDS = 0.40
_SHORTEST_SECONDS = 0.1


def worker_command() -> tuple[str, ...]:
    """How to start the decoding process, from source and from an installed program."""
    if getattr(sys, "frozen", False):
        return (sys.executable, "transcribe-worker")
    return (sys.executable, "-m", "app.service.sphinx_worker")


class SphinxTranscriber:
    """Transcribes US English, and clear English of other places, offline.

    Chunks are heard independently of each other, so they may come in any order.
    """

    def __init__(
        self,
        command: Sequence[str] | None = None,
        *,
        start_limit_seconds: float = 30.0,
        seconds_per_audio_second: float = 8.0,
    ) -> None:
        self.name = f"PocketSphinx {version('pocketsphinx')}, US English"
        self._command = tuple(command or worker_command())
        self._start_limit_seconds = start_limit_seconds
        self._seconds_per_audio_second = seconds_per_audio_second
        self._one_at_a_time = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._is_closed = False

    def start(self) -> None:
        """Start the decoding process now, so that it has loaded its models when the first chunk comes."""
        with self._one_at_a_time:
            self._running()

    def transcribe(self, samples: NDArray[np.int16], language: str) -> Transcription:
        """Transcribe 16 kHz mono samples of one chunk.

        Raises:
            EngineUnavailable: the decoding process cannot be started, died twice or took too long.
        """
        del language  # there is one model
        seconds = len(samples) / SAMPLE_RATE_HZ
        if seconds < _SHORTEST_SECONDS:
            return Transcription(())
        limit_seconds = self._start_limit_seconds + seconds * self._seconds_per_audio_second
        request = np.ascontiguousarray(samples, dtype="<i2").tobytes()
        with self._one_at_a_time:
            # A process that died while it had nothing to do is found out only by the next request.
            answer = self._ask(request, limit_seconds) or self._ask(request, limit_seconds)
        if answer is None:
            raise EngineUnavailable("The offline transcriber stopped twice on the same piece of audio.")
        return Transcription(split_at_pauses(spoken_words(json.loads(answer))))

    def close(self) -> None:
        """End the decoding process, even in the middle of a chunk."""
        self._is_closed = True
        if process := self._process:
            process.kill()
        with self._one_at_a_time:
            self._discard()

    def _ask(self, request: bytes, limit_seconds: float) -> bytes | None:
        """The process's answer; none when the process died over it."""
        process = self._running()
        assert process.stdin is not None
        assert process.stdout is not None
        timer = _KillTimer(limit_seconds, process)
        with timer, contextlib.suppress(OSError):
            process.stdin.write(LENGTH.pack(len(request)) + request)
            process.stdin.flush()
            if answer := _read_answer(process.stdout):
                return answer
        self._discard()
        if timer.has_fired:
            raise EngineUnavailable(f"The offline transcriber took longer than {limit_seconds:.0f} seconds.")
        return None

    def _running(self) -> subprocess.Popen[bytes]:
        if self._is_closed:
            raise EngineUnavailable("The offline transcriber was closed.")
        if self._process is None or self._process.poll() is not None:
            self._discard()
            self._process = self._launch()
        return self._process

    def _launch(self) -> subprocess.Popen[bytes]:
        try:
            return subprocess.Popen(  # noqa: S603
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                cwd=None if getattr(sys, "frozen", False) else Path(__file__).resolve().parents[2],
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0)
                | getattr(subprocess, "BELOW_NORMAL_PRIORITY_CLASS", 0),
            )
        except OSError as exc:
            raise EngineUnavailable("The offline transcriber could not be started.") from exc

    def _discard(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe:
                with contextlib.suppress(OSError):
                    pipe.close()


class _KillTimer:
    """Ends a process that does not answer within its time, which makes the blocked read return."""

    def __init__(self, limit_seconds: float, process: subprocess.Popen[bytes]) -> None:
        self.has_fired = False
        self._process = process
        self._timer = threading.Timer(limit_seconds, self._fire)
        self._timer.name = "transcriber-limit"

    def __enter__(self) -> None:
        self._timer.start()

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        self._timer.join()

    def _fire(self) -> None:
        self.has_fired = True
        self._process.kill()


def spoken_words(heard: Iterable[RawWord]) -> tuple[Word, ...]:
    """The decoder's words without its silences, noises and marks: ``read(2)`` is ``read``, ``x.`` is ``x``."""
    return tuple(
        Word(re.sub(r"\(\d+\)$", "", text).rstrip("."), start, end)
        for text, start, end in heard
        if text[0] not in "<[+"
    )


def split_at_pauses(words: Sequence[Word], pause_seconds: float = PAUSE_SECONDS) -> tuple[Utterance, ...]:
    """Words as utterances, a new one after each pause."""
    gaps = [b.start_seconds - a.end_seconds for a, b in pairwise(words)]
    starts = [i for i, gap in enumerate(gaps, 1) if gap >= pause_seconds]
    edges = [0, *starts, len(words)]
    return tuple(_utterance(tuple(words[a:b])) for a, b in pairwise(edges) if a < b)


_FIRST_PERSON = re.compile(r"\bi\b")
"""The recogniser knows no capitals; this one everybody would stumble over."""


def _utterance(words: tuple[Word, ...]) -> Utterance:
    text = _FIRST_PERSON.sub("I", " ".join(w.text for w in words))
    return Utterance(text[0].upper() + text[1:], words[0].start_seconds, words[-1].end_seconds, words)


def _read_answer(pipe: IO[bytes]) -> bytes | None:
    head = pipe.read(LENGTH.size)
    if len(head) < LENGTH.size:
        return None
    length: int = LENGTH.unpack(head)[0]
    body = pipe.read(length)
    return body if len(body) == length else None
