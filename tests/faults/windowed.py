"""The app with its window, which presses Record by itself and tells what it keeps.

A line on stdin plants bugs: one in a slot of the window, one in a thread. The arguments are a FIFO for the news, and
what the bugs' messages quote.
"""

from __future__ import annotations

import os
import sys
import threading
from contextlib import suppress

from PySide6.QtCore import QObject, QTimer, Signal
from PySide6.QtWidgets import QApplication, QPushButton

import app.main as main_module
from app.ui.application import create_application
from tests.faults.dying import tell_appends

_LOOK_MILLISECONDS = 50


class _Hand(QObject):
    """Presses what is to be pressed."""

    told = Signal()

    def __init__(self, application: QApplication, message: str) -> None:
        super().__init__(application)
        self._message = message
        self._looking = QTimer(self)
        self._looking.timeout.connect(self._press)
        self._looking.start(_LOOK_MILLISECONDS)
        self.told.connect(self._fail)
        threading.Thread(target=self._listen, name="listen", daemon=True).start()

    def _press(self) -> None:
        for widget in QApplication.allWidgets():
            if isinstance(widget, QPushButton) and widget.objectName() == "record" and widget.isVisible():
                self._looking.stop()
                widget.click()
                return

    def _listen(self) -> None:
        if sys.stdin.readline():
            self.told.emit()
            raise LookupError(self._message)

    def _fail(self) -> None:
        raise ArithmeticError(self._message)


def main(news: str, message: str) -> None:
    """Run the app."""
    descriptor = os.open(news, os.O_WRONLY)

    def tell(line: str) -> None:
        with suppress(BrokenPipeError):
            os.write(descriptor, f"{line}\n".encode())

    def create(argv: list[str]) -> QApplication:
        application = create_application(argv)
        _Hand(application, message)
        return application

    tell_appends(tell)
    main_module.__dict__["create_application"] = create
    main_module.run_window()


if __name__ == "__main__":
    main(*sys.argv[1:])
