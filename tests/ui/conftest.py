"""The window's tests: one dressed application, and a window on a desk."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from app.core.views import Level, Wish
from app.ui.application import appearance_of, create_application
from app.ui.window import MainWindow
from tests.ui.desk import Desk
from tests.ui.samples import LEVEL, NOW, STATES


@pytest.fixture
def dressed(qapp: QApplication) -> QApplication:
    app = create_application([])
    appearance = appearance_of(app)
    assert appearance is not None
    appearance.choose("light", 1.0)
    return app


@pytest.fixture
def level() -> Callable[[], Level]:
    return lambda: LEVEL


@pytest.fixture
def desk(qtbot: QtBot, dressed: QApplication, level: Callable[[], Level]) -> Desk:
    posted: list[Wish] = []
    window = MainWindow(posted.append, level, lambda: NOW)
    qtbot.addWidget(window, before_close_func=lambda _window: window.render(STATES["ready"][0]))
    window.resize(1366, 768)
    window.show()
    qtbot.waitExposed(window)
    return Desk(window, posted)
