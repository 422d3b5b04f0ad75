"""A page scrolls, and is the same to a screen reader whether its bars can be seen or not."""

from __future__ import annotations

import pytest
from PySide6.QtGui import QAccessible
from PySide6.QtWidgets import QScrollBar, QWidget
from pytestqt.qtbot import QtBot

from app.ui.scrolling import Scrolled

ROOM = 200


@pytest.fixture
def content() -> QWidget:
    content = QWidget()
    content.setMinimumSize(ROOM // 2, ROOM // 2)
    return content


@pytest.fixture
def page(content: QWidget, qtbot: QtBot) -> Scrolled:
    page = Scrolled(content)
    qtbot.addWidget(page)
    page.resize(ROOM, ROOM)
    page.show()
    return page


def shown_bars(page: Scrolled) -> list[QScrollBar]:
    return [bar for bar in page.findChildren(QScrollBar) if bar.isVisible()]


def test_a_bar_is_there_while_the_content_is_too_large_and_moves_it(
    page: Scrolled, content: QWidget, qtbot: QtBot
) -> None:
    assert not shown_bars(page)
    content.setMinimumHeight(5 * ROOM)
    qtbot.waitUntil(lambda: len(shown_bars(page)) == 1)
    (bar,) = shown_bars(page)
    assert bar.maximum() == 4 * ROOM
    bar.setValue(ROOM)
    assert content.y() == -ROOM
    page.verticalScrollBar().setValue(2 * ROOM)  # As the wheel and the focus move it.
    assert bar.value() == 2 * ROOM
    content.setMinimumHeight(ROOM // 2)
    qtbot.waitUntil(lambda: not shown_bars(page))


def test_a_screen_reader_that_counts_before_a_bar_goes_asks_for_nothing_that_has_gone(
    page: Scrolled, content: QWidget, qtbot: QtBot
) -> None:
    content.setMinimumSize(5 * ROOM, 5 * ROOM)
    qtbot.waitUntil(lambda: len(shown_bars(page)) == 2)
    area = QAccessible.queryAccessibleInterface(page)
    assert area is not None
    assert area.childCount() == 1
    page.hide()
    assert area.childCount() == 1
