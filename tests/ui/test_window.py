"""What a doctor does with the window, and what it asks of the engine."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PySide6.QtCore import Qt
from PySide6.QtGui import QAction
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QLabel, QLineEdit, QListView, QMessageBox, QPushButton, QWidget

from app.core.events import Discard, Intent, Pause, Resume, SessionId, Stop, Visit
from app.core.problems import Problem, ProblemKind
from app.core.scribe import TemplateResult, TemplateStatus, Utterance
from app.core.views import (
    AppView,
    ChangeSettings,
    ForSession,
    Gap,
    ListMicrophones,
    Phase,
    Practise,
    RecordVisit,
    SessionView,
    WatchLevel,
)
from app.ui.chips import Chips
from app.ui.controls import Choice
from tests.ui.desk import Desk
from tests.ui.samples import EARLIER, NOW, STATES, session, view

pytestmark = pytest.mark.qt_log_ignore("propagateSizeHints", extend=True)
"""Qt's screenless platform says so of each dialog."""

LEFT = Qt.MouseButton.LeftButton
LIVE = SessionId("ses_1")


def click(desk: Desk, identifier: str) -> None:
    QTest.mouseClick(desk.find(QPushButton, identifier), LEFT)


def is_enabled(desk: Desk, identifier: str) -> bool:
    found = desk.find(QPushButton, identifier)
    return found.isVisible() and found.isEnabled()


# Ready ------------------------------------------------------------------------------------------------------------


def test_record_posts_the_visit_as_it_is_filled_in(desk: Desk) -> None:
    desk.show("ready")
    QTest.keyClicks(desk.find(QLineEdit, "patient-label"), "M.K.")
    QTest.keyClicks(desk.find(QLineEdit, "patient-age"), "54")
    click(desk, "mode-dictation")
    click(desk, "template-vitals")
    click(desk, "language-hi")
    click(desk, "record")
    (wish,) = desk.wishes(RecordVisit)
    assert isinstance(wish, RecordVisit)
    assert (wish.visit.patient.label, wish.visit.patient.age) == ("M.K.", "54")
    assert wish.visit.mode == "dictation"
    assert wish.visit.templates == ("soap", "medications", "vitals")
    assert wish.visit.languages == ("en", "hi")


def test_record_cannot_be_pressed_twice_before_the_next_snapshot(desk: Desk) -> None:
    desk.show("ready")
    click(desk, "record")
    click(desk, "record")
    assert len(desk.wishes(RecordVisit)) == 1
    desk.show("ready")
    assert is_enabled(desk, "record")


def test_practice_is_one_click_and_has_a_name(desk: Desk) -> None:
    desk.show("ready")
    click(desk, "practise")
    (wish,) = desk.wishes(Practise)
    assert isinstance(wish, Practise)
    assert wish.visit.patient.label == "Sample consultation"


def test_habits_are_kept_but_never_the_patient(desk: Desk) -> None:
    desk.show("ready")
    QTest.keyClicks(desk.find(QLineEdit, "patient-label"), "M.K.")
    click(desk, "template-vitals")
    (wish,) = desk.wishes(ChangeSettings)
    assert isinstance(wish, ChangeSettings)
    assert wish.settings.templates == ("soap", "medications", "vitals")
    assert "M.K." not in repr(wish)


def test_a_late_snapshot_does_not_undo_a_newer_choice(desk: Desk) -> None:
    shown, _ = STATES["ready"]
    desk.show("ready")
    click(desk, "template-vitals")
    click(desk, "template-soap")
    first, second = (wish.settings for wish in desk.wishes(ChangeSettings) if isinstance(wish, ChangeSettings))
    chips = desk.window.findChildren(Chips)[0]
    desk.window.render(replace(shown, settings=first))
    assert chips.chosen() == second.templates
    desk.window.render(replace(shown, settings=second))
    assert chips.chosen() == second.templates


