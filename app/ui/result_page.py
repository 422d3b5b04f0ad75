"""The page of a finished session: a tab for each note and one for the transcript, ready to be copied.

Main thread. Documents are built again only when what they show has changed.
"""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import (
    QButtonGroup,
    QFrame,
    QHBoxLayout,
    QMenu,
    QPushButton,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from app.core.document import Document, document, plain_text
from app.core.events import Discard, Intent, MakeNote, MarkReviewed
from app.core.scribe import TemplateResult, TemplateStatus, Utterance
from app.core.transcript import Mark, transcript_lines
from app.core.views import AppView, Phase, SessionView
from app.ui import theme
from app.ui.controls import FlowRow, button, caption, identify, label, on_click, set_visible_text
from app.ui.document_view import DocumentView
from app.ui.document_writer import Talk
from app.ui.icons import Shape, icon
from app.ui.phrases import (
    gap_on_the_clock,
    incompleteness,
    length,
    mark_words,
    note_state,
    position,
    problem_words,
    session_title,
    short_day,
    state_of,
    template_name,
    time_of_day,
    tr,
)
from app.ui.plain import shown, shown_name
from app.ui.scrolling import Scrolled

TRANSCRIPT = "transcript"
_CONFIRMATION_MS = 4000


class ResultPage(QFrame):
    """Notes and transcript of one session. ``send`` takes intents for it."""

    def __init__(
        self, send: Callable[[Intent], None], ask_discard: Callable[[], None], clock: Callable[[], float]
    ) -> None:
        super().__init__()
        self.setObjectName("page")
        self._send = send
        self._clock = clock
        self._view = AppView()
        self._session: SessionView | None = None
        self._tabs: dict[str, QPushButton] = {}
        self._panels: dict[str, NotePanel | TranscriptPanel] = {}
        self._make_head(ask_discard)
        self._group = QButtonGroup(self)
        self._tab_row = FlowRow()
        self._tab_row.flow.setSpacing(theme.px(4))
        self._stack = QStackedWidget()
        self._lay_out()

    def _make_head(self, ask_discard: Callable[[], None]) -> None:
        self._shape = Shape("state-done", "ok", 24)
        self._title = label(role="title")
        self._facts = label(role="muted", wrap=True)
        identify(self._facts, "state-word")
        self._told = label(role="small")
        self._copy = button(self.tr("Cop&y note"), "copy-note", "primary", "copy")
        self._copy.setToolTip(self.tr("Copy what this tab shows (Ctrl+Shift+C)"))
        on_click(self._copy, self.copy)
        self._another = button(self.tr("Another n&ote"), "another-note", "quiet", "plus")
        self._menu = QMenu(self._another)
        self._another.setMenu(self._menu)
        self._reviewed = button(self.tr("Mark as revie&wed"), "mark-reviewed", "", "check")
        self._reviewed.setToolTip(self.tr("You have checked the notes; the audio has served its purpose"))
        on_click(self._reviewed, self._mark_reviewed)
        self._discard = button(self.tr("Disc&ard…"), "discard", "danger", "discard")
        on_click(self._discard, ask_discard)

    def _lay_out(self) -> None:
        head = QHBoxLayout()
        head.setSpacing(theme.px(12))
        words = QVBoxLayout()
        words.setSpacing(theme.px(2))
        words.addWidget(self._title)
        words.addWidget(self._facts)
        head.addWidget(self._shape, 0, Qt.AlignmentFlag.AlignVCenter)
        head.addLayout(words, 1)
        head.addWidget(self._told)
        for each in (self._discard, self._reviewed, self._copy):
            head.addWidget(each)
        panel = QFrame()
        panel.setProperty("card", "true")
        inner = QVBoxLayout(panel)
        inner.setContentsMargins(theme.px(16), theme.px(4), theme.px(16), theme.px(12))
        inner.setSpacing(theme.px(4))
        tabs = QHBoxLayout()
        tabs.addWidget(self._tab_row, 1)
        tabs.addWidget(self._another, 0, Qt.AlignmentFlag.AlignTop)
        inner.addLayout(tabs)
        line = QFrame()
        line.setFixedHeight(1)
        line.setProperty("rule", "true")
        inner.addWidget(line)
        inner.addWidget(self._stack, 1)
        panel.setMinimumHeight(theme.px(190))
        content = QWidget()
        column = QVBoxLayout(content)
        column.setContentsMargins(theme.px(32), theme.px(20), theme.px(32), theme.px(20))
        column.setSpacing(theme.px(16))
        column.addLayout(head)
        column.addWidget(panel, 1)
        page = QVBoxLayout(self)
        page.setContentsMargins(0, 0, 0, 0)
        page.addWidget(Scrolled(content))

    # Wishes --------------------------------------------------------------------------------------------------------

    def copy(self) -> None:
        """Copy what the current tab shows, with what it lacks said first."""
        panel = self._panels.get(self._current())
        if self._session is None or panel is None or not self._copy.isEnabled():
            return
        problem = self._session.problem
        lacks = " ".join(
            filter(None, (problem_words(problem).what if problem else "", incompleteness(self._session)))
        )
        text = "\n\n".join(filter(None, (f"[{lacks}]" if lacks else "", panel.text())))
        QGuiApplication.clipboard().setText(shown(text))
        self._told.setText(self.tr("Copied, {name}").format(name=session_title(self._session)))
        QTimer.singleShot(_CONFIRMATION_MS, self._told, self._told.clear)

    def _mark_reviewed(self) -> None:
        self._reviewed.setEnabled(False)
        self._send(MarkReviewed(self._clock()))

    def discard(self) -> None:
        """Throw the session away; the question has been answered."""
        self._send(Discard(self._clock()))

    def focus(self) -> None:
        """Put the keyboard on the current tab."""
        tab = self._tabs.get(self._current())
        if tab is not None:
            tab.setFocus()

    def _current(self) -> str:
        return next((key for key, tab in self._tabs.items() if tab.isChecked()), "")

    def _choose(self, key: str) -> None:
        self._tabs[key].setChecked(True)
        self._stack.setCurrentWidget(self._panels[key])
        self._copy.setText(self.tr("Cop&y transcript") if key == TRANSCRIPT else self.tr("Cop&y note"))
        self._copy.setEnabled(bool(self._panels[key].text()))

    # Showing -------------------------------------------------------------------------------------------------------

    def render(self, view: AppView, session: SessionView) -> None:  # type: ignore[override]
        """Show the session's result."""
        is_other = self._session is None or self._session.id != session.id
        self._view = view
        if session is not self._session:
            self._session = session
            self._show_head(session)
            self._show_tabs(session, is_other=is_other)
        self._show_offers(view, session)

    def _show_head(self, session: SessionView) -> None:
        state = state_of(session)
        self._shape.draw(state.icon, state.token)
        self._title.setText(session_title(session))
        facts = [
            state.word,
            _reviewed_text(session),
            time_of_day(session.started_at),
            length(session.recorded_seconds),
            shown_name(session.service_name),
            _kept_text(session, self._clock()),
        ]
        self._facts.setText("  ·  ".join(filter(None, facts)))
        self._told.clear()
        self._reviewed.setVisible("MarkReviewed" in session.allowed)
        self._reviewed.setEnabled("MarkReviewed" in session.allowed)

    def _show_tabs(self, session: SessionView, *, is_other: bool) -> None:
        keys = [*_keys(session.notes), TRANSCRIPT]
        chosen = self._current()
        if is_other or keys != list(self._tabs):
            self._rebuild(keys, session)
        for key, note in zip(keys, session.notes, strict=False):
            panel = self._panels[key]
            assert isinstance(panel, NotePanel)
            panel.render(note, can_make="MakeNote" in session.allowed)
            self._show_tab(key, note)
        transcript = self._panels[TRANSCRIPT]
        assert isinstance(transcript, TranscriptPanel)
        transcript.render(session)
        self._choose(chosen if chosen in keys and not is_other else keys[0])

    def _rebuild(self, keys: list[str], session: SessionView) -> None:
        for tab in self._tabs.values():
            self._group.removeButton(tab)
            self._tab_row.flow.removeWidget(tab)
            tab.hide()
            tab.deleteLater()
        for panel in self._panels.values():
            self._stack.removeWidget(panel)
            panel.deleteLater()
        self._tabs, self._panels = {}, {}
        for key, note in zip(keys, session.notes, strict=False):
            name = template_name(self._view, note.id, note.name)
            self._add(key, name, NotePanel(key, name, note.id, self._send))
        self._add(TRANSCRIPT, self.tr("Transcript"), TranscriptPanel())
        self._tabs[TRANSCRIPT].setIcon(icon("transcript", "muted"))

    def _add(self, key: str, name: str, panel: NotePanel | TranscriptPanel) -> None:
        tab = button(caption(name), f"tab-{key}", "tab")
        tab.setCheckable(True)
        tab.setProperty("caption", name)
        tab.clicked.connect(lambda _checked=False: self._choose(key))
        self._group.addButton(tab)
        self._tab_row.flow.addWidget(tab)
        self._stack.addWidget(panel)
        self._tabs[key], self._panels[key] = tab, panel

    def _show_tab(self, key: str, note: TemplateResult) -> None:
        tab, state = self._tabs[key], note_state(note.status)
        name = str(tab.property("caption"))
        is_plain = note.status is TemplateStatus.SUCCESS
        text = name if is_plain else f"{name} · {state.word}"
        tab.setText(caption(text))
        tab.setIcon(icon(state.icon, state.token))

    def _show_offers(self, view: AppView, session: SessionView) -> None:
        self._discard.setVisible("Discard" in session.allowed)
        have = {note.id for note in session.notes}
        offers = [info for info in view.service.templates if info.id not in have]
        can_make = "MakeNote" in session.allowed and bool(offers)
        self._another.setVisible(can_make)
        self._another.setEnabled(can_make)
        if [str(action.data()) for action in self._menu.actions()] != [info.id for info in offers]:
            self._menu.clear()
            for info in offers:
                action = self._menu.addAction(caption(info.name or info.id))
                action.setData(info.id)
                action.triggered.connect(lambda _checked=False, key=info.id: self._send(MakeNote(key)))


def _reviewed_text(session: SessionView) -> str:
    if session.reviewed_at is not None:
        return tr("reviewed at {time}").format(time=time_of_day(session.reviewed_at))
    return tr("not reviewed yet") if "MarkReviewed" in session.allowed else ""


def _kept_text(session: SessionView, now: float) -> str:
    """Until when the recording stays here."""
    if not session.has_audio:
        return tr("audio deleted from this computer")
    if session.audio_until is None:
        return ""
    return tr("audio kept here until {day}").format(day=short_day(session.audio_until, now))


def _keys(notes: tuple[TemplateResult, ...]) -> list[str]:
    """A key for each note: its template's id, with a number where a template occurs again."""
    keys: list[str] = []
    for note in notes:
        base = note.id or "note"
        key, number = base, 2
        while key in keys or key == TRANSCRIPT:
            key, number = f"{base}-{number}", number + 1
        keys.append(key)
    return keys


class NotePanel(QWidget):
    """One note as a document, with how it stands and who made it."""

    def __init__(self, key: str, name: str, template_id: str, send: Callable[[Intent], None]) -> None:
        super().__init__()
        self._note: TemplateResult | None = None
        self._written = Document()
        self._made_by = label(role="small", wrap=True)
        identify(self._made_by, f"made-by-{key}")
        self._trouble = label(role="strong", wrap=True)
        self._reason = label(wrap=True)
        self._again = button(self.tr("Make it a&gain"), f"make-again-{key}", "", "refresh")
        on_click(self._again, lambda: send(MakeNote(template_id)))
        self._document = DocumentView(f"note-text-{key}", name)
        column = QVBoxLayout(self)
        column.setContentsMargins(theme.px(4), theme.px(8), theme.px(4), 0)
        column.setSpacing(theme.px(6))
        for part in (self._trouble, self._reason):
            column.addWidget(part)
        column.addWidget(self._again, 0, Qt.AlignmentFlag.AlignLeft)
        column.addWidget(self._document, 1)
        column.addWidget(self._made_by)
        column.addStretch(0)

    def render(self, note: TemplateResult, *, can_make: bool) -> None:  # type: ignore[override]
        """Show the note."""
        is_failed = note.status is TemplateStatus.FAILED
        self._again.setVisible(is_failed and can_make)
        self._again.setEnabled(is_failed and can_make)
        if note == self._note:
            return
        self._note = note
        set_visible_text(self._trouble, self._trouble_text(note))
        set_visible_text(self._reason, " · ".join(filter(None, (note.error, *note.warnings))))
        set_visible_text(self._made_by, _made_by(note.made_by))
        self._written = document(note.data)
        self._document.show_document(self._written)
        self._document.setVisible(not is_failed or note.data is not None)

    def _trouble_text(self, note: TemplateResult) -> str:
        return {
            TemplateStatus.PROCESSING: self.tr("This note is being written."),
            TemplateStatus.PARTIAL: self.tr("This note is not whole."),
            TemplateStatus.FAILED: self.tr("The service could not make this note. The transcript is not affected."),
        }.get(note.status, "")

    def text(self) -> str:
        """The note as plain text; nothing when there is none yet."""
        return plain_text(self._written)


class TranscriptPanel(QWidget):
    """The transcript, with times where the service tells them."""

    def __init__(self) -> None:
        super().__init__()
        self._talk = Talk()
        self._empty = label(wrap=True)
        self._document = DocumentView("transcript-text", self.tr("Transcript"))
        self._made_by = label(role="small", wrap=True)
        identify(self._made_by, "made-by-transcript")
        column = QVBoxLayout(self)
        column.setContentsMargins(theme.px(4), theme.px(8), theme.px(4), 0)
        column.setSpacing(theme.px(6))
        column.addWidget(self._empty)
        column.addWidget(self._document, 1)
        column.addWidget(self._made_by)
        column.addStretch(0)

    def render(self, session: SessionView) -> None:  # type: ignore[override]
        """Show the session's transcript."""
        self._talk = Talk(transcript_lines(session))
        has_text = bool(session.transcript or session.utterances)
        is_over = session.phase is not Phase.PROCESSING
        nothing = self.tr("There is no transcript.") if is_over else self.tr("The transcript is being written.")
        set_visible_text(self._empty, "" if has_text else nothing)
        self._document.show_document(self._talk)
        self._document.setVisible(has_text)
        set_visible_text(self._made_by, _made_by(session.transcript_by))

    def text(self) -> str:
        """The transcript as plain text, holes and all."""
        return "\n".join(_plain_line(line) for line in self._talk.lines)


def _made_by(name: str) -> str:
    return tr("Made by: {name}").format(name=shown_name(name)) if name else ""


def _plain_line(line: Utterance | Mark) -> str:
    if isinstance(line, Mark):
        by_the_clock = gap_on_the_clock(line)
        return f"[{position(line.position_seconds)} {mark_words(line)}{f' ({by_the_clock})' if by_the_clock else ''}]"
    return line.text
