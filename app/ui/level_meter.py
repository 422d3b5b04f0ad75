"""The level meter: how loud it is now, in dBFS, with a held peak and a word that says whether that is good.

Pulls the level 30 times a second while it can be seen and is live; at other times it does nothing. Main thread.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from PySide6.QtCore import QElapsedTimer, QRectF, QSize, Qt, QTimer, Signal
from PySide6.QtGui import QHideEvent, QPainter, QPainterPath, QPaintEvent, QShowEvent
from PySide6.QtWidgets import QHBoxLayout, QSizePolicy, QWidget

from app.core.views import Level
from app.ui import theme
from app.ui.controls import identify, label
from app.ui.icons import Shape
from app.ui.phrases import State, tr

FLOOR_DBFS = -60.0
HOT_DBFS = -12.0
CLIP_DBFS = -3.0
_DECAY_DB_PER_SECOND = 20.0
_HOLD_SECONDS = 1.5
_WORD_SECONDS = 3.0
"""A word is about the loudest of this long, so that it does not change with every breath."""
_NO_SOUND_DBFS = -75.0
_QUIET_DBFS = -36.0
_CLIPPED_DBFS = -0.5
_FRAME_MS = 33


@dataclass
class Ballistics:
    """How the bar and the held peak move: up at once, down slowly."""

    bar_dbfs: float = -120.0
    peak_dbfs: float = -120.0
    loudest_dbfs: float = -120.0
    _peak_age: float = 0.0
    _loudest_age: float = 0.0

    def advance(self, level: Level, seconds: float) -> None:
        """Take in the level of now, so many seconds after the last one."""
        fall = _DECAY_DB_PER_SECOND * seconds
        self.bar_dbfs = max(level.rms_dbfs, self.bar_dbfs - fall)
        self._peak_age += seconds
        if level.peak_dbfs >= self.peak_dbfs:
            self.peak_dbfs, self._peak_age = level.peak_dbfs, 0.0
        elif self._peak_age > _HOLD_SECONDS:
            self.peak_dbfs = max(level.peak_dbfs, self.peak_dbfs - fall)
        self._loudest_age += seconds
        if level.peak_dbfs >= self.loudest_dbfs or self._loudest_age > _WORD_SECONDS:
            self.loudest_dbfs, self._loudest_age = level.peak_dbfs, 0.0


def verdict(ballistics: Ballistics, level: Level) -> State:
    """What a person should make of it."""
    if not level.is_live:
        return State("state-ready", "muted", tr("waiting for sound"))
    loudest = ballistics.loudest_dbfs
    if loudest < _NO_SOUND_DBFS:
        return State("warn", "warn", tr("no sound"))
    if loudest < _QUIET_DBFS:
        return State("warn", "warn", tr("too quiet"))
    if loudest >= _CLIPPED_DBFS:
        return State("warn", "danger", tr("clipping"))
    return State("state-done", "ok", tr("good"))


class _Bar(QWidget):
    """The painted bar."""

    def __init__(self) -> None:
        super().__init__()
        self.setMinimumSize(theme.px(120), theme.px(16))
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.bar = 0.0
        self.peak = 0.0

    def sizeHint(self) -> QSize:  # noqa: N802
        """Qt's hook."""
        return QSize(theme.px(280), theme.px(16))

    def show_level(self, bar: float, peak: float) -> None:
        """Both as parts of the scale, 0 to 1."""
        if (bar, peak) != (self.bar, self.peak):
            self.bar, self.peak = bar, peak
            self.update()

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: ARG002, N802
        """Qt's hook."""
        colors = theme.current()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        track = QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5)
        outline = QPainterPath()
        outline.addRoundedRect(track, 4, 4)
        painter.fillPath(outline, colors.color("raised"))
        painter.save()
        painter.setClipPath(outline)
        start = 0.0
        for end, token in ((_part(HOT_DBFS), "meter"), (_part(CLIP_DBFS), "hot"), (1.0, "record")):
            if self.bar > start:
                painter.fillRect(self._stretch(start, min(self.bar, end)), colors.color(token))
            start = end
        if self.peak > 0:
            token = "record" if self.peak > _part(CLIP_DBFS) else "hot" if self.peak > _part(HOT_DBFS) else "text"
            edge = self._stretch(self.peak, self.peak)
            painter.fillRect(edge.adjusted(-2.0, 0, 0.5, 0), colors.color(token))
        painter.restore()
        for mark in (-48.0, -36.0, -24.0, HOT_DBFS, CLIP_DBFS):
            x = round(_part(mark) * self.width())
            painter.fillRect(QRectF(x, 0, 1, self.height()), colors.color("surface"))
        painter.setPen(colors.color("border"))
        painter.drawPath(outline)
        painter.end()

    def _stretch(self, start: float, end: float) -> QRectF:
        return QRectF(start * self.width(), 0, (end - start) * self.width(), self.height())


