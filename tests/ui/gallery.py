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
from PySide6.QtWidgets import QPushButton

from app.ui.application import appearance_of, create_application
from app.ui.window import MainWindow
from tests.ui.samples import LEVEL, NOW, STATES

SCREEN = (1366, 768)
LOOKS = (("light", 1.0), ("dark", 1.0), ("contrast", 1.0), ("light", 2.0))


def take(folder: Path, state: str, look: str, scale: float, tab: str = "") -> None:
    """Save one picture."""
    app = create_application([])
    appearance = appearance_of(app)
    assert appearance is not None
    appearance.choose(look, scale)
    shown, selected = STATES[state]
    ratio = float(os.environ.get("QT_SCALE_FACTOR", "1"))
    window = MainWindow(lambda _wish: None, lambda: LEVEL, lambda: NOW)
    window.resize(round(SCREEN[0] / ratio), round(SCREEN[1] / ratio))
    window.show()
    window.render(replace(shown, settings=replace(shown.settings, theme=look)))
    window.select(selected)
    if tab:
        button = window.findChild(QPushButton, tab)
        assert button is not None, tab
        button.click()
    QTest.qWait(120)
    name = (
        f"{state}{'-' + tab if tab else ''}.{look}{'.large' if scale > 1 else ''}{'.dense' if ratio > 1 else ''}.png"
    )
    window.grab().save(str(folder / name))
    window.deleteLater()
    QTest.qWait(1)


def main(folder: Path, only: list[str]) -> None:
    """Save all pictures, or those of the states named."""
    folder.mkdir(parents=True, exist_ok=True)
    shots = [(state, "") for state in STATES] + [("result", "tab-medications"), ("result", "tab-transcript")]
    for (state, tab), (look, scale) in product(shots, LOOKS):
        if not only or state in only:
            take(folder, state, look, scale, tab)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
