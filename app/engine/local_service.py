"""The scribe service that the app carries, run as a process of its own for as long as the app runs.

A thread starts it, hands it the key to what it keeps, reads the one line in which it tells its address and token,
waits for its end and starts it again. Key and token go through pipes alone: no other program of the user's can read
them off a command line, an environment or a file. The service ends by itself when its standard input closes, so it
never outlives an app that was killed.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import NamedTuple

from app.core.problems import Problem, ProblemKind

_log = logging.getLogger(__name__)
_PAUSES_SECONDS = (0.0, 0.25, 0.5, 1.0, 2.0, 5.0)


class Address(NamedTuple):
    """Where a service answers and what it wants to see."""

    base_url: str
    token: str

    def __repr__(self) -> str:
        return f"Address({self.base_url!r})"


class LocalService:
    """Keeps the process running. ``on_up`` and ``on_down`` are called on its thread."""

    def __init__(
        self,
        command: Sequence[str],
        key: bytes,
        *,
        on_up: Callable[[Address], None],
        on_down: Callable[[Problem], None],
    ) -> None:
        self._command = list(command)
        self._key = key
        self._on_up = on_up
        self._on_down = on_down
        self._is_closing = threading.Event()
        self._process: subprocess.Popen[str] | None = None
        self._thread = threading.Thread(target=self._keep_running, name="local-service", daemon=True)

    def start(self) -> None:
        """Begin; returns at once."""
        self._thread.start()

    def _keep_running(self) -> None:
        failures = 0
        while not self._is_closing.wait(_PAUSES_SECONDS[min(failures, len(_PAUSES_SECONDS) - 1)]):
            problem = self._run_once()
            failures = failures + 1 if problem.detail else 1
            if not self._is_closing.is_set():
                _log.warning("The local service stopped: %s", problem.detail or "it had been running")
                self._on_down(problem)

    def _run_once(self) -> Problem:
        try:
            process = self._process = subprocess.Popen(  # noqa: S603 - our own program, by the command we were given
                self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
            )
        except OSError as error:
            return Problem(ProblemKind.LOCAL_SERVICE_DOWN, error.strerror or type(error).__name__)
        if self._is_closing.is_set():
            _end(process)
        with process:
            assert process.stdin is not None
            assert process.stdout is not None
            _hand_over(self._key, process.stdin.fileno())
            try:
                address = _read_address(process.stdout.readline())
            except ValueError:
                _end(process)
                return Problem(ProblemKind.LOCAL_SERVICE_DOWN, f"it did not start (exit {process.wait()})")
            self._on_up(address)
            process.wait()
        return Problem(ProblemKind.LOCAL_SERVICE_DOWN)

    def close(self, timeout_seconds: float) -> None:
        """End the process and the thread. What the service has taken in is on its disk."""
        self._is_closing.set()
        if self._process is not None:
            _end(self._process)
            try:
                self._process.wait(timeout_seconds)
            except subprocess.TimeoutExpired:
                self._process.kill()
        if self._thread.is_alive():
            self._thread.join(timeout_seconds)


def _hand_over(key: bytes, descriptor: int) -> None:
    # Past the buffer: what a process that has died did not take must not come up again when the pipe is closed.
    with suppress(OSError):
        os.write(descriptor, key.hex().encode() + b"\n")


def _end(process: subprocess.Popen[str]) -> None:
    # Terminating is the same on every system here: the service keeps nothing that is not on the disk already.
    process.terminate()


def _read_address(line: str) -> Address:
    told = json.loads(line)
    if not isinstance(told, dict) or not told.get("base_url"):
        raise ValueError("no address")
    return Address(str(told["base_url"]), str(told.get("token", "")))
