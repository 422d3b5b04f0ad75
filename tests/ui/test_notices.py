"""Trouble while a visit goes on: what is said, what is offered, and that a notice never does anything by itself."""

from __future__ import annotations

from dataclasses import replace

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QComboBox, QDialog, QLabel, QLineEdit, QMenu, QPushButton
from pytestqt.qtbot import QtBot

from app.core.events import Resume, SendAgain, SessionId, Stop
from app.core.problems import Problem, ProblemKind
from app.core.views import (
    AppView,
    AskKeystoreAgain,
    ChangeSettings,
    ForSession,
    Gap,
    KeyState,
    KeysView,
    Phase,
    StorageView,
    WatchLevel,
)
from app.ui.banner import Banner
from app.ui.level_meter import LevelMeter
from app.ui.phrases import gap_on_the_clock, gap_words
from app.ui.window import MainWindow
from tests.ui.desk import Desk
from tests.ui.samples import EARLIER, HOLES, LEVEL, NOW, PINNED, RECORDING, SEALED, STATES, session, sounding, view

pytestmark = pytest.mark.qt_log_ignore("This plugin does not support", extend=True)
LIVE = SessionId("ses_1")
LOST = STATES["recording-microphone-lost"][0]


def told(desk: Desk, identifier: str = "banner") -> str:
    banner = desk.find(Banner, identifier)
    return " ".join(each.text() for each in banner.findChildren(QLabel) if each.isVisible())


def click(desk: Desk, identifier: str) -> None:
    QTest.mouseClick(desk.find(QPushButton, identifier), Qt.MouseButton.LeftButton)


def tone(desk: Desk, identifier: str = "banner") -> str:
    return str(desk.find(Banner, identifier).property("tone"))


# The microphone ---------------------------------------------------------------------------------------------------


@pytest.mark.fault("A1")
def test_a_lost_microphone_is_told_large_with_what_is_safe_and_what_to_do(desk: Desk) -> None:
    desk.show("recording-microphone-lost")
    text = told(desk)
    assert "The microphone stopped. Nothing is being recorded." in text
    assert "safe on this computer" in text
    assert "Plug it in again" in text
    assert tone(desk) == "alarm"
    assert desk.find(QLabel, "state-word").text() == "No sound arrives"


@pytest.mark.fault("A1")
def test_the_alarm_calls_once_for_each_trouble(qtbot: QtBot, dressed: QApplication) -> None:
    calls: list[str] = []
    window = MainWindow(lambda _wish: None, lambda: LEVEL, lambda: NOW, lambda: calls.append("beep"))
    qtbot.addWidget(window)
    window.show()
    for _ in range(3):
        window.render(replace(LOST))
    assert len(calls) == 1
    window.render(view(RECORDING))
    assert len(calls) == 1
    window.render(replace(LOST))
    assert len(calls) == 2


def test_the_alarm_is_told_whatever_is_looked_at(desk: Desk) -> None:
    desk.window.render(LOST)
    desk.window.select(EARLIER[0].id)
    assert "Nothing is being recorded" in told(desk, "app-banner")
    click(desk, "show-live")
    assert desk.is_shown("stop")
    assert "Nothing is being recorded" in told(desk)


@pytest.mark.fault("A6")
def test_no_sound_names_the_microphone(desk: Desk) -> None:
    desk.show("recording-no-sound")
    assert "No sound comes from USB Headset." in told(desk)
    assert "muted" in told(desk)
    assert tone(desk) == "alarm"


@pytest.mark.fault("H2")
@pytest.mark.parametrize("notice", ["no-sound", "too-quiet", "clipping", "no-speech", "long-silence"])
def test_a_notice_of_the_sound_stops_nothing(desk: Desk, notice: str) -> None:
    desk.window.render(sounding(notice))
    assert "The recording goes on" in told(desk)
    assert [wish for wish in desk.posted if not isinstance(wish, WatchLevel)] == []
    assert desk.find(QPushButton, "pause").isEnabled()


@pytest.mark.fault("H2")
def test_a_long_silence_offers_to_stop(desk: Desk) -> None:
    desk.show("recording-long-silence")
    click(desk, "banner-stop")
    assert desk.wishes(ForSession) == [ForSession(LIVE, Stop(NOW))]


