"""The apps of :mod:`tests.faults.dying`, as a test sees them: started, listened to, killed."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from app.audio.signal import Samples
from app.core.events import SessionId, Stop
from app.core.views import Phase, SessionView
from tests.audio.listener import breaks
from tests.faults.desk import RATE_HZ, FaultDesk, heard
from tests.rig.answers import Kept, Scribe

PATIENCE_SECONDS = 30.0
ROOT = Path(__file__).resolve().parents[2]


def is_alive(number: int) -> bool:
    """Whether a process runs."""
    with suppress(ProcessLookupError, FileNotFoundError):
        os.kill(number, 0)
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def await_end(number: int, seconds: float = PATIENCE_SECONDS) -> None:
    """Wait until a process is gone, its locks with it."""
    deadline = time.monotonic() + seconds
    while is_alive(number):
        assert time.monotonic() < deadline, f"process {number} does not end"
        os.sched_yield()


class News:
    """What a process tells through a FIFO, line by line."""

    def __init__(self, path: Path) -> None:
        self.path = path
        os.mkfifo(path)
        self._descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        self._rest = b""
        self.lines: list[str] = []
        """All that was read so far."""
        self.is_over = False

    def __iter__(self) -> Iterator[str]:
        """Lines as they come, until the process has ended."""
        while not self.is_over:
            assert select.select([self._descriptor], [], [], PATIENCE_SECONDS)[0], f"silence after {self.lines[-3:]}"
            yield from self._read()

    def _read(self) -> list[str]:
        piece = os.read(self._descriptor, 1 << 16)
        *lines, self._rest = (self._rest + piece).split(b"\n")
        self.lines += map(bytes.decode, lines)
        if not piece:
            self.is_over = True
            os.close(self._descriptor)
        return [line.decode() for line in lines]

    def until(self, word: str) -> str:
        """What follows the first line from now on that begins with a word."""
        for line in self:
            if line.partition(" ")[0] == word:
                return line.partition(" ")[2]
        raise AssertionError(f"it ended without a {word}: {self.lines[-3:]}")

    def for_seconds(self, seconds: float) -> None:
        """Read for so long."""
        ends_at = time.monotonic() + seconds
        while not self.is_over and (left := ends_at - time.monotonic()) > 0:
            if select.select([self._descriptor], [], [], left)[0]:
                self._read()

    def all(self) -> list[str]:
        """All of it."""
        for _ in self:
            pass
        return self.lines


class App:
    """One app."""

    def __init__(self, number: int, home: Path, news: News) -> None:
        self.number = number
        self.home = home
        self.news = news

    def session(self) -> SessionId:
        """The visit that it records."""
        return SessionId(self.news.until("session"))

    def kill(self, number: int = signal.SIGKILL, *, with_microphone: bool = False) -> float:
        """End it by a signal; when that was. What it had told by then is in ``news.lines``."""
        at = time.time()
        (os.killpg if with_microphone else os.kill)(self.number, number)
        self.news.all()
        await_end(self.number)
        return at

    @property
    def kept(self) -> tuple[int, float]:
        """How many samples it has told to be on the disk, and when the last of them was heard."""
        told = [line.split() for line in self.news.lines if line.startswith("kept ")]
        return (int(told[-1][1]), float(told[-1][2])) if told else (0, 0.0)

    @property
    def began_at(self) -> float:
        """When the first sample was heard."""
        _, samples, at = next(line for line in self.news.lines if line.startswith("kept ")).split()
        return float(at) - int(samples) / RATE_HZ


class Apps:
    """Starts apps; a context manager that leaves none behind."""

    def __init__(self, folder: Path, url: str) -> None:
        self._folder = folder
        self.url = url
        self._guard = threading.Lock()
        self._started: list[App] = []
        self._mother = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.dying"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Apps:
        return self

    def __exit__(self, *_: object) -> None:
        for app in self._started:
            with suppress(ProcessLookupError):
                os.killpg(app.number, signal.SIGKILL)
        self._mother.communicate()

    def start(self, does: str, home: Path, **order: object) -> App:
        """Start one that is to do something."""
        with self._guard:
            home.mkdir(mode=0o700, exist_ok=True)
            news = News(self._folder / f"news-{len(self._started)}")
            told = {"does": does, "home": str(home), "url": self.url, "news": str(news.path), **order}
            assert self._mother.stdin
            assert self._mother.stdout
            self._mother.stdin.write(json.dumps(told) + "\n")
            self._mother.stdin.flush()
            app = App(int(self._mother.stdout.readline()), home, news)
            self._started.append(app)
        return app


def end_visit(desk: FaultDesk, session_id: SessionId) -> SessionView:
    """See that a visit is offered as one that was interrupted, and press Stop; the visit at its end."""
    back = desk.session(session_id, lambda s: s.phase is not Phase.RECORDING)
    assert (back.phase, back.is_recovered) == (Phase.PAUSED, True)
    desk.intend(session_id, Stop(time.time()))
    return desk.completed(session_id)


def delivered(scribe: Scribe, session_id: SessionId) -> Samples:
    """What the service has of a visit, which is whole: one session, every chunk once in order, no number missing."""
    kept = only_one(scribe, session_id)
    assert list(kept.chunks) == list(range(len(kept.chunks)))
    assert kept.ended_with == len(kept.chunks)
    assert not kept.repeats_differ
    samples = heard(kept)
    assert breaks(samples) == 0
    return samples


def only_one(scribe: Scribe, session_id: SessionId) -> Kept:
    """The service's one session of a visit."""
    (kept,) = (kept for kept in list(scribe.sessions.values()) if kept.id.startswith(session_id))
    return kept
