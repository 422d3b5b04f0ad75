"""The page of a visit that is going on: that it is recorded, for how long, how loud, and where the audio is.

Main thread. The running time comes with the level, pulled by the meter.
"""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QPoint, Qt, Signal
from PySide6.QtGui import QFont
from PySide6.QtWidgets import QFrame, QHBoxLayout, QVBoxLayout, QWidget

from app.core.events import Discard, Intent, Pause, Resume, Stop
from app.core.views import AppView, ChangeSettings, Gap, Level, Phase, SessionView, Wish
from app.ui import theme
from app.ui.controls import FlowRow, button, card, identify, label, on_click, restyle, set_visible_text
from app.ui.icons import Shape, icon
from app.ui.level_meter import LevelMeter
from app.ui.live_transcript import LiveTranscriptCard
from app.ui.microphone_choice import open_menu, with_choice
from app.ui.phrases import clock_time, gap_on_the_clock, gap_words, session_title, state_of, where_audio
from app.ui.plain import shown_name
from app.ui.scrolling import Scrolled

_GAPS_SHOWN = 4


class RecordingPage(QFrame):
    """A live session. ``discard_asked`` is emitted before anything is thrown away."""

    discard_asked = Signal()

    def __init__(
        self,
        send: Callable[[Intent], None],
        post: Callable[[Wish], None],
        level: Callable[[], Level],
        clock: Callable[[], float],
    ) -> None:
        super().__init__()
        self.setObjectName("page")
        self._send = send
        self._post = post
        self._clock = clock
        self._view = AppView()
        self._session: SessionView | None = None
        self._make_head()
        self._make_buttons()
        self._meter = LevelMeter(level)
        self._meter.measured.connect(self._on_measured)
        self._microphone = label(role="muted")
        self._where = label(wrap=True)
        identify(self._where, "where-audio")
        self._gaps = label(role="small", wrap=True)
        identify(self._gaps, "gaps")
        self._transcript = LiveTranscriptCard()
        self._lay_out()

    def _make_head(self) -> None:
        self._shape = Shape("state-ready", "muted", 28)
        self._word = label(role="heading")
        identify(self._word, "state-word")
        self._title = label(role="heading")
        self._timer = label(clock_time(0), "timer")
        identify(self._timer, "timer")
        face = QFont(self._timer.font())
        face.setFeature(QFont.Tag("tnum"), 1)
        self._timer.setFont(face)

    def _make_buttons(self) -> None:
        self._pause = button(self.tr("&Pause"), "pause", "", "pause")
        self._resume = button(self.tr("R&esume"), "resume", "primary", "resume")
        self._stop = button(self.tr("S&top and make notes"), "stop", "primary", "stop")
        self._discard = button(self.tr("Disc&ard…"), "discard", "danger", "discard")
        self._change = button(self.tr("&Change…"), "change-microphone", "quiet", "chevron-down")
        self._change.setToolTip(self.tr("Record with another microphone"))
        on_click(self._change, self.choose_microphone)
        self._pause.setToolTip(self.tr("Capture nothing until you resume (Space or F9)"))
        self._resume.setToolTip(self.tr("Go on recording (Space or F9)"))
        self._stop.setToolTip(self.tr("End the visit and make its notes (Ctrl+E)"))
        self._discard.setToolTip(self.tr("Throw this recording away; asks first"))
        on_click(self._pause, self._do_pause)
        on_click(self._resume, self._do_resume)
        on_click(self._stop, self.stop)
        on_click(self._discard, self.discard_asked.emit)

    def _lay_out(self) -> None:
        content = QWidget()
        column = QVBoxLayout(content)
        column.setContentsMargins(theme.px(32), theme.px(20), theme.px(32), theme.px(20))
        column.setSpacing(theme.px(16))
        column.addLayout(self._head_row())
        column.addWidget(self._sound_card())
        column.addWidget(self._transcript, 1)
        page = QVBoxLayout(self)
        page.setContentsMargins(0, 0, 0, 0)
        page.setSpacing(0)
        page.addWidget(Scrolled(content), 1)
        page.addWidget(self._footer())

    def _head_row(self) -> QHBoxLayout:
        row = QHBoxLayout()
        row.setSpacing(theme.px(12))
        row.addWidget(self._shape)
        row.addWidget(self._word)
        row.addSpacing(theme.px(12))
        row.addWidget(self._title, 1)
        row.addWidget(self._timer)
        return row

    def _sound_card(self) -> QFrame:
        frame, column = card(10)
        row = QHBoxLayout()
        row.setSpacing(theme.px(8))
        row.addWidget(Shape("microphone", "muted", 18))
        row.addWidget(self._microphone, 1)
        row.addWidget(self._change)
        column.addLayout(row)
        column.addWidget(self._meter)
        where = QHBoxLayout()
        where.setSpacing(theme.px(8))
        where.addWidget(Shape("computer", "muted", 18))
        where.addWidget(self._where, 1)
        column.addLayout(where)
        column.addWidget(self._gaps)
        return frame

    def _footer(self) -> QFrame:
        made = QFrame()
        made.setObjectName("footer")
        row = QHBoxLayout(made)
        row.setContentsMargins(theme.px(32), theme.px(14), theme.px(32), theme.px(14))
        row.setSpacing(theme.px(12))
        group = FlowRow()
        for each in (self._pause, self._resume, self._stop):
            each.setMinimumHeight(theme.px(44))
            group.flow.addWidget(each)
        row.addWidget(group, 1)
        row.addWidget(self._discard, 0, Qt.AlignmentFlag.AlignVCenter)
        return made

    # Wishes --------------------------------------------------------------------------------------------------------

    def toggle_pause(self) -> None:
        """Pause or resume, whichever is possible."""
        for each in (self._pause, self._resume):
            if each.isEnabled() and not each.isHidden():
                each.click()
                return

    def stop(self) -> None:
        """End the visit, if that is possible now."""
        if self._stop.isEnabled():
            self._ask(Stop(self._clock()))

    def discard(self) -> None:
        """Throw the recording away; the question has been answered."""
        self._ask(Discard(self._clock()))

    def choose_microphone(self) -> None:
        """Offer the microphones."""
        below = self._change.mapToGlobal(QPoint(0, self._change.height()))
        open_menu(self, below, self._view, self._use_microphone)

    def _use_microphone(self, key: str) -> None:
        self._post(ChangeSettings(with_choice(self._view.settings, key)))

    def _do_pause(self) -> None:
        self._ask(Pause(self._clock()))

    def _do_resume(self) -> None:
        self._ask(Resume(self._clock()))

    def _ask(self, intent: Intent) -> None:
        # Until the next snapshot, so that a second click cannot ask twice. The page holds the keyboard meanwhile:
        # left to itself it would go on to some other button.
        self.setFocus()
        for each in (self._pause, self._resume, self._stop, self._discard):
            each.setEnabled(False)
        self._send(intent)

    def focus(self) -> None:
        """Put the keyboard on Pause or Resume: a stray Space must not end a visit."""
        (self._pause if not self._pause.isHidden() else self._resume).setFocus()

    # Showing -------------------------------------------------------------------------------------------------------

    def render(self, view: AppView, session: SessionView) -> None:  # type: ignore[override]
        """Show the session."""
        self._view = view
        self._session = session
        state = state_of(session)
        self._shape.draw(state.icon, state.token)
        self._word.setText(state.word)
        self._title.setText(session_title(session))
        self._microphone.setText(shown_name(session.microphone) or self.tr("Opening the microphone…"))
        self._where.setText(where_audio(session))
        self._show_gaps(session.gaps)
        self._meter.set_active(session.is_capturing)
        if not session.is_capturing:
            self._show_time(session.recorded_seconds)
        self._transcript.show_text(session.transcript)
        self._show_buttons(session)

    def _show_buttons(self, session: SessionView) -> None:
        is_paused = session.phase is Phase.PAUSED
        had_focus = any(each.hasFocus() for each in (self, self._pause, self._resume))
        for each, name in (
            (self._pause, "Pause"),
            (self._resume, "Resume"),
            (self._stop, "Stop"),
            (self._discard, "Discard"),
        ):
            each.setEnabled(name in session.allowed)
        restyle(self._stop, "kind", "" if is_paused else "primary")
        self._stop.setIcon(icon("stop", "text" if is_paused else "on_accent"))
        self._pause.setVisible(not is_paused)
        self._resume.setVisible(is_paused)
        if had_focus:
            self.focus()

    def _show_gaps(self, gaps: tuple[Gap, ...]) -> None:
        told = [gap_words(gap) for gap in gaps[-_GAPS_SHOWN:]]
        if len(gaps) > _GAPS_SHOWN:
            told.insert(0, self.tr("{n} more before these").format(n=len(gaps) - _GAPS_SHOWN))
        set_visible_text(self._gaps, self.tr("Not recorded:\n{gaps}").format(gaps="\n".join(told)) if told else "")
        by_the_clock = (f"{gap_on_the_clock(gap)}  {gap_words(gap)}".strip() for gap in gaps)
        self._gaps.setToolTip("\n".join(by_the_clock))

    def _on_measured(self, level: Level) -> None:
        if self._session is not None and self._session.is_capturing:
            self._show_time(max(level.captured_seconds, self._session.recorded_seconds))

    def _show_time(self, seconds: float) -> None:
        text = clock_time(seconds)
        if text != self._timer.text():
            self._timer.setText(text)
