"""The list of sessions at the left: grouped by day, each with its state by shape and word.

Main thread. Rows are made anew only for sessions that changed, so that thousands of them cost nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any, TypeAlias

from PySide6.QtCore import (
    QAbstractListModel,
    QItemSelection,
    QModelIndex,
    QPersistentModelIndex,
    QRect,
    QSize,
    Qt,
    Signal,
)
from PySide6.QtGui import QFont, QFontMetrics, QPainter
from PySide6.QtWidgets import (
    QFrame,
    QListView,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QVBoxLayout,
    QWidget,
)

from app.core.events import SessionId
from app.core.views import AppView, KeysView, Phase, SessionView
from app.ui import theme
from app.ui.controls import button, identify, label, on_click, set_visible_text
from app.ui.icons import paint_icon
from app.ui.phrases import State, day_name, day_of, length, session_title, state_of, time_of_day, tr
from app.ui.standing import visits

if TYPE_CHECKING:
    from PySide6.QtWidgets import QStyle

_Index: TypeAlias = "QModelIndex | QPersistentModelIndex"


@dataclass(frozen=True)
class Row:
    """A line of the list: a day, or a session with its texts."""

    title: str
    session_id: SessionId | None = None
    time: str = ""
    length: str = ""
    state: State | None = None

    def is_same_line(self, other: Row) -> bool:
        """Both stand for the same session or day, whatever they say about it."""
        return self is other or (self.session_id or self.title) == (other.session_id or other.title)

    @property
    def spoken(self) -> str:
        """The row as a screen reader says it."""
        word = self.state.word if self.state is not None else ""
        return ", ".join(filter(None, (self.title, self.time, self.length, word)))


class SessionModel(QAbstractListModel):
    """Days and sessions, newest first."""

    def __init__(self) -> None:
        super().__init__()
        self._rows: list[Row] = []
        self._known: dict[SessionId, tuple[SessionView, Row, date | None]] = {}
        self._shown: tuple[tuple[SessionView, ...], date, frozenset[SessionId]] | None = None

    def show(self, sessions: tuple[SessionView, ...], now: float) -> None:
        """Take over a new list. What was thrown away stays on it as long as it can be had back."""
        today = day_of(now)
        gone = frozenset(each.id for each in sessions if _is_gone(each, now))
        if self._shown is not None and self._shown[0] is sessions and self._shown[1:] == (today, gone):
            return
        self._shown = (sessions, today, gone)
        rows = self._make_rows([each for each in sessions if each.id not in gone], today)
        if len(rows) != len(self._rows) or any(not a.is_same_line(b) for a, b in zip(rows, self._rows, strict=True)):
            self.beginResetModel()
            self._rows = rows
            self.endResetModel()
            return
        old, self._rows = self._rows, rows
        for at, (before, after) in enumerate(zip(old, rows, strict=True)):
            if before is not after and before != after:
                self.dataChanged.emit(self.index(at), self.index(at))

    def _make_rows(self, sessions: list[SessionView], today: date) -> list[Row]:
        rows: list[Row] = []
        day: date | None = None
        for session in sessions:
            row, started_on = self._row(session)
            started = started_on or today
            if started != day:
                day = started
                rows.append(Row(day_name(day, today)))
            rows.append(row)
        return rows

    def _row(self, session: SessionView) -> tuple[Row, date | None]:
        known = self._known.get(session.id)
        if known is not None and known[0] is session:
            return known[1], known[2]
        row = Row(
            title=session_title(session),
            session_id=session.id,
            time=time_of_day(session.started_at),
            length=length(session.recorded_seconds),
            state=state_of(session),
        )
        day = day_of(session.started_at) if session.started_at is not None else None
        self._known[session.id] = (session, row, day)
        return row, day

    def row_at(self, index: _Index) -> Row:
        """The row behind an index."""
        return self._rows[index.row()]

    def index_of(self, session_id: SessionId | None) -> QModelIndex:
        """Where a session is; an invalid index when it is not in the list."""
        for at, row in enumerate(self._rows):
            if session_id is not None and row.session_id == session_id:
                return self.index(at)
        return QModelIndex()

    def rowCount(self, parent: _Index = QModelIndex()) -> int:  # noqa: B008, N802
        """Qt's hook."""
        return 0 if parent.isValid() else len(self._rows)

    def data(self, index: _Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Qt's hook."""
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.AccessibleTextRole):
            return self._rows[index.row()].spoken
        return None

    def flags(self, index: _Index) -> Qt.ItemFlag:
        """Qt's hook: days cannot be chosen."""
        if not index.isValid() or self._rows[index.row()].session_id is None:
            return Qt.ItemFlag.NoItemFlags
        return Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable


def _is_gone(session: SessionView, now: float) -> bool:
    if session.phase is Phase.DISCARDED:
        return session.undo_until is None or session.undo_until <= now
    return session.phase is Phase.IDLE


