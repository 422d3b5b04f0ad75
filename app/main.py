"""The window's composition root: Qt on this thread, the engine on its own, one bridge between them."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from PySide6.QtCore import QEvent, QObject, QTimer
from PySide6.QtWidgets import QMainWindow

from app.core.events import SessionId
from app.core.views import AppView, Level, Wish
from app.store.places import Places, find_places
from app.ui.application import create_application
from app.ui.bridge import Bridge
from app.ui.single import FrontDoor, claim, let_go
from app.ui.window import MainWindow

if TYPE_CHECKING:
    from app.engine.engine import Engine

_SIGNAL_LOOK_MILLISECONDS = 200


def run_window() -> NoReturn:
    """Show the window and run until it is closed, then end the process.

    The window is painted before anything else is imported or opened: devices, network and disk come after it.
    """
    places = find_places()
    application = create_application(sys.argv)
    if not claim(places.home):  # The first one has been asked to show itself.
        sys.exit(0)
    backstage = _Backstage(places)
    window = MainWindow(backstage.post, backstage.level)
    bridge = Bridge()
    bridge.arrived.connect(window.render)
    window.show()

    def open_up() -> None:
        FrontDoor(places.home, window.come_to_front, window)
        backstage.open(bridge.publish)

    def quit_unasked() -> None:
        window.closing.settle()
        application.quit()

    _AfterFirstPaint(window, open_up)
    looking = _quit_on_signals(quit_unasked)
    code = application.exec()
    looking.stop()
    backstage.close()
    let_go()
    logging.shutdown()
    # A request that still waits for its answer would hold up the interpreter's own way out. All is on the disk.
    os._exit(code)


class _AfterFirstPaint(QObject):
    """Does something once, as soon as the window can be seen."""

    def __init__(self, window: QMainWindow, do: Callable[[], None]) -> None:
        super().__init__(window)
        self._do = do
        window.windowHandle().installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802 - Qt's name
        """Let the window be painted, then go on from the event loop."""
        if event.type() is QEvent.Type.Expose:
            watched.removeEventFilter(self)
            QTimer.singleShot(0, self._do)
        return False


class _Backstage:
    """The engine, from the moment there is one; what is wished for before that is kept for it."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self._engine: Engine | None = None
        self._early: list[Wish] = []

    def open(self, publish: Callable[[AppView], None]) -> None:
        """Bring in the engine and all its libraries."""
        from app.compose import begin_logging, make_engine

        begin_logging(self._places)
        self._engine = make_engine(self._places, publish)
        self._engine.start()
        for wish in self._early:
            self._engine.post(wish)

    def post(self, wish: Wish) -> None:
        """Pass a wish on."""
        if self._engine:
            self._engine.post(wish)
        else:
            self._early.append(wish)

    def level(self) -> Level:
        """Loudness now."""
        return self._engine.level() if self._engine else Level()

    def close(self) -> None:
        """Seal what is being recorded and let go."""
        if self._engine:
            self._engine.close()


def _quit_on_signals(quit_app: Callable[[], None]) -> QTimer:
    """End in order when the system asks for it. Python sees a signal only when Qt lets it run: hence the timer."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: quit_app())
    timer = QTimer()
    timer.timeout.connect(lambda: None)
    timer.start(_SIGNAL_LOOK_MILLISECONDS)
    return timer


def save_picture(view: AppView, session_id: SessionId, path: Path) -> None:
    """Render the page of one session, as the window shows it, into a PNG file.

    Raises:
        OSError: the file cannot be written.
    """
    application = create_application([sys.argv[0]])
    window = MainWindow(lambda _: None, Level)
    window.render(view)
    window.select(session_id)
    window.show()
    application.processEvents()
    if not window.grab().save(str(path)):
        raise OSError(f"{path} cannot be written")
    window.close()
