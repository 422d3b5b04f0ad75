"""The window's tests: one dressed application, and a window on a desk."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import shiboken6
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from app.core.views import Level, Wish
from app.ui.application import appearance_of, create_application
from app.ui.window import MainWindow
from tests.ui.desk import Desk
from tests.ui.samples import LEVEL, NOW


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
def desk(qtbot: QtBot, dressed: QApplication, level: Callable[[], Level]) -> Iterator[Desk]:
    posted: list[Wish] = []
    window = MainWindow(posted.append, level, lambda: NOW)
    window.resize(1366, 768)
    window.show()
    qtbot.waitExposed(window)
    yield Desk(window, posted)
    # At once, not later: hundreds of windows that are still there make each new one slower.
    shiboken6.delete(window)
