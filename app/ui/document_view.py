"""A document for reading, a bit at a time: what is seen first is there at once, the rest as the window finds time.

However long a service's answer is, the window never stops for it. Main thread.
"""

from __future__ import annotations

from collections.abc import Iterator

from PySide6.QtCore import QEvent, QTimer, QUrl
from PySide6.QtGui import QFont, QHideEvent, QResizeEvent, QShowEvent, QTextCursor, QTextDocument
from PySide6.QtWidgets import QFrame, QTextBrowser

from app.core.document import Document
from app.ui import theme
from app.ui.controls import beside_the_text, identify
from app.ui.document_writer import DocumentWriter, Talk

_READING_PX = 15
_FIRST_BIT = 6_000
"""More than a page shows, in characters. A note that nobody looks at costs no more than this."""
_BIT = 20_000
"""Laid out in a fraction of a tenth of a second."""


class DocumentView(QTextBrowser):
    """Shows a note or a transcript."""

    def __init__(self, identifier: str, name: str) -> None:
        super().__init__()
        identify(self, identifier, name)
        self._shown: Document | Talk | None = None
        self._written: QTextDocument | None = None
        self._cursor = QTextCursor()
        self._rest: Iterator[int] = iter(())
        self._place = 0
        self._pen = QTimer(self, interval=0)
        self._pen.timeout.connect(lambda: self._write(_BIT))
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

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802
        """Qt's hook: somebody wants to read it, so the rest is written."""
        super().showEvent(event)
        self._pen.start()

    def hideEvent(self, event: QHideEvent) -> None:  # noqa: N802
        """Qt's hook."""
        super().hideEvent(event)
        self._pen.stop()

    def show_document(self, shown: Document | Talk) -> None:
        """Show this, unless it is shown already."""
        if shown != self._shown:
            self._shown = shown
            self._rebuild(0)

    def changeEvent(self, event: QEvent) -> None:  # noqa: N802
        """Qt's hook: the ink of times and tables belongs to the theme."""
        super().changeEvent(event)
        if event.type() is QEvent.Type.PaletteChange and getattr(self, "_shown", None) is not None:
            self._rebuild(self.verticalScrollBar().value())

    def _rebuild(self, place: int) -> None:
        """Begin anew, and be at that place again once it is written."""
        before = self._written
        # Its beginning is written while nobody looks at it: shown, it would be laid out with each line.
        made = QTextDocument(self)
        made.setUndoRedoEnabled(False)
        made.setDocumentMargin(theme.px(8))
        face = QFont(self.font())
        face.setPixelSize(theme.px(_READING_PX))
        made.setDefaultFont(face)
        self._pen.stop()
        self._cursor, self._place = QTextCursor(made), 0
        writer = DocumentWriter(self._cursor)
        if isinstance(self._shown, Talk):
            self._rest = writer.talk(self._shown)
        elif self._shown is not None:
            self._rest = writer.document(self._shown)
        self._write(_FIRST_BIT)
        self.setDocument(made)
        self._written = made
        if before is not None:
            before.deleteLater()
        self.verticalScrollBar().setValue(place)
        self._place = place
        if self.isVisible():
            self._pen.start()

    def _write(self, most: int) -> None:
        """Write on, about as much as this."""
        self._cursor.beginEditBlock()
        for cost in self._rest:
            most -= cost
            if most <= 0:
                break
        else:
            self._pen.stop()
        self._cursor.endEditBlock()
        if self._place > self.verticalScrollBar().value():
            self.verticalScrollBar().setValue(self._place)
