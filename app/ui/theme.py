"""The visual language as data: colours by name, sizes, and the style sheet and palette made of them.

Owns the theme in force. Main thread. Every colour on the screen is a field of :class:`Theme`, so that a theme is a
table and its contrast can be computed (see the tests).
"""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtGui import QColor, QPalette

SPACE = (4, 8, 12, 16, 24, 32)
_RECORD_MOST_PX = 88
"""However large the text: the button must leave room for the page."""
READING_COLUMN_PX = 720
"""About 75 characters of the reading face, with its margins."""


@dataclass(frozen=True)
class Theme:
    """One set of colours. ``edge_px`` is the width of controls' edges."""

    name: str
    is_dark: bool
    bg: str
    surface: str
    raised: str
    line: str
    border: str
    text: str
    muted: str
    accent: str
    on_accent: str
    accent_hover: str
    record: str
    on_record: str
    record_hover: str
    warn: str
    warn_bg: str
    danger: str
    danger_bg: str
    ok: str
    ok_bg: str
    info: str
    info_bg: str
    focus: str
    sel: str
    meter: str
    hot: str
    edge_px: int = 1

    def color(self, token: str) -> QColor:
        """The colour of that name."""
        return QColor(getattr(self, token))


LIGHT = Theme(
    name="light",
    is_dark=False,
    bg="#F6F7F9",
    surface="#FFFFFF",
    raised="#EDF0F3",
    line="#D5DAE1",
    border="#8A95A3",
    text="#16202B",
    muted="#556270",
    accent="#0B6A6A",
    on_accent="#FFFFFF",
    accent_hover="#095656",
    record="#C42B2B",
    on_record="#FFFFFF",
    record_hover="#A82222",
    warn="#6B4700",
    warn_bg="#FFF3D6",
    danger="#8E1B1B",
    danger_bg="#FDEBEB",
    ok="#14532D",
    ok_bg="#E5F4EB",
    info="#123E6B",
    info_bg="#E6F0FB",
    focus="#1D5FD1",
    sel="#CFE8E7",
    meter="#1F7F55",
    hot="#9A5B00",
)
DARK = Theme(
    name="dark",
    is_dark=True,
    bg="#11161C",
    surface="#19202A",
    raised="#232C38",
    line="#34404D",
    border="#74828F",
    text="#E8EDF2",
    muted="#A7B3C0",
    accent="#55C7C2",
    on_accent="#062322",
    accent_hover="#74D8D3",
    record="#FF7A7A",
    on_record="#2B0606",
    record_hover="#FF9696",
    warn="#FFD88A",
    warn_bg="#3A2D0C",
    danger="#FFB4B4",
    danger_bg="#3D1717",
    ok="#9BE3B8",
    ok_bg="#12331F",
    info="#A9D0FF",
    info_bg="#132C47",
    focus="#7FB2FF",
    sel="#1F4A4A",
    meter="#57D39B",
    hot="#F0B35A",
)
CONTRAST_LIGHT = Theme(
    name="contrast-light",
    is_dark=False,
    bg="#FFFFFF",
    surface="#FFFFFF",
    raised="#FFFFFF",
    line="#000000",
    border="#000000",
    text="#000000",
    muted="#000000",
    accent="#003B3B",
    on_accent="#FFFFFF",
    accent_hover="#000000",
    record="#8B0000",
    on_record="#FFFFFF",
    record_hover="#000000",
    warn="#3D2900",
    warn_bg="#FFFFFF",
    danger="#6B0000",
    danger_bg="#FFFFFF",
    ok="#003314",
    ok_bg="#FFFFFF",
    info="#00264D",
    info_bg="#FFFFFF",
    focus="#0033CC",
    sel="#D6F0FF",
    meter="#00401F",
    hot="#5C3600",
    edge_px=2,
)
CONTRAST_DARK = Theme(
    name="contrast-dark",
    is_dark=True,
    bg="#000000",
    surface="#000000",
    raised="#000000",
    line="#FFFFFF",
    border="#FFFFFF",
    text="#FFFFFF",
    muted="#FFFFFF",
    accent="#7CF5F0",
    on_accent="#000000",
    accent_hover="#FFFFFF",
    record="#FF9C9C",
    on_record="#000000",
    record_hover="#FFFFFF",
    warn="#FFE29A",
    warn_bg="#000000",
    danger="#FFC2C2",
    danger_bg="#000000",
    ok="#A6F5C4",
    ok_bg="#000000",
    info="#BBDDFF",
    info_bg="#000000",
    focus="#FFFF00",
    sel="#00394D",
    meter="#7DF5B5",
    hot="#FFC875",
    edge_px=2,
)
THEMES = (LIGHT, DARK, CONTRAST_LIGHT, CONTRAST_DARK)

