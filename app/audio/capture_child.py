"""The program of the process that holds the sound system; nothing else in the app touches it.

PortAudio may hang or crash with the sound system, freezes its device list when it starts, and loses audio when its
callback must wait for a busy interpreter. So it lives in a process that does nothing else, serves one request, and
is killed rather than waited for. It imports as little as it can, since a visit waits for its start.

A request is a line of JSON on stdin: ``{"list": true}``, ``{"watch": true}``, ``{"open": [name, host_api]}``, or
``{"play": rate_hz, "bytes": count}`` with samples behind it. Answers on stdout are records: ``HEAD``, then a body,
JSON save for a block, which is ``BLOCK`` and its frames. The line ``end`` asks for the last block; the end of stdin
ends the process at once, unless the request says what to do ``after_death`` of the app.

PortAudio's callback copies into a queue, the main thread writes, a third one listens to stdin, a fourth one to the
sound server. When the app does not read for a while, as when it is stopped, the queue grows; only a full one loses
audio, and says so.
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
from collections.abc import Callable, Mapping
from contextlib import suppress
from enum import Enum, auto
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, NoReturn

from app.audio.portaudio import LOST, NO_MICROPHONE, Devices, Refused, play, portaudio, start_stream
from app.audio.sound_server import HOST_API, ServerGone, ServerSource, SoundServer
from app.audio.survivor import OpenLog, Survivor

HEAD = struct.Struct("<cI")
"""A record's kind and the length of its body."""
BLOCK = struct.Struct("<ddd?")
"""When a block was complete, by a clock that counts sleep and by the wall clock; how long this process has slept so
far; whether audio was lost before the block."""
STARTED, DEVICES, OPENED, BLOCK_KIND, FAILED, OVER = b"S", b"D", b"O", b"B", b"F", b"E"
"""``STARTED`` comes before the sound system is touched: a slow computer is not a sound system that hangs."""
END = b"end\n"

_LAST_BLOCK_SECONDS = 0.3
_LOOK_SECONDS = 0.5
_LATE_SECONDS = 0.5
_QUEUE_BYTES = 48 * 1024 * 1024
"""Four minutes of the richest form that is usual, 25 of the one that is asked for first."""
_RECONNECT_SECONDS = 0.4
_LIST_AGAIN_SECONDS = 3.0
_PING_SECONDS = 2.0
_HUNG_SECONDS = 3.0 if sys.platform == "linux" else 10.0
"""Longer than it takes between one look at the devices and the next."""

_SLEEPLESS_CLOCK = {"linux": "CLOCK_BOOTTIME", "darwin": "CLOCK_MONOTONIC"}.get(sys.platform, "")
_Microphones = list[tuple[str, str, bool]]
"""Name, host API and whether it is the default."""


def now() -> float:
    """Seconds by a clock that is never set and counts sleep. Windows' own monotonic one does."""
    if sys.platform != "win32" and _SLEEPLESS_CLOCK:
        return time.clock_gettime(getattr(time, _SLEEPLESS_CLOCK))
    return time.monotonic()


def main(open_log: OpenLog | None = None) -> NoReturn:
    """Serve one request, then leave without asking PortAudio, which may hang on its way out.

    ``open_log`` opens what is recorded into after the app's death.
    """
    for number in (signal.SIGINT, signal.SIGTERM):  # Ctrl-C and a log-off are for the app, whose end is seen on stdin
        signal.signal(number, signal.SIG_IGN)
    # By number, since a windowed program on Windows has no sys.stdin; and whatever a library prints must not get
    # among the records.
    requests = open(0, "rb", closefd=False)  # noqa: SIM115
    records = _Records(os.fdopen(os.dup(1), "wb"))
    os.dup2(2, 1)
    with suppress(OSError):  # The app is gone.
        records.tell(STARTED)
        _serve(requests, records, open_log)
    os._exit(0)


def _serve(requests: BinaryIO, records: _Records, open_log: OpenLog | None) -> None:
    line = requests.readline()
    if not line:
        return
    request = json.loads(line)
    survivor = Survivor(request.get("after_death"), open_log)
    recording = _Recording(survivor)
    pcm = requests.read(request.get("bytes", 0))
    threading.Thread(target=_obey, args=(requests, recording), name="obey", daemon=True).start()
    try:
        if "list" in request:
            records.tell(DEVICES, _microphones())
        elif "watch" in request:
            _watch(records)
        elif "play" in request:
            _play(pcm, request["play"], records)
        else:
            name, host_api = request["open"]
            stream = _open(name, host_api, recording, records)
            recording.write(records)
            del stream  # until here it must not be collected
    except Refused as failure:
        records.tell(FAILED, [failure.kind, str(failure)])


def _obey(requests: BinaryIO, recording: _Recording) -> None:
    for line in requests:
        if line == END:
            recording.end()
    recording.on_app_gone()