def test_the_chosen_microphone_is_a_setting(desk: Desk) -> None:
    desk.show("ready")
    combo = desk.find(Choice, "microphone")
    combo.setCurrentIndex(combo.findText("USB Headset"))
    combo.activated.emit(combo.currentIndex())
    (wish,) = desk.wishes(ChangeSettings)
    assert isinstance(wish, ChangeSettings)
    assert wish.settings.microphone == "USB Headset"
    click(desk, "refresh-microphones")
    assert desk.posted[-1] == ListMicrophones()


def test_the_level_is_watched_while_the_ready_page_is_shown(desk: Desk) -> None:
    assert desk.wishes(WatchLevel) == [WatchLevel(is_on=True)]
    desk.show("recording")
    assert desk.wishes(WatchLevel)[-1] == WatchLevel(is_on=False)
    desk.show("ready")
    assert desk.wishes(WatchLevel)[-1] == WatchLevel(is_on=True)


def test_more_notes_than_the_service_takes_are_explained(desk: Desk) -> None:
    desk.show("ready-offline")
    assert any("after the end" in each.text() for each in desk.window.findChildren(QLabel) if each.isVisible())


def test_the_next_patient_is_somebody_else(desk: Desk) -> None:
    desk.show("ready")
    QTest.keyClicks(desk.find(QLineEdit, "patient-label"), "M.K.")
    desk.show("recording")
    desk.show("ready")
    assert desk.find(QLineEdit, "patient-label").text() == ""


# Recording --------------------------------------------------------------------------------------------------------

_BUTTONS = {"Pause": "pause", "Resume": "resume", "Stop": "stop", "Discard": "discard"}


@pytest.mark.parametrize("phase", [Phase.RECORDING, Phase.PAUSED])
def test_a_button_works_exactly_when_the_machine_would_take_it(desk: Desk, phase: Phase) -> None:
    for bits in range(16):
        allowed = frozenset(name for at, name in enumerate(_BUTTONS) if bits >> at & 1)
        desk.window.render(view(session(phase, allowed=allowed)))
        for name, identifier in _BUTTONS.items():
            assert desk.find(QPushButton, identifier).isEnabled() == (name in allowed)


@pytest.mark.parametrize(
    ("state", "enabled"),
    [
        ("ready", {"Ctrl+R"}),
        ("recording", {"F9", "Ctrl+E"}),
        ("paused", {"F9", "Ctrl+E"}),
        ("finishing-notes", set()),
        ("result", {"Ctrl+Shift+C"}),
    ],
)
def test_the_menu_offers_what_the_machine_would_take(desk: Desk, state: str, enabled: set[str]) -> None:
    desk.show(state)
    actions = {each.shortcut().toString(): each for each in desk.window.findChildren(QAction)}
    assert {keys for keys in ("Ctrl+R", "F9", "Ctrl+E", "Ctrl+Shift+C") if actions[keys].isEnabled()} == enabled


@pytest.mark.parametrize(
    ("state", "identifier", "intent"),
    [
        ("recording", "pause", Pause(NOW)),
        ("recording", "stop", Stop(NOW)),
        ("paused", "resume", Resume(NOW)),
        ("paused", "stop", Stop(NOW)),
    ],
)
def test_buttons_ask_for_what_they_say_once(desk: Desk, state: str, identifier: str, intent: Intent) -> None:
    desk.show(state)
    click(desk, identifier)
    click(desk, identifier)
    assert desk.wishes(ForSession) == [ForSession(LIVE, intent)]


def test_discard_asks_first_and_cancel_is_the_default(desk: Desk) -> None:
    desk.show("recording")
    click(desk, "discard")
    question = desk.find(QMessageBox, "question")
    assert question.defaultButton().objectName() == "cancel"
    QTest.mouseClick(desk.find(QPushButton, "cancel"), LEFT)
    assert desk.wishes(ForSession) == []
    click(desk, "discard")
    visible = [each for each in desk.window.findChildren(QPushButton, "confirm-discard") if each.isVisible()]
    QTest.mouseClick(visible[0], LEFT)
    assert desk.wishes(ForSession) == [ForSession(LIVE, Discard(NOW))]


