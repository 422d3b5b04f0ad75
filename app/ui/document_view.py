"""A document for reading: headings, paragraphs, lists and tables as real text, never as markup.

Text is inserted character for character, so whatever a service writes is shown and nothing of it is run or
loaded. Main thread.
"""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtCore import QEvent, QUrl
from PySide6.QtGui import (
    QFont,
    QResizeEvent,
    QTextBlockFormat,
    QTextCharFormat,
    QTextCursor,
    QTextDocument,
    QTextFrameFormat,
    QTextLength,
    QTextListFormat,
    QTextOption,
    QTextTable,
    QTextTableFormat,
)
from PySide6.QtWidgets import QFrame, QTextBrowser

from app.core.document import Bullets, Document, Heading, Paragraph, Table
from app.core.scribe import Utterance
from app.core.transcript import Mark
from app.ui import theme
from app.ui.controls import beside_the_text, identify
from app.ui.phrases import mark_words, position, tr
from app.ui.plain import LONGEST_LINE, LONGEST_TEXT, shown

_READING_PX = 15
_LINE_PX = 23
_FULL = -(10**12)
_HEADING_PX = {1: 18, 2: 16}


@dataclass(frozen=True)
class Talk:
    """A transcript: its lines with their times where these are known, and the marks among them."""

    lines: tuple[Utterance | Mark, ...] = ()


class DocumentView(QTextBrowser):
    """Shows a note or a transcript."""

    def __init__(self, identifier: str, name: str) -> None:
        super().__init__()
        identify(self, identifier, name)
        self._shown: Document | Talk | None = None
        self._written: QTextDocument | None = None
        self.setOpenLinks(False)
        self.setTabChangesFocus(True)
        self.setFrameShape(QFrame.Shape.NoFrame)

    def loadResource(self, kind: int, name: QUrl | str) -> object:  # noqa: ARG002, N802
        """Qt's hook: a document loads nothing, from nowhere."""
        return None

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802 - Qt's name
        """Keep lines short enough to read."""
        self.setViewportMargins(0, 0, beside_the_text(self), 0)
        super().resizeEvent(event)

    def show_document(self, shown: Document | Talk) -> None:
        """Show this, unless it is shown already."""
        if shown != self._shown:
            self._shown = shown
            self._rebuild()
            self.verticalScrollBar().setValue(0)

    def changeEvent(self, event: QEvent) -> None:  # noqa: N802
        """Qt's hook: the ink of times and tables belongs to the theme."""
        super().changeEvent(event)
        if event.type() is QEvent.Type.PaletteChange and getattr(self, "_shown", None) is not None:
            self._rebuild()

    def _rebuild(self) -> None:
        bar = self.verticalScrollBar()
        at = bar.value()
        before = self._written
        # Written while nobody looks at it: shown, it would be laid out to its end, and a hostile one takes seconds.
        made = QTextDocument(self)
        made.setUndoRedoEnabled(False)
        made.setDocumentMargin(theme.px(8))
        face = QFont(self.font())
        face.setPixelSize(theme.px(_READING_PX))
        made.setDefaultFont(face)
        writer = _Writer(QTextCursor(made))
        if isinstance(self._shown, Talk):
            writer.talk(self._shown)
        elif self._shown is not None:
            writer.document(self._shown)
        self.setDocument(made)
        self._written = made
        if before is not None:
            before.deleteLater()
        bar.setValue(at)


