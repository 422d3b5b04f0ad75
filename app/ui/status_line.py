"""The status bar: how the service stands, what waits to be sent, where audio is kept.

Main thread.
"""

from __future__ import annotations

from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QHBoxLayout, QWidget

from app.core.views import AppView
from app.ui import theme
from app.ui.controls import identify, label
from app.ui.icons import Shape
from app.ui.phrases import queue, service_state

_ALL_NEEDS_PX = 760


class StatusLine(QWidget):
    """One line of facts."""

    def __init__(self) -> None:
        super().__init__()
        self._shape = Shape("cloud", "muted", 18)
        self._service = label()
        identify(self._service, "status-service")
        self._queue = label()
        identify(self._queue, "status-queue")
        self._storage = label(self.tr("Audio is kept on this computer"))
        identify(self._storage, "status-storage")
        row = QHBoxLayout(self)
        row.setContentsMargins(theme.px(12), theme.px(4), theme.px(12), theme.px(4))
        row.setSpacing(theme.px(6))
        row.addWidget(self._shape)
        row.addWidget(self._service)
        row.addSpacing(theme.px(18))
        row.addWidget(Shape("upload", "muted", 18))
        row.addWidget(self._queue)
        row.addStretch(1)
        self._computer = Shape("computer", "muted", 18)
        row.addWidget(self._computer)
        row.addWidget(self._storage)

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802
        """Qt's hook: in a narrow window the service and the queue come first."""
        super().resizeEvent(event)
        has_room = self.width() >= theme.px(_ALL_NEEDS_PX)
        self._computer.setVisible(has_room)
        self._storage.setVisible(has_room)

    def render(self, view: AppView) -> None:  # type: ignore[override]
        """Show the facts of now."""
        state = service_state(view)
        self._shape.draw(state.icon, state.token)
        self._service.setText(state.word)
        self._queue.setText(queue(view))