class _RowPainter(QStyledItemDelegate):
    """Paints a day or a session."""

    def __init__(self, model: SessionModel, parent: QWidget) -> None:
        super().__init__(parent)
        self._model = model

    def sizeHint(self, option: QStyleOptionViewItem, index: _Index) -> QSize:  # noqa: ARG002, N802
        """Qt's hook."""
        return QSize(theme.px(200), theme.px(54 if self._model.row_at(index).session_id else 34))

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: _Index) -> None:
        """Qt's hook."""
        row = self._model.row_at(index)
        area: QRect = option.rect
        painter.save()
        if row.session_id is None:
            self._paint_day(painter, area, row)
        else:
            self._paint_session(painter, area, row, option.state)
        painter.restore()

    def _paint_day(self, painter: QPainter, area: QRect, row: Row) -> None:
        painter.setFont(_font(12, bold=True))
        painter.setPen(theme.current().color("muted"))
        box = area.adjusted(theme.px(12), 0, -theme.px(8), -theme.px(4))
        painter.drawText(box, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignBottom, row.title)

    def _paint_session(self, painter: QPainter, area: QRect, row: Row, state: QStyle.StateFlag) -> None:
        # Here and not above: so many enumerations come with it that an empty list should not pay for them.
        from PySide6.QtWidgets import QStyle

        colors = theme.current()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        box = area.adjusted(theme.px(4), 1, -theme.px(4), -1)
        is_selected = bool(state & QStyle.StateFlag.State_Selected)
        if is_selected or state & QStyle.StateFlag.State_MouseOver:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(colors.color("sel" if is_selected else "raised"))
            painter.drawRoundedRect(box, 6, 6)
        if is_selected:
            painter.setBrush(colors.color("accent"))
            painter.drawRoundedRect(QRect(box.x(), box.y() + theme.px(10), 3, box.height() - theme.px(20)), 1.5, 1.5)
        self._paint_texts(painter, box, row)

    def _paint_texts(self, painter: QPainter, box: QRect, row: Row) -> None:
        colors = theme.current()
        side = theme.px(20)
        word = ""
        if row.state is not None:
            paint_icon(
                painter,
                QRect(box.x() + theme.px(10), box.y() + theme.px(7), side, side),
                row.state.icon,
                row.state.token,
            )
            word = row.state.word
        left = box.x() + theme.px(40)
        width = box.right() - theme.px(10) - left
        first = QRect(left, box.y() + theme.px(6), width, theme.px(22))
        second = QRect(left, first.bottom() - theme.px(1), width, theme.px(20))
        small, strong = _font(12), _font(13, bold=True)
        painter.setFont(small)
        painter.setPen(colors.color("muted"))
        right = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        left_middle = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
        painter.drawText(first, right, row.length)
        painter.drawText(second, left_middle, _elided(small, f"{row.time}  ·  {word}" if row.time else word, width))
        painter.setFont(strong)
        painter.setPen(colors.color("text"))
        room = width - QFontMetrics(small).horizontalAdvance(row.length) - theme.px(8)
        painter.drawText(first, left_middle, _elided(strong, row.title, room))


def _font(size: int, *, bold: bool = False) -> QFont:
    made = QFont()
    made.setPixelSize(theme.px(size))
    if bold:
        made.setWeight(QFont.Weight.DemiBold)
    return made


def _elided(font: QFont, text: str, width: int) -> str:
    return QFontMetrics(font).elidedText(text, Qt.TextElideMode.ElideRight, width)


def _sealed_text(keys: KeysView) -> str:
    count = keys.sealed_session_count
    if count == 0:
        return ""
    text = tr("1 visit is sealed until the key is unlocked.")
    if count > 1:
        text = tr("{visits} are sealed until the key is unlocked.").format(visits=visits(count))
    return text


class SessionList(QFrame):
    """*New session* and the list. ``session_chosen`` carries an id."""

    session_chosen = Signal(str)

    def __init__(self, new_session: Callable[[], None], clock: Callable[[], float]) -> None:
        super().__init__()
        self.setObjectName("side")
        self._clock = clock
        self._is_rendering = False
        self._model = SessionModel()
        self._model.setParent(self)
        self._new = button(self.tr("&New session"), "new-session", "", "plus")
        self._new.setToolTip(self.tr("Begin with the next patient (F8)"))
        on_click(self._new, new_session)
        self._empty = label(self.tr("Recorded visits are listed here, the newest first."), "small", wrap=True)
        self._sealed = label(role="small", wrap=True)
        identify(self._sealed, "sealed-visits")
        self._view = QListView()
        identify(self._view, "session-list", self.tr("Sessions"))
        self._view.setModel(self._model)
        self._view.setItemDelegate(_RowPainter(self._model, self._view))
        self._view.setMouseTracking(True)
        self._view.setVerticalScrollMode(QListView.ScrollMode.ScrollPerPixel)
        self._view.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        # Not what is current: the Tab key alone makes the first row that, and whoever passes by chooses nothing.
        self._view.selectionModel().selectionChanged.connect(self._on_selected)
        column = QVBoxLayout(self)
        column.setContentsMargins(theme.px(8), theme.px(12), theme.px(8), theme.px(8))
        column.setSpacing(theme.px(8))
        column.addWidget(self._new)
        column.addWidget(self._empty)
        column.addWidget(self._view, 1)
        column.addWidget(self._sealed)
        self.setFixedWidth(theme.px(264))

    def render(self, view: AppView, selected: SessionId | None) -> None:  # type: ignore[override]
        """Show the sessions with one selected."""
        self._is_rendering = True
        self._model.show(view.sessions, self._clock())
        wanted = self._model.index_of(selected)
        if wanted != self._view.currentIndex():
            self._view.setCurrentIndex(wanted)
        if not wanted.isValid():
            self._view.clearSelection()
        self._is_rendering = False
        self._empty.setVisible(self._model.rowCount() == 0)
        set_visible_text(self._sealed, _sealed_text(view.keys))

    def _on_selected(self, selected: QItemSelection) -> None:
        if selected.indexes() and not self._is_rendering:
            session_id = self._model.row_at(selected.indexes()[0]).session_id
            if session_id is not None:
                self.session_chosen.emit(session_id)

    def has_list_focus(self) -> bool:
        """Whether the keyboard is in the list."""
        return self._view.hasFocus()