TEXT_PAIRS = (
    *((ink, paper) for ink in ("text", "muted", "accent") for paper in ("bg", "surface")),
    ("text", "raised"),
    ("muted", "raised"),
    ("text", "sel"),
    ("on_accent", "accent"),
    ("on_accent", "accent_hover"),
    ("on_record", "record"),
    ("on_record", "record_hover"),
    ("record", "surface"),
    ("danger", "surface"),
    ("warn", "surface"),
    ("ok", "surface"),
    ("warn", "warn_bg"),
    ("danger", "danger_bg"),
    ("ok", "ok_bg"),
    ("info", "info_bg"),
    ("danger_bg", "danger"),
)
"""Ink on paper, wherever there are words: at least 4.5 to 1."""
EDGE_PAIRS = (
    ("border", "surface"),
    ("focus", "surface"),
    ("focus", "bg"),
    ("meter", "surface"),
    ("hot", "surface"),
    ("record", "surface"),
)
"""What must be seen but is not read: at least 3 to 1."""


class _InForce:
    """The theme and the text scale that are on the screen now."""

    theme = LIGHT
    scale = 1.0


def current() -> Theme:
    """The theme in force."""
    return _InForce.theme


def px(size: float) -> int:
    """A length of the design at the text size in force."""
    return round(size * _InForce.scale)


def put_in_force(theme: Theme, scale: float) -> None:
    """Make this the theme that painting asks for."""
    _InForce.theme = theme
    _InForce.scale = scale