@pytest.mark.fault("A2", "A3")
def test_another_microphone_is_named(desk: Desk) -> None:
    desk.show("recording-microphone-changed")
    assert "Another microphone is in use now. It is Built-in Microphone." in told(desk)


@pytest.mark.fault("A2", "A3")
def test_a_microphone_that_takes_over_is_told_for_a_while(qtbot: QtBot, dressed: QApplication) -> None:
    now = [NOW]
    window = MainWindow(lambda _wish: None, lambda: LEVEL, lambda: now[0])
    qtbot.addWidget(window)
    window.show()
    window.render(view(RECORDING))
    banner = window.findChildren(Banner, "banner")[0]
    assert not banner.isVisible()
    window.render(view(replace(RECORDING, microphone="Built-in Microphone")))
    assert any("It is Built-in Microphone." in each.text() for each in banner.findChildren(QLabel))
    now[0] += 21
    qtbot.waitUntil(lambda: not banner.isVisible(), timeout=5000)


def test_a_pinned_microphone_that_comes_back_is_offered(desk: Desk) -> None:
    desk.show("recording-microphone-back")
    assert "USB Headset is back." in told(desk)
    click(desk, "use-pinned")
    assert desk.wishes(ChangeSettings) == [ChangeSettings(PINNED)]


def test_a_pinned_microphone_that_is_away_is_told_before_a_visit(desk: Desk) -> None:
    desk.show("ready-microphone-missing")
    assert "USB Headset is not there." in told(desk, "app-banner")
    assert "Built-in Microphone is used meanwhile." in told(desk, "app-banner")


def test_the_alarm_leads_to_the_microphones(desk: Desk) -> None:
    desk.show("recording-microphone-lost")
    click(desk, "choose-microphone")
    (menu,) = desk.window.findChildren(QMenu, "microphone-menu")
    next(action for action in menu.actions() if action.text() == "USB Headset").trigger()
    menu.close()
    (wish,) = desk.wishes(ChangeSettings)
    assert isinstance(wish, ChangeSettings)
    assert (wish.settings.microphone, wish.settings.microphone_host_api) == ("USB Headset", "ALSA")


# The disk ---------------------------------------------------------------------------------------------------------


@pytest.mark.fault("D1")
def test_a_disk_that_fills_is_told_before_and_during_a_visit(desk: Desk) -> None:
    desk.show("ready-disk-low")
    assert "room for 42 min" in told(desk, "app-banner")
    assert desk.find(QPushButton, "record").isEnabled()
    desk.show("recording-disk-critical")
    assert "room for 9 min" in told(desk)
    assert desk.find(QLabel, "status-storage").text() == "Disk: room for 9 min"


@pytest.mark.fault("D1", "D3")
def test_a_disk_that_refuses_for_a_while_is_told_at_once_and_recording_goes_on(desk: Desk) -> None:
    desk.show("recording-disk-refuses")
    assert "Recording goes on" in told(desk)
    assert "held in memory" in told(desk)
    assert tone(desk) == "alarm"


@pytest.mark.fault("D1", "D3")
@pytest.mark.parametrize("kind", [ProblemKind.DISK_FULL, ProblemKind.DISK_FAILED])
def test_a_disk_that_takes_no_more_stops_loudly(desk: Desk, kind: ProblemKind) -> None:
    desk.window.render(view(session(Phase.PAUSED, problem=Problem(kind))))
    assert "Recording has stopped" in told(desk)
    assert "safe on this computer" in told(desk)
    assert tone(desk) == "alarm"


@pytest.mark.fault("D4", "M3")
@pytest.mark.parametrize(
    ("refusal", "word"),
    [("network", "network drive"), ("synced", "sync service"), ("read-only", "may not write")],
)
def test_a_folder_that_is_not_safe_is_refused_and_explained(desk: Desk, refusal: str, word: str) -> None:
    desk.window.render(view(storage=StorageView(refusal=refusal, folder="/srv/visits")))
    assert word in told(desk, "app-banner")
    assert "/srv/visits" in told(desk, "app-banner")
    assert not desk.find(QPushButton, "record").isEnabled()


