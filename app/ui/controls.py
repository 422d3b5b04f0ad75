"""Labels, buttons and layouts of the house: one way to make each, with its name for screen readers and tests.

Main thread. Labels are plain text always, so that what a patient or a service is called can never be markup.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from PySide6.QtCore import QPoint, QRect, QSize, Qt
from PySide6.QtGui import QPainter
from PySide6.QtWidgets import (
    QAbstractScrollArea,
    QComboBox,
    QFrame,
    QLabel,
    QLayout,
    QLayoutItem,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from app.ui import theme
from app.ui.icons import icon, paint_icon
from app.ui.plain import shown_name, shown_remark


def identify(widget: QWidget, identifier: str, name: str = "") -> None:
    """Give a widget its stable identifier, and its name where its own text is none."""
    widget.setObjectName(identifier)
    widget.setAccessibleIdentifier(identifier)
    if name:
        widget.setAccessibleName(shown_name(name))


class PlainLabel(QLabel):
    """Shows its text as it is, whoever wrote it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setText(text)

    def setText(self, text: str) -> None:  # noqa: N802 - Qt's name
        """Qt's setter, with the trouble in the text made visible, and no more of it than fits a window."""
        super().setText(shown_remark(text))


def label(text: str = "", role: str = "", *, wrap: bool = False) -> QLabel:
    """A line of plain text. ``role`` is one of the style sheet's: title, heading, strong, muted, small …"""
    made = PlainLabel(text)
    made.setWordWrap(wrap)
    if role:
        made.setProperty("role", role)
    return made


def button(text: str, identifier: str, kind: str = "", picture: str = "", ink: str = "") -> QPushButton:
    """A push button. ``kind`` is primary, record, quiet, danger, chip, tab or nothing."""
    made = QPushButton(text)
    identify(made, identifier)
    made.setAutoDefault(True)
    if kind:
        made.setProperty("kind", kind)
    if picture:
        made.setIcon(icon(picture, ink or _INK.get(kind, "text")))
    made.setIconSize(QSize(theme.px(18), theme.px(18)))
    return made


_INK = {"primary": "on_accent", "record": "on_record", "quiet": "accent", "danger": "danger"}


def caption(name: str) -> str:
    """A name from outside as a button's or a menu's text."""
    return shown_name(name).replace("&", "&&")


def on_click(source: QPushButton, do: Callable[[], None]) -> None:
    """Call ``do`` when the button is pressed, without Qt's own argument."""
    source.clicked.connect(lambda _checked=False: do())


def tab_after(before: QWidget, parts: Iterable[QWidget]) -> None:
    """Let the Tab key reach these in their order where ``before`` stands; what is made late would come last."""
    policy, at = before.focusPolicy(), before
    before.setFocusPolicy(Qt.FocusPolicy.TabFocus)  # Qt puts nothing behind what takes no keyboard itself.
    for part in parts:
        QWidget.setTabOrder(at, part)
        at = part
    before.setFocusPolicy(policy)


def set_visible_text(target: QLabel, text: str) -> None:
    """Show the text; an empty label takes no room."""
    if target.text() != text:
        target.setText(text)
    target.setVisible(bool(text))


def card(spacing: int = 12) -> tuple[QFrame, QVBoxLayout]:
    """A white panel and the column in it."""
    frame = QFrame()
    frame.setProperty("card", "true")
    column = QVBoxLayout(frame)
    column.setContentsMargins(theme.px(20), theme.px(16), theme.px(20), theme.px(16))
    column.setSpacing(theme.px(spacing))
    return frame, column


def beside_the_text(area: QAbstractScrollArea) -> int:
    """The margin that keeps lines short enough to read on a wide page, with the scroll bar at the page's edge."""
    bar = area.verticalScrollBar().sizeHint().width()
    return max(0, area.width() - theme.px(theme.READING_COLUMN_PX) - bar)


def restyle(widget: QWidget, name: str, value: str) -> None:
    """Set a property that the style sheet looks at."""
    if widget.property(name) != value:
        widget.setProperty(name, value)
        for each in (widget, *widget.findChildren(QLabel)):
            each.style().unpolish(each)
            each.style().polish(each)


