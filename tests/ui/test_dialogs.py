"""What the dialogs ask, and what they post."""

from __future__ import annotations

from dataclasses import replace

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QAction, QGuiApplication
from PySide6.QtTest import QTest
from PySide6.QtWidgets import (
    QCheckBox,
    QDialog,
    QFileDialog,
    QLabel,
    QLineEdit,
    QPlainTextEdit,
    QPushButton,
    QTableWidget,
)

from app.core.events import ChangePatient, MarkReviewed, Patient, SessionId, TryNow
from app.core.views import (
    BeginNewStore,
    ChangeSettings,
    EraseSession,
    ForSession,
    KeyState,
    LookAtStored,
    MicrophoneTest,
    PrepareDiagnostics,
    PurgeAudio,
    RecoveryCodeNoted,
    SaveDiagnostics,
    SetPassphrase,
    TestMicrophone,
    UnlockWith,
)
from app.ui.controls import Choice
from app.ui.diagnostics_dialog import DiagnosticsDialog
from app.ui.key_dialogs import UnlockDialog
from tests.ui.desk import Desk
from tests.ui.samples import CODE, DIAGNOSTICS, DIALOGS, EARLIER, NOW, PROTECTED, SEALED, STATES, view
from tests.ui.test_accessibility import controls
from tests.ui.test_notices import click

pytestmark = pytest.mark.qt_log_ignore("This plugin does not support", extend=True)


def show(desk: Desk, name: str) -> None:
    """Open one of the samples' dialogs."""
    before, opening, shown = DIALOGS[name]
    desk.window.render(before)
    getattr(desk.window.dialogs, opening)()
    desk.window.render(shown)


def do(desk: Desk, name: str) -> None:
    """What is in the menu under that name."""
    desk.find_action(name).trigger()


@pytest.mark.parametrize("name", list(DIALOGS))
def test_every_control_of_a_dialog_has_a_name_and_a_key_reaches_it(desk: Desk, name: str) -> None:
    show(desk, name)
    dialog = desk.window.findChildren(QDialog)[0]
    found = controls(dialog)
    assert found
    for each in found:
        assert each.accessibleIdentifier() == each.objectName() != ""
        assert each.focusPolicy() & Qt.FocusPolicy.TabFocus
    assert all(each.textFormat() is Qt.TextFormat.PlainText for each in dialog.findChildren(QLabel) if each.text())
    assert dialog.windowTitle() == "ScribeDesk"


@pytest.mark.parametrize("name", list(DIALOGS))
def test_nothing_is_ticked_before(desk: Desk, name: str) -> None:
    show(desk, name)
    assert not any(each.isChecked() for each in desk.window.findChildren(QCheckBox))


# The key ----------------------------------------------------------------------------------------------------------


def test_a_passphrase_is_typed_twice_and_long_enough(desk: Desk) -> None:
    show(desk, "passphrase")
    first, second = desk.find(QLineEdit, "passphrase"), desk.find(QLineEdit, "passphrase-again")
    keep = desk.find(QPushButton, "keep-passphrase")
    for one, two, may in (("short", "short", False), ("long enough", "other words", False)):
        first.setText(one)
        second.setText(two)
        assert keep.isEnabled() == may
    second.setText("long enough")
    assert desk.find(QLabel, "passphrase-hint").text().startswith("Weak")
    keep.click()
    assert desk.posted[-1] == SetPassphrase("long enough")
    assert first.echoMode() is QLineEdit.EchoMode.Password
    assert "long enough" not in repr(desk.posted[-1])


def test_a_passphrase_is_only_taken_away_where_the_keychain_has_the_key(desk: Desk) -> None:
    show(desk, "passphrase")
    assert not desk.is_shown("remove-passphrase")
    click(desk, "cancel")
    desk.window.render(view(keys=replace(PROTECTED, has_passphrase=True)))
    desk.window.dialogs.set_passphrase()
    click(desk, "remove-passphrase")
    assert desk.posted[-1] == SetPassphrase("")


@pytest.mark.fault("K2", "K4")
def test_a_wrong_code_is_told_with_the_time_to_wait_and_a_right_one_closes(desk: Desk) -> None:
    show(desk, "unlock")
    desk.find(QLineEdit, "unlock-secret").setText("wrong")
    click(desk, "try-secret")
    assert desk.posted[-1] == UnlockWith("wrong")
    assert desk.find(QLineEdit, "unlock-secret").text() == ""
    desk.window.render(view(keys=replace(SEALED, was_refused=True, next_try_at=NOW + 8)))
    assert "not the right one" in desk.find(QLabel, "unlock-told").text()
    assert "in 8 s" in desk.find(QLabel, "unlock-told").text()
    desk.find(QLineEdit, "unlock-secret").setText("again")
    assert not desk.find(QPushButton, "try-secret").isEnabled()
    desk.window.render(view(keys=replace(SEALED, was_refused=True, next_try_at=NOW - 1)))
    assert desk.find(QPushButton, "try-secret").isEnabled()
    desk.window.render(view(keys=replace(SEALED, state=KeyState.PASSPHRASE)))
    assert not any(each.isVisible() for each in desk.window.findChildren(UnlockDialog))


