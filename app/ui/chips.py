"""Chips: a row of choices of which any number may be on.

Main thread.
"""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QPushButton

from app.ui.controls import FlowRow, button, caption, tab_after
from app.ui.icons import icon


class Chips(FlowRow):
    """Choices that are switched on and off. The order in which they are switched on is kept."""

    changed = Signal()

    def __init__(self, prefix: str, *, needs_one: bool = False) -> None:
        super().__init__()
        self._prefix = prefix
        self._needs_one = needs_one
        self._chosen: list[str] = []
        self._chips: dict[str, QPushButton] = {}

    def chosen(self) -> tuple[str, ...]:
        """Ids of what is on."""
        return tuple(self._chosen)

    def offer(self, entries: list[tuple[str, str]], chosen: tuple[str, ...]) -> None:
        """Show these (id, text) entries, with those chosen that are among them."""
        if [(key, chip.property("caption")) for key, chip in self._chips.items()] != entries:
            self._rebuild(entries)
        self._chosen = [key for key in chosen if key in self._chips]
        self._show()

    def _rebuild(self, entries: list[tuple[str, str]]) -> None:
        for chip in self._chips.values():
            self.flow.removeWidget(chip)
            chip.hide()
            chip.deleteLater()
        self._chips = {}
        for key, text in entries:
            chip = button(caption(text), f"{self._prefix}-{key}", "chip")
            chip.setProperty("caption", text)
            chip.setCheckable(True)
            chip.clicked.connect(lambda _checked=False, key=key: self._toggle(key))
            self.flow.addWidget(chip)
            self._chips[key] = chip
        tab_after(self, self._chips.values())

    def _toggle(self, key: str) -> None:
        if key not in self._chosen:
            self._chosen.append(key)
        elif len(self._chosen) > 1 or not self._needs_one:
            self._chosen.remove(key)
        self._show()
        self.changed.emit()

    def _show(self) -> None:
        for key, chip in self._chips.items():
            is_on = key in self._chosen
            chip.setChecked(is_on)
            if chip.property("shown") != is_on:
                chip.setProperty("shown", is_on)
                chip.setIcon(icon("check", "accent") if is_on else icon("plus", "muted"))
        self.updateGeometry()