class _Writer:
    """Writes blocks at a cursor."""

    def __init__(self, cursor: QTextCursor) -> None:
        self._cursor = cursor
        self._is_first = True
        self._room = LONGEST_TEXT
        self._plain = QTextCharFormat()
        self._plain.setForeground(theme.current().color("text"))

    def document(self, shown: Document) -> None:
        self._cursor.beginEditBlock()
        for block in shown.blocks:
            if self._is_full():
                break
            if isinstance(block, Heading):
                self._heading(block)
            elif isinstance(block, Paragraph):
                self._begin(_paragraph(below=8), self._plain)
                self._insert(self._cursor, block.text)
            elif isinstance(block, Bullets):
                self._bullets(block)
            else:
                self._table(block)
        self._cursor.endEditBlock()

    def talk(self, shown: Talk) -> None:
        quiet = QTextCharFormat()
        quiet.setForeground(theme.current().color("muted"))
        layout = _paragraph(below=6)
        has_times = any(isinstance(line, Utterance) and line.start_seconds is not None for line in shown.lines)
        if has_times:
            layout.setLeftMargin(theme.px(64))
            layout.setTextIndent(-theme.px(64))
            layout.setTabPositions([QTextOption.Tab(theme.px(64), QTextOption.TabType.LeftTab)])
        self._cursor.beginEditBlock()
        for line in shown.lines:
            if self._is_full():
                break
            self._begin(layout, quiet)
            when = line.position_seconds if isinstance(line, Mark) else line.start_seconds
            if has_times or isinstance(line, Mark):
                self._cursor.insertText(f"{position(when) if when is not None else ''}\t", quiet)
            if isinstance(line, Mark):
                self._cursor.insertText(f"[{mark_words(line)}]", quiet)
            else:
                self._insert(self._cursor, line.text)
        self._cursor.endEditBlock()

    def _begin(self, layout: QTextBlockFormat, ink: QTextCharFormat) -> None:
        if self._is_first:
            self._cursor.setBlockFormat(layout)
            self._cursor.setBlockCharFormat(ink)
            self._cursor.setCharFormat(ink)
            self._is_first = False
        else:
            self._cursor.insertBlock(layout, ink)

    def _insert(self, cursor: QTextCursor, text: str) -> None:
        """Write the text with its own line ends. A very long one becomes paragraphs, which Qt lays out one by one."""
        text = shown(text)
        self._room -= len(text)
        cursor.insertText(text if len(text) > LONGEST_LINE else text.replace("\n", "\u2028"), self._plain)

    def _is_full(self) -> bool:
        """Whether no more fits; that is said once, at the end."""
        if self._room > 0:
            return False
        if self._room > _FULL:
            self._room = _FULL
            self._begin(_paragraph(above=8), self._plain)
            self._cursor.insertText(tr("[The rest is too long to be shown here. Copying takes all of it.]"))
        return True

    def _heading(self, block: Heading) -> None:
        ink = QTextCharFormat(self._plain)
        ink.setFontWeight(QFont.Weight.DemiBold)
        ink.setProperty(QTextCharFormat.Property.FontPixelSize, theme.px(_HEADING_PX.get(block.level, _READING_PX)))
        layout = _paragraph(above=4 if self._is_first else 14, below=4)
        layout.setHeadingLevel(block.level)
        self._begin(layout, ink)
        self._cursor.insertText(shown(block.text))

    def _bullets(self, block: Bullets) -> None:
        for item in block.items:
            if self._is_full():
                break
            style = QTextListFormat()
            style.setStyle(QTextListFormat.Style.ListDisc if item.depth == 0 else QTextListFormat.Style.ListCircle)
            style.setIndent(item.depth + 1)
            self._begin(_paragraph(below=3), self._plain)
            self._cursor.createList(style)
            self._insert(self._cursor, item.text)

    def _table(self, block: Table) -> None:
        if not block.columns:
            return
        self._begin(_paragraph(), self._plain)
        table = self._cursor.insertTable(len(block.rows) + 1, len(block.columns), _table_format())
        head = QTextCharFormat(self._plain)
        head.setFontWeight(QFont.Weight.DemiBold)
        for column, text in enumerate(block.columns):
            cell = table.cellAt(0, column)
            ground = cell.format()
            ground.setBackground(theme.current().color("raised"))
            cell.setFormat(ground)
            cell.firstCursorPosition().insertText(shown(text), head)
        self._rows(table, block)
        self._cursor.movePosition(QTextCursor.MoveOperation.End)

    def _rows(self, table: QTextTable, block: Table) -> None:
        for row, cells in enumerate(block.rows, start=1):
            for column, cell in enumerate(cells):
                self._insert(table.cellAt(row, column).firstCursorPosition(), cell.text)


def _paragraph(above: float = 0, below: float = 0) -> QTextBlockFormat:
    made = QTextBlockFormat()
    made.setTopMargin(theme.px(above))
    made.setBottomMargin(theme.px(below))
    made.setLineHeight(theme.px(_LINE_PX), QTextBlockFormat.LineHeightTypes.MinimumHeight.value)
    return made


def _table_format() -> QTextTableFormat:
    made = QTextTableFormat()
    made.setHeaderRowCount(1)
    made.setCellPadding(theme.px(7))
    made.setCellSpacing(0)
    made.setBorder(1)
    made.setBorderStyle(QTextFrameFormat.BorderStyle.BorderStyle_Solid)
    made.setBorderBrush(theme.current().color("line"))
    made.setBorderCollapse(True)
    made.setTopMargin(theme.px(4))
    made.setBottomMargin(theme.px(12))
    # At 100 the columns, each rounded up, would stand out of the page by a point and bring a scroll bar.
    made.setWidth(QTextLength(QTextLength.Type.PercentageLength, 99))
    return made
