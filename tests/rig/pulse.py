"""Virtual microphones: a PulseAudio server of the test's own, into which it can speak.

There are two, ``microphone`` and ``headset``, of which the first is plugged in at the start. ``play`` speaks into
one; ``environment`` makes a program listen. What is spoken goes on while a microphone is unplugged. The server never
shares anything with a sound system that may already run here.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType

_READY_SECONDS = 10.0
_END_SECONDS = 5.0
_SERVER = ("-n", "--daemonize=no", "--use-pid-file=no", "--exit-idle-time=-1", "--log-target=null")
NAMES = {"microphone": "Microphone", "headset": "Headset"}
"""The microphones, and what a person calls them."""


def _sink(name: str, description: str, channels: int) -> tuple[str, str]:
    form = f"rate=48000 channels={channels}"
    return "-L", f"module-null-sink sink_name={name} {form} sink_properties=device.description={description}"


_DEVICES = (
    *_sink("speakers", "Speakers", 2),
    *(word for name, called in NAMES.items() for word in _sink(f"{name}-feed", f"{called}Feed", 1)),
)


def is_available() -> bool:
    """Whether this machine has what the rig needs."""
    return all(shutil.which(tool) for tool in ("pulseaudio", "pactl", "parec", "paplay"))


class PulseRig:
    """The server, from ``start`` to ``stop``; also a context manager."""

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="pulse-rig-"))
        run = self.directory / "pulse"
        self.environment = {
            "XDG_RUNTIME_DIR": str(self.directory),
            "PULSE_RUNTIME_PATH": str(run),
            "PULSE_STATE_PATH": str(self.directory / "state"),
            "PULSE_COOKIE": str(self.directory / "cookie"),
            "PULSE_SERVER": f"unix:{run}/native",
        }
        self._programs: list[subprocess.Popen[bytes]] = []
        self._server: subprocess.Popen[bytes] | None = None
        self._plugged: dict[str, str] = {}

    def __enter__(self) -> PulseRig:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start the server, anew if it was killed, and wait until its microphone delivers."""
        self._server = self._run("pulseaudio", *_SERVER, "-L", self._socket_module(), *_DEVICES)
        deadline = time.monotonic() + _READY_SECONDS
        while self._call("pactl", "info").returncode:
            if time.monotonic() > deadline or self._server.poll() is not None:
                self.stop()
                raise RuntimeError("PulseAudio did not start")
        self._must("pactl", "set-default-sink", "speakers")
        self._keep_awake()
        self._plugged.clear()
        self.plug("microphone")
        self.set_default("microphone")

    def stop(self) -> None:
        """End all that was started, and remove the files."""
        for program in reversed(self._programs):
            program.kill()  # also ends one that is frozen
            program.wait(_END_SECONDS)
        self._programs.clear()
        self._server = None
        shutil.rmtree(self.directory, ignore_errors=True)

    def play(self, path: Path, into: str = "microphone") -> subprocess.Popen[bytes]:
        """Speak a sound file into a microphone; the process ends with it."""
        return self._run("paplay", f"--device={into}-feed", str(path))

    def plug(self, name: str) -> None:
        """Plug a microphone in. It does not become the default by that, unless there was none."""
        source = f"source_name={name} master={name}-feed.monitor channels=1"
        properties = f"source_properties=device.description={NAMES[name]}"
        loaded = self._must("pactl", "load-module", "module-remap-source", *source.split(), properties)
        self._plugged[name] = loaded.decode().strip()

    def unplug(self, name: str = "microphone") -> None:
        """Unplug a microphone. The server moves its listeners to another source, if there is one."""
        self._must("pactl", "unload-module", self._plugged.pop(name))

    def set_default(self, name: str) -> None:
        """Make a microphone the one that the system prefers."""
        self._must("pactl", "set-default-source", name)

    def mute(self, is_muted: bool = True, name: str = "microphone") -> None:
        """Mute a microphone: it goes on delivering, silence."""
        self._must("pactl", "set-source-mute", name, "1" if is_muted else "0")

    def kill(self) -> None:
        """Kill the server, as a crash would."""
        assert self._server is not None
        self._server.kill()
        self._server.wait(_END_SECONDS)

    def freeze(self, is_frozen: bool = True) -> None:
        """Stop the server where it stands, or let it go on: it neither delivers nor answers."""
        assert self._server is not None
        self._server.send_signal(signal.SIGSTOP if is_frozen else signal.SIGCONT)

    def _keep_awake(self) -> None:
        # An idle null sink wakes every 2 s only; a listener keeps its blocks short, so that speech comes at once.
        listen = [("parec", "--latency-msec=10", "-d", f"{name}-feed.monitor") for name in NAMES]
        for listener in listen:
            self._run(*listener)
        for probe in [self._run(*listener, stdout=subprocess.PIPE) for listener in listen]:
            assert probe.stdout is not None
            probe.stdout.read(1)
            probe.stdout.close()
            probe.kill()
            probe.wait(_END_SECONDS)

    def _socket_module(self) -> str:
        return f"module-native-protocol-unix auth-anonymous=1 socket={self.environment['PULSE_RUNTIME_PATH']}/native"

    def _run(self, *command: str, stdout: int = subprocess.DEVNULL) -> subprocess.Popen[bytes]:
        program = subprocess.Popen(command, env=self._environment(), stdout=stdout, stderr=subprocess.DEVNULL)
        self._programs.append(program)
        return program

    def _call(self, *command: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            command, env=self._environment(), capture_output=True, timeout=_READY_SECONDS, check=False
        )

    def _must(self, *command: str) -> bytes:
        outcome = self._call(*command)
        if outcome.returncode:
            raise RuntimeError(f"{' '.join(command)}: {outcome.stderr.decode(errors='replace')}")
        return outcome.stdout

    def _environment(self) -> dict[str, str]:
        return {**os.environ, **self.environment}
