"""The app's window by the app's own road, which tells when it is painted and when Record can be used.

With the argument ``record`` it presses Record then.
"""

from __future__ import annotations

import sys

from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QAbstractButton

import app.main
from app.core.views import AppView
from app.ui.window import MainWindow
from tests.bench.painting import FirstPaint
from tests.bench.telling import tell


class _Window(MainWindow):
    _is_usable = False
    _is_recording = False

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802
        super().showEvent(event)
        FirstPaint(self)

    def render(self, view: AppView) -> None:  # type: ignore[override]
        super().render(view)
        if view.microphones and not self._is_usable:
            self._use()
        if view.sessions and view.sessions[0].is_capturing and not self._is_recording:
            self._is_recording = True
            tell("recording")

    def _use(self) -> None:
        record = self.findChild(QAbstractButton, "record")
        if isinstance(record, QAbstractButton) and record.isEnabled():
            self._is_usable = True
            tell("usable")
            if "record" in sys.argv:
                record.click()


if __name__ == "__main__":
    vars(app.main)["MainWindow"] = _Window
    app.main.run_window()
