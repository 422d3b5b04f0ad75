"""Questions and dialogs of the house: asked without blocking, the harmless answer being the default. Main thread."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from PySide6.QtCore import QCoreApplication, Qt
from PySide6.QtWidgets import QDialog, QHBoxLayout, QMessageBox, QPushButton, QVBoxLayout, QWidget

from app.ui import theme
from app.ui.controls import identify, label, restyle
from app.ui.plain import shown

APP_NAME = "ScribeDesk"
"""The title of every window: it says nothing of a patient."""


@dataclass(frozen=True)
class Answer:
    """One of a question's buttons."""

    text: str
    identifier: str
    kind: str = ""


def ask(
    parent: QWidget, what: str, more: str, yes: Answer, do: Callable[[], None], *, no: Answer | None = None
) -> QMessageBox:
    """Ask, and do something when the answer is yes. The other answer is the default and what Escape means."""
    asked = QMessageBox(parent)
    identify(asked, "question")
    asked.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    asked.setIcon(QMessageBox.Icon.NoIcon)
    asked.setTextFormat(Qt.TextFormat.PlainText)
    asked.setWindowTitle(APP_NAME)
    asked.setText(shown(what))
    asked.setInformativeText(shown(more))
    accept = asked.addButton(yes.text, QMessageBox.ButtonRole.DestructiveRole)
    identify(accept, yes.identifier)
    restyle(accept, "kind", yes.kind)
    no = no or Answer(QCoreApplication.translate("question", "&Cancel"), "cancel")
    cancel = asked.addButton(no.text, QMessageBox.ButtonRole.RejectRole)
    identify(cancel, no.identifier)
    asked.setDefaultButton(cancel)
    asked.setEscapeButton(cancel)
    accept.clicked.connect(lambda _checked=False: do())
    asked.open()
    return asked


def furnish(dialog: QDialog, identifier: str, heading: str, width: int = 480) -> QVBoxLayout:
    """Give a dialog its name, its heading and the column for what it holds."""
    identify(dialog, identifier, heading)
    dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    dialog.setWindowTitle(APP_NAME)
    dialog.setMinimumWidth(min(theme.px(width), _most_width(dialog)))
    column = QVBoxLayout(dialog)
    column.setContentsMargins(theme.px(24), theme.px(20), theme.px(24), theme.px(20))
    column.setSpacing(theme.px(12))
    column.addWidget(label(heading, "heading", wrap=True))
    return column


def grow(dialog: QDialog) -> None:
    """Make a dialog as high as its words need at its width; Qt by itself would cut lines that wrap."""
    layout = dialog.layout()
    if layout is not None and layout.hasHeightForWidth():
        needed = min(layout.totalHeightForWidth(dialog.width()), dialog.screen().availableGeometry().height())
        if needed > dialog.height():
            dialog.resize(dialog.width(), needed)


def _most_width(dialog: QDialog) -> int:
    return round(dialog.screen().availableGeometry().width() * 0.9)


def answers(*buttons: QPushButton, apart: QPushButton | None = None) -> QHBoxLayout:
    """A dialog's last row: its buttons at the right, and at the left the one that is not like the others."""
    row = QHBoxLayout()
    row.setSpacing(theme.px(8))
    if apart is not None:
        row.addWidget(apart)
    row.addStretch(1)
    for each in buttons:
        row.addWidget(each)
    return row
