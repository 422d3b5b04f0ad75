"""Microphones that come and go, hang and lie: nothing is missing from what the service has that is not marked.

The engine with its own capture process, watch and store records a signal that counts through a sound server of the
test's own; what the service was given is held against the marks of the view.
"""

from __future__ import annotations

import ctypes
import itertools
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import ClassVar

import pytest

from app.audio.microphone import ChildMicrophone, Will
from app.audio.signal import Block
from app.core.events import SessionId
from app.core.views import ChangeSettings, SessionView
from tests.audio.stand_ins import CAPTURE
from tests.faults.listening_room import (
    AGAIN_SECONDS,
    NOTICED_SECONDS,
    OFF_BY_SECONDS,
    SILENCE_NOTICED_SECONDS,
    STOPPED_SECONDS,
    Ear,
    Room,
    assert_all_is_marked,
    holes,
    in_the_environment,
    let_pass,
    until,
)
from tests.rig.answers import Scribe
from tests.rig.pulse import PulseRig, is_available

pytestmark = [pytest.mark.desktop, pytest.mark.skipif(not is_available(), reason="needs PulseAudio")]


@pytest.fixture
def rig(monkeypatch: pytest.MonkeyPatch) -> Iterator[PulseRig]:
    with in_the_environment(PulseRig(), monkeypatch) as rig:
        yield rig


@pytest.fixture
def room(home: Path, scribe: Scribe, rig: PulseRig) -> Iterator[Room]:
    room = Room(home, scribe, rig)
    room.speak_up()
    room.switch_on()
    room.await_service()
    yield room
    room.switch_off()


