"""A computer with real sound: the engine's own capture process and watch on a PulseAudio server of the test's own.

What is spoken is a signal that counts, so that the service's audio tells what is missing from it. An ear beside the
app hears the same, which tells when each number was spoken, whatever the server does to the speaker.
"""

from __future__ import annotations

import itertools
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from app import compose
from app.audio.microphone import Will
from app.audio.source import Source
from app.core.events import SessionId, Stop, Visit
from app.core.views import Gap, RecordVisit, SessionView
from app.engine.world import World
from tests.faults.desk import PATIENT, RATE_HZ, FaultDesk, heard
from tests.rig.answers import Scribe
from tests.rig.counter import Reading, counter_signal, read_counters
from tests.rig.pulse import PulseRig

SPOKEN_SECONDS = 90.0
NOTICED_SECONDS = 1.2
SILENCE_NOTICED_SECONDS = 3.5
AGAIN_SECONDS = 2.5
STOPPED_SECONDS = 0.2
WORTH_MARKING_SECONDS = 0.3
WORTH_KNOWING_SECONDS = 0.1
OFF_BY_SECONDS = 0.15
_DEADLINE_SECONDS = 20.0
_EAR = ("parec", "--latency-msec=10", f"--rate={RATE_HZ}", "--channels=1", "--format=s16le", "--raw")


@dataclass(frozen=True)
class Hole:
    """A stretch of what was spoken that is not to be heard in what the service has, at a place of that."""

    at_seconds: float
    seconds: float
    is_silence: bool
    """It is there as silence, and takes up the recording."""