def _part(dbfs: float) -> float:
    return min(1.0, max(0.0, 1.0 - dbfs / FLOOR_DBFS))


class LevelMeter(QWidget):
    """The bar, its figure and its word. ``measured`` is emitted with each level that was pulled."""

    measured = Signal(object)

    def __init__(self, level: Callable[[], Level]) -> None:
        super().__init__()
        identify(self, "level-meter", self.tr("Microphone level"))
        self._level = level
        self._is_active = False
        self._ballistics = Ballistics()
        self._elapsed = QElapsedTimer()
        self._timer = QTimer(self, interval=_FRAME_MS)
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._tick)
        self._bar = _Bar()
        self._figure = label(role="muted")
        self._figure.setMinimumWidth(self._figure.fontMetrics().horizontalAdvance("\u2212888 dBFS "))
        self._figure.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self._shape = Shape("state-ready", "muted", 18)
        self._word = label(role="strong")
        self._word.setMinimumWidth(self._word.fontMetrics().horizontalAdvance("waiting for sound "))
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(theme.px(8))
        row.addWidget(self._bar, 1)
        for part in (self._figure, self._shape, self._word):
            row.addWidget(part)
        self._show(Level())

    def set_active(self, is_active: bool) -> None:
        """Whether there is a level to show."""
        self._is_active = is_active
        self._run()
        if not self._timer.isActive():
            self._show(Level())

    def is_running(self) -> bool:
        """Whether levels are being pulled now."""
        return self._timer.isActive()

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802
        """Qt's hook."""
        super().showEvent(event)
        self._run()

    def hideEvent(self, event: QHideEvent) -> None:  # noqa: N802
        """Qt's hook."""
        super().hideEvent(event)
        self._run()

    def _run(self) -> None:
        should = self._is_active and self.isVisible()
        if should and not self._timer.isActive():
            self._ballistics = Ballistics()
            self._elapsed.start()
            self._timer.start()
            self._tick()
        elif not should and self._timer.isActive():
            self._timer.stop()
            self._ballistics = Ballistics()
            self._show(Level())

    def _tick(self) -> None:
        level = self._level()
        self._ballistics.advance(level, self._elapsed.restart() / 1000)
        self._show(level)
        self.measured.emit(level)

    def _show(self, level: Level) -> None:
        self._bar.show_level(_part(self._ballistics.bar_dbfs), _part(self._ballistics.peak_dbfs))
        bar = self._ballistics.bar_dbfs
        figure = f"\u2212{abs(round(bar))} dBFS" if bar > FLOOR_DBFS * 1.5 else "\u2212∞ dBFS"
        if figure != self._figure.text():
            self._figure.setText(figure)
        state = verdict(self._ballistics, level) if self._is_active else State("state-ready", "muted", tr("off"))
        self._shape.draw(state.icon, state.token)
        if state.word != self._word.text():
            self._word.setText(state.word)
            self.setAccessibleDescription(state.word)
