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
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from app.audio.capture_child import BLOCK, BLOCK_KIND, DEVICES, END, HEAD, OPENED, OVER, STARTED
from app.audio.signal import Block, Samples
from app.audio.source import SourceFailed, Stamp
from app.core.problems import Problem, ProblemKind
from app.core.recording import SAMPLE_RATE_HZ
from app.core.views import MicrophoneInfo

_log = logging.getLogger(__name__)

_START_SECONDS = 10.0
_LIST_SECONDS = 3.0
_OPEN_SECONDS = 5.0
_END_SECONDS = 1.0
_REAP_SECONDS = 0.15
_LOOK_SECONDS = 0.1
_CLOSE_SECONDS = 2.0
_WATCH_AGAIN_SECONDS = 1.0


@dataclass(frozen=True)
class Will:
    """What the capture process is to do when the app dies: record on into a sealed file for at most so long."""

    path: Path
    key: bytes = field(repr=False)
    seconds: float = 60.0


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
    return _microphones(body) if kind == DEVICES else ()


def _microphones(body: bytes) -> tuple[MicrophoneInfo, ...]:
    return tuple(MicrophoneInfo(*device) for device in json.loads(body))


class MicrophoneWatch:
    """Tells the microphones at the start, and whenever they or the default among them have become others.

    A sound system that is gone or hangs has none. The process that watches is started again when it dies.
    """

    def __init__(self, command: Sequence[str], on_change: Callable[[tuple[MicrophoneInfo, ...]], None]) -> None:
        """``on_change`` is called on the watch's own thread."""
        self._command = command
        self._on_change = on_change
        self._child: _Child | None = None
        self._is_closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="microphone watch", daemon=True)

    def start(self) -> None:
        """Begin; returns at once."""
        self._thread.start()

    def close(self) -> None:
        """End; nothing is told after the return."""
        self._is_closing.set()
        if child := self._child:
            child.kill()
        self._thread.join(_CLOSE_SECONDS)

    def _run(self) -> None:
        while not self._is_closing.is_set():
            try:
                self._child = _Child(self._command, {"watch": True})
                self._tell_all(self._child)
                self._child.kill()
            except OSError as error:
                _log.warning("The watch for microphones did not start: %s", type(error).__name__)
            self._is_closing.wait(_WATCH_AGAIN_SECONDS)

    def _tell_all(self, child: _Child) -> None:
        while not self._is_closing.is_set():
            kind, body = child.wait()
            if not kind:
                return
            if kind == DEVICES:
                self._on_change(_microphones(body))


class ChildMicrophone:
    """One microphone by its name and host API, or the system's default when the name is empty.

    One that is not there is replaced by the default: a visit is recorded with another microphone rather than not.
    """

    def __init__(self, command: Sequence[str], name: str = "", host_api: str = "", will: Will | None = None) -> None:
        self._command = command
        self._wanted = (name, host_api)
        self._will = will
        self._name = name
        self._is_substitute = False
        self._channels = 1
        self._child: _Child | None = None
        self._is_ending = threading.Event()
        self._stamp = Stamp(0.0, 0.0)

    @property
    def name(self) -> str:
        """The name, as the system gives it, of the device that is live."""
        return self._name

    @property
    def is_substitute(self) -> bool:
        """Whether it is another one than was asked for; known once it is open."""
        return self._is_substitute

    @property
    def stamp(self) -> Stamp:
        """When the block that was read last was heard."""
        return self._stamp

    def open(self) -> int:
        """Begin recording, with 16 kHz mono if the device can, else with what it has."""
        try:
            child = self._child = _Child(self._command, self._request())
        except OSError as error:
            raise _no_microphone(f"the capture process did not start: {type(error).__name__}") from error
        if self._is_ending.is_set():
            child.end()
        try:
            kind, body = child.answer(_OPEN_SECONDS, self._is_ending)
        except TimeoutError as error:
            raise _no_microphone("the sound system does not answer") from error
        if kind != OPENED:
            raise _failure(body, ProblemKind.NO_MICROPHONE)
        form: dict[str, Any] = json.loads(body)
        self._name, self._is_substitute, self._channels = form["name"], form["is_substitute"], form["channels"]
        return int(form["rate"])

    def _request(self) -> dict[str, object]:
        request: dict[str, object] = {"open": self._wanted}
        if self._will:
            will = self._will
            request["after_death"] = {"path": str(will.path), "key": will.key.hex(), "seconds": will.seconds}
        return request

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
        raise _failure(body, ProblemKind.MICROPHONE_LOST)

    def end(self) -> None:
        """The block that is being filled now is the last one."""
        self._is_ending.set()
        if child := self._child:
            child.end()

    def close(self) -> None:
        """Let go of the device, whatever state the sound system is in."""
        child, self._child = self._child, None
        if child:
            child.kill()

    def _block(self, body: bytes) -> Block:
        self._stamp = Stamp(*BLOCK.unpack_from(body))
        return np.frombuffer(body, np.int16, offset=BLOCK.size).reshape(-1, self._channels)


def play(command: Sequence[str], samples: Samples, is_over: threading.Event) -> None:
    """Play samples on the system's loudspeaker until they or the wait is over.

    Raises:
        SourceFailed: there is no loudspeaker, or it does not play.
    """
    pcm = samples.astype("<i2", copy=False).tobytes()
    try:
        child = _Child(command, {"play": SAMPLE_RATE_HZ, "bytes": len(pcm)}, pcm)
    except OSError as error:
        raise _no_microphone(f"the sound process did not start: {type(error).__name__}") from error
    try:
        kind, body = child.answer(_OPEN_SECONDS, is_over)
        while kind == OPENED and not is_over.is_set():
            kind, body = child.next_record(len(samples) / SAMPLE_RATE_HZ + _OPEN_SECONDS, is_over)
    except TimeoutError as error:
        if not is_over.is_set():
            raise _no_microphone("the sound system does not answer") from error
        return
    finally:
        child.kill()
    if kind != OVER and not is_over.is_set():
        raise _failure(body, ProblemKind.NO_MICROPHONE)


class _Child:
    """A capture process at work on one request, and the thread that takes down its records."""

    def __init__(self, command: Sequence[str], request: object, rest: bytes = b"") -> None:
        self._records: queue.SimpleQueue[tuple[bytes, bytes]] = queue.SimpleQueue()
        self._process = subprocess.Popen(  # noqa: S603 - our own program
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
        threading.Thread(target=self._take_down, name="microphone", daemon=True).start()
        self._say(json.dumps(request).encode() + b"\n" + rest)

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

    def wait(self) -> tuple[bytes, bytes]:
        """The next record, whenever it comes; both halves are empty when the process has ended."""
        return self._records.get()

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


def _failure(body: bytes, otherwise: ProblemKind) -> SourceFailed:
    """What the process told about its failure; an empty body when it died without a word."""
    kind, detail = json.loads(body) if body else (otherwise, "the capture process died")
    return SourceFailed(Problem(ProblemKind(kind), detail))