def test_the_recovery_code_is_put_away_only_when_it_is_noted(desk: Desk) -> None:
    show(desk, "recovery-code")
    assert desk.find(QLabel, "recovery-code").text() == CODE
    assert desk.find(QLabel, "recovery-code").textInteractionFlags() & Qt.TextInteractionFlag.TextSelectableByKeyboard
    click(desk, "copy-code")
    assert QGuiApplication.clipboard().text() == CODE
    QGuiApplication.clipboard().clear()
    assert not desk.find(QPushButton, "code-done").isEnabled()
    desk.find(QCheckBox, "code-noted").click()
    click(desk, "code-done")
    assert desk.posted[-1] == RecoveryCodeNoted()


@pytest.mark.fault("K2")
def test_a_new_store_is_explained_and_never_the_default(desk: Desk) -> None:
    show(desk, "new-store")
    assert desk.find(QPushButton, "cancel").isDefault()
    assert BeginNewStore() not in desk.posted
    click(desk, "confirm-new-store")
    assert desk.posted[-1] == BeginNewStore()


# The microphone ---------------------------------------------------------------------------------------------------


def test_the_test_is_begun_followed_judged_and_ended(desk: Desk) -> None:
    desk.show("ready")
    click(desk, "test-microphone")
    assert desk.posted[-1] == TestMicrophone()
    stage = desk.find(QLabel, "test-stage")
    for name, words in (("recording", "Speak"), ("playing", "heard"), ("done", "over")):
        desk.window.render(view(*EARLIER, microphone_test=MicrophoneTest(name, 5.0, -12.0)))
        assert words in stage.text()
    assert desk.find(QLabel, "test-verdict").text().startswith("Good.")
    click(desk, "test-again")
    assert desk.posted[-1] == TestMicrophone()
    click(desk, "close")
    assert desk.posted[-1] == TestMicrophone(is_on=False)


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (MicrophoneTest("done", 10.0, -120.0, "no-sound"), "muted"),
        (MicrophoneTest("done", 10.0, -50.0), "Very quiet"),
        (MicrophoneTest("done", 10.0, 0.0), "Too loud"),
        (MicrophoneTest("done", 10.0, -20.0, "no-speech"), "No speech"),
        (MicrophoneTest("failed"), "Choose another microphone"),
    ],
)
def test_a_verdict_is_in_words(desk: Desk, result: MicrophoneTest, words: str) -> None:
    desk.show("ready")
    click(desk, "test-microphone")
    desk.window.render(view(microphone_test=MicrophoneTest("recording")))
    desk.window.render(view(microphone_test=result))
    assert words in desk.find(QLabel, "test-verdict").text()


# What is stored here ----------------------------------------------------------------------------------------------


def choose_rows(desk: Desk, *rows: int) -> None:
    table = desk.find(QTableWidget, "stored-table")
    table.clearSelection()
    table.setSelectionMode(QTableWidget.SelectionMode.MultiSelection)
    for row in rows:
        table.selectRow(row)


def row_of(desk: Desk, number: int) -> list[str]:
    table = desk.find(QTableWidget, "stored-table")
    return [item.text() for column in range(6) if (item := table.item(number, column)) is not None]


def test_what_is_stored_is_asked_for_and_told_with_sizes_and_dates(desk: Desk) -> None:
    show(desk, "stored")
    assert LookAtStored() in desk.posted
    name, when, audio, delivered, audio_until, notes_until = row_of(desk, 1)
    assert (name, audio, delivered, notes_until) == ("R.S.", "21.8 MB", "yes", "kept")
    assert when
    assert "2026" in audio_until
    assert row_of(desk, 5)[0] == "Sealed visit"
    assert "6 visits" in desk.find(QLabel, "stored-totals").text()


def test_only_delivered_audio_can_be_deleted_alone_and_the_reason_is_told(desk: Desk) -> None:
    show(desk, "stored")
    choose_rows(desk, 0)
    assert not desk.find(QPushButton, "delete-audio").isEnabled()
    assert "once the service has all of it" in desk.find(QLabel, "delete-reason").text()
    choose_rows(desk, 1, 2)
    click(desk, "delete-audio")
    assert desk.wishes(PurgeAudio) == []
    click(desk, "confirm-delete-audio")
    assert desk.wishes(PurgeAudio) == [PurgeAudio((SessionId("ses_4"), SessionId("ses_5")))]


@pytest.mark.fault("H4")
def test_deleting_a_visit_says_that_its_key_goes_and_who_still_has_a_copy(desk: Desk) -> None:
    show(desk, "stored")
    choose_rows(desk, 1)
    click(desk, "delete-visit")
    question = next(each for each in desk.window.findChildren(QDialog, "question") if each.isVisible())
    words = " ".join(each.text() for each in question.findChildren(QLabel))
    assert "R.S." in words
    assert "key is destroyed" in words
    assert "What Scribe on this computer has of it is not touched" in words
    assert desk.wishes(EraseSession) == []
    click(desk, "confirm-delete-visit")
    assert desk.wishes(EraseSession) == [EraseSession(SessionId("ses_4"))]


