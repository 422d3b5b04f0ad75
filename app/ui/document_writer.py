"""Writes a document at a cursor: headings, paragraphs, lists and tables as real text, never as markup.

Text is inserted character for character, so whatever a service writes is shown and nothing of it is run or
loaded. It is written in bits, none of which Qt is long at work on. Main thread.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from PySide6.QtGui import (
    QFont,
    QTextBlockFormat,
    QTextCharFormat,
    QTextCursor,
    QTextFrameFormat,
    QTextLength,
    QTextListFormat,
    QTextOption,
    QTextTableFormat,
)

from app.core.document import Bullets, Document, Heading, Line, Paragraph, Table
from app.core.scribe import Utterance
from app.core.transcript import Mark
from app.ui import theme
from app.ui.phrases import mark_words, position, tr
from app.ui.plain import LONGEST_LINE, LONGEST_TEXT, shown

_READING_PX = 15
_LINE_PX = 23
_HEADING_PX = {1: 18, 2: 16}
_BLOCK_COST = 50
"""A paragraph costs as much as so many characters."""
_CELL_COST = 80
_MOST_COLUMNS = 16
_LONGEST_CELL = 2_000
_LONGEST_TABLE = 20_000
"""A table is laid out whole, several times over: a longer one is written as several, a page in a cell as a list."""


@dataclass(frozen=True)
class Talk:
    """A transcript: its lines with their times where these are known, and the marks among them."""

    lines: tuple[Utterance | Mark, ...] = ()


class DocumentWriter:
    """Writes blocks at a cursor. Both ways of writing go on one bit a step, and tell what each has cost."""

    def __init__(self, cursor: QTextCursor) -> None:
        self._cursor = cursor
        self._is_first = True
        self._room = LONGEST_TEXT
        self._is_cut = False
        self._plain = QTextCharFormat()
        self._plain.setForeground(theme.current().color("text"))

    def document(self, shown: Document) -> Iterator[int]:
        """Write a note."""
        for block in shown.blocks:
            if self._is_full():
                return
            if isinstance(block, Heading):
                yield from self._heading(block)
            elif isinstance(block, Paragraph):
                self._begin(_paragraph(below=8), self._plain)
                yield from self._insert(block.text)
            elif isinstance(block, Bullets):
                yield from self._bullets(block.items)
            elif _is_easy(block):
                yield from self._table(block)
            else:
                yield from self._bullets(_as_list(block))

    def talk(self, shown: Talk) -> Iterator[int]:
        """Write a transcript."""
        quiet = QTextCharFormat()
        quiet.setForeground(theme.current().color("muted"))
        has_times = any(isinstance(line, Utterance) and line.start_seconds is not None for line in shown.lines)
        layout = _line_with_time() if has_times else _paragraph(below=6)
        for line in shown.lines:
            if self._is_full():
                return
            self._begin(layout, quiet)
            when = line.position_seconds if isinstance(line, Mark) else line.start_seconds
            if has_times or isinstance(line, Mark):
                self._cursor.insertText(f"{position(when) if when is not None else ''}\t", quiet)
            if isinstance(line, Mark):
                self._cursor.insertText(f"[{mark_words(line)}]", quiet)
                yield _BLOCK_COST
            else:
                yield from self._insert(line.text)

    def _begin(self, layout: QTextBlockFormat, ink: QTextCharFormat) -> None:
        if self._is_first:
            self._cursor.setBlockFormat(layout)
            self._cursor.setBlockCharFormat(ink)
            self._cursor.setCharFormat(ink)
            self._is_first = False
        else:
            self._cursor.insertBlock(layout, ink)

    def _insert(self, text: str, ink: QTextCharFormat | None = None, indent: int = 0) -> Iterator[int]:
        """Write the text with its own line ends. A very long one becomes paragraphs, which Qt lays out one by one."""
        text = shown(text)
        self._room -= len(text)
        if len(text) <= LONGEST_LINE:
            self._cursor.insertText(text.replace("\n", "\u2028"), ink or self._plain)
            yield len(text) + _BLOCK_COST
            return
        # Not items of a list: with each one more, Qt would lay out all of its list anew.
        layout = _paragraph()
        layout.setIndent(indent)
        for at, line in enumerate(text.split("\n")):
            if at:
                self._cursor.insertBlock(layout)
            self._cursor.insertText(line, ink or self._plain)
            yield len(line) + _BLOCK_COST

    def _is_full(self) -> bool:
        """Whether no more fits; that is said once, at the end."""
        if self._room > 0:
            return False
        if not self._is_cut:
            self._is_cut = True
            self._begin(_paragraph(above=8), self._plain)
            self._cursor.insertText(tr("[The rest is too long to be shown here. Copying takes all of it.]"))
        return True

    def _heading(self, block: Heading) -> Iterator[int]:
        ink = QTextCharFormat(self._plain)
        ink.setFontWeight(QFont.Weight.DemiBold)
        ink.setProperty(QTextCharFormat.Property.FontPixelSize, theme.px(_HEADING_PX.get(block.level, _READING_PX)))
        layout = _paragraph(above=4 if self._is_first else 14, below=4)
        layout.setHeadingLevel(block.level)
        self._begin(layout, ink)
        yield from self._insert(block.text, ink)

    def _bullets(self, items: Iterable[Line]) -> Iterator[int]:
        for item in items:
            if self._is_full():
                return
            style = QTextListFormat()
            style.setStyle(QTextListFormat.Style.ListDisc if item.depth == 0 else QTextListFormat.Style.ListCircle)
            style.setIndent(item.depth + 1)
            self._begin(_paragraph(below=3), self._plain)
            self._cursor.createList(style)
            yield from self._insert(item.text, indent=item.depth + 1)

    def _table(self, block: Table) -> Iterator[int]:
        rows: list[tuple[Line, ...]] = []
        cost = 0
        for row in block.rows:
            if self._is_full():
                return
            rows.append(row)
            cost += _cost(row)
            if cost >= _LONGEST_TABLE:
                self._part_of_table(block.columns, rows)
                yield cost
                rows, cost = [], 0
        if rows or not block.rows:
            self._part_of_table(block.columns, rows)
            yield cost

    def _part_of_table(self, columns: tuple[str, ...], rows: list[tuple[Line, ...]]) -> None:
        self._begin(_paragraph(), self._plain)
        table = self._cursor.insertTable(len(rows) + 1, len(columns), _table_format())
        head = QTextCharFormat(self._plain)
        head.setFontWeight(QFont.Weight.DemiBold)
        for column, text in enumerate(columns):
            cell = table.cellAt(0, column)
            ground = cell.format()
            ground.setBackground(theme.current().color("raised"))
            cell.setFormat(ground)
            cell.firstCursorPosition().insertText(shown(text), head)
        for number, row in enumerate(rows, start=1):
            for column, each in enumerate(row):
                text = shown(each.text)
                self._room -= len(text)
                where = table.cellAt(number, column).firstCursorPosition()
                where.insertText(text.replace("\n", "\u2028"), self._plain)
        self._cursor.movePosition(QTextCursor.MoveOperation.End)


def _cost(row: tuple[Line, ...]) -> int:
    return sum(len(cell.text) + _CELL_COST for cell in row)


def _is_easy(table: Table) -> bool:
    """Whether a table can be read as one, and is laid out in no time."""
    texts = (*table.columns, *(cell.text for row in table.rows for cell in row))
    return (
        0 < len(table.columns) <= _MOST_COLUMNS
        and all(len(text) <= _LONGEST_CELL for text in texts)
        and all(_cost(row) <= _LONGEST_TABLE for row in table.rows)
    )


def _as_list(table: Table) -> Iterator[Line]:
    """The same as a list: under the first cell of each row the others, with what they are called."""
    filled = {column for row in table.rows for column, cell in enumerate(row) if cell.text}
    lone = [name for column, name in enumerate(table.columns) if name and column not in filled]
    if lone:
        yield Line(", ".join(lone))
    for row in table.rows:
        depth = 0
        for name, cell in zip(table.columns, row, strict=True):
            if cell.text:
                yield Line(f"{name}: {cell.text}" if name else cell.text, cell.at, depth)
                depth = 1


def _line_with_time() -> QTextBlockFormat:
    made = _paragraph(below=6)
    made.setLeftMargin(theme.px(64))
    made.setTextIndent(-theme.px(64))
    made.setTabPositions([QTextOption.Tab(theme.px(64), QTextOption.TabType.LeftTab)])
    return made


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
