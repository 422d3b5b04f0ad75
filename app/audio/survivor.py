"""What the capture process does when the app dies: it records on for a while, into a sealed file of its own.

The file takes records of ``FORM``, then frames. The blocks that the app was given last come first, since nobody knows
which of them it had time to keep; their wall time tells those apart. While the process is at work the file's name
ends in ``.live``. From its start to its end the process holds the lock of a file that ends in ``.lock``: so the next
app knows that there is one, even before it has written anything. Runs on the capture process's main thread, save for
``on_app_gone``.
"""

from __future__ import annotations

import os
import struct
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

FORM = struct.Struct("<IHd")
"""Rate, channels, and the wall time at which the frames were complete."""
LIVE, STOP, LOCK = ".live", ".stop", ".lock"
PURPOSE = "after death"
"""What the file is sealed for."""

_REMEMBERED_SECONDS = 10.0
_RECORD_SECONDS = 0.25
_LOCKED_BYTE = 1 << 20
"""Behind the process's number, which must be readable: Windows lets nobody read what is locked."""


class Log(Protocol):
    """Where sealed records go; durable on return."""

    def append(self, data: bytes) -> None:
        """Keep a record. Raises ``OSError``."""

    def close(self) -> None:
        """Let go of the file."""


OpenLog = Callable[[Path, bytes], Log]
"""Opens a log at a path with a key. Raises ``OSError``."""


def hold(path: Path) -> int | None:
    """Lock a file for as long as its descriptor, which is returned, is open; None when another process has it.

    Raises:
        OSError: there can be no such file.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if sys.platform == "win32":
            import msvcrt

            os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
            os.lseek(descriptor, 0, os.SEEK_SET)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


class Survivor:
    """Blocks after the app's death. Able only when the app said where to put them."""

    def __init__(self, will: Mapping[str, Any] | None, open_log: OpenLog | None) -> None:
        self._will = will
        self._open_log = open_log
        self._app_is_gone = threading.Event()
        self._log: Log | None = None
        self._ends_at = 0.0
        self._blocks: deque[tuple[float, bytes]] = deque()
        self._kept_bytes = 0
        self.form = (16_000, 1)
        self.is_over = False
        self._be_seen()

    def _be_seen(self) -> None:
        """Without a lock it records all the same; it is only not known to be there."""
        if self.is_able:
            with suppress(OSError):
                descriptor = hold(self._path(LOCK))
                if descriptor is not None:
                    os.truncate(descriptor, 0)
                    os.write(descriptor, str(os.getpid()).encode())

    @property
    def is_able(self) -> bool:
        """Whether there is anything to do after the app's death."""
        return self._will is not None and self._open_log is not None

    @property
    def is_recording(self) -> bool:
        """The app is gone."""
        return self._app_is_gone.is_set()

    def on_app_gone(self) -> None:
        """From now on blocks are for the file."""
        self._app_is_gone.set()

    def remember(self, wall_time: float, frames: bytes) -> None:
        """Hold a block for a while; once the app is gone, until :meth:`go_on` has written it."""
        if not self.is_able:
            return
        self._blocks.append((wall_time, frames))
        self._kept_bytes += len(frames)
        while not self.is_recording and self._seconds(self._kept_bytes) > _REMEMBERED_SECONDS:
            self._kept_bytes -= len(self._blocks.popleft()[1])

    def go_on(self) -> None:
        """Once the app is gone: write what there is, and see whether it is time to end. To be called all the time."""
        if not self.is_recording or self.is_over:
            return
        is_first = not self._ends_at
        if is_first:
            self._ends_at = time.monotonic() + (self._will or {})["seconds"]
        is_enough = time.monotonic() > self._ends_at or self._path(STOP).exists()
        if is_first or is_enough or self._seconds(self._kept_bytes) >= _RECORD_SECONDS:
            self._write()
        if is_enough:
            self._finish()

    def close(self) -> None:
        """Write the rest."""
        self._write()
        self._finish()

    def _write(self) -> None:
        """What the disk refuses is tried again the next time."""
        rate_hz, channels = self.form
        with suppress(OSError):
            log = self._log = self._log or self._begin()
            while self._blocks:
                wall_time, frames = self._blocks[0]
                log.append(FORM.pack(rate_hz, channels, wall_time) + frames)
                self._kept_bytes -= len(self._blocks.popleft()[1])

    def _begin(self) -> Log:
        assert self._will
        assert self._open_log
        return self._open_log(self._path(LIVE), bytes.fromhex(self._will["key"]))

    def _finish(self) -> None:
        self.is_over = True
        if self._log:
            self._log.close()
        if self._path(LIVE).exists():
            self._path(LIVE).replace(self._path(""))

    def _path(self, ending: str) -> Path:
        assert self._will
        return Path(self._will["path"] + ending)

    def _seconds(self, byte_count: int) -> float:
        rate_hz, channels = self.form
        return byte_count / (2 * rate_hz * channels)
