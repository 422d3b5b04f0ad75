"""Microphones, each used through a process of its own that holds PortAudio and is killed when it is no longer needed.

Whatever the sound system does, it does to that process: a new one starts afresh. A thread of each process's own
reads its pipe into a queue, so that a wait can have a deadline on every system.
"""

from __future__ import annotations

import itertools
import json
import logging
import queue
import subprocess
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from app.audio.capture_child import BLOCK, BLOCK_KIND, DEVICES, END, HEAD, OPENED, OVER, STARTED
from app.audio.signal import Block
from app.audio.source import SourceFailed
from app.core.problems import Problem, ProblemKind
from app.core.views import MicrophoneInfo

_log = logging.getLogger(__name__)

_START_SECONDS = 10.0
_LIST_SECONDS = 3.0
_OPEN_SECONDS = 5.0
_END_SECONDS = 1.0
_REAP_SECONDS = 0.15
_LOOK_SECONDS = 0.1


def list_microphones(command: Sequence[str]) -> tuple[MicrophoneInfo, ...]:
    """The microphones now; none when there is no sound system. Waits for one that hangs: not for the Qt thread.

    ``command`` starts the program of :mod:`app.audio.capture_child`.
    """
    try:
        child = _Child(command, {"list": True})
    except OSError as error:
        _log.warning("The capture process did not start: %s", type(error).__name__)
        return ()
    try:
        kind, body = child.answer(_LIST_SECONDS)
    except TimeoutError:
        _log.warning("The sound system did not list its microphones in time")
        return ()
    finally:
        child.kill()
    return tuple(MicrophoneInfo(*device) for device in json.loads(body)) if kind == DEVICES else ()


class ChildMicrophone:
    """One microphone by its name, or the system's default when the name is empty."""

    def __init__(self, command: Sequence[str], name: str = "", host_api: str = "") -> None:
        self._command = command
        self._wanted = (name, host_api)
        self._name = name
        self._channels = 1
        self._child: _Child | None = None
        self._is_ending = threading.Event()
        self.heard_at = 0.0
        """The monotonic time at which the block that was read last was complete."""
        self.overflow_count = 0
        """Times that audio was lost on the way because nobody took it."""

    @property
    def name(self) -> str:
        """The device's name as the system gives it."""
        return self._name

    def open(self) -> int:
        """Begin recording, with 16 kHz mono if the device can, else with what it has."""
        try:
            child = self._child = _Child(self._command, {"open": self._wanted})
        except OSError as error:
            raise _no_microphone(f"the capture process did not start: {type(error).__name__}") from error
        if self._is_ending.is_set():
            child.end()
        try:
            kind, body = child.answer(_OPEN_SECONDS, self._is_ending)
        except TimeoutError as error:
            raise _no_microphone("the sound system does not answer") from error
        if kind != OPENED:
            raise _no_microphone(json.loads(body) if body else "the capture process died")
        form: dict[str, Any] = json.loads(body)
        self._name, self._channels = form["name"], form["channels"]
        return int(form["rate"])

    def read(self, timeout_seconds: float) -> Block | None:
        """The next block; the end of the stream or of its process is a :class:`SourceFailed`."""
        assert self._child, "read before open"
        try:
            kind, body = self._child.next_record(timeout_seconds, self._is_ending)
        except TimeoutError:
            if self._is_ending.is_set():
                return None
            raise
        if kind == BLOCK_KIND:
            return self._block(body)
        if kind == OVER or self._is_ending.is_set():
            return None
        detail = json.loads(body) if body else "the capture process died"
        raise SourceFailed(Problem(ProblemKind.MICROPHONE_LOST, detail))

    def end(self) -> None:
        """The block that is being filled now is the last one."""
        self._is_ending.set()
        if child := self._child:
            child.end()

    def close(self) -> None:
        """Let go of the device, whatever state the sound system is in."""
        child, self._child = self._child, None
        if self.overflow_count:
            _log.warning("Audio was lost %d times before it could be taken", self.overflow_count)
        if child:
            child.kill()

    def _block(self, body: bytes) -> Block:
        self.heard_at, has_lost = BLOCK.unpack_from(body)
        self.overflow_count += has_lost
        return np.frombuffer(body, np.int16, offset=BLOCK.size).reshape(-1, self._channels)


class _Child:
    """A capture process at work on one request, and the thread that takes down its records."""

    def __init__(self, command: Sequence[str], request: object) -> None:
        self._records: queue.SimpleQueue[tuple[bytes, bytes]] = queue.SimpleQueue()
        self._process = subprocess.Popen(  # noqa: S603 - our own program
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
        threading.Thread(target=self._take_down, name="microphone", daemon=True).start()
        self._say(json.dumps(request).encode() + b"\n")

    def answer(self, seconds: float, is_ending: threading.Event | None = None) -> tuple[bytes, bytes]:
        """The first record about the request; the seconds count from the program's start.

        Raises:
            TimeoutError: nothing came in time.
        """
        kind, body = self.next_record(_START_SECONDS, is_ending)
        return self.next_record(seconds, is_ending) if kind == STARTED else (kind, body)

    def next_record(self, seconds: float, is_ending: threading.Event | None = None) -> tuple[bytes, bytes]:
        """The next record's kind and body, both empty when the process has ended.

        Time in which this process did not run, as while it is stopped or the computer sleeps, does not count: what
        the child has heard meanwhile is still on its way. So the wait is made of short ones.

        Raises:
            TimeoutError: nothing came in time.
        """
        for look in itertools.count():
            limit = min(seconds, _END_SECONDS) if is_ending and is_ending.is_set() else seconds
            if look * _LOOK_SECONDS >= limit:
                raise TimeoutError
            with suppress(queue.Empty):
                return self._records.get(timeout=_LOOK_SECONDS)
        raise AssertionError

    def end(self) -> None:
        """Ask for the last block."""
        self._say(END)

    def kill(self) -> None:
        """End the process. The wait frees the device for the next one; it is short, since a driver may hold it."""
        self._process.kill()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_REAP_SECONDS)
        assert self._process.stdin
        with suppress(OSError):
            self._process.stdin.close()

    def _say(self, line: bytes) -> None:
        assert self._process.stdin
        with suppress(OSError, ValueError):  # It has died or was killed; its last record tells.
            self._process.stdin.write(line)
            self._process.stdin.flush()

    def _take_down(self) -> None:
        assert self._process.stdout
        with self._process.stdout as pipe:
            while len(head := pipe.read(HEAD.size)) == HEAD.size:
                kind, length = HEAD.unpack(head)
                body = pipe.read(length)
                if len(body) < length:
                    break
                self._records.put((kind, body))
        self._records.put((b"", b""))
        self._process.wait()


def _no_microphone(detail: str) -> SourceFailed:
    return SourceFailed(Problem(ProblemKind.NO_MICROPHONE, detail))
