"""What the capture process does when the app dies: it records on for a while, into a sealed file of its own.

The file takes records of ``FORM``, then frames. The blocks that the app was given last come first, since nobody knows
which of them it had time to keep; their wall time tells those apart. While the process is at work the file's name
ends in ``.live``. Runs on the capture process's main thread, save for ``on_app_gone``.
"""

from __future__ import annotations

import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

FORM = struct.Struct("<IHd")
"""Rate, channels, and the wall time at which the frames were complete."""
LIVE, STOP = ".live", ".stop"
PURPOSE = "after death"
"""What the file is sealed for."""

_REMEMBERED_SECONDS = 10.0
_RECORD_SECONDS = 0.25


class Log(Protocol):
    """Where sealed records go; durable on return."""

    def append(self, data: bytes) -> None:
        """Keep a record. Raises ``OSError``."""

    def close(self) -> None:
        """Let go of the file."""


OpenLog = Callable[[Path, bytes], Log]
"""Opens a log at a path with a key. Raises ``OSError``."""


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
        """Hold a block for a while, or write it once the app is gone."""
        if not self.is_able:
            return
        self._blocks.append((wall_time, frames))
        self._kept_bytes += len(frames)
        if not self.is_recording:
            while self._seconds(self._kept_bytes) > _REMEMBERED_SECONDS:
                self._kept_bytes -= len(self._blocks.popleft()[1])
        elif self._seconds(self._kept_bytes) >= _RECORD_SECONDS:
            self._write()

    def close(self) -> None:
        """Write the rest."""
        self._write()
        self._finish()

    def _write(self) -> None:
        rate_hz, channels = self.form
        try:
            log = self._log = self._log or self._begin()
            for wall_time, frames in self._blocks:
                log.append(FORM.pack(rate_hz, channels, wall_time) + frames)
            is_enough = time.monotonic() > self._ends_at or self._path(STOP).exists()
        except OSError:
            is_enough = True
        self._blocks.clear()
        self._kept_bytes = 0
        if is_enough:
            self._finish()

    def _begin(self) -> Log:
        assert self._will
        assert self._open_log
        self._ends_at = time.monotonic() + self._will["seconds"]
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
