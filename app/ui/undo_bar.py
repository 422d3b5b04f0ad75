"""The bar that has a thrown-away visit back while that is possible. Main thread."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtWidgets import QFrame, QHBoxLayout

from app.core.events import SessionId
from app.core.views import AppView, Phase, SessionView
from app.ui import theme
from app.ui.controls import button, identify, label, on_click
from app.ui.icons import Shape
from app.ui.phrases import session_title, tr


def undoable(view: AppView, selected: SessionId | None, now: float) -> SessionView | None:
    """The discarded visit that can be had back: the one looked at, else the one thrown away last."""
    can = [s for s in view.sessions if s.phase is Phase.DISCARDED and s.undo_until is not None and s.undo_until > now]
    return next((s for s in can if s.id == selected), None) or max(
        can, key=lambda s: s.undo_until or 0.0, default=None
    )


def undo_text(session: SessionView, now: float) -> str:
    """What the bar says."""
    left = max(1, round((session.undo_until or now) - now))
    text = tr("The visit “{name}” is thrown away in {n} s.")
    return text.format(name=session_title(session), n=left)


class UndoBar(QFrame):
    """One line and one button. ``undo`` takes the session's id."""

    def __init__(self, undo: Callable[[SessionId], None]) -> None:
        super().__init__()
        identify(self, "undo-bar")
        self.setProperty("banner", "true")
        self.setProperty("tone", "warn")
        self._session: SessionId | None = None
        self._text = label(role="strong", wrap=True)
        identify(self._text, "undo-text")
        self._undo = button(self.tr("Have it &back"), "undo-discard", "", "undo")
        on_click(self._undo, lambda: undo(self._session) if self._session is not None else None)
        row = QHBoxLayout(self)
        row.setContentsMargins(theme.px(16), theme.px(8), theme.px(16), theme.px(8))
        row.setSpacing(theme.px(12))
        row.addWidget(Shape("discard", "warn", 22))
        row.addWidget(self._text, 1)
        row.addWidget(self._undo)
        self.hide()

    def can_press(self) -> bool:
        """Whether there is a visit to have back."""
        return self._session is not None and self._undo.isEnabled()

    def press(self) -> None:
        """Have it back, as with the button."""
        if self.can_press():
            self._undo.click()

    def show_session(self, session: SessionView | None, now: float) -> None:
        """Count down for this visit, or show nothing."""
        self._session = session.id if session is not None else None
        if session is not None:
            self._undo.setEnabled("UndoDiscard" in session.allowed)
            text = undo_text(session, now)
            if text != self._text.text():
                self._text.setText(text)
        self.setVisible(session is not None)
