"""What waits to be sent, visit by visit, and a way not to wait for the next try. Main thread."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtWidgets import QDialog, QPlainTextEdit, QWidget

from app.core.events import TryNow
from app.core.views import AppView, ForSession, SessionView, Wish
from app.ui import theme
from app.ui.controls import button, identify, label, on_click
from app.ui.phrases import length, problem_words, seconds_of_day, session_title, time_of_day, tr
from app.ui.question import answers, furnish
from app.ui.standing import queue, waiting_sessions


def queue_line(session: SessionView) -> str:
    """How one visit waits: ``10:12  M.K. · 8 of 72 pieces sent · 11 min to upload · next try at 10:40:05``."""
    sent = tr("{n} of {all} pieces sent").format(n=session.chunks_uploaded, all=session.chunks_sealed)
    left = tr("{length} to upload").format(length=length(session.seconds_to_upload))
    problem = problem_words(session.problem).what.rstrip(".") if session.problem is not None else ""
    again = ""
    if session.next_try_at is not None:
        again = tr("next try at {time}").format(time=seconds_of_day(session.next_try_at))
    parts = (f"{time_of_day(session.started_at)}  {session_title(session)}", sent, left, problem, again)
    return " · ".join(filter(None, parts))


class QueueDialog(QDialog):
    """The list, oldest first: the order in which it goes out."""

    def __init__(self, parent: QWidget, post: Callable[[Wish], None], view: AppView) -> None:
        super().__init__(parent)
        self._post = post
        self._view = view
        column = furnish(self, "queue-dialog", self.tr("Waiting to be sent"), 640)
        self._sum = label(wrap=True)
        identify(self._sum, "queue-sum")
        column.addWidget(self._sum)
        column.addWidget(
            label(self.tr("All of it is safe on this computer and is sent by itself, the oldest first. You can close "
                          "ScribeDesk meanwhile; it goes on at the next start."), "muted", wrap=True)
        )  # fmt: skip
        self._list = QPlainTextEdit()
        identify(self._list, "queue-list", self.tr("Waiting to be sent"))
        self._list.setReadOnly(True)
        self._list.setTabChangesFocus(True)
        column.addWidget(self._list, 1)
        self._now = button(self.tr("Try &now"), "try-all-now", "", "refresh")
        close = button(self.tr("&Close"), "close", "primary")
        column.addLayout(answers(self._now, close))
        on_click(self._now, self._try_now)
        on_click(close, self.accept)
        self.resize(self.minimumWidth(), theme.px(380))
        self.follow(view)

    def follow(self, view: AppView) -> None:
        """Show what waits now."""
        self._view = view
        self._sum.setText(queue(view))
        text = "\n".join(queue_line(session) for session in reversed(waiting_sessions(view)))
        if text != self._list.toPlainText():
            self._list.setPlainText(text)
        self._now.setEnabled(bool(self._ready_to_try()))

    def _ready_to_try(self) -> list[SessionView]:
        return [session for session in self._view.sessions if "TryNow" in session.allowed]

    def _try_now(self) -> None:
        self._now.setEnabled(False)
        for session in self._ready_to_try():
            self._post(ForSession(session.id, TryNow()))
