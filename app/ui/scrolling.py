"""A page that scrolls when there is not enough room for it.

Main thread. The bars are ours, not the scroll area's own: those count as children of the area only while they can be
seen, and Qt's accessibility (as of 6.11) ends the program when a screen reader asks for one that has just gone.
"""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QFrame, QScrollArea, QScrollBar, QWidget


class Scrolled(QScrollArea):
    """The content, with scroll bars while it is larger than the area."""

    def __init__(self, content: QWidget) -> None:
        super().__init__()
        content.setObjectName("scrolled")
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._across = self._bar_for(self.horizontalScrollBar())
        self._down = self._bar_for(self.verticalScrollBar())
        self.setWidget(content)

    def _bar_for(self, hidden: QScrollBar) -> QScrollBar:
        bar = QScrollBar(hidden.orientation(), self)
        bar.hide()
        bar.valueChanged.connect(hidden.setValue)
        hidden.valueChanged.connect(bar.setValue)
        hidden.rangeChanged.connect(self._arrange)
        return bar

    def _arrange(self) -> None:
        for bar, hidden in ((self._across, self.horizontalScrollBar()), (self._down, self.verticalScrollBar())):
            bar.setRange(hidden.minimum(), hidden.maximum())
            bar.setPageStep(hidden.pageStep())
            bar.setSingleStep(hidden.singleStep())
            bar.setVisible(hidden.maximum() > hidden.minimum())
        # On top of the content's margin: a page that made room for them would wrap anew, and perhaps need none.
        width, height = self._down.sizeHint().width(), self._across.sizeHint().height()
        self._down.setGeometry(self.width() - width, 0, width, self.height())
        self._across.setGeometry(0, self.height() - height, self.width() - width, height)

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802
        """Qt's hook."""
        super().resizeEvent(event)
        self._arrange()
