"""The meter moves as meters do, says what to make of it, and rests when nobody looks."""

from __future__ import annotations

import pytest
from pytestqt.qtbot import QtBot

from app.core.views import Level
from app.ui.level_meter import Ballistics, LevelMeter, verdict
from tests.ui.desk import Desk

SILENT = Level(-120.0, -120.0, is_live=True)


def loud(rms: float, peak: float) -> Level:
    return Level(rms, peak, is_live=True)


def test_up_at_once_and_down_at_20_db_a_second() -> None:
    moving = Ballistics()
    moving.advance(loud(-20.0, -10.0), 0.03)
    assert moving.bar_dbfs == -20.0
    moving.advance(SILENT, 1.0)
    assert moving.bar_dbfs == pytest.approx(-40.0)


def test_the_peak_is_held_for_a_second_and_a_half() -> None:
    moving = Ballistics()
    moving.advance(loud(-20.0, -10.0), 0.03)
    for _ in range(49):
        moving.advance(SILENT, 0.03)
    assert moving.peak_dbfs == -10.0
    moving.advance(SILENT, 0.1)
    assert -12.1 < moving.peak_dbfs < -10.0


@pytest.mark.parametrize(
    ("peak", "word"), [(-120.0, "no sound"), (-50.0, "too quiet"), (-12.0, "good"), (0.0, "clipping")]
)
def test_a_word_says_what_to_make_of_it(peak: float, word: str) -> None:
    moving, level = Ballistics(), loud(peak - 10, peak)
    moving.advance(level, 0.03)
    assert verdict(moving, level).word == word


def test_a_breath_between_words_does_not_change_the_word() -> None:
    moving = Ballistics()
    moving.advance(loud(-20.0, -10.0), 0.03)
    for _ in range(60):
        moving.advance(SILENT, 0.03)
    assert verdict(moving, SILENT).word == "good"
    for _ in range(60):
        moving.advance(SILENT, 0.03)
    assert verdict(moving, SILENT).word == "no sound"


@pytest.mark.qt_log_ignore("propagateSizeHints", extend=True)
def test_the_level_is_pulled_only_while_it_can_be_seen_and_is_live(qtbot: QtBot) -> None:
    pulled: list[Level] = []

    def pull() -> Level:
        pulled.append(loud(-20.0, -10.0))
        return pulled[-1]

    meter = LevelMeter(pull)
    qtbot.addWidget(meter)
    meter.set_active(True)
    assert not meter.is_running()
    meter.show()
    qtbot.waitUntil(lambda: len(pulled) > 3, timeout=2000)
    meter.set_active(False)
    assert not meter.is_running()
    meter.set_active(True)
    meter.hide()
    assert not meter.is_running()


def test_a_paused_visit_pulls_no_level(desk: Desk) -> None:
    desk.show("paused")
    assert not desk.find(LevelMeter, "level-meter").is_running()
    desk.show("recording")
    assert desk.find(LevelMeter, "level-meter").is_running()
