"""The page between Stop and the result: the true stages with their figures, and the way to the next patient.

``stages_of`` decides; the page shows. Main thread.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QProgressBar, QVBoxLayout, QWidget

from app.core.events import Discard, Intent
from app.core.scribe import TemplateStatus
from app.core.views import Phase, SessionView
from app.ui import theme
from app.ui.controls import button, card, identify, label, on_click, set_visible_text
from app.ui.icons import Shape
from app.ui.live_transcript import LiveTranscriptCard
from app.ui.phrases import length, pieces, session_title, state_of, time_of_day, tr
from app.ui.scrolling import Scrolled


@dataclass(frozen=True)
class Stage:
    """A stage after Stop. ``part`` of it is done, 0 to 1; ``is_now`` when it is the one being worked at."""

    title: str
    figures: str
    part: float
    is_now: bool = False

    @property
    def is_done(self) -> bool:
        """Nothing of it is left."""
        return self.part >= 1


def stages_of(session: SessionView) -> tuple[Stage, ...]:
    """Where a session is on its way from Stop to the notes."""
    sealed, sent = session.chunks_sealed, session.chunks_uploaded
    is_saved = not session.is_capturing
    is_sent = is_saved and session.is_created and sent >= sealed
    is_ended = session.is_ended or session.phase is Phase.PROCESSING
    ready = sum(note.status is not TemplateStatus.PROCESSING for note in session.notes)
    has_transcript = is_ended and ready > 0
    saved = tr("{pieces}, {length}").format(pieces=pieces(sealed), length=length(session.recorded_seconds))
    notes = tr("{n} of {all} ready").format(n=ready, all=len(session.notes))
    rows = (
        (tr("Saved on this computer"), saved, 1.0 if is_saved else 0.5),
        (
            tr("Uploaded"),
            tr("{n} of {all}").format(n=sent, all=sealed),
            1.0 if is_sent else min(_part(sent, sealed), 0.99),
        ),
        (tr("Session ended"), tr("the service has all of it") if is_ended else "", float(is_ended)),
        (tr("Transcript"), "" if has_transcript or not is_ended else tr("being written"), float(has_transcript)),
        (tr("Notes"), notes, _part(ready, len(session.notes))),
    )
    now = next((at for at, row in enumerate(rows) if row[2] < 1), len(rows))
    return tuple(Stage(*row, is_now=at == now) for at, row in enumerate(rows))


def _part(done: int, whole: int) -> float:
    return min(done / whole, 1.0) if whole else 0.0


class _StageRow(QWidget):
    def __init__(self) -> None:
        super().__init__()
        self._shape = Shape("state-ready", "muted", 22)
        self._title = label()
        self._figures = label(role="muted")
        self._bar = QProgressBar()
        self._bar.setTextVisible(False)
        self._bar.setRange(0, 100)
        self._bar.setMinimumWidth(theme.px(48))
        self._bar.setMaximumWidth(theme.px(180))
        self._word = label(role="small")
        row = QHBoxLayout(self)
        row.setContentsMargins(0, theme.px(4), 0, theme.px(4))
        row.setSpacing(theme.px(12))
        row.addWidget(self._shape)
        self._title.setMinimumWidth(theme.px(150))
        row.addWidget(self._title)
        self._figures.setMinimumWidth(theme.px(110))
        row.addWidget(self._figures)
        row.addWidget(self._bar, 2)
        row.addStretch(1)
        row.addWidget(self._word)
        self._word.setMinimumWidth(theme.px(48))

    def render(self, stage: Stage) -> None:  # type: ignore[override]
        icon, token, word = ("state-ready", "muted", self.tr("to come"))
        if stage.is_done:
            icon, token, word = "state-done", "ok", self.tr("done")
        elif stage.is_now:
            icon, token, word = "state-finishing", "accent", self.tr("now")
        self._shape.draw(icon, token)
        self._title.setText(stage.title)
        self._figures.setText(stage.figures if stage.is_done or stage.is_now else "")
        self._word.setText(word)
        self._bar.setVisible(stage.is_now and 0 < stage.part < 1)
        self._bar.setValue(round(stage.part * 100))
        face = self._title.font()
        face.setBold(stage.is_now)
        self._title.setFont(face)


class FinishingPage(QFrame):
    """A session after Stop. ``next_asked`` when the doctor turns to the next patient."""

    next_asked = Signal()
    discard_asked = Signal()

    def __init__(self, send: Callable[[Intent], None], clock: Callable[[], float]) -> None:
        super().__init__()
        self.setObjectName("page")
        self._send = send
        self._clock = clock
        self._shown: SessionView | None = None
        self._shape = Shape("state-finishing", "info", 28)
        self._word = label(role="heading")
        identify(self._word, "state-word")
        self._title = label(role="heading")
        self._when = label(role="muted")
        self._rows = [_StageRow() for _ in range(5)]
        self._promise = label(self.tr("You can go on. This finishes by itself and stays in the list."), wrap=True)
        self._next = button(self.tr("Ne&xt patient"), "next-patient", "primary", "next")
        self._next.setDefault(True)
        on_click(self._next, self.next_asked.emit)
        self._discard = button(self.tr("Disc&ard…"), "discard", "danger", "discard")
        on_click(self._discard, self.discard_asked.emit)
        self._transcript = LiveTranscriptCard()
        self._lay_out()

    def _lay_out(self) -> None:
        head = QHBoxLayout()
        head.setSpacing(theme.px(12))
        head.addWidget(self._shape)
        head.addWidget(self._word)
        head.addSpacing(theme.px(12))
        head.addWidget(self._title, 1)
        head.addWidget(self._when)
        frame, rows = card(2)
        for row in self._rows:
            rows.addWidget(row)
        content = QWidget()
        column = QVBoxLayout(content)
        column.setContentsMargins(theme.px(32), theme.px(20), theme.px(32), theme.px(20))
        column.setSpacing(theme.px(16))
        column.addLayout(head)
        column.addWidget(frame)
        column.addWidget(self._transcript, 3)
        column.addStretch(1)
        page = QVBoxLayout(self)
        page.setContentsMargins(0, 0, 0, 0)
        page.setSpacing(0)
        page.addWidget(Scrolled(content), 1)
        page.addWidget(self._footer())

    def _footer(self) -> QFrame:
        made = QFrame()
        made.setObjectName("footer")
        row = QHBoxLayout(made)
        row.setContentsMargins(theme.px(32), theme.px(14), theme.px(32), theme.px(14))
        row.setSpacing(theme.px(16))
        self._next.setMinimumHeight(theme.px(44))
        row.addWidget(self._next, 0, Qt.AlignmentFlag.AlignVCenter)
        row.addWidget(self._promise, 1)
        row.addWidget(self._discard, 0, Qt.AlignmentFlag.AlignVCenter)
        return made

    def discard(self) -> None:
        """Throw the recording away; the question has been answered."""
        self._discard.setEnabled(False)
        self._send(Discard(self._clock()))

    def focus(self) -> None:
        """Put the keyboard on *Next patient*."""
        self._next.setFocus()

    def render(self, session: SessionView) -> None:  # type: ignore[override]
        """Show the stages."""
        self._discard.setVisible("Discard" in session.allowed)
        self._discard.setEnabled("Discard" in session.allowed)
        if session is self._shown:
            return
        self._shown = session
        state = state_of(session)
        self._shape.draw(state.icon, state.token)
        self._word.setText(state.word)
        self._title.setText(session_title(session))
        set_visible_text(self._when, f"{time_of_day(session.started_at)} · {length(session.recorded_seconds)}")
        for row, stage in zip(self._rows, stages_of(session), strict=True):
            row.render(stage)
        self._transcript.show_text(session.transcript)
        self._transcript.setVisible(bool(session.transcript))
