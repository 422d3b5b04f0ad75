"""What must be said at the top of a page: what happened, whether the recording is safe, and what to do.

``notice_for_session`` and ``notice_for_app`` decide; :class:`Banner` shows. Main thread.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFrame, QHBoxLayout, QPushButton, QVBoxLayout

from app.core.events import CheckAgain, Intent, SendAgain, TryNow
from app.core.problems import Problem, ProblemKind
from app.core.views import AppView, Phase, ServiceState, SessionView, is_worth_saying
from app.ui import theme
from app.ui.controls import FlowRow, button, identify, label, on_click, restyle, set_visible_text
from app.ui.icons import Shape
from app.ui.phrases import problem_words, seconds_of_day, spans, tr


@dataclass(frozen=True)
class Notice:
    """One banner's content. ``allowed`` names the intents whose buttons are shown."""

    tone: str
    what: str
    more: str = ""
    detail: str = ""
    allowed: frozenset[str] = frozenset()


def notice_for_session(session: SessionView, now: float) -> Notice | None:
    """What has to be said about a session at a time, if anything."""
    missing = missing_text(session)
    if session.problem is not None and is_worth_saying(session.problem, session.trouble_since, now):
        words = problem_words(session.problem)
        parts = [words.safe, words.do, missing, _next_try(session)]
        what, more, tone = words.what, " ".join(filter(None, parts)), _tone(session)
    elif session.phase is Phase.EXPIRED:
        what, tone = tr("The session expired at the service."), "warn"
        more = " ".join(filter(None, [tr("The recording is safe on this computer."), missing]))
    elif session.phase is Phase.FAILED:
        what, tone = tr("The service could not make the transcript and the notes."), "danger"
        more = tr("The recording is safe on this computer.")
    elif session.phase is Phase.PARTIAL or missing:
        what, more, tone = tr("This result is not whole."), missing or _unfinished(session), "warn"
    else:
        return None
    return Notice(tone, what, more, _details(session), session.allowed & _ACTIONS)


_ACTIONS = frozenset({"TryNow", "CheckAgain", "SendAgain"})


def missing_text(session: SessionView) -> str:
    """Which minutes the service does not have: ``Missing … 04:10 to 04:40.``"""
    if session.missing_spans:
        return tr("Missing from the recording: {spans}.").format(spans=spans(session.missing_spans))
    if session.missing_chunks:
        numbers = ", ".join(str(n + 1) for n in session.missing_chunks)
        return tr("Missing pieces of the recording: {numbers}.").format(numbers=numbers)
    return ""


def _unfinished(session: SessionView) -> str:
    if session.processing_errors:
        return tr("The service reported trouble with parts of it.")
    return tr("Some notes could not be made; their tabs say which.")


def _next_try(session: SessionView) -> str:
    if session.next_try_at is None:
        return ""
    return tr("Next try at {time}.").format(time=seconds_of_day(session.next_try_at))


def _tone(session: SessionView) -> str:
    if session.phase is Phase.FAILED:
        return "danger"
    assert session.problem is not None
    return "danger" if session.problem.kind in _GRAVE else "warn"


_GRAVE = frozenset({ProblemKind.DISK_FULL, ProblemKind.DISK_FAILED, ProblemKind.PROCESSING_FAILED})


def _details(session: SessionView) -> str:
    reported = [error.message or error.type for error in session.processing_errors]
    own = [session.problem.detail] if session.problem is not None else []
    return " · ".join(filter(None, own + reported))


def notice_for_app(view: AppView, now: float) -> Notice | None:
    """What has to be said at a time that belongs to no session."""
    if view.problem is not None:
        return _from_problem(view.problem)
    if view.microphones_listed and not view.microphones:
        return Notice(
            "warn",
            tr("No microphone was found."),
            tr("Plug one in or allow ScribeDesk to use it in the system's settings, then press Look again. "
               "You can practise with the sample consultation meanwhile."),
        )  # fmt: skip
    problem = view.service.problem
    is_told = is_worth_saying(problem, view.service.trouble_since, now)
    if problem is not None and is_told and view.service.state is ServiceState.UNREACHABLE:
        words = problem_words(problem)
        return Notice(
            "info",
            words.what,
            tr("You can record all the same: recordings are kept on this computer and sent by themselves."),
            problem.detail,
        )
    return None


def _from_problem(problem: Problem) -> Notice:
    words = problem_words(problem)
    tone = "danger" if problem.kind in _GRAVE else "warn"
    return Notice(tone, words.what, f"{words.safe} {words.do}", problem.detail)


class Banner(QFrame):
    """Shows one notice, or nothing. ``send`` takes what its buttons ask for."""

    def __init__(
        self, identifier: str, send: Callable[[Intent], None] | None = None, clock: Callable[[], float] = lambda: 0.0
    ) -> None:
        super().__init__()
        identify(self, identifier)
        self._notice: Notice | None = None
        self._is_roomy = True
        self._shape = Shape("warn", "warn", 22)
        self._what = label(role="strong", wrap=True)
        self._more = label(wrap=True)
        self._detail = label(wrap=True)
        column = QVBoxLayout()
        column.setSpacing(theme.px(4))
        for line in (self._what, self._more, self._detail):
            column.addWidget(line)
        self._actions = FlowRow()
        self._buttons: dict[str, QPushButton] = {}
        if send is not None:
            self._add("TryNow", self.tr("Try &now"), "try-now", lambda: send(TryNow()))
            self._add("CheckAgain", self.tr("Chec&k again"), "check-again", lambda: send(CheckAgain()))
            self._add("SendAgain", self.tr("Send as a new sessio&n"), "send-again", lambda: send(SendAgain(clock())))
        column.addWidget(self._actions)
        row = QHBoxLayout(self)
        row.setContentsMargins(theme.px(16), theme.px(12), theme.px(16), theme.px(12))
        row.setSpacing(theme.px(12))
        row.addWidget(self._shape, 0, Qt.AlignmentFlag.AlignTop)
        row.addLayout(column, 1)
        self.hide()

    def _add(self, name: str, text: str, identifier: str, do: Callable[[], None]) -> None:
        made = button(text, identifier)
        on_click(made, do)
        self._buttons[name] = made
        self._actions.flow.addWidget(made)

    def render(self, notice: Notice | None) -> None:  # type: ignore[override]
        """Show this notice, or nothing at all."""
        if notice == self._notice:
            return
        self._notice = notice
        self._show()

    def set_roomy(self, is_roomy: bool) -> None:
        """Whether there is room for the details too."""
        if is_roomy != self._is_roomy:
            self._is_roomy = is_roomy
            self._show()

    def _show(self) -> None:
        notice = self._notice
        if notice is not None:
            restyle(self, "tone", notice.tone)
            self._shape.draw({"info": "info", "danger": "danger"}.get(notice.tone, "warn"), notice.tone)
            set_visible_text(self._what, notice.what)
            set_visible_text(self._more, notice.more)
            details = self.tr("Details: {text}").format(text=notice.detail)
            set_visible_text(self._detail, details if notice.detail and self._is_roomy else "")
            for name, each in self._buttons.items():
                each.setVisible(name in notice.allowed)
                each.setEnabled(name in notice.allowed)
            self._actions.setVisible(any(name in notice.allowed for name in self._buttons))
        self.setVisible(notice is not None)