def contrast(first: str, second: str) -> float:
    """Contrast of two ``#RRGGBB`` colours as WCAG 2 computes it, 1 to 21."""
    lighter, darker = sorted((_luminance(first), _luminance(second)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(color: str) -> float:
    knee = 0.04045
    channels = (int(color[at : at + 2], 16) / 255 for at in (1, 3, 5))
    red, green, blue = (c / 12.92 if c <= knee else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def palette(theme: Theme) -> QPalette:
    """The palette for whatever the style sheet does not reach."""
    role = QPalette.ColorRole
    made = QPalette()
    for key, token in {
        role.Window: "bg",
        role.Base: "surface",
        role.AlternateBase: "raised",
        role.Button: "surface",
        role.ToolTipBase: "surface",
        role.WindowText: "text",
        role.Text: "text",
        role.ButtonText: "text",
        role.ToolTipText: "text",
        role.PlaceholderText: "muted",
        role.Highlight: "sel",
        role.HighlightedText: "text",
        role.Link: "accent",
        role.Accent: "accent",
    }.items():
        made.setColor(key, theme.color(token))
    for key in (role.WindowText, role.Text, role.ButtonText):
        made.setColor(QPalette.ColorGroup.Disabled, key, theme.color("muted"))
    return made


def style_sheet(theme: Theme) -> str:
    """The whole window's style sheet, at the text size in force."""
    edge, record = theme.edge_px, min(px(64), _RECORD_MOST_PX)
    values = {f"c_{name}": value for name, value in vars(theme).items() if isinstance(value, str)}
    values |= {f"p{n}": f"{px(n)}px" for n in (2, 4, 6, 8, 10, 12, 13, 14, 15, 16, 18, 20, 24, 28, 32, 36, 40, 64)}
    values |= {"edge": f"{edge}px", "ring": f"{edge + 1}px", "h_field": f"{px(36) - 2 * edge}px"}
    values |= {"pad_y": f"{px(6)}px", "pad_x": f"{px(14)}px", "pad_x_ring": f"{px(14) - 1}px", "pill": f"{px(14)}px"}
    values |= {"h_chip": f"{px(30) - 2 * edge}px", "h_record": f"{record - 4}px", "r_record": f"{record // 2}px"}
    # Without colours to tell them apart, the edge says that a control cannot be used now.
    values["c_off"] = theme.line if theme.edge_px > 1 else "transparent"
    values["off_edge"] = "dashed" if theme.edge_px > 1 else "solid"
    values["w_question"] = f"{px(340)}px"
    sheet = _SHEET
    for name in sorted(values, key=len, reverse=True):
        sheet = sheet.replace(f"${name}", values[name])
    return sheet


_SHEET = """
* { font-size: $p13; }
QWidget { color: $c_text; }
QMainWindow, QDialog, QMessageBox { background: $c_bg; }
QMessageBox QLabel { min-width: $w_question; }
QMessageBox QLabel#qt_msgbox_label { font-size: $p15; font-weight: 600; }
QToolTip { background: $c_surface; color: $c_text; border: $edge solid $c_border; padding: $p4; }

QLabel[role="title"] { font-size: $p24; font-weight: 600; }
QLabel[role="heading"] { font-size: $p18; font-weight: 600; }
QLabel[role="strong"] { font-weight: 600; }
QLabel[role="muted"] { color: $c_muted; }
QLabel[role="small"] { color: $c_muted; font-size: $p12; }
QLabel[role="reading"] { font-size: $p15; }
QLabel[role="timer"] { font-size: $p40; font-weight: 600; }

QFrame#page { background: $c_bg; border: none; }
QFrame[rule="true"] { background: $c_line; border: none; }
QFrame[card="true"] { background: $c_surface; border: $edge solid $c_line; border-radius: 10px; }
QFrame#side { background: $c_surface; border: none; border-right: $edge solid $c_line; }
QFrame#footer { background: $c_surface; border: none; border-top: $edge solid $c_line; }
QScrollArea, QScrollArea > QWidget > QWidget#scrolled { background: transparent; border: none; }

QPushButton, QToolButton {
  background: $c_surface; border: $edge solid $c_border; border-radius: 6px;
  padding: 0 $pad_x; min-height: $h_field; color: $c_text;
}
QPushButton:hover, QToolButton:hover { background: $c_raised; }
QPushButton:pressed, QToolButton:pressed { background: $c_sel; }
QPushButton:focus, QToolButton:focus { border: 2px solid $c_focus; padding: 0 $pad_x_ring; }
QPushButton:disabled, QToolButton:disabled {
  color: $c_muted; background: $c_raised; border-color: $c_line; border-style: $off_edge;
}
QPushButton::menu-indicator, QToolButton::menu-indicator { image: none; width: 0; }

QPushButton[kind="primary"] { background: $c_accent; color: $c_on_accent; border-color: $c_accent; font-weight: 600; }
QPushButton[kind="primary"]:hover { background: $c_accent_hover; border-color: $c_accent_hover; }
QPushButton[kind="primary"]:focus { border: 2px solid $c_focus; }
QPushButton[kind="primary"]:disabled {
  background: $c_raised; color: $c_muted; border-color: $c_line; border-style: $off_edge;
}

QPushButton[kind="record"] {
  background: $c_record; color: $c_on_record; border: 2px solid $c_record; border-radius: $r_record;
  min-height: $h_record; padding: 0 $p32; font-size: $p18; font-weight: 600;
}
QPushButton[kind="record"]:hover { background: $c_record_hover; border-color: $c_record_hover; }
QPushButton[kind="record"]:focus { border: 3px solid $c_focus; }
QPushButton[kind="record"]:disabled {
  background: $c_raised; color: $c_muted; border-color: $c_line; border-style: $off_edge;
}

QPushButton[kind="quiet"] { background: transparent; border-color: transparent; color: $c_accent; }
QPushButton[kind="quiet"]:hover { background: $c_raised; }
QPushButton[kind="quiet"]:focus { border: 2px solid $c_focus; }
QPushButton[kind="quiet"]:disabled { color: $c_muted; background: transparent; border-color: $c_off; }
QPushButton[kind="danger"] { background: transparent; border-color: transparent; color: $c_danger; }
QPushButton[kind="danger"]:hover { background: $c_danger_bg; }
QPushButton[kind="danger"]:focus { border: 2px solid $c_focus; }
QPushButton[kind="danger"]:disabled { color: $c_muted; background: transparent; border-color: $c_off; }

QPushButton[kind="chip"] {
  background: $c_raised; border: $edge solid $c_line; border-radius: $pill; padding: 0 $p12; min-height: $h_chip;
}
QPushButton[kind="chip"]:hover { border-color: $c_border; }
QPushButton[kind="chip"]:checked { background: $c_sel; border-color: $c_accent; }
QPushButton[kind="chip"]:focus { border: 2px solid $c_focus; }

QPushButton[kind="tab"] {
  background: transparent; border: none; border-bottom: 3px solid transparent; border-radius: 0; padding: 0 $p12;
  min-height: $p36; color: $c_muted;
}
QPushButton[kind="tab"]:hover { color: $c_text; background: $c_raised; }
QPushButton[kind="tab"]:checked { color: $c_text; border-bottom-color: $c_accent; }
QPushButton[kind="tab"]:focus { border: 2px solid $c_focus; border-radius: 6px; }

QLineEdit, QComboBox {
  background: $c_surface; border: $edge solid $c_border; border-radius: 6px; padding: 0 $p10; min-height: $h_field;
  selection-background-color: $c_sel; selection-color: $c_text;
}
QLineEdit, QPlainTextEdit { placeholder-text-color: $c_muted; }
QLineEdit:focus, QComboBox:focus { border: 2px solid $c_focus; }
QLineEdit:disabled, QComboBox:disabled { background: $c_raised; color: $c_muted; border-color: $c_line; }
QComboBox::drop-down { border: none; width: $p28; }
QComboBox::down-arrow { image: none; }
QComboBox QAbstractItemView {
  background: $c_surface; border: $edge solid $c_border; selection-background-color: $c_sel; selection-color: $c_text;
  outline: none; padding: $p4;
}

QTextBrowser, QPlainTextEdit {
  background: $c_surface; border: 2px solid transparent; border-radius: 8px; font-size: $p15;
  selection-background-color: $c_sel; selection-color: $c_text;
}
QTextBrowser:focus, QPlainTextEdit:focus { border: 2px solid $c_focus; }

QListView { background: transparent; border: 2px solid transparent; border-radius: 6px; outline: none; }
QListView:focus { border: 2px solid $c_focus; }

QFrame[banner="true"] { border-radius: 10px; }
QFrame[tone="warn"] { background: $c_warn_bg; border: $edge solid $c_warn; }
QFrame[tone="danger"] { background: $c_danger_bg; border: $edge solid $c_danger; }
QFrame[tone="info"] { background: $c_info_bg; border: $edge solid $c_info; }
QFrame[tone="ok"] { background: $c_ok_bg; border: $edge solid $c_ok; }
QFrame[tone="warn"] QLabel { color: $c_warn; }
QFrame[tone="danger"] QLabel { color: $c_danger; }
QFrame[tone="info"] QLabel { color: $c_info; }
QFrame[tone="ok"] QLabel { color: $c_ok; }
QFrame[tone="alarm"] { background: $c_danger; border: $edge solid $c_danger; }
QFrame[tone="alarm"] QLabel { color: $c_danger_bg; }
QFrame[tone="alarm"] QLabel[role="alarm"] { font-size: $p20; font-weight: 600; }

QProgressBar { background: $c_raised; border: none; border-radius: 3px; max-height: 6px; min-height: 6px; }
QProgressBar::chunk { background: $c_accent; border-radius: 3px; }

QMenuBar { background: $c_surface; border-bottom: $edge solid $c_line; padding: $p2 $p4; }
QMenuBar::item { background: transparent; padding: $p4 $p10; border-radius: 4px; }
QMenuBar::item:selected { background: $c_sel; }
QMenu { background: $c_surface; border: $edge solid $c_border; padding: $p4; }
QMenu::item { padding: $p6 $p24 $p6 $p24; border-radius: 4px; }
QMenu::item:selected { background: $c_sel; color: $c_text; }
QMenu::item:disabled { color: $c_muted; }
QMenu::separator { height: 1px; background: $c_line; margin: $p4 $p8; }

QStatusBar { background: $c_surface; border-top: $edge solid $c_line; }
QStatusBar::item { border: none; }
QStatusBar QLabel { font-size: $p12; color: $c_muted; }
QStatusBar QPushButton { font-size: $p12; min-height: $p20; padding: 0 $p6; }

QTableView {
  background: $c_surface; border: $edge solid $c_border; border-radius: 6px; gridline-color: $c_line; outline: none;
  selection-background-color: $c_sel; selection-color: $c_text; alternate-background-color: $c_surface;
}
QTableView:focus { border: 2px solid $c_focus; }
QTableView::item { padding: $p4 $p8; }
QTableView::item:selected { background: $c_sel; color: $c_text; }
QHeaderView { background: $c_raised; }
QHeaderView::section {
  background: $c_raised; color: $c_muted; border: none; border-bottom: $edge solid $c_line; padding: $p4 $p8;
  font-size: $p12;
}

QCheckBox { spacing: $p8; min-height: $h_field; }
QCheckBox::indicator {
  width: $p16; height: $p16; border: $edge solid $c_border; border-radius: 4px; background: $c_surface;
}
QCheckBox::indicator:checked { background: $c_accent; border-color: $c_accent; }
QCheckBox:focus { color: $c_focus; }
QCheckBox::indicator:focus { border: 2px solid $c_focus; }

QScrollBar:vertical { background: transparent; width: 12px; margin: 2px; }
QScrollBar::handle:vertical { background: $c_border; border-radius: 4px; min-height: 32px; }
QScrollBar:horizontal { background: transparent; height: 12px; margin: 2px; }
QScrollBar::handle:horizontal { background: $c_border; border-radius: 4px; min-width: 32px; }
QScrollBar::add-line, QScrollBar::sub-line { width: 0; height: 0; }
QScrollBar::add-page, QScrollBar::sub-page { background: transparent; }
"""