class _Records:
    """What goes out."""

    def __init__(self, pipe: BinaryIO) -> None:
        self._pipe = pipe

    def tell(self, kind: bytes, body: object = None) -> None:
        self.write(kind, json.dumps(body).encode())

    def write(self, kind: bytes, body: bytes) -> None:
        self._pipe.write(HEAD.pack(kind, len(body)) + body)
        self._pipe.flush()


# Listing ----------------------------------------------------------------------------------------------------------


def _microphones() -> _Microphones:
    with suppress(ServerGone):
        return _of_server(SoundServer().sources())
    with portaudio() as library:
        return Devices(library).all_on_offer()


def _of_server(sources: list[ServerSource]) -> _Microphones:
    return [(source.name, HOST_API, source.is_default) for source in sources]


def _watch(records: _Records) -> None:
    """Tell the microphones whenever they are others than before. A sound system that hangs has none."""
    seen: queue.SimpleQueue[_Microphones] = queue.SimpleQueue()
    watch = _watch_server if sys.platform == "linux" else _watch_portaudio
    threading.Thread(target=watch, args=(seen.put,), name="watch", daemon=True).start()
    told: _Microphones | None = None
    while True:
        microphones: _Microphones = []
        with suppress(queue.Empty):
            microphones = seen.get(timeout=_HUNG_SECONDS)
        if microphones != told:
            records.tell(DEVICES, microphones)
            told = microphones


def _watch_server(see: Callable[[_Microphones], None]) -> NoReturn:
    cards = None
    without: _Microphones = []
    while True:
        with suppress(ServerGone):
            server = SoundServer()
            try:
                while True:
                    see(_of_server(server.sources()))
                    server.wait(_PING_SECONDS)
            finally:
                server.close()
        # Without a server there may still be sound cards; PortAudio is asked only when those are others.
        if (cards_now := _sound_cards()) != cards:
            cards, without = cards_now, _of_portaudio() if cards_now else []
        see(without)
        time.sleep(_RECONNECT_SECONDS)


def _sound_cards() -> str:
    with suppress(OSError):
        return Path("/proc/asound/cards").read_text(encoding="utf-8")
    return ""


def _watch_portaudio(see: Callable[[_Microphones], None]) -> NoReturn:
    while True:
        see(_of_portaudio())
        time.sleep(_LIST_AGAIN_SECONDS)


def _of_portaudio() -> _Microphones:
    """The devices by tables that are read anew, which takes a stop and a start."""
    with suppress(Refused), portaudio() as library:
        library._terminate()
        library._initialize()
        return Devices(library).all_on_offer()
    return []


def _play(pcm: bytes, rate_hz: int, records: _Records) -> None:
    with portaudio() as library:
        records.tell(OPENED)
        play(library, pcm, rate_hz)
    records.tell(OVER)


# Recording --------------------------------------------------------------------------------------------------------


def _open(name: str, host_api: str, recording: _Recording, records: _Records) -> Any:
    """Start the stream of the wanted microphone, or of the default one when that is not there, and tell its form."""
    with suppress(ServerGone):
        server = SoundServer()
        return _open_source(server, _wanted_source(server, name, host_api), name, recording, records)
    with portaudio() as library:
        devices = Devices(library)
        index = devices.find(name, host_api)
        is_substitute = bool(name) and index is None
        index = devices.default() if index is None else index
        stream = recording.begin(library, index, devices.all[index])
        _tell_form(records, str(devices.all[index]["name"]), is_substitute, stream)
    return stream


def _wanted_source(server: SoundServer, name: str, host_api: str) -> ServerSource:
    sources = server.sources()
    wanted = [s for s in sources if name and s.name == name and host_api in ("", HOST_API)]
    for source in (*wanted, *(s for s in sources if s.is_default)):
        return source
    raise Refused(NO_MICROPHONE, "the sound server has no default microphone")


def _open_source(
    server: SoundServer, source: ServerSource, wanted: str, recording: _Recording, records: _Records
) -> Any:
    # Named to the server's client library, which PortAudio loads.
    os.environ["PULSE_SOURCE"] = os.environ["PIPEWIRE_NODE"] = source.id
    with portaudio() as library:
        devices = Devices(library)
        index = devices.of_sound_server()
        if index is None:
            raise Refused(NO_MICROPHONE, "ALSA has no device for the sound server; install its plug-in")
        stream = recording.begin(library, index, devices.all[index])
    _tell_form(records, source.name, bool(wanted) and source.name != wanted, stream)
    # One that stands in for the wanted one stays as well: the app decides when it is no longer the right one.
    guard = (server, source.number, recording, bool(wanted))
    threading.Thread(target=_guard, args=guard, name="guard", daemon=True).start()
    return stream