def test_the_page_says_how_long_how_loud_and_where(desk: Desk) -> None:
    desk.show("recording")
    assert desk.find(QLabel, "timer").text() == "00:04:12"
    assert desk.find(QLabel, "state-word").text() == "Recording"
    assert desk.find(QLabel, "where-audio").text() == "25 pieces on this computer, 24 on the service, 3 s behind"


def test_it_does_not_say_recording_before_a_sample_has_come(desk: Desk) -> None:
    desk.show("recording-starting")
    assert desk.find(QLabel, "state-word").text() == "Starting"


def test_a_new_recording_is_looked_at_by_itself(desk: Desk) -> None:
    desk.window.render(view(*EARLIER))
    desk.window.render(view(session(Phase.RECORDING), *EARLIER))
    assert is_enabled(desk, "stop")


def test_the_next_visit_can_be_prepared_but_not_recorded_meanwhile(desk: Desk) -> None:
    desk.show("recording")
    click(desk, "new-session")
    assert desk.find(QPushButton, "record").isVisible()
    assert not desk.find(QPushButton, "record").isEnabled()
    assert not desk.find(QPushButton, "practise").isEnabled()


# After Stop -------------------------------------------------------------------------------------------------------


def test_the_page_follows_the_session_from_stop_to_the_result(desk: Desk) -> None:
    desk.window.render(view(session(Phase.RECORDING)))
    desk.window.render(view(session(Phase.DRAINING, chunks_uploaded=67)))
    shown = [each.text() for each in desk.window.findChildren(QLabel) if each.isVisible()]
    assert "67 of 72" in shown
    desk.window.render(view(session(Phase.COMPLETED)))
    assert desk.find(QPushButton, "tab-soap").isVisible()


def test_next_patient_leads_to_an_empty_page_ready_to_record(desk: Desk) -> None:
    desk.show("finishing-notes")
    assert desk.find(QPushButton, "next-patient").isDefault()
    click(desk, "next-patient")
    assert is_enabled(desk, "record")


def test_a_session_is_looked_at_by_clicking_it(desk: Desk) -> None:
    desk.show("ready")
    listed = desk.find(QListView, "session-list")
    QTest.mouseClick(listed.viewport(), LEFT, pos=listed.visualRect(listed.model().index(1, 0)).center())
    assert desk.find(QPushButton, "tab-soap").isVisible()


def test_a_discarded_session_is_gone(desk: Desk) -> None:
    desk.show("recording")
    desk.window.render(view(session(Phase.DISCARDED)))
    assert desk.find(QPushButton, "record").isVisible()
    assert desk.find(QListView, "session-list").model().rowCount() == 0


# Keys and closing -------------------------------------------------------------------------------------------------


def test_a_visit_is_recorded_with_the_keyboard_alone(desk: Desk) -> None:
    desk.show("ready")
    window = desk.window
    window.activateWindow()
    QTest.keyClick(window, Qt.Key.Key_F8)
    QTest.keyClick(_focused(window), Qt.Key.Key_Space)
    assert len(desk.wishes(RecordVisit)) == 1
    desk.show("recording")
    QTest.keyClick(_focused(window), Qt.Key.Key_Space)
    assert desk.posted[-1] == ForSession(LIVE, Pause(NOW))
    desk.show("paused")
    QTest.keyClick(_focused(window), Qt.Key.Key_Space)
    assert desk.posted[-1] == ForSession(LIVE, Resume(NOW))
    desk.show("recording")
    QTest.keyClick(window, Qt.Key.Key_E, Qt.KeyboardModifier.ControlModifier)
    assert desk.posted[-1] == ForSession(LIVE, Stop(NOW))
    desk.show("finishing-notes")
    QTest.keyClick(_focused(window), Qt.Key.Key_Return)
    assert desk.find(QPushButton, "record").isVisible()


def _focused(window: QWidget) -> QWidget:
    focused = window.focusWidget()
    assert focused is not None
    return focused


