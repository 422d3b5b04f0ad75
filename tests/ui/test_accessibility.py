"""The window for those who cannot see it, or have no mouse: every control has a name, a role and an identifier."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QAccessible, QKeySequence
from PySide6.QtTest import QTest
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QApplication,
    QComboBox,
    QDialog,
    QHeaderView,
    QLineEdit,
    QPlainTextEdit,
    QTextEdit,
    QToolButton,
    QWidget,
)

from tests.ui.desk import Desk
from tests.ui.samples import DIALOGS, STATES

CONTROLS = (QAbstractButton, QLineEdit, QComboBox, QAbstractItemView, QTextEdit, QPlainTextEdit)


def controls(window: QWidget) -> list[QWidget]:
    """What can be used now, without the parts that Qt itself puts into its widgets."""
    return [
        each
        for each in window.findChildren(QWidget)
        if isinstance(each, CONTROLS)
        and each.isVisible()
        and not each.objectName().startswith("qt_")
        and not isinstance(each, (QToolButton, QHeaderView))
    ]


@pytest.mark.parametrize("state", list(STATES))
def test_every_control_has_a_name_a_role_and_an_identifier(desk: Desk, state: str) -> None:
    desk.show(state)
    found = controls(desk.window)
    assert len(found) > 3
    for each in found:
        told = QAccessible.queryAccessibleInterface(each)
        identifier = each.accessibleIdentifier()
        assert identifier, f"{each} has no identifier"
        assert identifier == each.objectName()
        assert told.text(QAccessible.Text.Name), f"{identifier} has no name"
        assert told.role() not in (QAccessible.Role.NoRole, QAccessible.Role.Client), identifier


@pytest.mark.parametrize("state", list(STATES))
def test_identifiers_are_unique_among_what_is_shown(desk: Desk, state: str) -> None:
    desk.show(state)
    seen = [each.objectName() for each in controls(desk.window)]
    assert len(seen) == len(set(seen))


@pytest.mark.parametrize("state", ["ready", "recording", "paused", "finishing-notes", "result-partial"])
def test_tab_reaches_every_control(desk: Desk, state: str) -> None:
    desk.show(state)
    window = desk.window
    window.activateWindow()
    reached = set()
    for _ in range(60):
        focused = window.focusWidget()
        assert focused is not None
        reached.add(focused.objectName())
        QTest.keyClick(focused, Qt.Key.Key_Tab)
    wanted = {
        each.objectName()
        for each in controls(window)
        if each.isEnabled() and each.focusPolicy() & Qt.FocusPolicy.TabFocus
    }
    # Of buttons that exclude each other, Tab reaches the chosen one and the arrows the others.
    groups = ("tab-", "mode-")
    assert {name for name in wanted - reached if not name.startswith(groups)} == set()


def test_a_row_of_the_list_says_its_state(desk: Desk) -> None:
    desk.show("ready")
    model = desk.find(QAbstractItemView, "session-list").model()
    told = model.data(model.index(1, 0), Qt.ItemDataRole.AccessibleTextRole)
    assert "R.S." in told
    assert "Ready to read" in told


def test_no_part_of_the_window_ever_stands_alone(desk: Desk) -> None:
    # A screen reader counts the app's windows, then asks for one by its number: Qt does not look whether it is still
    # there, and crashes.
    meant = (Qt.WindowType.Popup, Qt.WindowType.ToolTip, Qt.WindowType.Dialog)
    for state in STATES:
        desk.show(state)
        others = [each for each in QApplication.topLevelWidgets() if each is not desk.window]
        assert [each for each in others if each.windowType() not in meant] == [], state


def letters(texts: Iterable[str]) -> list[str]:
    """The letters that are underlined."""
    found = (QKeySequence.mnemonic(text).toString() for text in texts)
    return sorted(filter(None, found))


def pressable(widget: QWidget) -> list[str]:
    return [each.text() for each in widget.findChildren(QAbstractButton) if each.isVisible() and each.isEnabled()]


@pytest.mark.parametrize("state", STATES)
def test_each_letter_means_one_thing(desk: Desk, state: str) -> None:
    desk.show(state)
    QApplication.processEvents()
    menus = [action.text() for action in desk.window.menuBar().actions()]
    found = letters([*menus, *pressable(desk.window)])
    assert found
    assert len(found) == len(set(found)), found


@pytest.mark.parametrize("name", DIALOGS)
@pytest.mark.qt_log_ignore("This plugin does not support", extend=True)
def test_each_letter_means_one_thing_in_a_dialog(desk: Desk, name: str) -> None:
    before, opening, after = DIALOGS[name]
    desk.window.render(before)
    getattr(desk.window.dialogs, opening)()
    desk.window.render(after)
    found = letters(pressable(desk.window.findChildren(QDialog)[0]))
    assert len(found) == len(set(found)), found


def walk(desk: Desk) -> list[str]:
    """Where the Tab key leads, once round."""
    desk.window.activateWindow()
    QApplication.processEvents()
    reached: list[str] = []
    while (focused := desk.window.focusWidget()) is not None and focused.objectName() not in reached:
        reached.append(focused.objectName())
        QTest.keyClick(focused, Qt.Key.Key_Tab)
    return reached


def test_tab_leads_through_the_page_as_it_is_read(desk: Desk) -> None:
    desk.show("keys-locked")
    reached = walk(desk)
    as_read = ("session-list", "unlock", "ask-keystore-again", "patient-label", "mode-consultation", "template-soap",
               "language-en", "output-language", "microphone")  # fmt: skip
    places = [reached.index(name) for name in as_read]
    assert places == sorted(places)


def test_whoever_passes_the_list_with_tab_chooses_no_visit_and_with_the_arrows_does(desk: Desk) -> None:
    desk.show("ready")
    assert "patient-label" in walk(desk)
    assert desk.is_shown("record")
    listed = desk.find(QAbstractItemView, "session-list")
    listed.setFocus()
    assert desk.is_shown("record")
    QTest.keyClick(listed, Qt.Key.Key_Down)
    QTest.keyClick(listed, Qt.Key.Key_Down)
    assert not desk.is_shown("record")