def _tell_form(records: _Records, name: str, is_substitute: bool, stream: Any) -> None:
    form = {"name": name, "is_substitute": is_substitute, "rate": int(stream.samplerate), "channels": stream.channels}
    records.tell(OPENED, form)


def _guard(server: SoundServer, source_number: int, recording: _Recording, is_to_stay: bool) -> None:
    """End the recording when it is no longer of its source: the server goes on with another one and does not say so.

    When the default changes, the server moves every stream that it may. One that was to stay is brought back.
    """
    with suppress(ServerGone):  # PortAudio tells that by itself.
        while True:
            if source_number not in (source.number for source in server.sources()):
                return recording.fail("the microphone was unplugged")
            stream = server.stream()
            if stream and stream[1] != source_number:
                if not is_to_stay:
                    return recording.fail("the sound server went on with another microphone")
                server.move(stream[0], source_number)
            server.wait()


class _Mark(Enum):
    """What may stand in the queue among blocks."""

    LAST_BLOCK_IS_IN = auto()
    STREAM_IS_OVER = auto()
    LOOK_AGAIN = auto()


class _Heard(NamedTuple):
    at: float
    wall_time: float
    has_lost: bool
    frames: bytes


class _Recording:
    """Blocks on their way from PortAudio to the pipe."""

    def __init__(self, survivor: Survivor) -> None:
        self._queue: queue.SimpleQueue[_Heard | _Mark] = queue.SimpleQueue()
        self._put_bytes = self._taken_bytes = 0
        self._has_dropped = False
        self._is_ending = False
        self._asleep_seconds = 0.0
        self._why_over = "the stream ended by itself"
        self._survivor = survivor

    def begin(self, library: Any, index: int, device: Mapping[str, Any]) -> Any:
        """Start the stream."""
        stream = start_stream(library, index, device, callback=self._on_block, finished_callback=self._on_finished)
        self._survivor.form = (int(stream.samplerate), stream.channels)
        return stream

    def end(self) -> None:
        """The block that is being filled now is the last one."""
        self._is_ending = True
        self._queue.put(_Mark.LOOK_AGAIN)

    def fail(self, why: str) -> None:
        """What comes from now on is not what was asked for."""
        self._why_over = why
        self._queue.put(_Mark.STREAM_IS_OVER)

    def on_app_gone(self) -> None:
        """Nobody is left to write to."""
        if not self._survivor.is_able:
            os._exit(0)
        self._survivor.on_app_gone()
        self._queue.put(_Mark.LOOK_AGAIN)

    def write(self, records: _Records) -> None:
        """Write blocks until the last one is out."""
        while (item := self._next()) not in (_Mark.LAST_BLOCK_IS_IN, _Mark.STREAM_IS_OVER):
            if isinstance(item, _Heard):
                self._taken_bytes += len(item.frames)
                self._pass_on(item, records)
            self._survivor.go_on()
            if self._survivor.is_over:
                return
        if self._survivor.is_recording:
            self._survivor.close()
        elif self._is_ending:
            records.tell(OVER)
        else:
            records.tell(FAILED, [LOST, self._why_over])

    def _pass_on(self, heard: _Heard, records: _Records) -> None:
        self._survivor.remember(heard.wall_time, heard.frames)
        if self._survivor.is_recording:
            return
        head = BLOCK.pack(heard.at, heard.wall_time, self._asleep_seconds, heard.has_lost)
        try:
            records.write(BLOCK_KIND, head + heard.frames)
        except OSError:
            if not self._survivor.is_able:
                raise
            self._survivor.on_app_gone()

    def _next(self) -> _Heard | _Mark:
        """The next item; a look takes half a second at most, unless this process was not allowed to run."""
        seconds = _LAST_BLOCK_SECONDS if self._is_ending else _LOOK_SECONDS
        began = now()
        try:
            item: _Heard | _Mark = self._queue.get(timeout=seconds)
        except queue.Empty:
            item = _Mark.LAST_BLOCK_IS_IN if self._is_ending else _Mark.LOOK_AGAIN
        late = now() - began - seconds
        if late > _LATE_SECONDS:
            self._asleep_seconds += late
        return item

    def _on_block(self, frames: Any, _count: int, _time: Any, status: Any) -> None:
        is_full = self._put_bytes - self._taken_bytes > _QUEUE_BYTES
        if not is_full:
            heard = _Heard(now(), time.time(), self._has_dropped or bool(status.input_overflow), bytes(frames))
            self._put_bytes += len(heard.frames)
            self._queue.put(heard)
        self._has_dropped = is_full
        if self._is_ending:
            self._queue.put(_Mark.LAST_BLOCK_IS_IN)

    def _on_finished(self) -> None:
        self._queue.put(_Mark.STREAM_IS_OVER)


if __name__ == "__main__":
    main()
