"""Pictures of every state in every theme, to be looked at: ``python -m tests.ui.gallery FOLDER [NAME]…``.

Large text is drawn too. With ``QT_SCALE_FACTOR=2`` in the environment the screen is a dense one.
"""

from __future__ import annotations

import os
import sys
from itertools import product
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from dataclasses import replace

from PySide6.QtTest import QTest
from PySide6.QtWidgets import QDialog, QPushButton, QWidget

from app.core.views import AppView
from app.ui.application import appearance_of, create_application
from app.ui.window import MainWindow
from tests.ui.samples import DIALOGS, LEVEL, NOW, STATES

SCREEN = (1366, 768)
LOOKS = (("light", 1.0), ("dark", 1.0), ("contrast", 1.0), ("light", 2.0))


def open_window(look: str, scale: float) -> MainWindow:
    """An empty window in a look."""
    appearance = appearance_of(create_application([]))
    assert appearance is not None
    appearance.choose(look, scale)
    ratio = float(os.environ.get("QT_SCALE_FACTOR", "1"))
    window = MainWindow(lambda _wish: None, lambda: LEVEL, lambda: NOW, lambda: None)
    window.resize(round(SCREEN[0] / ratio), round(SCREEN[1] / ratio))
    window.show()
    return window


def save(window: MainWindow, shown: QWidget, path: Path) -> None:
    """Save what is shown, and be rid of the window."""
    QTest.qWait(120)
    shown.grab().save(str(path))
    window.deleteLater()
    QTest.qWait(1)


def name_of(state: str, look: str, scale: float) -> str:
    """A picture's file name."""
    is_dense = float(os.environ.get("QT_SCALE_FACTOR", "1")) > 1
    return f"{state}.{look}{'.large' if scale > 1 else ''}{'.dense' if is_dense else ''}.png"


def in_look(view: AppView, look: str) -> AppView:
    """The snapshot with that theme chosen."""
    return replace(view, settings=replace(view.settings, theme=look))


def take(folder: Path, state: str, look: str, scale: float, tab: str = "") -> None:
    """Save a picture of the window in a state."""
    shown, selected = STATES[state]
    window = open_window(look, scale)
    window.render(in_look(shown, look))
    window.select(selected)
    if tab:
        button = window.findChild(QPushButton, tab)
        assert button is not None, tab
        button.click()
    save(window, window, folder / name_of(f"{state}{'-' + tab if tab else ''}", look, scale))


def take_dialog(folder: Path, name: str, look: str, scale: float) -> None:
    """Save a picture of a dialog."""
    before, opening, shown = DIALOGS[name]
    window = open_window(look, scale)
    window.render(in_look(before, look))
    getattr(window.dialogs, opening)()
    window.render(in_look(shown, look))
    save(window, window.findChildren(QDialog)[0], folder / name_of(f"dialog-{name}", look, scale))


QUESTIONS = (("offline-queue", "close"), ("recording", "close"), ("recording", "discard"))


def take_question(folder: Path, state: str, what: str, look: str, scale: float) -> None:
    """Save a picture of what is asked before a state is left."""
    shown, selected = STATES[state]
    window = open_window(look, scale)
    window.render(in_look(shown, look))
    window.select(selected)
    if what == "close":
        window.close()
    else:
        window.findChildren(QPushButton, what)[0].click()
    save(window, window.findChildren(QDialog, "question")[0], folder / name_of(f"{what}-{state}", look, scale))


def main(folder: Path, only: list[str]) -> None:
    """Save all pictures, or those of the states named."""
    folder.mkdir(parents=True, exist_ok=True)
    shots = [(state, "") for state in STATES] + [("result", "tab-medications"), ("result", "tab-transcript")]
    for (state, tab), (look, scale) in product(shots, LOOKS):
        if not only or state in only:
            take(folder, state, look, scale, tab)
    for name, (look, scale) in product(DIALOGS, LOOKS):
        if not only or f"dialog-{name}" in only:
            take_dialog(folder, name, look, scale)
    for (state, what), (look, scale) in product(QUESTIONS, LOOKS):
        if not only or f"{what}-{state}" in only:
            take_question(folder, state, what, look, scale)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
