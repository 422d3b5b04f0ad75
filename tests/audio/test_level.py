"""Loudness: known signals read what they must, and a monitor keeps nothing but the level."""

from __future__ import annotations

import numpy as np
import pytest

from app.audio.level import LevelMeter, LevelTap, Monitor
from app.audio.source import SourceFailed
from app.core.problems import Problem, ProblemKind
from app.core.views import Level
from tests.audio.stand_ins import JOIN_SECONDS, RATE_HZ, ScriptedSource, blocks_of, tone


@pytest.mark.parametrize(("amplitude", "peak_dbfs"), [(1.0, 0.0), (0.5, -6.02), (0.1, -20.0), (0.001, -60.0)])
def test_a_sine_reads_its_peak_and_three_decibels_less_in_rms(amplitude: float, peak_dbfs: float) -> None:
    tap = LevelTap()
    LevelMeter(tap).push(tone(0.3, 1_000.0, amplitude))
    level = tap.read()
    assert level.peak_dbfs == pytest.approx(peak_dbfs, abs=0.2)
    assert level.rms_dbfs == pytest.approx(peak_dbfs - 3.01, abs=0.2)
    assert level.is_live


def test_digital_silence_reads_the_floor() -> None:
    tap = LevelTap()
    LevelMeter(tap).push(np.zeros(1_600, np.int16))
    assert tap.read() == Level(-120.0, -120.0, 0.1, is_live=True)


def test_a_click_anywhere_in_a_block_shows_in_the_peak() -> None:
    tap, block = LevelTap(), np.zeros(4_800, np.int16)
    block[100] = -32_768
    LevelMeter(tap).push(block)
    assert tap.read().peak_dbfs == pytest.approx(0.0)
    assert tap.read().rms_dbfs == -120.0


def test_captured_seconds_count_from_the_session_s_first_sample() -> None:
    tap = LevelTap()
    meter = LevelMeter(tap, first_sample=10 * RATE_HZ)
    for _ in range(100):
        meter.push(tone(0.01))
    assert tap.read().captured_seconds == pytest.approx(11.0)


def test_a_monitor_shows_the_level_and_lets_go_of_the_microphone() -> None:
    levels: list[Level] = []
    tap = _Watched(levels)
    source = ScriptedSource([*blocks_of(tone(0.5), 1_600)])
    monitor = Monitor(source, tap)
    monitor.start()
    monitor.end()
    assert monitor.join(JOIN_SECONDS)
    assert levels[-1].rms_dbfs == pytest.approx(-9.03, abs=0.1)
    assert not tap.read().is_live
    assert source.close_count == 1


def test_a_monitor_of_a_broken_microphone_goes_dark() -> None:
    tap = LevelTap()
    source = ScriptedSource([tone(0.1)[:, None], SourceFailed(Problem(ProblemKind.MICROPHONE_LOST))])
    monitor = Monitor(source, tap)
    monitor.start()
    assert monitor.join(JOIN_SECONDS)
    assert not tap.read().is_live
    assert source.close_count == 1


class _Watched(LevelTap):
    def __init__(self, levels: list[Level]) -> None:
        super().__init__()
        self._levels = levels

    def write(self, level: Level) -> None:
        self._levels.append(level)
        super().write(level)
