"""What is deleted when its time has come, seen through the engine with a clock that a test moves."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from app.core.events import MarkReviewed, SessionId, Stop
from app.core.settings import Settings
from app.core.views import ChangeSettings, KeyState, Phase
from app.engine.world import World
from tests.audio.stand_ins import tone
from tests.engine.stand_ins import REMOTE, Desk

HOUR, DAY = 3600.0, 86_400.0


class ClockDesk(Desk):
    """A computer whose clock a test moves."""

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        self.now = time.time()

    def _world(self) -> World:
        return replace(super()._world(), wall_clock=lambda: self.now)

    def pass_time(self, seconds: float) -> None:
        """Let time go by as it does while the app runs: in steps in which it looks at the clock."""
        while seconds > 0:
            step = min(seconds, 12 * HOUR)
            self.now += step
            seconds -= step
            self.sweep()

    def sweep(self) -> None:
        """Let the engine look at what is due, and come back when it has."""
        self.let_pass(601.0)
        wanted = self.views.until(lambda v: v.settings).settings
        # A wish behind the timer: when its view is there, the timer has fired.
        self.wish(ChangeSettings(replace(wanted, theme="dark" if wanted.theme == "light" else "light")))
        self.views.until(lambda v: v.settings.theme != wanted.theme)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[ClockDesk]:
    desk = ClockDesk(tmp_path)
    desk.switch_on()
    desk.views.until(lambda v: v.keys.state is KeyState.PROTECTED)
    yield desk
    desk.switch_off()


def visit(desk: ClockDesk) -> SessionId:
    session_id, microphone = desk.record()
    microphone.speak(tone(2.0))
    desk.intend(session_id, Stop(desk.now))
    desk.completed(session_id)
    return session_id


def has_audio(desk: ClockDesk, session_id: SessionId) -> bool:
    """Whether the recording is on the disk; the view must say the same."""
    view = desk.session(session_id, lambda _: True)
    assert view.has_audio is (desk.folder(session_id) / "audio").exists()
    return view.has_audio


def test_a_recording_goes_after_its_days_and_the_notes_stay(desk: ClockDesk) -> None:
    done = visit(desk)
    until = desk.session(done, lambda s: s.audio_until).audio_until
    assert until == pytest.approx(desk.now + 7 * DAY)
    desk.pass_time(7 * DAY - HOUR)
    assert has_audio(desk, done)
    desk.pass_time(2 * HOUR)
    desk.session(done, lambda s: not s.has_audio)
    assert not has_audio(desk, done)
    assert desk.session(done, lambda s: s.transcript).notes


def test_a_recording_goes_once_the_notes_were_reviewed(desk: ClockDesk) -> None:
    done = visit(desk)
    desk.pass_time(HOUR)
    assert has_audio(desk, done)
    desk.intend(done, MarkReviewed(desk.now))
    desk.session(done, lambda s: s.reviewed_at)
    desk.pass_time(HOUR)
    desk.session(done, lambda s: not s.has_audio)
    assert not has_audio(desk, done)


def test_notes_go_after_their_own_days_with_all_that_there_is(desk: ClockDesk) -> None:
    desk.wish(ChangeSettings(Settings(service_id=REMOTE, keep_notes_days=30.0)))
    done = visit(desk)
    desk.pass_time(29 * DAY)
    assert not has_audio(desk, done)
    desk.pass_time(2 * DAY)
    desk.views.until(lambda v: v.session(done) is None)
    assert not desk.folder(done).exists()


def test_what_was_not_delivered_is_never_deleted_by_age(desk: ClockDesk) -> None:
    desk.wish(ChangeSettings(Settings(service_id=REMOTE, keep_notes_days=1.0)))
    desk.server.held.add("upload")
    session_id, microphone = desk.record()
    microphone.speak(tone(2.0))
    desk.intend(session_id, Stop(desk.now))
    view = desk.session(session_id, lambda s: s.phase is Phase.DRAINING)
    assert (view.audio_until, view.notes_until) == (None, None)
    desk.pass_time(40 * DAY)
    assert has_audio(desk, session_id)
    desk.server.let_go()
    desk.completed(session_id)
    assert len(desk.heard(session_id)) == 2 * 16_000


@pytest.mark.fault("C1")
@pytest.mark.parametrize("jump", [400 * DAY, -400 * DAY])
def test_a_clock_that_jumps_deletes_nothing(desk: ClockDesk, jump: float) -> None:
    done = visit(desk)
    desk.sweep()
    desk.now += jump
    desk.sweep()
    assert has_audio(desk, done)
    desk.now -= jump
    desk.sweep()
    assert has_audio(desk, done)


def test_what_came_due_while_the_app_was_closed_goes_when_the_clock_has_proved_itself(desk: ClockDesk) -> None:
    done = visit(desk)
    desk.switch_off()
    desk.now += 20 * DAY
    desk.switch_on()
    desk.completed(done)
    desk.sweep()
    assert has_audio(desk, done)
    for _ in range(7):
        desk.now += 600.0
        desk.sweep()
    desk.session(done, lambda s: not s.has_audio)
    assert not has_audio(desk, done)
