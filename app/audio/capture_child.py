"""The program of the process that holds the microphone, through PortAudio; nothing else in the app knows it.

PortAudio may hang or crash with the sound system, freezes its device list when it starts, and loses audio when its
callback must wait for a busy interpreter. So it lives in a process that does nothing else, serves one request, and
is killed rather than waited for. It imports as little as it can, since a visit waits for its start.

A request is a line of JSON on stdin: ``{"list": true}`` or ``{"open": [name, host_api]}``. Answers on stdout are
records: ``HEAD``, then a body, JSON save for a block, which is ``BLOCK`` and its frames. The line ``end`` asks for
the last block; the end of stdin ends the process at once.

PortAudio's callback copies into a queue, the main thread writes, a third one listens to stdin. When the app does not
read for a while, as when it is stopped, the queue grows; only a full one loses audio, and says so.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import struct
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from enum import Enum, auto
from typing import Any, BinaryIO, NoReturn

HEAD = struct.Struct("<cI")
"""A record's kind and the length of its body."""
BLOCK = struct.Struct("<d?")
"""The monotonic time at which a block was complete, and whether audio was lost before it."""
STARTED, DEVICES, OPENED, BLOCK_KIND, FAILED, OVER = b"S", b"D", b"O", b"B", b"F", b"E"
"""``STARTED`` comes before PortAudio is touched: a slow computer is not a sound system that hangs."""
END = b"end\n"

_RATE_HZ = 16_000
_LATENCY_SECONDS = 0.15
"""Less loses audio when the machine is busy; more makes the meter jump."""
_LAST_BLOCK_SECONDS = 0.3
_QUEUE_BYTES = 48 * 1024 * 1024
"""Four minutes of the richest form that is usual, 25 of the one that is asked for first."""
_BEST_HOST_API = {"win32": "Windows WASAPI", "darwin": "Core Audio"}
"""Where one device is offered by several host APIs: the one with whole names and without detours."""


def main() -> NoReturn:
    """Serve one request, then leave without asking PortAudio, which may hang on its way out."""
    for number in (signal.SIGINT, signal.SIGTERM):  # Ctrl-C and a log-off are for the app, whose end is seen on stdin
        signal.signal(number, signal.SIG_IGN)
    # By number, since a windowed program on Windows has no sys.stdin; and whatever a library prints must not get
    # among the records.
    requests = open(0, "rb", closefd=False)  # noqa: SIM115
    records = _Records(os.fdopen(os.dup(1), "wb"))
    os.dup2(2, 1)
    with suppress(OSError):  # The app is gone.
        records.tell(STARTED)
        _serve(requests, records)
    os._exit(0)


def _serve(requests: BinaryIO, records: _Records) -> None:
    line = requests.readline()
    if not line:
        return
    request = json.loads(line)
    recording = _Recording()
    threading.Thread(target=_obey, args=(requests, recording), name="obey", daemon=True).start()
    try:
        with _portaudio() as library:
            devices = _Devices(library)
            if "open" not in request:
                records.tell(DEVICES, devices.all_on_offer())
                return
            name, host_api = request["open"]
            stream = recording.begin(library, devices, devices.find(name, host_api), records)
    except _NoMicrophone as failure:
        records.tell(FAILED, str(failure))
        return
    recording.write(records)
    del stream  # until here it must not be collected


def _obey(requests: BinaryIO, recording: _Recording) -> None:
    for line in requests:
        if line == END:
            recording.end()
    os._exit(0)


class _NoMicrophone(Exception):
    pass


class _Records:
    """What goes out."""

    def __init__(self, pipe: BinaryIO) -> None:
        self._pipe = pipe

    def tell(self, kind: bytes, body: object = None) -> None:
        self.write(kind, json.dumps(body).encode())

    def write(self, kind: bytes, body: bytes) -> None:
        self._pipe.write(HEAD.pack(kind, len(body)) + body)
        self._pipe.flush()


class _Mark(Enum):
    """What may stand in the queue among blocks."""

    LAST_BLOCK_IS_IN = auto()
    STREAM_IS_OVER = auto()
    LOOK_AGAIN = auto()


