"""What helps to find a fault, to be read before it is given to anybody. Main thread."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtWidgets import QDialog, QFileDialog, QPlainTextEdit, QWidget

from app.core.views import AppView, PrepareDiagnostics, SaveDiagnostics, Wish
from app.ui import theme
from app.ui.controls import button, identify, label, on_click, set_visible_text
from app.ui.plain import shown
from app.ui.question import APP_NAME, answers, furnish

_FILE_NAME = "scribedesk-diagnostics.txt"


class DiagnosticsDialog(QDialog):
    """The text, word for word, and a way to save it."""

    def __init__(self, parent: QWidget, post: Callable[[Wish], None]) -> None:
        super().__init__(parent)
        self._post = post
        self._given = ""
        column = furnish(self, "diagnostics-dialog", self.tr("Diagnostics"), 720)
        column.addWidget(
            label(self.tr("This is all that would be saved. It holds nothing that a patient said, no names and no "
                          "passwords. Read it before you give it to anybody."), wrap=True)
        )  # fmt: skip
        self._text = QPlainTextEdit()
        identify(self._text, "diagnostics-text", self.tr("Diagnostics"))
        self._text.setReadOnly(True)
        self._text.setTabChangesFocus(True)
        self._text.setPlaceholderText(self.tr("Being gathered…"))
        self._told = label(role="small", wrap=True)
        identify(self._told, "diagnostics-told")
        self._told.hide()
        self._save = button(self.tr("&Save…"), "save-diagnostics", "primary")
        self._save.setEnabled(False)
        close = button(self.tr("&Close"), "close")
        column.addWidget(self._text, 1)
        column.addWidget(self._told)
        column.addLayout(answers(self._save, close))
        on_click(self._save, self._ask_where)
        on_click(close, self.accept)
        self.resize(self.minimumWidth(), theme.px(480))
        post(PrepareDiagnostics())

    def follow(self, view: AppView) -> None:
        """Show what was gathered."""
        if view.diagnostics != self._given:
            self._given = view.diagnostics
            self._text.setPlainText(shown(view.diagnostics))
        self._save.setEnabled(bool(view.diagnostics))

    def _ask_where(self) -> None:
        asked = QFileDialog(self, APP_NAME)
        identify(asked, "where-to-save")
        asked.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
        asked.setDefaultSuffix("txt")
        asked.selectFile(_FILE_NAME)
        asked.fileSelected.connect(self.save)
        asked.finished.connect(asked.deleteLater)
        asked.open()

    def save(self, path: str) -> None:
        """Have it written to this file."""
        self._post(SaveDiagnostics(path))
        set_visible_text(self._told, self.tr("Saved as {path}").format(path=path))
