"""An app that is killed at any moment of a recording has lost nothing that it had acknowledged.

Half of the apps die alone: their capture process records on, and the next start brings that in. The other half die
together with it, as when the computer does.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.audio.test_capture_child import Sound, sound
from tests.faults.apps import Apps, delivered, end_visit
from tests.faults.desk import RATE_HZ
from tests.faults.dying import RealDesk
from tests.rig.answers import Scribe

__all__ = ["sound"]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks and kills processes")

_LONGEST_SECONDS = 1.5
_AT_ONCE = 3
_TAIL_SECONDS = 1.0


@dataclass(frozen=True)
class Fate:
    """What becomes of one app."""

    number: int
    lives_seconds: float
    microphone_dies: bool


@pytest.fixture
def apps(tmp_path: Path, sound: Sound, scribe: Scribe) -> Iterator[Apps]:
    scribe.discovery["capabilities"]["max_chunk_duration_seconds"] = 1.0
    with Apps(tmp_path, scribe.url) as apps:
        yield apps


def _fates(seed: int, count: int) -> list[Fate]:
    chance = random.Random(seed)
    return [Fate(number, chance.uniform(0.0, _LONGEST_SECONDS), number % 2 == 0) for number in range(count)]


def _live_and_die(apps: Apps, scribe: Scribe, folder: Path, fate: Fate) -> float:
    """How much of the end of one recording is lost."""
    app = apps.start("record", folder / f"home-{fate.number}")
    session_id = app.session()
    app.news.until("kept")
    app.news.for_seconds(fate.lives_seconds)
    killed_at = app.kill(with_microphone=fate.microphone_dies)
    acknowledged, _ = app.kept
    desk = RealDesk(app.home, scribe.url)
    restarted_at = time.time()
    desk.switch_on()
    try:
        view = end_visit(desk, session_id)
    finally:
        desk.switch_off()
    samples = delivered(scribe, session_id)
    assert samples[0] == 0
    assert len(samples) >= acknowledged
    assert view.recorded_seconds == len(samples) / RATE_HZ
    (gap,) = view.gaps
    assert gap.reason == "interrupted"
    assert gap.began_at is not None
    assert gap.began_at == pytest.approx(app.began_at + len(samples) / RATE_HZ, abs=0.3)
    should_end_at = killed_at if fate.microphone_dies else restarted_at
    return should_end_at - gap.began_at


def _run(apps: Apps, scribe: Scribe, folder: Path, count: int, capsys: pytest.CaptureFixture[str]) -> None:
    seed = random.SystemRandom().randrange(1 << 32)
    with capsys.disabled():
        print(f"\n    seed {seed}, {count} kills", end="", flush=True)  # noqa: T201
    with ThreadPoolExecutor(_AT_ONCE) as runners:
        tails = list(runners.map(lambda fate: _live_and_die(apps, scribe, folder, fate), _fates(seed, count)))
    with capsys.disabled():
        print(f", longest tail {max(tails):.2f} s")  # noqa: T201
    assert max(tails) <= _TAIL_SECONDS


@pytest.mark.fault("P1")
def test_twenty_kills(apps: Apps, scribe: Scribe, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _run(apps, scribe, tmp_path, 20, capsys)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.fault("P1")
def test_three_hundred_kills(apps: Apps, scribe: Scribe, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _run(apps, scribe, tmp_path, 300, capsys)
