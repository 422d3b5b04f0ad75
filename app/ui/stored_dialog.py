"""What is stored on this computer: each visit with its sizes and dates, and the ways to be rid of it.

Main thread. What was not delivered can be deleted only together with its visit, and only after a question that says
what that means.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from PySide6.QtCore import QItemSelectionModel, QLocale, Qt
from PySide6.QtWidgets import (
    QAbstractItemView,
    QDialog,
    QGridLayout,
    QHeaderView,
    QTableWidget,
    QTableWidgetItem,
    QWidget,
)

from app.core.events import SessionId
from app.core.settings import Settings
from app.core.views import AppView, ChangeSettings, EraseSession, LookAtStored, PurgeAudio, SessionView, Wish
from app.ui import theme
from app.ui.controls import Choice, button, identify, label, on_click, set_visible_text
from app.ui.phrases import session_title, short_day, time_of_day, tr
from app.ui.question import Answer, answers, ask, furnish
from app.ui.standing import days, visits

_WHOLE_ROW = QItemSelectionModel.SelectionFlag.Select | QItemSelectionModel.SelectionFlag.Rows
_WIDEST_COLUMN_PX = 200
_LINES_MEASURED = 100
"""What the widths of the columns go by: to measure hundreds of lines would hold the window up."""
_AUDIO_DAYS = (1.0, 3.0, 7.0, 14.0, 30.0)
_NOTES_DAYS = (0.0, 30.0, 90.0, 365.0, 1825.0)


@dataclass(frozen=True)
class StoredRow:
    """A line of the table."""

    session_id: SessionId
    texts: tuple[str, str, str, str, str, str]
    can_delete_audio: bool
    service: str


def stored_rows(view: AppView, now: float) -> tuple[StoredRow, ...]:
    """What is stored, a line for each visit."""
    if view.stored is None:
        return ()
    rows = []
    for stored in view.stored.sessions:
        session = view.session(stored.id)
        texts = (
            session_title(session) if session is not None else tr("Sealed visit"),
            _when(session.started_at if session is not None else None, now),
            size(stored.audio_bytes) if stored.audio_bytes else tr("none"),
            tr("yes") if stored.is_delivered else tr("not yet"),
            _audio_until(session, now, has_audio=stored.audio_bytes > 0),
            _until(session.notes_until if session is not None else None, now, tr("kept")),
        )
        service = session.service_name if session is not None else ""
        rows.append(StoredRow(stored.id, texts, stored.is_delivered and stored.audio_bytes > 0, service))
    return tuple(rows)


def _when(at: float | None, now: float) -> str:
    return f"{short_day(at, now)}, {time_of_day(at)}" if at is not None else ""


def _until(at: float | None, now: float, otherwise: str) -> str:
    return short_day(at, now) if at is not None else otherwise


def _audio_until(session: SessionView | None, now: float, *, has_audio: bool) -> str:
    if not has_audio:
        return tr("deleted")
    return _until(session.audio_until if session is not None else None, now, tr("kept until delivered"))


def size(byte_count: int) -> str:
    """``12.4 MB``."""
    return QLocale().formattedDataSize(byte_count, 1, QLocale.DataSizeFormat.DataSizeTraditionalFormat)


class StoredDialog(QDialog):
    """The table, what may be done with its lines, and how long things are kept."""

    def __init__(
        self, parent: QWidget, post: Callable[[Wish], None], view: AppView, clock: Callable[[], float]
    ) -> None:
        super().__init__(parent)
        self._post = post
        self._clock = clock
        self._view = view
        self._rows: tuple[StoredRow, ...] | None = None
        column = furnish(self, "stored-dialog", self.tr("What is stored here"), 940)
        self._totals = label(role="muted", wrap=True)
        identify(self._totals, "stored-totals")
        column.addWidget(self._totals)
        self._make_table()
        column.addWidget(self._table, 1)
        self._reason = label(role="small", wrap=True)
        identify(self._reason, "delete-reason")
        column.addWidget(self._reason)
        self._delete_audio = button(self.tr("Delete &audio…"), "delete-audio", "")
        self._delete_visit = button(self.tr("Delete &visit…"), "delete-visit", "danger", "discard")
        close = button(self.tr("&Close"), "close", "primary")
        column.addLayout(self._keeping())
        column.addLayout(answers(self._delete_visit, close, apart=self._delete_audio))
        on_click(self._delete_audio, self._ask_delete_audio)
        on_click(self._delete_visit, self._ask_delete_visit)
        on_click(close, self.accept)
        self.resize(self.minimumWidth(), theme.px(520))
        post(LookAtStored())
        self.follow(view)

    def _make_table(self) -> None:
        self._table = QTableWidget(0, 6)
        identify(self._table, "stored-table", self.tr("What is stored here"))
        self._table.setHorizontalHeaderLabels(
            [
                self.tr("Visit"),
                self.tr("When"),
                self.tr("Audio"),
                self.tr("Delivered"),
                self.tr("Audio deleted on"),
                self.tr("Notes deleted on"),
            ]
        )
        self._table.verticalHeader().hide()
        self._table.setShowGrid(False)
        self._table.setWordWrap(False)
        self._table.setTabKeyNavigation(False)
        self._table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self._table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self._table.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        header = self._table.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setMaximumSectionSize(theme.px(_WIDEST_COLUMN_PX))
        header.setResizeContentsPrecision(_LINES_MEASURED)
        header.setStretchLastSection(True)
        header.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        header.setHighlightSections(False)
        self._table.verticalHeader().setDefaultSectionSize(theme.px(32))
        self._table.itemSelectionChanged.connect(self._show_buttons)

    def _keeping(self) -> QGridLayout:
        self._audio_days = Choice("keep-audio-days", self.tr("Audio is kept"))
        self._notes_days = Choice("keep-notes-days", self.tr("Transcripts and notes are kept"))
        for choice in (self._audio_days, self._notes_days):
            choice.setMinimumContentsLength(24)
            choice.activated.connect(lambda _at: self._keep_choice())
        grid = QGridLayout()
        grid.setHorizontalSpacing(theme.px(12))
        grid.setColumnStretch(2, 1)
        for at, choice in enumerate((self._audio_days, self._notes_days)):
            grid.addWidget(label(choice.accessibleName(), "muted"), at, 0)
            grid.addWidget(choice, at, 1)
        note = label(self.tr("What was not delivered is never deleted by age."), "small", wrap=True)
        grid.addWidget(note, 2, 0, 1, 3)
        return grid

    # Showing -------------------------------------------------------------------------------------------------------

    def follow(self, view: AppView) -> None:
        """Show what is there now."""
        before, self._view = self._view, view
        self._show_keeping(view.settings)
        if self._rows is None or (view.stored, view.sessions) != (before.stored, before.sessions):
            self._show_totals()
            self._show_rows(stored_rows(view, self._clock()))
        self._show_buttons()

    def _show_rows(self, rows: tuple[StoredRow, ...]) -> None:
        if rows == self._rows:
            return
        chosen = {row.session_id for row in self._chosen()}
        self._rows = rows
        self._table.blockSignals(True)
        self._table.clearSelection()
        self._table.setRowCount(len(rows))
        for at, row in enumerate(rows):
            for column, text in enumerate(row.texts):
                self._table.setItem(at, column, QTableWidgetItem(text))
        for at, row in enumerate(rows):
            if row.session_id in chosen:
                where = self._table.model().index(at, 0)
                self._table.selectionModel().select(where, _WHOLE_ROW)
        self._table.blockSignals(False)

    def _show_totals(self) -> None:
        stored = self._view.stored
        if stored is None:
            self._totals.setText(self.tr("Looking…"))
            return
        audio = sum(session.audio_bytes for session in stored.sessions)
        parts = (
            visits(len(stored.sessions)),
            self.tr("audio {size}").format(size=size(audio)),
            self.tr("transcripts and notes {size}").format(size=size(stored.library_bytes)),
            self.tr("scribe service on this computer {size}").format(size=size(stored.service_bytes)),
            self.tr("logs {size}").format(size=size(stored.log_bytes)),
        )
        self._totals.setText(" · ".join(parts))

    def _show_keeping(self, settings: Settings) -> None:
        audio = sorted({*_AUDIO_DAYS, settings.keep_audio_days})
        notes = sorted({*_NOTES_DAYS, settings.keep_notes_days})
        until_reviewed = self.tr("until reviewed, at most {days}")
        self._audio_days.offer(
            [(f"{n:g}", until_reviewed.format(days=days(n))) for n in audio], f"{settings.keep_audio_days:g}"
        )
        self._notes_days.offer(
            [(f"{n:g}", days(n) if n else self.tr("until somebody deletes them")) for n in notes],
            f"{settings.keep_notes_days:g}",
        )

    def _chosen(self) -> list[StoredRow]:
        if self._rows is None:
            return []
        numbers = {index.row() for index in self._table.selectionModel().selectedRows()}
        return [row for at, row in enumerate(self._rows) if at in numbers]

    def _show_buttons(self) -> None:
        chosen = self._chosen()
        can = bool(chosen) and all(row.can_delete_audio for row in chosen)
        self._delete_audio.setEnabled(can)
        self._delete_visit.setEnabled(bool(chosen))
        reason = ""
        if not chosen:
            reason = self.tr("Choose one or more visits.")
        elif not can:
            reason = self.tr(
                "Audio can be deleted once the service has all of it. Until then it goes only with its whole visit."
            )
        set_visible_text(self._reason, reason)

    # Wishes --------------------------------------------------------------------------------------------------------

    def _keep_choice(self) -> None:
        wanted = replace(
            self._view.settings,
            keep_audio_days=float(self._audio_days.currentData()),
            keep_notes_days=float(self._notes_days.currentData()),
        )
        if wanted != self._view.settings:
            self._post(ChangeSettings(wanted))

    def _ask_delete_audio(self) -> None:
        chosen = self._chosen()
        ask(
            self,
            self.tr("Delete the audio of {visits}?").format(visits=visits(len(chosen))),
            self.tr("Transcripts and notes stay. The audio cannot be had back, and not be listened to again."),
            Answer(self.tr("&Delete audio"), "confirm-delete-audio", "danger"),
            lambda: self._delete(PurgeAudio(tuple(row.session_id for row in chosen))),
        )

    def _ask_delete_visit(self) -> None:
        chosen = self._chosen()
        ask(
            self,
            _deletion_title(chosen),
            _deletion_words(chosen),
            Answer(self.tr("&Delete for good"), "confirm-delete-visit", "danger"),
            lambda: self._delete(*(EraseSession(row.session_id) for row in chosen)),
        )

    def _delete(self, *wishes: Wish) -> None:
        for wish in wishes:
            self._post(wish)
        self._post(LookAtStored())


def _deletion_title(chosen: list[StoredRow]) -> str:
    if len(chosen) > 1:
        return tr("Delete {n} visits?").format(n=len(chosen))
    name, when = chosen[0].texts[:2]
    return tr("Delete the visit “{name}”, {when}?").format(name=name, when=when)


def _deletion_words(chosen: list[StoredRow]) -> str:
    words = [
        tr(
            "Audio, transcript and notes on this computer become unreadable: their key is destroyed, and nobody can "
            "have them back."
        )
    ]
    services = sorted({row.service for row in chosen if row.service})
    if services:
        named = ", ".join(services)
        words.append(
            tr("What {service} has of it is not touched; ask there to have that deleted too.").format(service=named)
        )
    undelivered = sum(row.texts[3] != tr("yes") for row in chosen)
    if undelivered:
        words.append(
            tr("{visits} of these is not delivered: it is lost.").format(visits=visits(undelivered))
            if undelivered == 1
            else tr("{visits} of these are not delivered: they are lost.").format(visits=visits(undelivered))
        )
    return " ".join(words)
