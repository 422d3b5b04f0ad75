"""Microphones, through PortAudio; nothing else in the app knows it.

PortAudio's callback copies a block into a queue and does no more; whoever reads the source has all the rest.
PortAudio is one for the process, is not safe for two threads at once, freezes its device list when it starts, and
may hang inside any call when the sound system hangs. So each call is made on a throw-away thread, one at a time,
with a deadline. It is loaded on first use.
"""

from __future__ import annotations

import logging
import queue
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from app.audio.signal import Block
from app.audio.source import SourceFailed
from app.core.problems import Problem, ProblemKind
from app.core.recording import SAMPLE_RATE_HZ
from app.core.views import MicrophoneInfo

_log = logging.getLogger(__name__)

_T = TypeVar("_T")

_LATENCY_SECONDS = 0.15
"""Less loses audio when the machine is busy; more makes the meter jump."""
_LIST_SECONDS = 3.0
_OPEN_SECONDS = 5.0
_CLOSE_SECONDS = 1.0
_LAST_BLOCK_SECONDS = 0.3
_BEST_HOST_API = {"win32": "Windows WASAPI", "darwin": "Core Audio"}
"""Where one device is offered by several host APIs: the one with whole names and without detours."""


def list_microphones() -> tuple[MicrophoneInfo, ...]:
    """The microphones now; none when there is no sound system. Takes up to a second: not for the Qt thread."""
    try:
        return _within(_LIST_SECONDS, _PORTAUDIO.microphones)
    except (SourceFailed, TimeoutError):
        return ()


class _Mark(Enum):
    """What may stand in the queue beside blocks."""

    LAST_BLOCK_IS_IN = auto()
    STREAM_IS_OVER = auto()
    LOOK_AGAIN = auto()


class MicrophoneSource:
    """One microphone by its name, or the system's default when the name is empty."""

    def __init__(self, name: str = "", host_api: str = "") -> None:
        self._wanted = (name, host_api)
        self._name = name
        self._queue: queue.SimpleQueue[NDArray[np.int16] | _Mark] = queue.SimpleQueue()
        self._is_ending = threading.Event()
        self._opened: _Opened | None = None
        self.overflow_count = 0
        """Times that the driver dropped input because nobody took it."""

    @property
    def name(self) -> str:
        """The device's name as the system gives it."""
        return self._name

    def open(self) -> int:
        """Begin recording, with 16 kHz mono if the device can, else with what it has."""
        try:
            opened = _within(_OPEN_SECONDS, self._open, undo=_PORTAUDIO.close)
        except TimeoutError as error:
            raise _no_microphone("the sound system does not answer") from error
        self._opened = opened
        self._name = opened.name
        return int(opened.stream.samplerate)

    def read(self, timeout_seconds: float) -> Block | None:
        """The next block; the stream's death is a :class:`SourceFailed`."""
        item = self._next(timeout_seconds)
        while item is _Mark.LOOK_AGAIN:
            item = self._next(timeout_seconds)
        if not isinstance(item, _Mark):
            return item
        if item is _Mark.STREAM_IS_OVER and not self._is_ending.is_set():
            raise SourceFailed(Problem(ProblemKind.MICROPHONE_LOST, "the stream ended by itself"))
        return None

    def end(self) -> None:
        """The block that is being filled now is the last one."""
        self._is_ending.set()
        self._queue.put(_Mark.LOOK_AGAIN)

    def close(self) -> None:
        """Let go of the device. A driver that hangs is left behind on its own thread."""
        opened, self._opened = self._opened, None
        if self.overflow_count:
            _log.warning("The driver dropped input %d times", self.overflow_count)
        if opened is None:
            return
        try:
            _within(_CLOSE_SECONDS, lambda: _PORTAUDIO.close(opened))
        except TimeoutError:
            _log.warning("The sound system did not let go of the microphone in time")

    def _open(self) -> _Opened:
        return _PORTAUDIO.open(*self._wanted, callback=self._on_block, finished_callback=self._on_finished)

    def _on_block(self, block: NDArray[np.int16], _frames: int, _time: Any, status: Any) -> None:
        self._queue.put(block.copy())
        if status.input_overflow:
            self.overflow_count += 1
        if self._is_ending.is_set():
            self._queue.put(_Mark.LAST_BLOCK_IS_IN)

    def _on_finished(self) -> None:
        self._queue.put(_Mark.STREAM_IS_OVER)

    def _next(self, timeout_seconds: float) -> NDArray[np.int16] | _Mark:
        is_ending = self._is_ending.is_set()
        try:
            return self._queue.get(timeout=_LAST_BLOCK_SECONDS if is_ending else timeout_seconds)
        except queue.Empty:
            if is_ending:
                return _Mark.LAST_BLOCK_IS_IN
            raise TimeoutError from None


@dataclass(frozen=True)
class _Opened:
    stream: Any
    name: str


