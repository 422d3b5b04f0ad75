"""A window under test, with what it was asked to post."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar

from PySide6.QtGui import QAction
from PySide6.QtWidgets import QWidget

from app.core.views import Wish
from app.ui.window import MainWindow
from tests.ui.samples import STATES

_Widget = TypeVar("_Widget", bound=QWidget)


@dataclass
class Desk:
    """A window on the screen, and the wishes that it posted."""

    window: MainWindow
    posted: list[Wish] = field(default_factory=list)

    def show(self, state: str) -> None:
        """Show one of the samples."""
        view, selected = STATES[state]
        self.window.render(view)
        self.window.select(selected)

    def find(self, kind: type[_Widget], identifier: str) -> _Widget:
        """The widget of that identifier, the visible one first."""
        found = self.window.findChildren(kind, identifier)
        assert found, f"no {identifier}"
        return next((each for each in found if each.isVisible()), found[0])

    def is_shown(self, identifier: str) -> bool:
        """Whether a widget of that identifier can be seen."""
        return any(each.isVisible() for each in self.window.findChildren(QWidget, identifier))

    def find_action(self, name: str) -> QAction:
        """What is in a menu under that name."""
        return next(each for each in self.window.findChildren(QAction) if each.objectName() == name)

    def wishes(self, kind: type[object]) -> list[Wish]:
        """What was posted of that kind."""
        return [wish for wish in self.posted if isinstance(wish, kind)]
