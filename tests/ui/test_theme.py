"""The visual language: legible by computation, and live."""

from __future__ import annotations

import pytest
from PySide6.QtGui import QColor, QPalette
from PySide6.QtWidgets import QApplication, QPushButton

from app.core.settings import Settings
from app.ui import theme
from app.ui.application import appearance_of
from app.ui.icons import RESOURCES, drawing
from tests.ui.desk import Desk
from tests.ui.samples import view


def test_contrast_is_computed_as_wcag_does() -> None:
    assert theme.contrast("#000000", "#FFFFFF") == pytest.approx(21.0)
    assert theme.contrast("#777777", "#FFFFFF") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("one", theme.THEMES, ids=lambda one: one.name)
def test_every_text_can_be_read(one: theme.Theme) -> None:
    least = 7.0 if one.name.startswith("contrast") else 4.5
    pale = {
        (ink, paper): round(theme.contrast(getattr(one, ink), getattr(one, paper)), 2)
        for ink, paper in theme.TEXT_PAIRS
        if theme.contrast(getattr(one, ink), getattr(one, paper)) < least
    }
    assert pale == {}


@pytest.mark.parametrize("one", theme.THEMES, ids=lambda one: one.name)
def test_every_edge_can_be_seen(one: theme.Theme) -> None:
    faint = [
        (ink, paper)
        for ink, paper in theme.EDGE_PAIRS
        if theme.contrast(getattr(one, ink), getattr(one, paper)) < 3.0
    ]
    assert faint == []


def test_the_style_sheet_leaves_no_name_unfilled() -> None:
    for one in theme.THEMES:
        assert "$" not in theme.style_sheet(one)


def test_icons_are_of_one_colour_that_the_theme_gives() -> None:
    for path in sorted((RESOURCES / "icons").glob("*.svg")):
        made = drawing(path.stem, "#123456").decode()
        assert "currentColor" not in made
        assert "#123456" in made


def _corner(desk: Desk) -> QColor:
    page = desk.window.grab().toImage()
    return page.pixelColor(page.width() - 8, page.height() // 2)


def test_the_theme_changes_while_the_window_is_open(desk: Desk, dressed: QApplication) -> None:
    assert _corner(desk) == QColor(theme.LIGHT.bg)
    desk.window.render(view(settings=Settings(theme="dark")))
    assert _corner(desk) == QColor(theme.DARK.bg)
    assert dressed.palette().color(QPalette.ColorRole.Text) == QColor(theme.DARK.text)
    desk.window.render(view(settings=Settings(theme="contrast")))
    assert _corner(desk) == QColor(theme.CONTRAST_LIGHT.bg)


def test_an_icon_takes_the_new_theme_without_being_told(desk: Desk) -> None:
    def ink() -> set[str]:
        made = desk.find(QPushButton, "new-session").icon().pixmap(24, 24).toImage()
        colors = [made.pixelColor(x, y) for x in range(24) for y in range(24)]
        return {color.name() for color in colors if color.alpha() == 255}

    before = ink()
    desk.window.render(view(settings=Settings(theme="dark")))
    assert ink() != before


def test_the_system_theme_is_followed_by_default(desk: Desk, dressed: QApplication) -> None:
    appearance = appearance_of(dressed)
    assert appearance is not None
    desk.window.render(view())
    assert theme.current() in theme.THEMES