class Figures:
    """What was measured, for whoever reads the output."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def tell(self, **figures: object) -> None:
        """Print."""
        with self._capsys.disabled():
            told = {name: round(f, 3) if isinstance(f, float) else f for name, f in figures.items()}
            print("   ", told)  # noqa: T201


@pytest.fixture
def figures(capsys: pytest.CaptureFixture[str]) -> Figures:
    return Figures(capsys)


def is_heard(view: SessionView) -> bool:
    return view.is_capturing


def is_not_heard(view: SessionView) -> bool:
    return not view.is_capturing


def assert_marked(room: Room, session_id: SessionId, figures: Figures, **measured: float) -> SessionView:
    """The service has all that was spoken but for what is marked."""
    view = room.delivered(session_id)
    found = holes(room.readings(session_id))
    figures.tell(**measured, holes=[round(h.seconds, 3) for h in found], marks=marks(view))
    assert found, "the fault was none"
    assert_all_is_marked(found, view.gaps)
    return view


def marks(view: SessionView) -> list[tuple[str, float, float | None]]:
    return [(g.reason, round(g.position_seconds, 3), g.seconds and round(g.seconds, 3)) for g in view.gaps]


@pytest.mark.fault("A1")
def test_a_microphone_that_is_unplugged_and_plugged_in_again(room: Room, figures: Figures) -> None:
    visit = room.press_record_and_hear()
    room.rig.unplug()
    noticed = room.seconds_until(visit, is_not_heard)
    let_pass(1.5)
    room.rig.plug("microphone")
    again = room.seconds_until(visit, is_heard)
    room.hear(1.0)
    stopped = room.press_stop(visit)
    assert_marked(room, visit, figures, noticed=noticed, again=again, stopped=stopped)
    assert noticed <= NOTICED_SECONDS
    assert again <= AGAIN_SECONDS
    assert stopped <= STOPPED_SECONDS


@pytest.mark.slow
@pytest.mark.fault("A1")
def test_a_loose_plug(room: Room, figures: Figures) -> None:
    visit = room.press_record_and_hear()
    for pause in (0.0, 0.1, 0.25, 0.4, 0.6, 1.0):
        room.rig.unplug()
        let_pass(pause)
        room.rig.plug("microphone")
        let_pass(pause)
    room.session(visit, is_heard)
    room.hear(2.0)
    stopped = room.press_stop(visit)
    assert_marked(room, visit, figures, stopped=stopped)
    assert stopped <= STOPPED_SECONDS


def pin(room: Room, name: str = "Microphone") -> None:
    """Choose a microphone for good."""
    settings = replace(room.newest.settings, microphone=name, microphone_host_api="PulseAudio")
    room.wish(ChangeSettings(settings))
    room.views.until(lambda v: v.settings == settings)


@pytest.mark.slow
@pytest.mark.fault("A2")
def test_another_microphone_takes_over_when_the_one_that_the_system_prefers_is_gone(
    room: Room, figures: Figures
) -> None:
    room.rig.plug("headset")
    room.views.until(lambda v: len(v.microphones) == 2)
    visit = room.press_record_and_hear()
    room.rig.unplug()
    noticed = room.seconds_until(visit, lambda s: not s.is_capturing or s.microphone == "Headset")
    again = noticed + room.seconds_until(visit, lambda s: s.is_capturing and s.microphone == "Headset")
    room.hear(1.0)
    stopped = room.press_stop(visit)
    assert_marked(room, visit, figures, noticed=noticed, again=again, stopped=stopped)
    assert noticed <= NOTICED_SECONDS
    assert again <= AGAIN_SECONDS
    assert stopped <= STOPPED_SECONDS


@pytest.mark.slow
@pytest.mark.fault("A2")
def test_a_chosen_microphone_that_is_gone_is_stood_in_for_by_name_and_offered_when_it_is_back(
    room: Room, figures: Figures
) -> None:
    room.rig.plug("headset")
    room.views.until(lambda v: len(v.microphones) == 2)
    pin(room)
    visit = room.press_record_and_hear()
    room.rig.unplug()
    noticed = room.seconds_until(visit, lambda s: not s.is_capturing or s.microphone == "Headset")
    again = noticed + room.seconds_until(visit, lambda s: s.is_capturing and s.microphone == "Headset")
    assert room.newest.microphone_missing, "the window says that the chosen one is not there"
    room.hear(1.0)
    room.rig.plug("microphone")
    room.views.until(lambda v: not v.microphone_missing)
    room.hear(1.0)
    view = room.newest.session(visit)
    assert view
    assert (view.microphone, len(view.gaps)) == ("Headset", 1), "a visit is not interrupted for it"
    pin(room)  # as the offer's button does
    back = room.seconds_until(visit, lambda s: s.is_capturing and s.microphone == "Microphone")
    room.hear(1.0)
    stopped = room.press_stop(visit)
    assert_marked(room, visit, figures, noticed=noticed, again=again, back=back, stopped=stopped)
    assert noticed <= NOTICED_SECONDS
    assert again <= AGAIN_SECONDS
    assert back <= AGAIN_SECONDS
    assert stopped <= STOPPED_SECONDS


@pytest.mark.fault("A3")
def test_a_default_that_the_system_changes_is_followed(room: Room, figures: Figures) -> None:
    room.rig.plug("headset")
    room.views.until(lambda v: len(v.microphones) == 2)
    visit = room.press_record_and_hear(1.5)
    room.rig.set_default("headset")
    noticed = room.seconds_until(visit, lambda s: not s.is_capturing or s.microphone == "Headset")
    again = noticed + room.seconds_until(visit, lambda s: s.is_capturing and s.microphone == "Headset")
    room.hear(1.0)
    for name in ("microphone", "headset", "microphone"):  # faster than a take can be opened
        room.rig.set_default(name)
    room.session(visit, lambda s: s.is_capturing and s.microphone == "Microphone")
    room.hear(1.5)
    stopped = room.press_stop(visit)
    assert_marked(room, visit, figures, noticed=noticed, again=again, stopped=stopped)
    assert noticed <= NOTICED_SECONDS
    assert again <= AGAIN_SECONDS
    assert stopped <= STOPPED_SECONDS


@pytest.mark.slow
@pytest.mark.fault("A3")
def test_a_chosen_microphone_is_kept_when_the_default_changes(room: Room, figures: Figures) -> None:
    room.rig.plug("headset")
    pin(room)
    visit = room.press_record_and_hear()
    room.rig.set_default("headset")
    room.hear(2.0)
    room.rig.set_default("microphone")
    room.rig.set_default("headset")
    room.hear(2.0)
    room.press_stop(visit)
    view = room.delivered(visit)
    found = holes(room.readings(visit))
    figures.tell(holes=[round(h.seconds, 3) for h in found], marks=marks(view))
    assert view.microphone == "Microphone"
    assert_all_is_marked(found, view.gaps)
    assert sum(hole.seconds for hole in found) < 1.0


@pytest.mark.slow
@pytest.mark.fault("A4")
def test_a_sound_server_that_is_killed_and_comes_back(room: Room, figures: Figures) -> None:
    ear = Ear(room.rig)
    visit = room.press_record_and_hear(3.0)
    room.rig.kill()
    noticed = room.seconds_until(visit, is_not_heard)
    first_spoken_at = ear.close()
    let_pass(1.5)
    room.rig.start()
    room.speak_up(40.0)
    again = room.seconds_until(visit, is_heard)
    ear = Ear(room.rig)
    room.hear(2.0)
    stopped = room.press_stop(visit)
    then_spoken_at = ear.close()
    view = room.delivered(visit)
    found = holes(room.readings(visit), lambda s: s + (first_spoken_at if s < 40.0 else then_spoken_at))
    figures.tell(noticed=noticed, again=again, stopped=stopped, holes=found, marks=marks(view))
    assert_all_is_marked(found, view.gaps)
    assert noticed <= NOTICED_SECONDS
    assert again <= AGAIN_SECONDS
    assert stopped <= STOPPED_SECONDS


@pytest.mark.slow
@pytest.mark.fault("A5")
def test_a_sound_server_that_hangs_for_ten_seconds(room: Room, figures: Figures) -> None:
    ear = Ear(room.rig)
    visit = room.press_record_and_hear(3.0)
    room.rig.freeze()
    noticed = room.seconds_until(visit, is_not_heard)
    first_spoken_at = ear.close()
    let_pass(10.0 - noticed)
    room.rig.freeze(False)
    again = room.seconds_until(visit, is_heard)
    ear = Ear(room.rig)
    room.hear(2.0)
    stopped = room.press_stop(visit)
    then_spoken_at = ear.close()
    view = room.delivered(visit)
    readings = room.readings(visit)
    # What the hanging server was to play it plays later: each number has its time before, or after.
    last, _ = max(itertools.pairwise(readings), key=lambda pair: pair[1].signal_seconds - pair[0].signal_seconds)
    found = holes(readings, lambda s: s + (first_spoken_at if s <= last.signal_seconds else then_spoken_at))
    figures.tell(noticed=noticed, again=again, stopped=stopped, holes=found, marks=marks(view))
    assert_all_is_marked(found, view.gaps)
    assert noticed <= NOTICED_SECONDS
    assert again <= AGAIN_SECONDS
    assert stopped <= STOPPED_SECONDS


@pytest.mark.fault("A6")
def test_a_microphone_that_is_muted(room: Room, figures: Figures) -> None:
    visit = room.press_record_and_hear(1.0)
    room.rig.mute()
    noticed = room.seconds_until(visit, lambda s: s.sound == "no-sound")
    room.rig.mute(False)
    again = room.seconds_until(visit, lambda s: not s.sound)
    room.hear(1.0)
    stopped = room.press_stop(visit)
    view = assert_marked(room, visit, figures, noticed=noticed, again=again, stopped=stopped)
    assert [gap.reason for gap in view.gaps] == ["silent"]
    assert noticed <= SILENCE_NOTICED_SECONDS
    assert again <= AGAIN_SECONDS
    assert stopped <= STOPPED_SECONDS


@pytest.mark.slow
@pytest.mark.fault("A7")
def test_a_visit_without_a_microphone_begins_to_be_recorded_when_one_is_plugged_in(
    room: Room, figures: Figures
) -> None:
    room.rig.unplug()
    room.views.until(lambda v: not v.microphones)
    visit = room.press_record()
    noticed = room.seconds_until(visit, lambda s: s.problem)
    let_pass(2.0)
    room.rig.plug("microphone")
    listed = room.views.until(lambda v: v.microphones).microphones
    again = room.seconds_until(visit, is_heard)
    room.hear(2.0)
    stopped = room.press_stop(visit)
    view = room.delivered(visit)
    figures.tell(noticed=noticed, again=again, stopped=stopped, marks=marks(view))
    assert [microphone.name for microphone in listed] == ["Microphone"]
    assert_all_is_marked(holes(room.readings(visit)), view.gaps[1:])
    (before, *_) = view.gaps
    assert before.position_seconds == 0.0
    assert before.seconds == pytest.approx(2.0 + again, abs=0.5)
    assert noticed <= NOTICED_SECONDS
    assert again <= AGAIN_SECONDS
    assert stopped <= STOPPED_SECONDS


MENDS: dict[str, Callable[[PulseRig], object]] = {
    "unplug": lambda rig: rig.plug("microphone"),
    "set_default": lambda rig: rig.set_default("microphone"),
    "kill": lambda rig: rig.start(),
    "freeze": lambda rig: rig.freeze(False),
    "mute": lambda rig: rig.mute(False),
}


@pytest.mark.slow
@pytest.mark.fault("A1", "A3", "A4", "A5", "A6")
@pytest.mark.parametrize("fault", MENDS)
def test_stop_is_answered_at_once_while_a_fault_lasts(room: Room, figures: Figures, fault: str) -> None:
    if fault == "set_default":
        room.rig.plug("headset")
    for seconds in (0.0, 2.5):
        room.views.until(lambda v: v.microphones)
        visit = room.press_record_and_hear(1.0)
        getattr(room.rig, fault)(*(["headset"] if fault == "set_default" else []))
        let_pass(seconds)
        stopped = room.press_stop(visit)
        ended = room.seconds_until(visit, lambda s: s.is_ended)
        view = room.delivered(visit)
        figures.tell(fault=fault, after=seconds, stopped=stopped, ended=ended, marks=marks(view))
        MENDS[fault](room.rig)
        assert stopped <= STOPPED_SECONDS
        assert view.recorded_seconds >= 1.0 - OFF_BY_SECONDS, "what was heard before is there"
        if seconds and fault in ("unplug", "kill", "freeze"):
            assert view.gaps[-1].seconds == pytest.approx(seconds, abs=OFF_BY_SECONDS), "up to Stop"


@pytest.mark.slow
@pytest.mark.fault("A11")
def test_a_callback_that_raises_costs_a_marked_moment(room: Room, figures: Figures, tmp_path: Path) -> None:
    worker = [sys.executable, "-m", "tests.faults.raising_worker", str(has_raised := tmp_path / "raised")]
    room.opens = partial(ChildMicrophone, worker)
    visit = room.press_record_and_hear(1.0)
    until(has_raised.exists, "nothing was raised")
    noticed = room.seconds_until(visit, lambda s: s.gaps)
    again = noticed + room.seconds_until(visit, is_heard)
    room.hear(1.0)
    stopped = room.press_stop(visit)
    assert_marked(room, visit, figures, noticed=noticed, again=again, stopped=stopped)
    assert noticed <= NOTICED_SECONDS
    assert again <= AGAIN_SECONDS


def hold_the_interpreter() -> None:
    """No other thread of this process runs for four seconds."""
    ctypes.PyDLL(None).usleep(4_000_000)


class Pausing(ChildMicrophone):
    """Somebody who comes for the next block four seconds late, once."""

    is_late = False

    def read(self, timeout_seconds: float) -> Block | None:
        if self.is_late:
            self.is_late = False
            let_pass(4.0)
        return super().read(timeout_seconds)


@pytest.mark.slow
@pytest.mark.fault("A11")
@pytest.mark.parametrize("what", ["interpreter", "consumer"])
def test_nothing_is_lost_when_what_was_heard_is_fetched_four_seconds_late(
    room: Room, figures: Figures, what: str
) -> None:
    opened: list[Pausing] = []

    def open_microphone(name: str, host_api: str, will: Will | None) -> Pausing:
        opened.append(Pausing(CAPTURE, name, host_api, will))
        return opened[-1]

    room.opens = open_microphone
    visit = room.press_record_and_hear(1.0)
    if what == "interpreter":
        hold_the_interpreter()
    else:
        opened[-1].is_late = True
    room.hear(5.0)
    room.press_stop(visit)
    view = room.delivered(visit)
    figures.tell(takes=len(opened), marks=marks(view))
    assert holes(room.readings(visit)) == []
    assert view.gaps == ()


class Alone(ChildMicrophone):
    """Says so when its process is started while another one has not been ended."""

    at_work: ClassVar[set[ChildMicrophone]] = set()
    collisions: ClassVar[int] = 0

    def open(self) -> int:
        Alone.collisions += len(self.at_work)
        self.at_work.add(self)
        return super().open()

    def close(self) -> None:
        super().close()
        self.at_work.discard(self)


@pytest.mark.slow
@pytest.mark.fault("A15")
def test_start_stop_start_within_a_second(room: Room, figures: Figures) -> None:
    Alone.at_work.clear()
    room.opens = partial(Alone, CAPTURE)
    visits = []
    for seconds in (0.0, 0.0, 0.0, 1.0):
        visits.append(room.press_record_and_hear(seconds))
        assert room.press_stop(visits[-1]) <= STOPPED_SECONDS
    spans = []
    for visit in visits:
        view = room.delivered(visit)
        readings = room.readings(visit)
        assert_all_is_marked(holes(readings), view.gaps)
        spans.append((readings[0].signal_seconds, readings[-1].signal_seconds))
    figures.tell(spans=spans)
    assert all(before[1] < after[0] for before, after in itertools.pairwise(spans)), "no number is in two visits"
    assert (Alone.collisions, Alone.at_work) == (0, set())