class Ear:
    """Listens to a microphone's feed; knows when a number was spoken."""

    def __init__(self, rig: PulseRig, name: str = "microphone") -> None:
        self._program = subprocess.Popen(
            (*_EAR, "-d", f"{name}-feed.monitor"), env={**os.environ, **rig.environment}, stdout=subprocess.PIPE
        )
        self._heard: list[tuple[float, bytes]] = []
        self._thread = threading.Thread(target=self._listen, name="ear")
        self._thread.start()

    def _listen(self) -> None:
        assert self._program.stdout
        while piece := os.read(self._program.stdout.fileno(), 1 << 16):
            self._heard.append((time.time(), piece))

    def close(self) -> float:
        """Listen no more. When the signal's number nought was spoken, or would have been."""
        self._program.kill()
        self._thread.join(_DEADLINE_SECONDS)
        self._program.wait(_DEADLINE_SECONDS)
        assert self._program.stdout
        self._program.stdout.close()
        ends = np.cumsum([len(piece) // 2 for _, piece in self._heard])
        samples = np.frombuffer(b"".join(piece for _, piece in self._heard), "<i2").astype(np.int16)
        # What comes soonest tells best: the rest has waited on its way.
        return min(
            self._heard[int(np.searchsorted(ends, reading.sample, "right"))][0] - reading.signal_seconds
            for reading in read_counters(samples)
        )


class Room(FaultDesk):
    """One computer with real sound."""

    def __init__(self, home: Path, scribe: Scribe, rig: PulseRig) -> None:
        super().__init__(home, scribe.url)
        self.scribe = scribe
        self.rig = rig
        self.opens: Callable[[str, str, Will | None], Source] | None = None
        """How a microphone is opened, where it is not as in the app."""
        scribe.discovery["capabilities"]["max_chunk_duration_seconds"] = 5

    def _world(self) -> World:
        real = compose.make_world(self.places)

        def open_microphone(name: str, host_api: str, will: Will | None) -> Source:
            return (self.opens or real.open_microphone)(name, host_api, will)

        return replace(super()._world(), open_microphone=open_microphone, watch_microphones=real.watch_microphones)

    # What a person does -------------------------------------------------------------------------------------------

    def speak_up(self, from_second: float = 0.0, into: Sequence[str] = ("microphone", "headset")) -> None:
        """Begin to count, from a number on."""
        path = self.rig.directory / f"counter-{from_second:g}.wav"
        soundfile.write(path, counter_signal(SPOKEN_SECONDS)[int(from_second * RATE_HZ) :], RATE_HZ)
        for name in into:
            self.rig.play(path, name)

    def press_record(self) -> SessionId:
        """Press Record; the microphone may not be there."""
        self.wish(RecordVisit(Visit(patient=PATIENT, templates=("soap",))))
        live = self.views.until(lambda v: v.live).live
        assert live is not None
        return live

    def press_record_and_hear(self, seconds: float = 2.0) -> SessionId:
        """Press Record, and let so much be heard."""
        session_id = self.press_record()
        self.session(session_id, lambda s: s.is_capturing)
        self.hear(seconds)
        return session_id

    def hear(self, seconds: float) -> None:
        """Go on until so much more is recorded."""
        enough = self.engine.level().captured_seconds + seconds
        until(lambda: self.engine.level().captured_seconds >= enough, "nothing is heard")

    def seconds_until(self, session_id: SessionId, is_so: Callable[[SessionView], object]) -> float:
        """How long it takes from now until the window shows it."""
        began = time.monotonic()
        self.session(session_id, is_so)
        return time.monotonic() - began

    def press_stop(self, session_id: SessionId) -> float:
        """Press Stop; how long the answer takes."""
        began = time.monotonic()
        self.intend(session_id, Stop(time.time()))
        self.session(session_id, lambda s: not s.phase.is_live)
        return time.monotonic() - began

    # What is to be seen -------------------------------------------------------------------------------------------

    def delivered(self, session_id: SessionId) -> SessionView:
        """The session with its result: the service was given all chunks, once and in order."""
        view = self.completed(session_id)
        kept = self.scribe.sessions[session_id]
        assert list(kept.chunks) == list(range(view.chunks_sealed))
        assert kept.ended_with == len(kept.chunks)
        assert not kept.repeats_differ
        return view

    def readings(self, session_id: SessionId) -> list[Reading]:
        """The numbers in what the service has."""
        return read_counters(heard(self.scribe.sessions[session_id]))


def until(is_so: Callable[[], bool], otherwise: str) -> None:
    """Wait until it is so, which nothing tells."""
    deadline = time.monotonic() + _DEADLINE_SECONDS
    pause = threading.Event()
    while not is_so():
        assert time.monotonic() < deadline, otherwise
        pause.wait(0.01)


def let_pass(seconds: float) -> None:
    """Let real time go by: a fault of the sound system takes its time."""
    threading.Event().wait(seconds)


def holes(readings: Sequence[Reading], spoken_at: Callable[[float], float] = lambda second: second) -> list[Hole]:
    """What is missing between numbers; ``spoken_at`` tells when the signal was at a second of its own."""
    found = []
    for before, after in itertools.pairwise(readings):
        recorded = (after.sample - before.sample) / RATE_HZ
        spoken = spoken_at(after.signal_seconds) - spoken_at(before.signal_seconds)
        if spoken - recorded >= WORTH_KNOWING_SECONDS:
            found.append(Hole(after.sample / RATE_HZ, spoken - recorded, is_silence=False))
        if recorded >= WORTH_KNOWING_SECONDS:
            found.append(Hole(before.sample / RATE_HZ + 0.02, recorded - 0.02, is_silence=True))
    return found


def matches(gap: Gap, hole: Hole) -> bool:
    """Whether the mark tells of this hole: its length and its place."""
    length = gap.seconds is not None and abs(gap.seconds - hole.seconds) <= OFF_BY_SECONDS
    return length and abs(gap.position_seconds - hole.at_seconds) <= OFF_BY_SECONDS


def assert_all_is_marked(found: Sequence[Hole], gaps: Sequence[Gap]) -> None:
    """Every hole has its mark, and every mark its hole; what takes up the recording is marked as such.

    Either is looked for from 0.3 s on; what it belongs to may have been measured as a little shorter.
    """
    for hole in (h for h in found if h.seconds > WORTH_MARKING_SECONDS):
        assert any(matches(g, hole) and g.takes_up_recording == hole.is_silence for g in gaps), (hole, gaps)
    for gap in (g for g in gaps if g.seconds is None or g.seconds > WORTH_MARKING_SECONDS):
        assert any(matches(gap, hole) for hole in found), (gap, found)


@contextmanager
def in_the_environment(rig: PulseRig, monkeypatch: pytest.MonkeyPatch) -> Iterator[PulseRig]:
    """A rig that this process, and those that it starts, record from."""
    with rig:
        for name, value in rig.environment.items():
            monkeypatch.setenv(name, value)
        yield rig
