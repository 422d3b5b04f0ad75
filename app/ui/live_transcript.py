"""The transcript as it comes in, on the pages of a visit that has no result yet. Main thread."""

from __future__ import annotations

from PySide6.QtCore import QSize
from PySide6.QtGui import QResizeEvent, QTextCursor
from PySide6.QtWidgets import QFrame, QPlainTextEdit, QVBoxLayout

from app.ui import theme
from app.ui.controls import beside_the_text, identify, label
from app.ui.plain import shown


class LiveTranscriptCard(QFrame):
    """A card with the text so far under its title."""

    def __init__(self) -> None:
        super().__init__()
        self.setProperty("card", "true")
        self._text = LiveTranscript()
        column = QVBoxLayout(self)
        column.setContentsMargins(theme.px(20), theme.px(16), theme.px(20), theme.px(16))
        column.setSpacing(theme.px(6))
        column.addWidget(label(self.tr("Transcript as it comes"), "small"))
        column.addWidget(self._text, 1)

    def show_text(self, text: str) -> None:
        """Show this text."""
        self._text.show_text(text)


class LiveTranscript(QPlainTextEdit):
    """The transcript so far. What is new is added at the end; the rest is left where the reader has it."""

    def __init__(self) -> None:
        super().__init__()
        identify(self, "live-transcript", self.tr("Transcript as it comes"))
        self.setReadOnly(True)
        self.setTabChangesFocus(True)
        self.setMinimumHeight(theme.px(88))
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setPlaceholderText(self.tr("Words appear here a little after they are spoken."))
        self._given = ""
        self._text = ""

    def sizeHint(self) -> QSize:  # noqa: N802
        """Qt's hook: a few lines are enough where there is little room."""
        return QSize(super().sizeHint().width(), self.minimumHeight())

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802 - Qt's name
        """Keep lines short enough to read."""
        self.setViewportMargins(0, 0, beside_the_text(self), 0)
        super().resizeEvent(event)

    def show_text(self, text: str) -> None:
        """Show this text."""
        if text == self._given:
            return
        self._given = text
        text = shown(text)
        bar = self.verticalScrollBar()
        is_at_end = bar.value() >= bar.maximum() - 2
        if self._text and text.startswith(self._text):
            cursor = QTextCursor(self.document())
            cursor.movePosition(QTextCursor.MoveOperation.End)
            cursor.insertText(text[len(self._text) :])
        else:
            self.setPlainText(text)
        self._text = text
        if is_at_end:
            bar.setValue(bar.maximum())
