"""Our own icons: one-colour drawings that take their colour from the theme each time they are painted.

Owns the cache of rendered pictures. Main thread. Because the colour is asked for at painting time, nothing has to be
told when the theme changes.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from PySide6.QtCore import QByteArray, QRect, QRectF, QSize, Qt
from PySide6.QtGui import QIcon, QIconEngine, QPainter, QPixmap
from PySide6.QtSvg import QSvgRenderer
from PySide6.QtWidgets import QWidget

from app.ui import theme

RESOURCES = Path(__file__).resolve().parents[2] / "resources"


def drawing(name: str, color: str) -> bytes:
    """The icon's SVG in that colour."""
    return _source(name).replace("currentColor", color).encode()


@lru_cache(maxsize=128)
def _source(name: str) -> str:
    return (RESOURCES / "icons" / f"{name}.svg").read_text(encoding="utf-8")


@lru_cache(maxsize=512)
def _picture(name: str, color: str, width: int, height: int) -> QPixmap:
    made = QPixmap(width, height)
    made.fill(Qt.GlobalColor.transparent)
    side = min(width, height)
    painter = QPainter(made)
    square = QRectF((width - side) / 2, (height - side) / 2, side, side)
    QSvgRenderer(QByteArray(drawing(name, color))).render(painter, square)
    painter.end()
    return made


def paint_icon(painter: QPainter, where: QRect, name: str, ink: str) -> None:
    """Draw an icon in the colour of a theme's token."""
    device = painter.device()
    ratio = device.devicePixelRatioF() if device is not None else 1.0
    color = theme.current().color(ink).name()
    painter.drawPixmap(where, _picture(name, color, round(where.width() * ratio), round(where.height() * ratio)))


class _ThemedEngine(QIconEngine):
    """Paints one icon; a button in disabled state shows it muted."""

    def __init__(self, name: str, ink: str) -> None:
        super().__init__()
        self._name = name
        self._token = ink

    def clone(self) -> QIconEngine:
        return _ThemedEngine(self._name, self._token)

    def paint(self, painter: QPainter, rect: QRect, mode: QIcon.Mode, state: QIcon.State) -> None:  # noqa: ARG002
        paint_icon(painter, rect, self._name, self._ink(mode))

    def pixmap(self, size: QSize, mode: QIcon.Mode, state: QIcon.State) -> QPixmap:  # noqa: ARG002
        color = theme.current().color(self._ink(mode)).name()
        return _picture(self._name, color, size.width(), size.height())

    def _ink(self, mode: QIcon.Mode) -> str:
        return "muted" if mode is QIcon.Mode.Disabled else self._token


def icon(name: str, ink: str = "text") -> QIcon:
    """An icon for a button or a menu, in the colour of a theme's token."""
    return QIcon(_ThemedEngine(name, ink))


class Shape(QWidget):
    """A picture of a state beside its word. It is decoration: the word carries the meaning."""

    def __init__(self, name: str = "state-ready", ink: str = "muted", side: int = 20) -> None:
        super().__init__()
        self._name = name
        self._token = ink
        self._side = side
        self.setFixedSize(theme.px(side), theme.px(side))

    def draw(self, name: str, ink: str, side: int | None = None) -> None:
        """Show another shape, of another size if that is given."""
        wanted = (name, ink, side or self._side)
        if wanted != (self._name, self._token, self._side):
            self._name, self._token, self._side = wanted
            self.setFixedSize(theme.px(self._side), theme.px(self._side))
            self.update()

    def paintEvent(self, event: object) -> None:  # noqa: ARG002, N802
        """Qt's hook."""
        painter = QPainter(self)
        paint_icon(painter, self.rect(), self._name, self._token)
        painter.end()
