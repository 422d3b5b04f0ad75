"""The window for those who cannot see it, or have no mouse: every control has a name, a role and an identifier."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QAccessible
from PySide6.QtTest import QTest
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QApplication,
    QComboBox,
    QHeaderView,
    QLineEdit,
    QPlainTextEdit,
    QTextEdit,
    QToolButton,
    QWidget,
)

from tests.ui.desk import Desk
from tests.ui.samples import STATES

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
