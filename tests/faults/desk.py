"""A computer with the real engine, the real disk and the real client, at work with a service over real sockets.

Its microphone is spoken into by the test, sample by sample, so that what the service has can be held against what was
said. The wiring of the engine is the one of the engine's own tests; what differs here is in :meth:`FaultDesk._world`.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import soundfile

from app import compose
from app.audio.signal import Samples
from app.core.events import Patient, SessionId, Stop, Visit
from app.core.settings import Settings
from app.core.views import AppView, Phase, SessionView
from app.engine.world import World
from app.store.keys import Keys
from app.store.library import Library
from app.store.places import Places
from app.store.remembered import save_settings
from tests.engine.stand_ins import PATIENCE_SECONDS, Desk, Microphone, StandInKeystore
from tests.rig.answers import Kept, Scribe

TOKEN = "token-that-nobody-may-see"
RATE_HZ = 16_000
BLOCK = 4000
"""Samples that come at once from the microphone."""
PATIENT = Patient(label="Anandhi Subramaniam", id="MRN-55091")


def speech(seconds: float, seed: int = 0) -> Samples:
    """Sound of which no two stretches are alike, loud enough to be speech, with pauses in which it may be cut."""
    count = int(seconds * RATE_HZ)
    noise = np.random.default_rng(seed).integers(-9000, 9000, count, dtype=np.int16)
    is_pause = (np.arange(count) / RATE_HZ) % 1.5 > 1.1
    return np.where(is_pause, noise // 300, noise).astype(np.int16)


class FaultDesk(Desk):
    """One computer that is to deliver to ``url``."""

    def __init__(self, home: Path, url: str, keystore: Path | None = None) -> None:
        super().__init__(home)
        if keystore is not None:
            self.keystore = StandInKeystore(keystore)
        self.url = url
        self.wall_clock: Callable[[], float] = time.time
        self.token = TOKEN
        self.said: dict[SessionId, list[Samples]] = {}
        """What was said in each visit."""
        self._microphones: dict[SessionId, Microphone] = {}

    def _world(self) -> World:
        return replace(super()._world(), connect=compose.connect, token=self.token, wall_clock=self._now)

    def _now(self) -> float:
        return self.wall_clock()

    # What a person does -------------------------------------------------------------------------------------------

    def switch_on(self, service_id: str | None = None) -> None:
        """Start the app. Without network it starts, too."""
        super().switch_on(service_id or self.url)

    def await_service(self) -> None:
        """Wait until the app knows what the service offers."""
        self.views.until(lambda v: v.service.discovery.service_name)

    def begin(self, patient: Patient = PATIENT, *, templates: tuple[str, ...] = ("soap",)) -> SessionId:
        """Press Record."""
        session_id, microphone = self.record(Visit(patient=patient, templates=templates))
        self._microphones[session_id], self.said[session_id] = microphone, []
        return session_id

    def speak(self, session_id: SessionId, seconds: float) -> None:
        """Say something; all of it is on the disk when this returns."""
        self.begin_to_speak(session_id, seconds)
        self._microphones[session_id].await_kept()

    def begin_to_speak(self, session_id: SessionId, seconds: float) -> None:
        """Say something; it is taken in as fast as the app can."""
        samples = speech(seconds, seed=len(self.said[session_id]) + 1000 * list(self.said).index(session_id))
        self.said[session_id].append(samples)
        self._microphones[session_id].speak(samples)

    def kept_samples(self, session_id: SessionId, at_least: int) -> int:
        """How much is on the disk, once that is so much at least."""
        microphone = self._microphones[session_id]
        with microphone._moved:
            assert microphone._moved.wait_for(lambda: microphone._done_with * BLOCK >= at_least, PATIENCE_SECONDS)
            return microphone._done_with * BLOCK

    def keep_token(self, token: str) -> None:
        """Sign in at the service from elsewhere on this computer."""
        keys = Keys(self.places.keys)
        keys.take(keys.ask(self.keystore, "")())
        library = Library.open(self.places.library(keys.key_id), keys.derive("library"))
        library.keep_token(self.url, token)
        library.close()

    def stop(self, session_id: SessionId) -> None:
        """Press Stop."""
        self.intend(session_id, Stop(self.wall_clock()))
        self.session(session_id, lambda s: not s.phase.is_live)

    def visit(self, seconds: float = 5.0, patient: Patient = PATIENT) -> SessionId:
        """A whole visit, from Record to Stop."""
        session_id = self.begin(patient)
        self.speak(session_id, seconds)
        self.stop(session_id)
        return session_id

    def until_phase(self, session_id: SessionId, *phases: Phase) -> SessionView:
        """The session once it has come to one of these."""
        return self.session(session_id, lambda s: s.phase in phases)

    def until_said(self, session_id: SessionId, kind: str) -> SessionView:
        """The session once it tells of a problem of this kind."""
        return self.session(session_id, lambda s: s.problem and s.problem.kind == kind)

    def move_clock(self, seconds: float) -> None:
        """Both clocks go on, as when time passes."""
        before = self.wall_clock
        self.wall_clock = lambda: before() + seconds
        self.let_pass(seconds)

    @property
    def newest(self) -> AppView:
        """How things stand."""
        return self.views.until(lambda _v: True)


def choose_service(places: Places, url: str) -> None:
    """Have the app's settings name a service, for an app in a process of its own."""
    save_settings(places, Settings(service_id=url))


def heard(*kept: Kept) -> Samples:
    """The sound that the service was given, chunk after chunk, session after session."""
    pieces = [soundfile.read(io.BytesIO(c), dtype="int16")[0] for k in kept for c in k.chunks.values()]
    return np.concatenate([np.empty(0, np.int16), *pieces])


def assert_delivered(desk: FaultDesk, session_id: SessionId, kept: Kept, patient: Patient = PATIENT) -> None:
    """The service has every sample that was said, once and in order, about the right patient, and its end."""
    assert kept.id.startswith(session_id)
    assert kept.patient == {"oid": patient.id, "name": patient.label}
    assert not kept.repeats_differ, "a repeated chunk must be the same bytes"
    assert list(kept.chunks) == list(range(len(kept.chunks))), "a chunk is missing"
    assert kept.ended_with == len(kept.chunks)
    np.testing.assert_array_equal(heard(kept), np.concatenate(desk.said[session_id]))


def assert_delivered_as_one(desk: FaultDesk, scribe: Scribe, session_id: SessionId) -> Kept:
    """The same, and there is no second session at the service for this visit; it is returned."""
    (kept,) = (kept for kept in scribe.sessions.values() if kept.id.startswith(session_id))
    assert_delivered(desk, session_id, kept)
    return kept