class Choice(QComboBox):
    """A combo box with the house's arrow, which ignores the wheel unless it has the focus."""

    def __init__(self, identifier: str, name: str) -> None:
        super().__init__()
        identify(self, identifier, name)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.setMinimumContentsLength(8)

    def paintEvent(self, event: object) -> None:  # noqa: N802
        """Qt's hook."""
        super().paintEvent(event)  # type: ignore[arg-type]
        painter = QPainter(self)
        side = theme.px(16)
        where = QRect(self.width() - side - theme.px(8), (self.height() - side) // 2, side, side)
        paint_icon(painter, where, "chevron-down", "text" if self.isEnabled() else "muted")
        painter.end()

    def wheelEvent(self, event: object) -> None:  # noqa: N802
        """Qt's hook."""
        if self.hasFocus():
            super().wheelEvent(event)  # type: ignore[arg-type]
        else:
            event.ignore()  # type: ignore[attr-defined]

    def offer(self, entries: list[tuple[str, str]], chosen: str) -> None:
        """Show these (data, text) entries with one chosen, touching nothing that is the same already."""
        entries = [(data, shown_name(text)) for data, text in entries]
        offered = [(self.itemData(i), self.itemText(i)) for i in range(self.count())]
        self.blockSignals(True)
        if offered != entries:
            self.clear()
            for data, text in entries:
                self.addItem(text, data)
        at = self.findData(chosen)
        if at != self.currentIndex():
            self.setCurrentIndex(at)
        self.blockSignals(False)


class Flow(QLayout):
    """Lays items in a row and goes on in the next one when the width is used up."""

    def __init__(self, parent: QWidget | None = None, spacing: int = 8) -> None:
        super().__init__(parent)
        self._items: list[QLayoutItem] = []
        self.setContentsMargins(0, 0, 0, 0)
        self.setSpacing(spacing)

    def addItem(self, item: QLayoutItem) -> None:  # noqa: N802
        """Qt's hook."""
        self._items.append(item)

    def count(self) -> int:
        """Qt's hook."""
        return len(self._items)

    def itemAt(self, index: int) -> QLayoutItem | None:  # noqa: N802
        """Qt's hook."""
        return self._items[index] if 0 <= index < len(self._items) else None

    def takeAt(self, index: int) -> QLayoutItem | None:  # noqa: N802
        """Qt's hook."""
        return self._items.pop(index) if 0 <= index < len(self._items) else None

    def expandingDirections(self) -> Qt.Orientation:  # noqa: N802
        """Qt's hook."""
        return Qt.Orientation(0)

    def hasHeightForWidth(self) -> bool:  # noqa: N802
        """Qt's hook."""
        return True

    def heightForWidth(self, width: int) -> int:  # noqa: N802
        """Qt's hook."""
        return self._arrange(QRect(0, 0, width, 0), move=False)

    def setGeometry(self, rect: QRect) -> None:  # noqa: N802
        """Qt's hook."""
        super().setGeometry(rect)
        self._arrange(rect, move=True)

    def sizeHint(self) -> QSize:  # noqa: N802
        """Qt's hook."""
        widths = [item.sizeHint().width() for item in self._items]
        return QSize(sum(widths) + self.spacing() * max(0, len(widths) - 1), self.minimumSize().height())

    def minimumSize(self) -> QSize:  # noqa: N802
        """Qt's hook."""
        size = QSize()
        for item in self._items:
            size = size.expandedTo(item.minimumSize())
        return size

    def _arrange(self, rect: QRect, *, move: bool) -> int:
        x, y, row = rect.x(), rect.y(), 0
        for item in self._items:
            if item.isEmpty():
                continue
            hint = item.sizeHint()
            if x > rect.x() and x + hint.width() > rect.right() + 1:
                x, y, row = rect.x(), y + row + self.spacing(), 0
            if move:
                item.setGeometry(QRect(QPoint(x, y), hint))
            x += hint.width() + self.spacing()
            row = max(row, hint.height())
        return y + row - rect.y()


class FlowRow(QWidget):
    """A widget whose children flow."""

    def __init__(self) -> None:
        super().__init__()
        self.flow = Flow(self, theme.px(8))
        policy = QSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Minimum)
        policy.setHeightForWidth(True)
        self.setSizePolicy(policy)
