"""The one object through which snapshots come from the engine's thread to the window's.

``publish`` may be called from any thread; everything else is the main thread's. Only the newest snapshot is
delivered: a window that was busy does not catch up with the past.
"""

from __future__ import annotations

from PySide6.QtCore import QObject, Qt, Signal

from app.core.views import AppView


class Bridge(QObject):
    """Carries the newest :class:`AppView` to the main thread. Make it there, and connect :attr:`arrived`."""

    arrived = Signal(object)
    """An :class:`AppView`, on the main thread."""
    _poked = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._newest: AppView | None = None
        self._is_poked = False
        self._poked.connect(self._deliver, Qt.ConnectionType.QueuedConnection)

    def publish(self, view: AppView) -> None:
        """Show this. From any thread."""
        self._newest = view
        if not self._is_poked:
            self._is_poked = True
            self._poked.emit()

    def _deliver(self) -> None:
        # In this order a view that is published meanwhile is either read below or pokes again.
        self._is_poked = False
        view = self._newest
        if view is not None:
            self.arrived.emit(view)