class _PortAudio:
    """The process's PortAudio: one call at a time, a fresh device list whenever no stream is open."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._library: Any = None
        self._open_count = 0

    def microphones(self) -> tuple[MicrophoneInfo, ...]:
        with self._fresh() as library:
            devices = _Devices(library)
            return tuple(devices.info(index) for index in devices.on_offer())

    def open(self, name: str, host_api: str, **callbacks: Callable[..., None]) -> _Opened:
        with self._fresh() as library:
            devices = _Devices(library)
            index = devices.find(name, host_api)
            opened = _Opened(_started_stream(library, index, devices.all[index], callbacks), devices.info(index).name)
            self._open_count += 1
            return opened

    def close(self, opened: _Opened) -> None:
        with self._turn:
            opened.stream.close()
            self._open_count -= 1

    @contextmanager
    def _fresh(self) -> Iterator[Any]:
        with self._turn:
            try:
                self._load_or_refresh()
                yield self._library
            except OSError as error:
                raise _no_microphone(str(error)) from error
            except Exception as error:
                if self._library and isinstance(error, self._library.PortAudioError):
                    raise _no_microphone(str(error)) from error
                raise

    def _load_or_refresh(self) -> None:
        if self._library is None:
            import sounddevice

            self._library = sounddevice
        elif self._open_count == 0:
            # WORKAROUND: there is no public way to look again, https://github.com/spatialaudio/python-sounddevice/issues/3
            if self._library._initialized:
                self._library._terminate()
            self._library._initialize()


class _Devices:
    """PortAudio's tables, read once."""

    def __init__(self, library: Any) -> None:
        self.all: list[Mapping[str, Any]] = list(library.query_devices())
        self._host_apis: list[Mapping[str, Any]] = list(library.query_hostapis())

    def info(self, index: int) -> MicrophoneInfo:
        return MicrophoneInfo(self.all[index]["name"], self._host_api(index), index == self._default())

    def on_offer(self) -> list[int]:
        """Inputs, of the best host API alone where that has any."""
        inputs = [i for i, device in enumerate(self.all) if device["max_input_channels"] > 0]
        best = [i for i in inputs if self._host_api(i) == _BEST_HOST_API.get(sys.platform)]
        return best or inputs

    def find(self, name: str, host_api: str) -> int:
        if not name and self._default() < 0:
            raise _no_microphone("the system has no default microphone")
        if not name:
            return self._default()
        for index in self.on_offer():
            if self.all[index]["name"] == name and host_api in ("", self._host_api(index)):
                return index
        raise _no_microphone(f"{name} is not connected")

    def _host_api(self, index: int) -> str:
        return str(self._host_apis[self.all[index]["hostapi"]]["name"])

    def _default(self) -> int:
        best = _BEST_HOST_API.get(sys.platform)
        for host_api in sorted(self._host_apis, key=lambda api: api["name"] != best):
            if host_api["default_input_device"] >= 0:
                return int(host_api["default_input_device"])
        return -1


def _started_stream(
    library: Any, index: int, device: Mapping[str, Any], callbacks: Mapping[str, Callable[..., None]]
) -> Any:
    *attempts, last = _forms(device)
    for form in attempts:
        with suppress(library.PortAudioError):
            return _start(library, index, form, callbacks)
    return _start(library, index, last, callbacks)


def _forms(device: Mapping[str, Any]) -> list[tuple[float, int]]:
    """Rates and channel counts to ask for, the most welcome first."""
    own_rate, all_channels = device["default_samplerate"], device["max_input_channels"]
    return list(dict.fromkeys(((SAMPLE_RATE_HZ, 1), (own_rate, 1), (own_rate, all_channels))))


def _start(library: Any, index: int, form: tuple[float, int], callbacks: Mapping[str, Callable[..., None]]) -> Any:
    rate_hz, channels = form
    stream = library.InputStream(
        samplerate=rate_hz, device=index, channels=channels, dtype="int16", latency=_LATENCY_SECONDS, **callbacks
    )
    try:
        stream.start()
    except library.PortAudioError:
        stream.close()
        raise
    return stream


def _within(seconds: float, work: Callable[[], _T], undo: Callable[[_T], None] | None = None) -> _T:
    """The outcome of ``work``, done on a thread that is left behind when it takes too long.

    What comes too late is undone there.
    """
    outcome: Future[_T] = Future()

    def run() -> None:
        try:
            result = work()
        except Exception as error:  # noqa: BLE001  raised again where the outcome is awaited
            if outcome.set_running_or_notify_cancel():
                outcome.set_exception(error)
            return
        if outcome.set_running_or_notify_cancel():
            outcome.set_result(result)
        elif undo:
            undo(result)

    thread = threading.Thread(target=run, name="portaudio", daemon=True)
    thread.start()
    thread.join(seconds)
    if outcome.cancel():
        raise TimeoutError
    return outcome.result()


def _no_microphone(detail: str) -> SourceFailed:
    return SourceFailed(Problem(ProblemKind.NO_MICROPHONE, detail))


_PORTAUDIO = _PortAudio()