def test_a_visit_that_was_not_delivered_is_said_to_be_lost(desk: Desk) -> None:
    show(desk, "stored")
    choose_rows(desk, 0)
    click(desk, "delete-visit")
    question = next(each for each in desk.window.findChildren(QDialog, "question") if each.isVisible())
    assert any("it is lost" in each.text() for each in question.findChildren(QLabel))


def test_how_long_things_are_kept_is_a_setting(desk: Desk) -> None:
    show(desk, "stored")
    combo = desk.find(Choice, "keep-audio-days")
    combo.setCurrentIndex(combo.findData("3"))
    combo.activated.emit(combo.currentIndex())
    (wish,) = desk.wishes(ChangeSettings)
    assert isinstance(wish, ChangeSettings)
    assert (wish.settings.keep_audio_days, wish.settings.keep_notes_days) == (3.0, 0.0)


# Diagnostics, the queue, the patient ------------------------------------------------------------------------------


def test_diagnostics_are_read_before_they_are_saved(desk: Desk) -> None:
    show(desk, "diagnostics")
    assert PrepareDiagnostics() in desk.posted
    assert desk.find(QPlainTextEdit, "diagnostics-text").toPlainText() == DIAGNOSTICS
    assert desk.find(QPlainTextEdit, "diagnostics-text").isReadOnly()
    desk.find(DiagnosticsDialog, "diagnostics-dialog").save("/tmp/d.txt")
    assert desk.posted[-1] == SaveDiagnostics("/tmp/d.txt")


def test_the_queue_is_told_in_order_and_can_be_hurried(desk: Desk) -> None:
    desk.show("offline-queue")
    click(desk, "queue-details")
    lines = desk.find(QPlainTextEdit, "queue-list").toPlainText().splitlines()
    assert "M.K." in lines[-1]
    assert "0 of 72 pieces sent" in lines[0]
    click(desk, "try-all-now")
    assert desk.posted[-4:] == [ForSession(SessionId(f"ses_{n}"), TryNow()) for n in (1, 2, 3, 4)]


@pytest.mark.fault("H1")
def test_the_patient_of_a_visit_can_be_put_right(desk: Desk) -> None:
    desk.show("result")
    do(desk, "do-patient")
    field = desk.find(QLineEdit, "changed-label")
    assert field.text() == "M.K."
    field.selectAll()
    QTest.keyClicks(field, "S.D.")
    click(desk, "confirm-patient")
    assert desk.posted[-1] == ForSession(SessionId("ses_1"), ChangePatient(Patient("S.D."), NOW))
    assert "S.D." not in desk.window.windowTitle()


def test_a_result_is_marked_as_reviewed_once(desk: Desk) -> None:
    desk.show("result")
    assert "not reviewed yet" in desk.find(QLabel, "state-word").text()
    click(desk, "mark-reviewed")
    click(desk, "mark-reviewed")
    assert desk.wishes(ForSession) == [ForSession(SessionId("ses_1"), MarkReviewed(NOW))]
    desk.show("result-reviewed")
    assert not desk.is_shown("mark-reviewed")
    assert "reviewed at" in desk.find(QLabel, "state-word").text()
    assert "audio deleted" in desk.find(QLabel, "state-word").text()


def test_a_dialog_is_open_once_and_can_be_opened_again(desk: Desk) -> None:
    desk.show("keys-locked")
    do(desk, "do-unlock")
    desk.window.dialogs.unlock()
    assert len([each for each in desk.window.findChildren(UnlockDialog) if each.isVisible()]) == 1
    click(desk, "cancel")
    do(desk, "do-unlock")
    assert any(each.isVisible() for each in desk.window.findChildren(UnlockDialog))


def test_the_menu_offers_keys_by_their_state(desk: Desk) -> None:
    for state, may_set, may_unlock in (("keys-locked", False, True), ("keys-session-only", True, False)):
        desk.window.render(STATES[state][0])
        actions = {each.objectName(): each for each in desk.window.findChildren(QAction)}
        assert actions["do-passphrase"].isEnabled() == may_set
        assert actions["do-unlock"].isEnabled() == may_unlock


def test_where_to_save_is_asked_without_stopping_the_window(desk: Desk) -> None:
    show(desk, "diagnostics")
    click(desk, "save-diagnostics")
    asked = desk.find(QFileDialog, "where-to-save")
    assert asked.acceptMode() is QFileDialog.AcceptMode.AcceptSave
    asked.fileSelected.emit("/tmp/d.txt")
    assert desk.posted[-1] == SaveDiagnostics("/tmp/d.txt")
    assert "/tmp/d.txt" in desk.find(QLabel, "diagnostics-told").text()