def test_space_in_a_text_field_is_a_space(desk: Desk) -> None:
    desk.show("ready")
    field = desk.find(QLineEdit, "patient-label")
    field.setFocus()
    QTest.keyClicks(field, "A B")
    assert field.text() == "A B"
    assert desk.wishes(RecordVisit) == []


def test_closing_during_a_visit_asks_and_keeps(desk: Desk) -> None:
    desk.show("recording")
    desk.window.close()
    assert desk.window.isVisible()
    QTest.mouseClick(desk.find(QPushButton, "stop-and-keep"), LEFT)
    assert desk.wishes(ForSession) == [ForSession(LIVE, Stop(NOW))]
    assert not desk.window.isVisible()


def test_closing_can_be_taken_back(desk: Desk) -> None:
    desk.show("recording")
    desk.window.close()
    QTest.mouseClick(desk.find(QPushButton, "cancel"), LEFT)
    assert desk.window.isVisible()
    assert desk.wishes(ForSession) == []


def test_closing_without_a_visit_just_closes(desk: Desk) -> None:
    desk.show("result")
    desk.window.close()
    assert not desk.window.isVisible()


def test_the_theme_is_a_setting(desk: Desk) -> None:
    next(action for action in desk.window.findChildren(QAction) if action.data() == "dark").trigger()
    assert desk.posted[-1] == ChangeSettings(replace(AppView().settings, theme="dark"))


# Anything ---------------------------------------------------------------------------------------------------------

_texts = st.sampled_from(["", "M.K.", "<b>x</b>", "&File", "लक्ष्मी", "a\nb", "{0} {name}"])
_data = st.recursive(
    st.none() | st.booleans() | st.integers() | _texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_texts, inner, max_size=3),
    max_leaves=8,
)
_notes = st.builds(
    TemplateResult, id=st.sampled_from(["soap", "x", ""]), status=st.sampled_from(TemplateStatus), name=_texts,
    data=_data, error=_texts, made_by=_texts,
)  # fmt: skip
_sessions = st.builds(
    SessionView,
    id=st.sampled_from(["ses_1", "ses_2", "ses_3"]).map(SessionId),
    phase=st.sampled_from(Phase),
    visit=_texts.map(lambda text: Visit(replace(Visit().patient, label=text))),
    started_at=st.none() | st.floats(0, 2e9),
    recorded_seconds=st.floats(0, 1e5),
    is_capturing=st.booleans(),
    gaps=st.lists(st.builds(Gap, st.floats(0, 1e4), st.none() | st.floats(0, 100), _texts), max_size=2).map(tuple),
    chunks_sealed=st.integers(0, 30),
    chunks_uploaded=st.integers(0, 30),
    allowed=st.frozensets(st.sampled_from([*_BUTTONS, "TryNow", "CheckAgain", "SendAgain", "MakeNote"])),
    transcript=_texts,
    utterances=st.lists(st.builds(Utterance, _texts, st.none() | st.floats(0, 9e3)), max_size=3).map(tuple),
    notes=st.lists(_notes, max_size=3).map(tuple),
    missing_chunks=st.just(()) | st.just((3,)),
    problem=st.none() | st.builds(Problem, st.sampled_from(ProblemKind), _texts),
    next_try_at=st.none() | st.just(NOW),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sessions=st.lists(_sessions, max_size=3, unique_by=lambda each: each.id), chosen=st.none() | st.just("ses_2"))
def test_whatever_comes_is_shown(desk: Desk, sessions: list[SessionView], chosen: str | None) -> None:
    desk.window.render(view(*sessions))
    desk.window.select(SessionId(chosen) if chosen else None)
    looked_at = desk.window._session()
    allowed = looked_at.allowed if looked_at is not None else frozenset()
    for name, identifier in (*_BUTTONS.items(), ("TryNow", "try-now"), ("SendAgain", "send-again")):
        for each in desk.window.findChildren(QPushButton, identifier):
            assert not (each.isVisible() and each.isEnabled()) or name in allowed
