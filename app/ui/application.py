"""The application object: style, face, theme in force, and its live change with the system's.

Main thread.
"""

from __future__ import annotations

import sys

from PySide6.QtCore import QLoggingCategory, QObject, Qt
from PySide6.QtGui import QFont, QFontDatabase, QFontInfo, QIcon
from PySide6.QtWidgets import QApplication

from app.ui import theme
from app.ui.icons import RESOURCES

_BODY_PX = 13
_NO_FACE = frozenset({"", "Sans", "Sans Serif", "DejaVu Sans", "Helvetica"})
"""What Qt says on a system that names no face of its own."""


def create_application(argv: list[str]) -> QApplication:
    """The application, dressed. There is one a process: a second call dresses the same one again."""
    # Qt notes each face that cannot shape Indic text by itself, then shapes it with one that can.
    QLoggingCategory.setFilterRules("qt.text.font.db.info=false")
    existing = QApplication.instance()
    app = existing if isinstance(existing, QApplication) else QApplication(argv)
    app.setApplicationName("ScribeDesk")
    app.setApplicationDisplayName("ScribeDesk")
    app.setDesktopFileName("scribedesk")
    app.setWindowIcon(QIcon(str(RESOURCES / "scribedesk.svg")))
    if appearance_of(app) is None:
        app.setStyle("Fusion")
        Appearance(app)
    return app


def appearance_of(app: QObject | None) -> Appearance | None:
    """The appearance of a dressed application."""
    return app.findChild(Appearance) if app is not None else None


class Appearance(QObject):
    """Keeps the theme in force equal to the user's choice and the system's scheme."""

    def __init__(self, app: QApplication) -> None:
        super().__init__(app)
        self._app = app
        self._choice = "system"
        self._scale = text_scale(QFontDatabase.systemFont(QFontDatabase.SystemFont.GeneralFont))
        hints = app.styleHints()
        hints.colorSchemeChanged.connect(self._apply)
        hints.accessibility().contrastPreferenceChanged.connect(self._apply)
        self._shown: tuple[str, float] | None = None
        self._apply()

    def choose(self, choice: str, scale: float | None = None) -> None:
        """Follow this choice from now on: ``system``, ``light``, ``dark`` or ``contrast``."""
        self._choice = choice
        self._scale = scale or self._scale
        self._apply()

    def _apply(self) -> None:
        chosen = self._wanted()
        if self._shown == (chosen.name, self._scale):
            return
        self._shown = (chosen.name, self._scale)
        theme.put_in_force(chosen, self._scale)
        self._app.setFont(_face(self._scale))
        self._app.setPalette(theme.palette(chosen))
        self._app.setStyleSheet(theme.style_sheet(chosen))

    def _wanted(self) -> theme.Theme:
        hints = self._app.styleHints()
        is_dark = hints.colorScheme() is Qt.ColorScheme.Dark
        wants_contrast = hints.accessibility().contrastPreference() is Qt.ContrastPreference.HighContrast
        if self._choice == "contrast" or (self._choice == "system" and wants_contrast):
            return theme.CONTRAST_DARK if is_dark else theme.CONTRAST_LIGHT
        if self._choice == "dark" or (self._choice == "system" and is_dark):
            return theme.DARK
        return theme.LIGHT


def text_scale(system: QFont) -> float:
    """How much larger than usual the system's own text is, from 1 to 2."""
    usual = {"win32": 12.0, "darwin": 13.0}.get(sys.platform, 14.7)
    ratio = QFontInfo(system).pixelSize() / usual
    return min(ratio, 2.0) if ratio > 1.15 else 1.0  # noqa: PLR2004


def _face(scale: float) -> QFont:
    face = QFontDatabase.systemFont(QFontDatabase.SystemFont.GeneralFont)
    if face.family() in _NO_FACE:
        face.setFamilies(["Noto Sans", "Noto Sans Devanagari", face.family() or "Sans Serif"])
    face.setPixelSize(round(_BODY_PX * scale))
    return face
