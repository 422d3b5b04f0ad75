"""Shows a notice at the top of a page, with the buttons that help; what is said is decided elsewhere. Main thread."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFrame, QHBoxLayout, QPushButton, QVBoxLayout

from app.ui import theme
from app.ui.controls import FlowRow, button, identify, label, on_click, restyle, set_visible_text, tab_after
from app.ui.icons import Shape
from app.ui.notice import ALARM, Notice


@dataclass(frozen=True)
class Action:
    """What a banner's button says and does."""

    text: str
    identifier: str
    do: Callable[[], None]


class Banner(QFrame):
    """Shows one notice, or nothing. ``actions`` are all that its buttons may be, in their order."""

    def __init__(self, identifier: str, actions: Mapping[str, Action] | None = None) -> None:
        super().__init__()
        identify(self, identifier)
        self.setProperty("banner", "true")
        self._notice: Notice | None = None
        self._is_roomy = True
        self._offered = dict(actions or {})
        self._shape = Shape("warn", "warn", 22)
        self._what = label(role="strong", wrap=True)
        self._more = label(wrap=True)
        self._detail = label(wrap=True)
        self._row = FlowRow()
        self._buttons: dict[str, QPushButton] = {}
        self._column = QVBoxLayout()
        self._column.setSpacing(theme.px(4))
        for part in (self._what, self._more, self._detail, self._row):
            self._column.addWidget(part)
        self._line = QHBoxLayout(self)
        self._line.setSpacing(theme.px(12))
        self._line.addWidget(self._shape)
        self._line.addLayout(self._column, 1)
        self._lay_out(is_line=False)
        self.hide()

    def render(self, notice: Notice | None) -> None:  # type: ignore[override]
        """Show this notice, or nothing at all."""
        if notice == self._notice:
            return
        self._notice = notice
        self._show()

    def set_roomy(self, is_roomy: bool) -> None:
        """Whether there is room for the details too."""
        if is_roomy != self._is_roomy:
            self._is_roomy = is_roomy
            self._show()

    def _show(self) -> None:
        notice = self._notice
        if notice is not None:
            is_alarm = notice.tone == ALARM
            restyle(self, "tone", notice.tone)
            restyle(self._what, "role", "alarm" if is_alarm else "strong")
            shape = {"info": "info", "danger": "danger", ALARM: "danger"}.get(notice.tone, "warn")
            self._shape.draw(shape, "danger_bg" if is_alarm else notice.tone, 36 if is_alarm else 22)
            set_visible_text(self._what, notice.what)
            set_visible_text(self._more, notice.more)
            details = self.tr("Details: {text}").format(text=notice.detail)
            set_visible_text(self._detail, details if notice.detail and self._is_roomy else "")
            self._show_buttons(notice.actions)
            self._lay_out(is_line=notice.is_line)
        self.setVisible(notice is not None)

    def _lay_out(self, *, is_line: bool) -> None:
        above = theme.px(4 if is_line else 12)
        self._line.setContentsMargins(theme.px(16), above, theme.px(16), above)
        where = Qt.AlignmentFlag.AlignVCenter if is_line else Qt.AlignmentFlag.AlignTop
        self._line.setAlignment(self._shape, where)
        if is_line:
            self._line.addWidget(self._row, 0, where)
        else:
            self._column.addWidget(self._row)

    def _show_buttons(self, actions: frozenset[str]) -> None:
        # A button is made when it is first needed: the window should not wait for all of them.
        if actions - self._buttons.keys():
            self._make_buttons(actions)
        for name, each in self._buttons.items():
            each.setVisible(name in actions)
            each.setEnabled(name in actions)
        self._row.setVisible(bool(actions & self._buttons.keys()))

    def _make_buttons(self, actions: frozenset[str]) -> None:
        for name, action in self._offered.items():
            if name in actions and name not in self._buttons:
                made = button(action.text, action.identifier)
                on_click(made, action.do)
                self._buttons[name] = made
        for each in self._buttons.values():
            self._row.flow.removeWidget(each)
        for name in self._offered:
            if name in self._buttons:
                self._row.flow.addWidget(self._buttons[name])
        tab_after(self, (self._buttons[name] for name in self._offered if name in self._buttons))
