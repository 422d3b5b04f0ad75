"""A desktop of the test's own: a virtual screen with a window manager and a session bus, and a way to look at it."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType

_END_SECONDS = 5.0


class Desktop:
    """A context manager. ``environment`` makes a program appear on it."""

    def __init__(self, size: str = "1366x768") -> None:
        self._size = size
        self._directory = Path(tempfile.mkdtemp(prefix="desktop-"))
        self._programs: list[subprocess.Popen[str]] = []
        self.environment: dict[str, str] = {}

    def __enter__(self) -> Desktop:
        number = self._start_and_read(
            "Xvfb", "-displayfd", "1", "-screen", "0", f"{self._size}x24", "-nolisten", "tcp", "-noreset"
        )
        self.environment = {
            "DISPLAY": f":{number}",
            "QT_QPA_PLATFORM": "xcb",
            "QT_LINUX_ACCESSIBILITY_ALWAYS_ON": "1",
        }
        self.environment["HOME"] = str(self._directory)
        address = self._start_and_read("dbus-daemon", "--session", "--nofork", "--print-address=1")
        self.environment["DBUS_SESSION_BUS_ADDRESS"] = address
        self._start("openbox")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for program in reversed(self._programs):
            program.terminate()
            try:
                program.wait(_END_SECONDS)
            except subprocess.TimeoutExpired:
                program.kill()
                program.wait(_END_SECONDS)
            if program.stdout:
                program.stdout.close()
        shutil.rmtree(self._directory, ignore_errors=True)

    def photograph(self, path: Path) -> None:
        """Keep what a person would see."""
        path.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["import", "-window", "root", str(path)], env=self._environment(), check=True, timeout=20)

    def _start(self, *command: str, stdout: int = subprocess.DEVNULL) -> subprocess.Popen[str]:
        program = subprocess.Popen(
            command, env=self._environment(), stdout=stdout, stderr=subprocess.DEVNULL, text=True
        )
        self._programs.append(program)
        return program

    def _start_and_read(self, *command: str) -> str:
        program = self._start(*command, stdout=subprocess.PIPE)
        assert program.stdout is not None
        return program.stdout.readline().strip()

    def _environment(self) -> dict[str, str]:
        return {**os.environ, **self.environment}
