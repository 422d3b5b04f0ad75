"""For the programs with a window: to notice the moment at which the first exposure has been painted."""

from __future__ import annotations

from PySide6.QtCore import QCoreApplication, QEvent, QObject
from PySide6.QtWidgets import QMainWindow

from tests.bench.telling import tell


class FirstPaint(QObject):
    """Says ``painted`` once. Set on a window that is being shown; the window owns it."""

    def __init__(self, window: QMainWindow) -> None:
        super().__init__(window)
        window.windowHandle().installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802
        """Let the exposure take its course, which paints all there is; then tell."""
        if event.type() is not QEvent.Type.Expose:
            return False
        watched.removeEventFilter(self)
        QCoreApplication.sendEvent(watched, event)
        tell("painted")
        return True
