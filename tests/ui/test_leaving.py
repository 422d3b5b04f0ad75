"""Throwing a visit away, having it back, and closing the window: nothing is lost by a slip of the hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QLabel, QListView, QMessageBox, QPushButton
from pytestqt.qtbot import QtBot

from app.core.events import SessionId, Stop, UndoDiscard
from app.core.views import ForSession, KeyState, KeysView, Phase
from app.ui.closing import stake
from app.ui.window import MainWindow
from tests.ui.desk import Desk
from tests.ui.samples import EARLIER, LEVEL, NOW, WAITING_VISITS, session, view
from tests.ui.test_notices import click

pytestmark = pytest.mark.qt_log_ignore("This plugin does not support", extend=True)
GONE = session(Phase.DISCARDED, undo_until=NOW + 28.0, allowed=frozenset({"UndoDiscard"}))


def test_a_discarded_visit_can_be_had_back(desk: Desk) -> None:
    desk.show("discarded")
    assert desk.find(QLabel, "undo-text").text() == "The visit “M.K.” is thrown away in 28 s."
    click(desk, "undo-discard")
    assert desk.posted[-1] == ForSession(GONE.id, UndoDiscard(NOW))
    desk.window.render(view(session(Phase.PAUSED), *EARLIER))
    assert not desk.is_shown("undo-bar")
    assert desk.is_shown("stop")


def test_it_stays_in_the_list_meanwhile_and_ctrl_z_helps_too(desk: Desk) -> None:
    desk.window.render(view(GONE, *EARLIER))
    model = desk.find(QListView, "session-list").model()
    assert "Thrown away" in model.data(model.index(1, 0), Qt.ItemDataRole.AccessibleTextRole)
    desk.find_action("do-undo").trigger()
    assert desk.posted[-1] == ForSession(GONE.id, UndoDiscard(NOW))


def test_the_seconds_run_and_then_it_is_gone(qtbot: QtBot, dressed: QApplication) -> None:
    now = [NOW]
    window = MainWindow(lambda _wish: None, lambda: LEVEL, lambda: now[0])
    qtbot.addWidget(window)
    window.show()
    window.render(view(GONE))
    text = window.findChildren(QLabel, "undo-text")[0]
    now[0] += 20
    qtbot.waitUntil(lambda: "8 s" in text.text(), timeout=5000)
    now[0] += 9
    qtbot.waitUntil(lambda: not text.isVisible(), timeout=5000)
    assert window.findChildren(QListView, "session-list")[0].model().rowCount() == 0


def test_the_question_before_discarding_says_that_it_can_be_had_back(desk: Desk) -> None:
    desk.show("recording")
    click(desk, "discard")
    assert "30 seconds" in desk.find(QMessageBox, "question").informativeText()


@pytest.mark.fault("P8")
def test_closing_with_unsent_audio_says_what_is_unsent(desk: Desk) -> None:
    two = tuple(replace(each, seconds_to_upload=420.0) for each in WAITING_VISITS[:2])
    desk.window.render(view(*two, *EARLIER))
    desk.window.close()
    assert desk.window.isVisible()
    question = desk.find(QMessageBox, "question")
    assert "2 visits, 14 min, go out at the next start" in question.informativeText()
    assert question.defaultButton().objectName() == "cancel"
    click(desk, "close-anyway")
    assert not desk.window.isVisible()
    assert desk.wishes(ForSession) == []


@pytest.mark.fault("P8")
def test_closing_during_a_visit_offers_to_stop_or_to_go_on(desk: Desk) -> None:
    desk.show("recording")
    desk.window.close()
    texts = {each.objectName(): each.text() for each in desk.find(QMessageBox, "question").buttons()}
    assert texts == {"stop-and-keep": "&Stop and close", "cancel": "&Keep recording"}
    click(desk, "cancel")
    assert desk.wishes(ForSession) == []
    desk.window.close()
    visible = [each for each in desk.window.findChildren(QPushButton, "stop-and-keep") if each.isVisible()]
    QTest.mouseClick(visible[0], Qt.MouseButton.LeftButton)
    assert desk.wishes(ForSession) == [ForSession(SessionId("ses_1"), Stop(NOW))]
    assert not desk.window.isVisible()


def test_a_paused_visit_is_not_said_to_be_recorded(desk: Desk) -> None:
    desk.show("paused")
    desk.window.close()
    assert desk.find(QMessageBox, "question").text() == "A visit is paused, not finished."


def test_nothing_at_stake_is_no_question() -> None:
    assert stake(view(*EARLIER)) is None
    assert stake(view(session(Phase.PROCESSING))) is None
    assert stake(view(GONE)) is None


def test_with_the_key_in_memory_alone_nothing_is_promised() -> None:
    at_stake = stake(view(*WAITING_VISITS, keys=KeysView(KeyState.SESSION_ONLY)))
    assert at_stake is not None
    assert "only while ScribeDesk is open" in at_stake.more
    assert "next start" not in at_stake.more


@pytest.mark.fault("P4")
def test_a_log_off_is_not_held_up_by_a_question(desk: Desk) -> None:
    desk.show("recording")
    app = QGuiApplication.instance()
    assert isinstance(app, QGuiApplication)
    # Whatever the session manager says, it is not asked for anything.
    app.commitDataRequest.emit(None)
    desk.window.close()
    assert not desk.window.isVisible()
    assert desk.wishes(ForSession) == []


def test_it_comes_to_the_front_when_it_is_started_again(desk: Desk) -> None:
    desk.show("ready")
    desk.window.showMinimized()
    desk.window.come_to_front()
    assert not desk.window.isMinimized()
    assert desk.window.isVisible()