@pytest.mark.parametrize("refusal", ["network", "synced", "read-only"])
def test_whoever_cannot_record_is_told_whom_to_call_and_they_what_to_do(desk: Desk, refusal: str) -> None:
    desk.window.render(view(storage=StorageView(refusal=refusal, folder="/srv/visits")))
    text = told(desk, "app-banner")
    assert text.startswith("You cannot record now")
    assert "Call your IT person" in text
    assert "set SCRIBEDESK_HOME to a folder on this computer's own disk" in text


def test_all_that_is_chosen_before_a_visit_is_seen_while_the_recovery_code_waits(desk: Desk) -> None:
    desk.show("keys-recovery-code")
    QApplication.processEvents()
    meter = desk.find(LevelMeter, "level-meter")
    for part in (meter, desk.find(QComboBox, "microphone"), desk.find(QPushButton, "show-recovery-code")):
        assert part.visibleRegion().boundingRect() == part.rect(), part.objectName()
    button, words = desk.find(QPushButton, "show-recovery-code"), desk.find(Banner, "keys-banner")
    assert words.height() < 2 * button.height()


# What was going on, what is missing -------------------------------------------------------------------------------


@pytest.mark.fault("P1")
def test_a_recovered_visit_is_shown_at_start_and_can_go_on_or_end(desk: Desk) -> None:
    shown, _ = STATES["recovered"]
    desk.window.render(AppView())
    desk.window.render(shown)
    assert "ScribeDesk was closed during this visit at" in told(desk)
    click(desk, "banner-resume")
    click(desk, "banner-finish")
    assert desk.wishes(ForSession) == [ForSession(LIVE, Resume(NOW)), ForSession(LIVE, Stop(NOW))]


def test_an_outage_hides_no_graver_trouble(desk: Desk) -> None:
    away = replace(RECORDING, problem=Problem(ProblemKind.UNREACHABLE))
    desk.window.render(view(replace(away, sound="long-silence")))
    assert "Nobody has spoken" in told(desk)
    desk.window.render(view(away))
    assert "cannot be reached" in told(desk)


@pytest.mark.fault("S9")
def test_fewer_pieces_heard_than_sent_is_told_and_can_be_sent_again(desk: Desk) -> None:
    desk.show("result-heard-fewer")
    assert "70 of 72 pieces were heard." in told(desk)
    click(desk, "send-again")
    assert desk.posted[-1] == ForSession(LIVE, SendAgain(NOW))


@pytest.mark.fault("N1", "N2")
def test_a_day_offline_is_told_calmly(desk: Desk) -> None:
    desk.show("offline-queue")
    desk.window.resize(1366, 768)
    line = desk.find(QLabel, "status-queue").text()
    assert line == "4 visits wait for the network · 1 h 12 min to upload · nothing is lost"
    assert desk.find(QPushButton, "record").isEnabled()


def test_gaps_are_listed_where_they_are_with_the_time_on_the_wall(desk: Desk) -> None:
    desk.show("recording-gaps")
    gaps = desk.find(QLabel, "gaps")
    assert "03:30\u201304:00 Microphone silent" in gaps.text()
    assert "04:00 Computer asleep for 2 min" in gaps.text()
    assert "1 more before these" in gaps.text()
    assert gaps.toolTip().count("\n") == len(HOLES) - 1
    assert gap_on_the_clock(HOLES[1]) in gaps.toolTip()


@pytest.mark.parametrize("reason", ["paused", "microphone", "lost", "silent", "asleep", "interrupted"])
def test_each_gap_has_words_of_its_own(reason: str) -> None:
    assert gap_words(Gap(10.0, 5.0, reason)) != gap_words(Gap(10.0, 5.0, "anything"))
    assert gap_words(Gap(10.0, None, reason)).startswith("00:10 ")


def test_gaps_are_told_above_the_notes_but_a_pause_is_no_trouble(desk: Desk) -> None:
    desk.show("result-gaps")
    assert "03:10 Microphone away for 4 s" in told(desk)
    assert "Paused" not in told(desk)
    paused = session(Phase.COMPLETED, gaps=HOLES[:1])
    desk.window.render(view(paused))
    assert not desk.find(Banner, "banner").isVisible()


# The key ----------------------------------------------------------------------------------------------------------


