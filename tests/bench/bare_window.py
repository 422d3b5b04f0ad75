"""The reference for start and memory: PySide6's ``QMainWindow`` with nothing in it."""

from __future__ import annotations

import sys

from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QApplication, QMainWindow

from tests.bench.painting import FirstPaint


class _Window(QMainWindow):
    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802
        super().showEvent(event)
        FirstPaint(self)


if __name__ == "__main__":
    application = QApplication(sys.argv)
    window = _Window()
    window.resize(1240, 740)
    window.show()
    sys.exit(application.exec())
