"""What is measured, as values and as a page: spreads, rows, the machine."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

_LIBRARIES = ("numpy", "sounddevice", "soundfile", "httpx", "pocketsphinx", "jiwer")


@dataclass(frozen=True)
class Spread:
    """Repeated measurements of one thing."""

    median: float
    least: float
    most: float
    count: int

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread:
        """The spread of these values, of which there is at least one."""
        found = sorted(values)
        return cls(statistics.median(found), found[0], found[-1], len(found))

    def show(self, unit: str, digits: int = 0) -> str:
        """Median with least and most."""
        return f"{self.median:.{digits}f} {unit} [{self.least:.{digits}f} to {self.most:.{digits}f}]"


@dataclass(frozen=True)
class Row:
    """A line of the table."""

    number: str
    what: str
    figure: str
    reference: str
    goal: str
    is_met: bool | None = None
    """None where the goal asks for more than was measured."""

    @property
    def verdict(self) -> str:
        """In a word."""
        return {True: "met", False: "missed", None: "not judged"}[self.is_met]


def as_document(rows: Sequence[Row], seconds: float, load: tuple[float, float]) -> str:
    """The page that is kept."""
    lines = [
        "# What it costs and how well it works",
        "",
        "Written by `python3 dev.py bench`. Figures are the median [least to most]; a ratio is the median of the",
        "ratios of neighbouring measurements. Absolute times drift from machine to machine: compare within one run.",
        "",
        f"- Machine: {machine()}",
        f"- Software: {software()}",
        f"- The run: {seconds:.0f} s; load average {load[0]:.1f} before it, {load[1]:.1f} at its end."
        " On an idle machine the first is below 0.3.",
        "",
        "| # | What | Figure | Reference in the same run | Goal | Verdict |",
        "|---|---|---|---|---|---|",
        *(f"| {r.number} | {r.what} | {r.figure} | {r.reference} | {r.goal} | {r.verdict} |" for r in rows),
        "",
        _HOW,
    ]
    return "\n".join(lines)


_HOW = """\
## How each is measured

Ratios are written with x. *Not judged* means that the goal is set for circumstances that this run does not make.

- **1, 2**: `app.main.run_window` in a process of its own, offscreen, on a fresh folder, with a virtual PulseAudio
  microphone; from just before the process is made until the first exposure has been painted, and until the window
  has rendered the list of microphones with Record enabled. Alternating with a bare `QMainWindow`, after a warm-up.
- **3, 4**: the sample consultation is spoken into the virtual microphone for 20 s; CPU time from `/proc/PID/stat` in
  steps of 2 s, memory as PSS from `/proc/PID/smaps_rollup` at each step. *Without a window*: the engine alone, with
  Ogg/Opus, spool and uploads. *With the window*: the real one, offscreen, Record pressed, meter moving. The local
  service and its transcriber are processes apart, told apart; they transcribe while the recording runs.
- **5**: the app's own chunker and encoder; each chunk is decoded as the service decodes it and transcribed by the
  service's own transcriber. Word error rate over all words, by jiwer, without case and marks. The held-out readings
  in `tests/data/readings` are spoken by the voices of the sample and sent as Ogg/Opus; two readings at a time, after
  the speed has been measured.
- **7**: the engine with the virtual microphone and the local service as a process, over loopback with no delay added;
  all earlier chunks were on the service when Stop was asked for. Moments are those of the views that a window gets.
- **13**: *chunk by chunk*: the sample's chunks, one at a time, nothing else running. *End accepted →*: the
  recordings of row 7.
"""


def machine() -> str:
    """Cores, processor, memory, system."""
    cpu = _proc_value("/proc/cpuinfo", "model name")
    memory = int(_proc_value("/proc/meminfo", "MemTotal").split()[0]) / 1e6
    return f"{os.cpu_count()} cores, {cpu}, {memory:.0f} GB, {platform.system()} {platform.machine()}"


def software() -> str:
    """Python, Qt and the libraries that the figures depend on."""
    from PySide6.QtCore import qVersion

    libraries = ", ".join(f"{name} {version(name)}" for name in _LIBRARIES)
    qt = f"Qt {qVersion()}, PySide6 {version('PySide6-Essentials')}"
    return f"Python {platform.python_version()}, {qt}, {libraries}"


def _proc_value(path: str, name: str) -> str:
    for line in Path(path).read_text(encoding="utf-8").splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return "1 unknown"
