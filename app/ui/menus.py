"""The menu bar: what can be done by name and by key. Main thread."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from PySide6.QtGui import QAction, QActionGroup, QKeySequence
from PySide6.QtWidgets import QMainWindow, QMenu

from app.ui.controls import identify
from app.ui.icons import icon
from app.ui.phrases import tr


@dataclass(frozen=True)
class _Item:
    name: str
    text: str
    keys: str = ""
    picture: str = ""


def _menus() -> tuple[tuple[str, str, tuple[_Item, ...]], ...]:
    return (
        (
            "menu-session",
            tr("&Session"),
            (
                _Item("new", tr("&New session"), "F8", "plus"),
                _Item("record", tr("&Record"), "Ctrl+R", "record"),
                _Item("pause", tr("&Pause or resume"), "F9", "pause"),
                _Item("stop", tr("S&top and make notes"), "Ctrl+E", "stop"),
                _Item("copy", tr("&Copy note"), "Ctrl+Shift+C", "copy"),
                _Item("patient", tr("Change pat&ient…")),
                _Item("undo", tr("Have a discarded visit &back"), "Ctrl+Z", "undo"),
                _Item("quit", tr("&Quit"), "Ctrl+Q"),
            ),
        ),
        ("menu-view", tr("&View"), (_Item("list", tr("Session &list"), "Ctrl+B", "sidebar"),)),
        (
            "menu-keeping",
            tr("&Keeping"),
            (
                _Item("stored", tr("What is &stored here…"), "", "computer"),
                _Item("queue", tr("What &waits to be sent…"), "", "upload"),
                _Item("passphrase", tr("Set a &passphrase…"), "", "key"),
                _Item("unlock", tr("&Unlock…"), "", "key-locked"),
            ),
        ),
        (
            "menu-help",
            tr("&Help"),
            (
                _Item("practise", tr("Practise with a &sample consultation"), "", "practise"),
                _Item("test", tr("&Test the microphone…"), "", "microphone"),
                _Item("diagnostics", tr("&Diagnostics…"), "", "transcript"),
                _Item("about", tr("&About ScribeDesk"), "", "info"),
            ),
        ),
    )


class Menus:
    """The window's menus. ``do`` has what each item does, by its name; ``choose_theme`` takes a theme's name."""

    def __init__(
        self, window: QMainWindow, do: Mapping[str, Callable[[], object]], choose_theme: Callable[[str], None]
    ) -> None:
        self._window = window
        self._actions: dict[str, QAction] = {}
        for identifier, title, items in _menus():
            menu = window.menuBar().addMenu(title)
            identify(menu, identifier)
            for item in items:
                if item.name == "quit":
                    menu.addSeparator()
                self._actions[item.name] = self._add(menu, item, do[item.name])
            if identifier == "menu-view":
                self._add_themes(menu.addMenu(tr("&Theme")), choose_theme)

    def _add(self, menu: QMenu, item: _Item, do: Callable[[], object]) -> QAction:
        made = QAction(item.text, self._window)
        made.setObjectName(f"do-{item.name}")
        if item.keys:
            made.setShortcut(QKeySequence(item.keys))
        if item.picture:
            made.setIcon(icon(item.picture))
        made.triggered.connect(lambda _checked=False: do())
        menu.addAction(made)
        return made

    def _add_themes(self, menu: QMenu, choose: Callable[[str], None]) -> None:
        identify(menu, "menu-theme")
        self._themes = QActionGroup(self._window)
        for name, text in (
            ("system", tr("As the &system")),
            ("light", tr("&Light")),
            ("dark", tr("&Dark")),
            ("contrast", tr("&High contrast")),
        ):
            made = self._add(menu, _Item(f"theme-{name}", text), partial(choose, name))
            made.setCheckable(True)
            made.setData(name)
            self._themes.addAction(made)

    def enable(self, **can: bool) -> None:
        """Which items can be used now, by name."""
        for name, is_possible in can.items():
            self._actions[name].setEnabled(is_possible)

    def show_theme(self, chosen: str) -> None:
        """Tick the theme in force."""
        for action in self._themes.actions():
            action.setChecked(action.data() == chosen)