@pytest.mark.fault("K1")
@pytest.mark.parametrize(
    ("state", "words", "buttons"),
    [
        (KeyState.SESSION_ONLY, "only until ScribeDesk is closed", {"set-passphrase"}),
        (KeyState.LOCKED, "3 visits cannot be read now", {"unlock", "ask-keystore-again"}),
        (KeyState.MISSING, "no longer has the key", {"unlock", "ask-keystore-again", "begin-new-store"}),
    ],
)
def test_each_state_of_the_key_is_told_with_what_helps(
    desk: Desk, state: KeyState, words: str, buttons: set[str]
) -> None:
    desk.window.render(view(keys=replace(SEALED, state=state)))
    assert words in told(desk, "keys-banner")
    known = {"set-passphrase", "unlock", "ask-keystore-again", "begin-new-store", "show-recovery-code"}
    assert {each for each in known if desk.is_shown(each)} == buttons
    assert desk.find(QPushButton, "record").isEnabled()


@pytest.mark.fault("K1")
def test_a_keychain_is_waited_for_in_silence_at_first(qtbot: QtBot, dressed: QApplication) -> None:
    now = [NOW]
    window = MainWindow(lambda _wish: None, lambda: LEVEL, lambda: now[0])
    qtbot.addWidget(window)
    window.show()
    window.render(view(keys=KeysView(KeyState.WAITING)))
    banner = window.findChildren(Banner, "keys-banner")[0]
    assert not banner.isVisible()
    assert window.findChildren(QLabel, "status-keys")[0].text() == "Waiting for your keychain"
    now[0] += 3
    qtbot.waitUntil(banner.isVisible, timeout=5000)


def test_sealed_visits_are_counted_in_the_list(desk: Desk) -> None:
    desk.show("keys-locked")
    assert desk.find(QLabel, "sealed-visits").text() == "3 visits are sealed until the key is unlocked."
    desk.show("ready")
    assert not desk.is_shown("sealed-visits")


def test_the_keychain_can_be_asked_again(desk: Desk) -> None:
    desk.show("keys-locked")
    click(desk, "ask-keystore-again")
    assert desk.posted[-1] == AskKeystoreAgain()


@pytest.mark.parametrize("state", list(KeyState))
def test_the_status_line_tells_the_key_by_word_and_shape(desk: Desk, state: KeyState) -> None:
    desk.window.render(view(keys=KeysView(state)))
    assert desk.find(QLabel, "status-keys").text()


def test_a_disk_that_takes_nothing_is_graver_than_a_silent_microphone(desk: Desk) -> None:
    desk.window.render(view(replace(RECORDING, sound="no-sound", problem=Problem(ProblemKind.DISK_WAITING))))
    assert "The disk does not take the recording" in told(desk)


def test_where_nothing_can_be_kept_nothing_is_said_of_the_key_to_it(desk: Desk) -> None:
    unsafe = StorageView(refusal="read-only", folder="/srv/visits")
    keys = KeysView(KeyState.SESSION_ONLY)
    desk.window.render(view(storage=unsafe, keys=keys, problem=Problem(ProblemKind.FOLDER_UNSAFE, "EROFS")))
    assert told(desk, "app-banner").startswith("You cannot record now")
    assert not desk.is_shown("keys-banner")
    assert desk.find(QLineEdit, "patient-label").hasFocus()


def test_the_recovery_code_waits_while_graver_things_are_said(desk: Desk) -> None:
    waiting = STATES["keys-recovery-code"][0]
    desk.window.render(waiting)
    assert desk.is_shown("show-recovery-code")
    desk.window.render(replace(waiting, storage=StorageView(600.0, is_low=True, is_critical=True, folder="/srv")))
    assert desk.is_shown("look-at-stored")
    assert not desk.is_shown("show-recovery-code")


@pytest.mark.parametrize(("state", "words"), [(KeyState.PASSPHRASE, "passphrase"), (KeyState.PROTECTED, "keychain")])
def test_the_recovery_code_is_explained_by_what_guards_the_key(desk: Desk, state: KeyState, words: str) -> None:
    desk.window.render(replace(STATES["keys-recovery-code"][0], keys=KeysView(state, recovery_code="ABCD-EFGH")))
    assert words in told(desk, "keys-banner")
    click(desk, "show-recovery-code")
    dialog = desk.window.findChildren(QDialog, "recovery-dialog")[0]
    assert any(f"{words} is" in each.text() for each in dialog.findChildren(QLabel))
