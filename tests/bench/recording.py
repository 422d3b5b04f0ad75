"""What recording costs: processor and memory, for as long as speech comes in."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

from tests.bench.figures import Row, Spread
from tests.bench.programs import Program, Setting

_STEP_SECONDS = 2.0
_STEPS = 10
_MOST_PERCENT = 5.0
_MOST_MEGABYTES = 170.0


@dataclass(frozen=True)
class _Use:
    """What one program used, and the processes below it."""

    cpu: Spread
    memory: Spread
    service_cpu: Spread
    service_memory: Spread


def rows(setting: Setting) -> Iterator[Row]:
    """Rows 3 and 4."""
    bare_memory = _bare_window_memory(setting)
    with setting.speaking():
        bare = _use(setting, "bare_capture")
    with setting.speaking():
        headless = _use(setting, "recorder", str(_STEP_SECONDS * _STEPS + 5.0))
    with setting.speaking():
        windowed = _use(setting, "real_window", "record")
    loop = f"bare PortAudio callback loop: {bare.cpu.show('%', 1)}"
    window = f"bare `QMainWindow`: {bare_memory.show('MB')}"
    for where, use in (("without a window", headless), ("with the window, offscreen", windowed)):
        beside = f"local service and transcriber beside it: {use.service_cpu.show('%')}"
        yield Row(
            "3",
            f"CPU of the app while recording, {where}",
            f"**{use.cpu.show('% of a core', 1)}**; {beside}",
            loop,
            f"≤ {_MOST_PERCENT:.0f} %, meter visible",
            use.cpu.median <= _MOST_PERCENT if use is windowed else None,
        )
    for where, use in (("without a window", headless), ("with the window, offscreen", windowed)):
        beside = f"local service and transcriber beside it: {use.service_memory.show('MB')}"
        yield Row(
            "4",
            f"Memory (PSS) of the app while recording, {where}",
            f"**{use.memory.show('MB')}**; {beside}",
            window,
            f"≤ {_MOST_MEGABYTES:.0f} MB",
            use.memory.most <= _MOST_MEGABYTES if use is windowed else None,
        )


def _bare_window_memory(setting: Setting) -> Spread:
    found = []
    for _ in range(3):
        with setting.running("bare_window") as program:
            program.hear("painted")
            found.append(program.pss_megabytes())
    return Spread.of(found)


def _use(setting: Setting, module: str, *arguments: str) -> _Use:
    with setting.running(module, *arguments) as program:
        program.hear("recording")
        steps = list(_steps(program))
    return _Use(*(Spread.of(values) for values in zip(*steps, strict=True)))


def _steps(program: Program) -> Iterator[tuple[float, float, float, float]]:
    moment, own, service = time.monotonic(), program.cpu_seconds(), program.service_cpu_seconds()
    for _ in range(_STEPS):
        time.sleep(_STEP_SECONDS)
        was, own_was, service_was = moment, own, service
        moment, own, service = time.monotonic(), program.cpu_seconds(), program.service_cpu_seconds()
        share = 100 / (moment - was)
        yield (
            (own - own_was) * share,
            program.pss_megabytes(),
            (service - service_was) * share,
            program.service_pss_megabytes(),
        )
