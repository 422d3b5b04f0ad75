"""One ScribeDesk for each user and folder: a second one brings the first to the front, and ends.

Main thread. A lock decides who is first; it is taken over from an owner that was killed, also when another process
has its number by now. The first then listens where only the same user can reach it. Nothing that is said there is
believed to be more than a wish to be shown.
"""

from __future__ import annotations

import getpass
import hashlib
import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QDir, QLockFile, QObject

if TYPE_CHECKING:
    from PySide6.QtNetwork import QLocalServer, QLocalSocket

_LOCK = "instance.lock"
_ANSWER_MS = 1000
_SHOW = b"show "
_MOST_BYTES = 512
_LONGEST_ADDRESS = 100
"""Of a socket in the file system; macOS takes 103 bytes."""
_TOKEN = "XDG_ACTIVATION_TOKEN"  # noqa: S105 - a variable's name: it lets a window come to the front on Wayland


class _Held:
    """What the first instance keeps as long as it lives."""

    lock: QLockFile | None = None


def claim(folder: Path) -> bool:
    """Whether this is the first ScribeDesk on that folder. If not, the first one has been asked to show itself."""
    lock = QLockFile(str(folder / _LOCK))
    # However old: the lock is stale when its owner is gone, and only then.
    lock.setStaleLockTime(0)
    if lock.tryLock(0):
        _Held.lock = lock
        return True
    if lock.error() is not QLockFile.LockError.LockFailedError:
        return True  # A folder that cannot be written is somebody else's to complain about.
    _ask_first(folder)
    return False


def let_go() -> None:
    """Be the first no longer."""
    if _Held.lock is not None:
        _Held.lock.unlock()
        _Held.lock = None


class FrontDoor(QObject):
    """Where the first instance is asked to show itself. Keep it as long as the window lives."""

    def __init__(self, folder: Path, show: Callable[[], None], parent: QObject | None = None) -> None:
        from PySide6.QtNetwork import QLocalServer

        super().__init__(parent)
        self._show = show
        self._server: QLocalServer = QLocalServer(self)
        self._server.setSocketOptions(QLocalServer.SocketOption.UserAccessOption)
        self._server.newConnection.connect(self._on_asked)
        name = address(folder)
        if not self._server.listen(name):
            # Left behind by one that was killed; the lock says that nobody listens there.
            QLocalServer.removeServer(name)
            self._server.listen(name)

    def close(self) -> None:
        """Listen no longer."""
        self._server.close()

    def _on_asked(self) -> None:
        while (caller := self._server.nextPendingConnection()) is not None:
            caller.disconnected.connect(caller.deleteLater)
            caller.readyRead.connect(partial(self._on_said, caller))
            if caller.bytesAvailable():
                self._on_said(caller)

    def _on_said(self, caller: QLocalSocket) -> None:
        said = bytes(caller.read(_MOST_BYTES).data())
        caller.disconnectFromServer()
        if said.startswith(_SHOW):
            _allow_front(said[len(_SHOW) :])
            self._show()


def address(folder: Path) -> str:
    """Where the first instance on that folder listens: another place for each user and folder."""
    who = f"{getpass.getuser()}\n{folder.absolute()}"
    name = f"scribedesk-{hashlib.sha256(who.encode()).hexdigest()[:24]}"
    if sys.platform == "win32":
        return name
    private = str(Path(os.environ.get("XDG_RUNTIME_DIR") or QDir.tempPath()) / name)
    return private if len(private.encode()) <= _LONGEST_ADDRESS else str(Path(QDir.tempPath()) / name)


def _ask_first(folder: Path) -> None:
    from PySide6.QtNetwork import QLocalSocket

    if sys.platform == "win32":
        import ctypes

        # Only the program in front may let another one come there.
        ctypes.windll.user32.AllowSetForegroundWindow(-1)
    first = QLocalSocket()
    first.connectToServer(address(folder))
    if first.waitForConnected(_ANSWER_MS):
        first.write(_SHOW + os.environ.get(_TOKEN, "").encode())
        first.waitForBytesWritten(_ANSWER_MS)
        first.waitForDisconnected(_ANSWER_MS)


def _allow_front(token: bytes) -> None:
    """Have the window come to the front in the name of the one who asks, where the desktop wants to know that."""
    text = token.decode("ascii", "replace")
    if text and text.isprintable():
        os.environ[_TOKEN] = text
