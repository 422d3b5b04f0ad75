"""The programs that are measured: starting them, hearing what they say, and what they use.

A program tells of a moment by a line on its standard output, see :mod:`tests.bench.telling`.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.rig.pulse import PulseRig

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = ROOT / "resources" / "sample" / "consultation.flac"
_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_END_SECONDS = 15.0


@dataclass(frozen=True)
class Setting:
    """Where programs run: with a virtual microphone, and below a folder that is thrown away."""

    rig: PulseRig
    folder: Path

    @contextlib.contextmanager
    def running(self, module: str, *arguments: str) -> Iterator[Program]:
        """A program of this package on a home of its own, from its start to its end."""
        home = tempfile.mkdtemp(dir=self.folder)
        own = {"SCRIBEDESK_HOME": home, "QT_QPA_PLATFORM": "offscreen", "PYTHONWARNINGS": "ignore"}
        began = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, "-m", f"tests.bench.{module}", *arguments],
            cwd=ROOT,
            env={**os.environ, **self.rig.environment, **own},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        with process:
            try:
                yield Program(process, began)
            finally:
                process.terminate()
                try:
                    process.wait(_END_SECONDS)
                except subprocess.TimeoutExpired:
                    process.kill()

    @contextlib.contextmanager
    def speaking(self) -> Iterator[None]:
        """The sample consultation is heard by the microphone."""
        voice = self.rig.play(SAMPLE)
        try:
            yield
        finally:
            voice.kill()
            voice.wait()


@dataclass(frozen=True)
class Program:
    """One that runs."""

    process: subprocess.Popen[str]
    began: float

    def hear(self, word: str) -> tuple[float, list[str]]:
        """Wait for this word: seconds since the start, and what was said with it."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            said, *more = line.split()
            if said == word:
                return float(more[0]) - self.began, more[1:]
        raise RuntimeError(f"a measured program ended without a word of {word!r}")

    def cpu_seconds(self) -> float:
        """What the app has used, the process that holds its microphone included."""
        return sum(map(_cpu_seconds, self._own()))

    def pss_megabytes(self) -> float:
        """What the app holds of the memory, shared pages shared out; the microphone's process included."""
        return sum(map(_pss_megabytes, self._own()))

    def service_cpu_seconds(self) -> float:
        """What the local service and its transcriber have used."""
        return sum(map(_cpu_seconds, self._services()))

    def service_pss_megabytes(self) -> float:
        """What the local service and its transcriber hold."""
        return sum(map(_pss_megabytes, self._services()))

    def _own(self) -> list[int]:
        services = set(self._services())
        return [self.process.pid, *(pid for pid in _below(self.process.pid) if pid not in services)]

    def _services(self) -> list[int]:
        below = _below(self.process.pid)
        return [pid for root in below if b"serve" in _words(root) for pid in (root, *_below(root))]


def _words(pid: int) -> list[bytes]:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    return []


def _below(pid: int) -> list[int]:
    parents = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            with contextlib.suppress(OSError):
                parents[int(folder.name)] = int(_stat(int(folder.name))[1])
    found = [pid]
    for parent in found:
        found += [child for child, its in parents.items() if its == parent]
    return found[1:]


def _stat(pid: int) -> list[str]:
    """The fields after the program's name, which may hold spaces."""
    return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()


def _cpu_seconds(pid: int) -> float:
    user, system = _stat(pid)[11:13]
    return (int(user) + int(system)) / _TICKS_PER_SECOND


def _pss_megabytes(pid: int) -> float:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8").splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise RuntimeError("the kernel does not tell what a process holds")