class _Recording:
    """Blocks on their way from PortAudio to the pipe."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[bytes | _Mark] = queue.SimpleQueue()
        self._put_bytes = self._taken_bytes = 0
        self._has_dropped = False
        self._is_ending = False

    def begin(self, library: Any, devices: _Devices, index: int, records: _Records) -> Any:
        """Start the stream, and tell its form."""
        device = devices.all[index]
        stream = _started_stream(library, index, device, callback=self._on_block, finished_callback=self._on_finished)
        records.tell(OPENED, {"name": device["name"], "rate": int(stream.samplerate), "channels": stream.channels})
        return stream

    def end(self) -> None:
        """The block that is being filled now is the last one."""
        self._is_ending = True
        self._queue.put(_Mark.LOOK_AGAIN)

    def write(self, records: _Records) -> None:
        """Write blocks until the last one is out."""
        while (item := self._next()) not in (_Mark.LAST_BLOCK_IS_IN, _Mark.STREAM_IS_OVER):
            if isinstance(item, bytes):
                self._taken_bytes += len(item)
                records.write(BLOCK_KIND, item)
        if self._is_ending:
            records.tell(OVER)
        else:
            records.tell(FAILED, "the stream ended by itself")

    def _next(self) -> bytes | _Mark:
        try:
            return self._queue.get(timeout=_LAST_BLOCK_SECONDS if self._is_ending else None)
        except queue.Empty:
            return _Mark.LAST_BLOCK_IS_IN

    def _on_block(self, frames: Any, _count: int, _time: Any, status: Any) -> None:
        is_full = self._put_bytes - self._taken_bytes > _QUEUE_BYTES
        if not is_full:
            has_lost = self._has_dropped or bool(status.input_overflow)
            block = BLOCK.pack(time.monotonic(), has_lost) + bytes(frames)
            self._put_bytes += len(block)
            self._queue.put(block)
        self._has_dropped = is_full
        if self._is_ending:
            self._queue.put(_Mark.LAST_BLOCK_IS_IN)

    def _on_finished(self) -> None:
        self._queue.put(_Mark.STREAM_IS_OVER)


@contextmanager
def _portaudio() -> Iterator[Any]:
    try:
        import sounddevice
    except Exception as error:
        # Loading is also PortAudio's start, and without the library there is no class for its failures.
        raise _NoMicrophone(str(error)) from error
    try:
        yield sounddevice
    except sounddevice.PortAudioError as error:
        raise _NoMicrophone(str(error)) from error


class _Devices:
    """PortAudio's tables, read once."""

    def __init__(self, library: Any) -> None:
        self.all: list[Mapping[str, Any]] = list(library.query_devices())
        self._host_apis: list[Mapping[str, Any]] = list(library.query_hostapis())

    def all_on_offer(self) -> list[tuple[str, str, bool]]:
        """Name, host API and whether it is the default."""
        return [(self.all[i]["name"], self._host_api(i), i == self._default()) for i in self._on_offer()]

    def find(self, name: str, host_api: str) -> int:
        if not name and self._default() < 0:
            raise _NoMicrophone("the system has no default microphone")
        if not name:
            return self._default()
        for index in self._on_offer():
            if self.all[index]["name"] == name and host_api in ("", self._host_api(index)):
                return index
        raise _NoMicrophone(f"{name} is not connected")

    def _on_offer(self) -> list[int]:
        """Inputs, of the best host API alone where that has any."""
        inputs = [i for i, device in enumerate(self.all) if device["max_input_channels"] > 0]
        best = [i for i in inputs if self._host_api(i) == _BEST_HOST_API.get(sys.platform)]
        return best or inputs

    def _host_api(self, index: int) -> str:
        return str(self._host_apis[self.all[index]["hostapi"]]["name"])

    def _default(self) -> int:
        best = _BEST_HOST_API.get(sys.platform)
        for host_api in sorted(self._host_apis, key=lambda api: api["name"] != best):
            if host_api["default_input_device"] >= 0:
                return int(host_api["default_input_device"])
        return -1


def _started_stream(library: Any, index: int, device: Mapping[str, Any], **callbacks: Any) -> Any:
    *attempts, last = _forms(device)
    for form in attempts:
        with suppress(library.PortAudioError):
            return _start(library, index, form, callbacks)
    return _start(library, index, last, callbacks)


def _forms(device: Mapping[str, Any]) -> list[tuple[float, int]]:
    """Rates and channel counts to ask for, the most welcome first."""
    own_rate, all_channels = device["default_samplerate"], device["max_input_channels"]
    return list(dict.fromkeys(((_RATE_HZ, 1), (own_rate, 1), (own_rate, all_channels))))


def _start(library: Any, index: int, form: tuple[float, int], callbacks: Mapping[str, Any]) -> Any:
    rate_hz, channels = form
    # Raw, since the other kind of stream takes numpy, whose import takes longer than all the rest.
    stream = library.RawInputStream(
        samplerate=rate_hz, device=index, channels=channels, dtype="int16", latency=_LATENCY_SECONDS, **callbacks
    )
    try:
        stream.start()
    except library.PortAudioError:
        stream.close()
        raise
    return stream


if __name__ == "__main__":
    main()
