"""What the engine keeps, shows and keeps awake besides visits: the disk, what is stored, diagnostics, microphones."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from app.core.events import Patient, Pause, Resume, SessionId, Stop, Visit
from app.core.settings import Settings
from app.core.storage import BYTES_PER_SECOND
from app.core.views import (
    ChangeSettings,
    EraseSession,
    KeyState,
    LookAtStored,
    MicrophoneInfo,
    Phase,
    PrepareDiagnostics,
    PurgeAudio,
    SaveDiagnostics,
    TestMicrophone,
)
from tests.audio.stand_ins import tone
from tests.engine.stand_ins import REMOTE, USB, Desk, Microphone

BUILT_IN = MicrophoneInfo("Built-in")
DEFAULT_BUILT_IN = MicrophoneInfo("Built-in", is_default=True)


def visit(desk: Desk, seconds: float = 2.0, label: str = "") -> SessionId:
    """A whole visit, until its result is there."""
    session_id, microphone = desk.record(Visit(patient=Patient(label=label)))
    microphone.speak(tone(seconds))
    desk.intend(session_id, Stop(0.0))
    desk.completed(session_id)
    return session_id


def named(name: str) -> Microphone:
    """A microphone that tells this name."""
    microphone = Microphone()
    microphone.name = name
    return microphone


# The disk -----------------------------------------------------------------------------------------------------------


def test_free_space_is_told_in_seconds_and_looked_at_again(desk: Desk) -> None:
    desk.free_bytes = int(1800 * BYTES_PER_SECOND)
    desk.switch_on()
    low = desk.views.until(lambda v: v.storage.free_seconds).storage
    assert low.free_seconds
    assert round(low.free_seconds) == 1800
    assert low.is_low
    desk.free_bytes = 100_000_000_000
    desk.let_pass(60.0)
    assert not desk.views.until(lambda v: not v.storage.is_low).storage.is_critical


# What is stored -----------------------------------------------------------------------------------------------------


def test_what_is_stored_is_told_and_can_be_deleted(desk: Desk) -> None:
    desk.switch_on()
    desk.views.until(lambda v: v.keys.state is KeyState.PROTECTED)
    first, second = visit(desk), visit(desk)
    desk.server.held.add("upload")
    unsent, microphone = desk.record()
    microphone.speak(tone(2.0))
    desk.intend(unsent, Stop(0.0))
    desk.session(unsent, lambda s: s.phase is Phase.DRAINING and s.chunks_sealed)
    desk.wish(LookAtStored())
    stored = desk.views.until(lambda v: v.stored).stored
    assert stored
    assert {s.id: s.is_delivered for s in stored.sessions} == {first: True, second: True, unsent: False}
    assert all(s.audio_bytes > 2 * 32_000 for s in stored.sessions)
    assert stored.library_bytes > 0
    desk.wish(PurgeAudio((first, unsent)))
    told = desk.session(first, lambda s: not s.has_audio)
    assert told.transcript
    assert not (desk.folder(first) / "audio").exists()
    assert desk.session(unsent, lambda s: s.has_audio)
    assert (desk.folder(unsent) / "audio").exists()
    desk.wish(EraseSession(second))
    desk.views.until(lambda v: v.stored and {s.id for s in v.stored.sessions} == {first, unsent})
    assert not desk.folder(second).exists()
    desk.server.let_go()
    desk.completed(unsent)
    desk.switch_off()
    desk.switch_on()
    assert not desk.session(first, lambda s: s.phase is Phase.COMPLETED).has_audio
    assert desk.views.until(lambda v: v.sessions).session(second) is None


def test_a_visit_that_is_recorded_cannot_be_erased(desk: Desk) -> None:
    desk.switch_on()
    live, microphone = desk.record()
    microphone.speak(tone(1.0))
    desk.session(live, lambda s: s.is_capturing)
    desk.wish(EraseSession(live))
    desk.wish(PurgeAudio((live,)))
    desk.wish(LookAtStored())
    desk.views.until(lambda v: v.stored)
    desk.intend(live, Stop(0.0))
    desk.completed(live)
    assert len(desk.heard(live)) == 16_000


# Diagnostics --------------------------------------------------------------------------------------------------------


def test_diagnostics_tell_states_and_no_names(desk: Desk, tmp_path: Path) -> None:
    desk.switch_on()
    visit(desk, label="Anandhi Subramaniam")
    desk.wish(PrepareDiagnostics())
    text = desk.views.until(lambda v: v.diagnostics).diagnostics
    assert "sessions: 1 completed" in text
    assert "Anandhi" not in text
    assert str(tmp_path) not in text
    path = tmp_path / "diagnostics.txt"
    desk.wish(SaveDiagnostics(str(path)))
    desk.wish(LookAtStored())
    desk.views.until(lambda v: v.stored)
    assert path.read_text() == text


# Sleep --------------------------------------------------------------------------------------------------------------


class Sleepless(Desk):
    """A computer that tells when sleep is held off, and when no longer."""

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        self.changed = threading.Condition()

    def until_awake(self, count: int) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: self.kept_awake == count, 20)

    @contextmanager
    def _keep_awake(self) -> Iterator[None]:
        self._count(1)
        yield
        self._count(-1)

    def _count(self, change: int) -> None:
        with self.changed:
            self.kept_awake += change
            self.changed.notify_all()


def test_sleep_is_held_off_exactly_while_something_is_recorded(tmp_path: Path) -> None:
    desk = Sleepless(tmp_path)
    desk.switch_on()
    assert desk.kept_awake == 0
    session_id, microphone = desk.record()
    microphone.speak(tone(1.0))
    desk.until_awake(1)
    desk.intend(session_id, Pause(0.0))
    desk.until_awake(0)
    desk.intend(session_id, Resume(0.0))
    desk.microphone()
    desk.until_awake(1)
    desk.switch_off()
    desk.until_awake(0)


# Microphones --------------------------------------------------------------------------------------------------------


def test_a_microphone_is_tested_and_played_back_and_nothing_of_it_is_kept(desk: Desk) -> None:
    desk.switch_on()
    desk.wish(TestMicrophone())
    microphone = desk.microphone()
    microphone.speak(tone(11.0))
    desk.views.until(lambda v: v.microphone_test and v.microphone_test.stage == "done")
    (played,) = desk.played
    np.testing.assert_allclose(played[:16_000], tone(1.0), atol=40)
    assert not list(desk.places.sessions.iterdir())


def test_a_test_gives_way_to_a_visit(desk: Desk) -> None:
    desk.switch_on()
    desk.wish(TestMicrophone())
    tested = desk.microphone()
    session_id, microphone = desk.record()
    assert tested.is_closed.is_set()
    microphone.speak(tone(1.0))
    desk.session(session_id, lambda s: s.is_capturing)
    desk.wish(TestMicrophone())  # Not now.
    desk.intend(session_id, Stop(0.0))
    desk.completed(session_id)
    assert desk.has_opened_no_more()


def switched(desk: Desk, session_id: SessionId, first: Microphone, second: str) -> None:
    """The visit goes on with the next microphone, and tells its name and the gap."""
    again = desk.microphone()
    assert first.is_closed.is_set()
    again.speak(tone(1.0))
    told = desk.session(session_id, lambda s: s.microphone == second and s.is_capturing)
    assert [gap.reason for gap in told.gaps] == ["microphone"]
    desk.intend(session_id, Stop(0.0))
    done = desk.completed(session_id)
    assert [gap.position_seconds for gap in done.gaps] == [2.0]
    assert len(desk.heard(session_id)) == 3 * 16_000


def begin(desk: Desk, *names: str) -> tuple[SessionId, Microphone]:
    desk.next_microphones = [named(name) for name in names]
    session_id, microphone = desk.record()
    microphone.speak(tone(2.0))
    microphone.await_kept()
    desk.session(session_id, lambda s: s.microphone == names[0])
    return session_id, microphone


def test_a_visit_follows_the_systems_default(desk: Desk) -> None:
    desk.switch_on()
    session_id, microphone = begin(desk, "USB", "Built-in")
    desk.listing = lambda: (MicrophoneInfo("USB"), DEFAULT_BUILT_IN)
    desk.devices.change()
    switched(desk, session_id, microphone, "Built-in")


def test_a_visit_goes_on_with_another_microphone_when_the_chosen_one_is_gone(desk: Desk) -> None:
    desk.listing = lambda: (USB, BUILT_IN)
    desk.switch_on()
    desk.wish(ChangeSettings(Settings(service_id=REMOTE, microphone="Built-in")))
    session_id, microphone = begin(desk, "Built-in", "USB")
    desk.listing = lambda: (USB,)
    desk.devices.change()
    desk.views.until(lambda v: v.microphone_missing)
    switched(desk, session_id, microphone, "USB")


def test_a_chosen_microphone_that_is_back_does_not_break_into_a_visit(desk: Desk) -> None:
    desk.switch_on()
    desk.wish(ChangeSettings(Settings(service_id=REMOTE, microphone="Built-in")))
    desk.views.until(lambda v: v.microphone_missing)
    session_id, microphone = begin(desk, "USB")
    desk.listing = lambda: (USB, BUILT_IN)
    desk.devices.change()
    desk.views.until(lambda v: not v.microphone_missing)
    microphone.speak(tone(1.0))
    desk.intend(session_id, Stop(0.0))
    assert desk.completed(session_id).gaps == ()
    assert desk.has_opened_no_more()


def test_a_microphone_that_is_chosen_during_a_visit_is_used_at_once(desk: Desk) -> None:
    desk.listing = lambda: (USB, BUILT_IN)
    desk.switch_on()
    session_id, microphone = begin(desk, "USB", "Built-in")
    desk.wish(ChangeSettings(Settings(service_id=REMOTE, microphone="Built-in")))
    switched(desk, session_id, microphone, "Built-in")
