"""The status bar: how the service stands, what waits to be sent, who guards the key, how long audio is kept.

Main thread.
"""

from __future__ import annotations

from PySide6.QtCore import QSize, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QHBoxLayout, QLabel, QSizePolicy, QWidget

from app.core.views import AppView
from app.ui import theme
from app.ui.controls import button, identify, label, on_click
from app.ui.icons import Shape
from app.ui.phrases import State
from app.ui.standing import (
    is_held_up,
    key_state,
    queue,
    queue_in_short,
    service_state,
    storage_state,
    waiting_sessions,
)

_LEAST_PX = 320


class _Fact(QWidget):
    """A shape and its word."""

    def __init__(self, identifier: str, picture: str) -> None:
        super().__init__()
        self._shape = Shape(picture, "muted", 18)
        self.text: QLabel = label()
        identify(self.text, identifier)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, theme.px(18), 0)
        row.setSpacing(theme.px(6))
        row.addWidget(self._shape)
        row.addWidget(self.text)

    def show_state(self, state: State) -> None:
        self._shape.draw(state.icon, state.token)
        if state.word != self.text.text():
            self.text.setText(state.word)


class StatusLine(QWidget):
    """One line of facts. ``details_asked`` when somebody wants to know what waits to be sent."""

    details_asked = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._view = AppView()
        self._service = _Fact("status-service", "cloud")
        self._queue = _Fact("status-queue", "upload")
        self._keys = _Fact("status-keys", "key")
        self._storage = _Fact("status-storage", "computer")
        self._details = button(self.tr("Details"), "queue-details", "quiet")
        on_click(self._details, self.details_asked.emit)
        self._row = QHBoxLayout(self)
        self._row.setContentsMargins(theme.px(12), theme.px(4), 0, theme.px(4))
        self._row.setSpacing(0)
        for part in (self._service, self._queue, self._details):
            self._row.addWidget(part)
        self._row.addStretch(1)
        for part in (self._keys, self._storage):
            self._row.addWidget(part)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)

    def minimumSizeHint(self) -> QSize:  # noqa: N802
        """Qt's hook: a long line must not keep the window from becoming small."""
        return QSize(theme.px(_LEAST_PX), super().minimumSizeHint().height())

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802
        """Qt's hook."""
        super().resizeEvent(event)
        self._fit()

    def render(self, view: AppView) -> None:  # type: ignore[override]
        """Show the facts of now."""
        self._view = view
        self._service.show_state(service_state(view))
        self._keys.show_state(key_state(view))
        self._storage.show_state(storage_state(view))
        self._details.setVisible(
            any(session.id != view.live for session in waiting_sessions(view)) or is_held_up(view)
        )
        self._fit()

    def _fit(self) -> None:
        """In a narrow window what matters most stays: the service and the queue, then trouble, then the rest."""
        held_up = is_held_up(self._view)
        state = State("state-kept" if held_up else "upload", "warn" if held_up else "muted", queue(self._view))
        self._queue.show_state(state)
        least = sorted((self._storage, self._keys), key=self._is_trouble)
        for part in least:
            part.show()
        if self._is_too_wide():
            self._queue.show_state(State(state.icon, state.token, queue_in_short(self._view)))
        for part in least:
            if self._is_too_wide():
                part.hide()

    def _is_trouble(self, part: _Fact) -> bool:
        state = key_state(self._view) if part is self._keys else storage_state(self._view)
        return state.token in ("warn", "danger")

    def _is_too_wide(self) -> bool:
        parts = (self._service, self._queue, self._details, self._keys, self._storage)
        needed = sum(part.sizeHint().width() for part in parts if not part.isHidden())
        return needed + theme.px(12) > self.width()
