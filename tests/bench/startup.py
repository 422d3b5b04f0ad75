"""From the start of the process to the first paint, and to Record."""

from __future__ import annotations

from collections.abc import Iterator

from tests.bench.figures import Row, Spread
from tests.bench.programs import Setting

_RUNS = 7


def rows(setting: Setting) -> Iterator[Row]:
    """Rows 1 and 2."""
    _bare(setting)
    _real(setting)
    bare, painted, usable = [], [], []
    for _ in range(_RUNS):
        bare.append(_bare(setting))
        first, second = _real(setting)
        painted.append(first)
        usable.append(second)
    reference = f"bare `QMainWindow` painted: {Spread.of(bare).show('ms')}, {_RUNS} runs each, alternating"
    for number, what, times, goal in (
        ("1", "Process start → first paint of the window", painted, 1.4),
        ("2", "Process start → microphones listed, Record usable", usable, 1.9),
    ):
        ratio = Spread.of(time / other for time, other in zip(times, bare, strict=True))
        figure = f"**{ratio.show('x', 2)}**; {Spread.of(times).show('ms')}"
        yield Row(number, what, figure, reference, f"≤ {goal} x", ratio.median <= goal)


def _bare(setting: Setting) -> float:
    with setting.running("bare_window") as program:
        return program.hear("painted")[0] * 1000


def _real(setting: Setting) -> tuple[float, float]:
    with setting.running("real_window") as program:
        return program.hear("painted")[0] * 1000, program.hear("usable")[0] * 1000
