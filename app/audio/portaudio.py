"""PortAudio's devices and streams, and its failures in our words. Part of the capture process."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

NO_MICROPHONE, LOST, BUSY, FORBIDDEN = "no_microphone", "microphone_lost", "microphone_busy", "microphone_forbidden"
"""Why there is no audio: the names of the kinds of problem that the app knows, which this process does not load."""

_RATE_HZ = 16_000
_LATENCY_SECONDS = 0.15
"""Less loses audio when the machine is busy; more makes the meter jump."""
_BEST_HOST_API = {"win32": "Windows WASAPI", "darwin": "Core Audio"}
"""Where one device is offered by several host APIs: the one with whole names and without detours."""
_SERVER_DEVICES = ("pulse", "pipewire", "default")
"""The devices of ALSA that record from the sound server, the surest first."""
_DEVICE_UNAVAILABLE = -9985
_DENIALS = frozenset({-13, 5, -2_147_024_891, 0x6E6F7065})
"""EACCES, Windows' access denied as MME and as WASAPI tell it, and Core Audio's ``nope``."""


class Refused(Exception):
    """No audio, and why."""

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(detail)
        self.kind = kind


@contextmanager
def portaudio() -> Iterator[Any]:
    """The library, started. Its failures inside become :class:`Refused`."""
    try:
        import sounddevice
    except Exception as error:
        # Loading is also PortAudio's start, and without the library there is no class for its failures.
        raise Refused(NO_MICROPHONE, str(error)) from error
    try:
        yield sounddevice
    except sounddevice.PortAudioError as error:
        raise Refused(_kind_of(error), str(error)) from error


def _kind_of(error: Exception) -> str:
    code = error.args[1] if len(error.args) > 1 else None
    host_code = error.args[2][1] if len(error.args) > 2 else None  # noqa: PLR2004
    if code == _DEVICE_UNAVAILABLE:
        return BUSY
    return FORBIDDEN if host_code in _DENIALS else NO_MICROPHONE


class Devices:
    """PortAudio's tables, read once."""

    def __init__(self, library: Any) -> None:
        self.all: list[Mapping[str, Any]] = list(library.query_devices())
        self._host_apis: list[Mapping[str, Any]] = list(library.query_hostapis())

    def all_on_offer(self) -> list[tuple[str, str, bool]]:
        """Name, host API and whether it is the default."""
        return [(self.all[i]["name"], self._host_api(i), i == self._default()) for i in self._on_offer()]

    def find(self, name: str, host_api: str) -> int | None:
        """The device of that name, if it is there."""
        fitting = (i for i in self._on_offer() if name and self.all[i]["name"] == name)
        return next((i for i in fitting if host_api in ("", self._host_api(i))), None)

    def default(self) -> int:
        """The device that the system prefers."""
        if self._default() < 0:
            raise Refused(NO_MICROPHONE, "the system has no default microphone")
        return self._default()

    def of_sound_server(self) -> int | None:
        """The device that records from the sound server."""
        names = {self.all[i]["name"]: i for i in reversed(self._inputs())}
        return next((names[name] for name in _SERVER_DEVICES if name in names), None)

    def _inputs(self) -> list[int]:
        return [i for i, device in enumerate(self.all) if device["max_input_channels"] > 0]

    def _on_offer(self) -> list[int]:
        """Inputs, of the best host API alone where that has any."""
        best = [i for i in self._inputs() if self._host_api(i) == _BEST_HOST_API.get(sys.platform)]
        return best or self._inputs()

    def _host_api(self, index: int) -> str:
        return str(self._host_apis[self.all[index]["hostapi"]]["name"])

    def _default(self) -> int:
        best = _BEST_HOST_API.get(sys.platform)
        for host_api in sorted(self._host_apis, key=lambda api: api["name"] != best):
            if host_api["default_input_device"] >= 0:
                return int(host_api["default_input_device"])
        return -1


def start_stream(library: Any, index: int, device: Mapping[str, Any], **callbacks: Any) -> Any:
    """A running stream, with 16 kHz mono if the device can, else with what it has."""
    *attempts, last = _forms(device)
    for form in attempts:
        with suppress(library.PortAudioError):
            return _start(library, index, form, callbacks)
    return _start(library, index, last, callbacks)


def play(library: Any, pcm: bytes, rate_hz: int) -> None:
    """Play mono samples on the system's loudspeaker; returns when they were heard."""
    with library.RawOutputStream(samplerate=rate_hz, channels=1, dtype="int16") as stream:
        stream.write(pcm)
        stream.stop()


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
