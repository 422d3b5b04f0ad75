"""The engine apart from visits: devices, the level, settings, trouble of its own, and the way down."""

from __future__ import annotations

import time

import pytest

from app.core.events import Stop
from app.core.problems import Problem, ProblemKind
from app.core.settings import LOCAL_SERVICE, Settings
from app.core.views import ChangeSettings, ListMicrophones, MicrophoneInfo, Phase, ServiceState, WatchLevel
from app.store.remembered import load_settings
from tests.audio.stand_ins import tone
from tests.engine.stand_ins import REMOTE, USB, Desk, Microphone

SECOND = 16_000


def test_microphones_are_listed_and_listed_again_when_asked(desk: Desk) -> None:
    found = [(), (USB,), (USB, MicrophoneInfo("Built-in"))]
    desk.listing = lambda: found.pop(0)
    desk.switch_on()
    assert desk.views.until(lambda v: v.microphones_listed).microphones == ()
    desk.wish(ListMicrophones())
    desk.views.until(lambda v: v.microphones == (USB,))
    desk.wish(ListMicrophones())
    desk.views.until(lambda v: v.microphones == (USB, MicrophoneInfo("Built-in")))


def test_a_bug_in_listing_them_takes_nothing_with_it(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    answers: list[tuple[MicrophoneInfo, ...] | Exception] = [RuntimeError("a patient's name"), (USB,)]

    def listing() -> tuple[MicrophoneInfo, ...]:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    desk.listing = listing
    desk.switch_on()
    assert desk.views.until(lambda v: v.problem).problem == Problem(ProblemKind.BUG, "RuntimeError")
    assert "RuntimeError" in caplog.text
    assert "patient" not in caplog.text
    desk.wish(ListMicrophones())
    desk.views.until(lambda v: v.microphones == (USB,))
    visit, microphone = desk.record()
    microphone.speak(tone(1.0))
    desk.intend(visit, Stop(0.0))
    desk.completed(visit)


@pytest.mark.parametrize("error", [RuntimeError("bug"), OSError("bug")])
def test_a_bug_on_the_way_to_a_service_is_told_and_can_be_got_over(desk: Desk, error: Exception) -> None:
    desk.connecting_fails = error
    desk.switch_on()
    view = desk.views.until(lambda v: v.service.problem)
    assert view.service.problem == Problem(ProblemKind.BUG, type(error).__name__)
    desk.connecting_fails = None
    desk.wish(ChangeSettings(Settings(service_id=REMOTE)))
    desk.views.until(lambda v: v.service.state is ServiceState.READY)


def test_what_a_service_offers_is_asked_for_again_until_it_is_known_and_remembered(desk: Desk) -> None:
    desk.server.refusal = ProblemKind.UNREACHABLE
    desk.switch_on()
    desk.views.until(lambda v: v.service.state is ServiceState.UNREACHABLE)
    desk.server.let_go()
    desk.let_pass(3.0)
    ready = desk.views.until(lambda v: v.service.state is ServiceState.READY)
    assert ready.service.name == "The scribe"
    assert [t.id for t in ready.service.templates] == ["soap"]
    desk.switch_off()
    desk.server.held.add("discover")
    desk.switch_on()
    assert desk.views.until(lambda v: v.service).service.discovery == ready.service.discovery


def test_settings_are_kept(desk: Desk) -> None:
    wanted = Settings(service_id=REMOTE, microphone="USB", theme="dark", languages=("de",))
    desk.switch_on()
    desk.wish(ChangeSettings(wanted))
    desk.views.until(lambda v: v.settings == wanted)
    desk.switch_off()
    desk.switch_on(None)
    assert desk.views.until(lambda v: v.settings).settings == wanted


def test_unreadable_settings_are_told_until_new_ones_are_kept(desk: Desk) -> None:
    desk.places.settings.write_bytes(b"{")
    desk.switch_on()
    told = desk.views.until(lambda v: v.problem).problem
    assert told is not None
    assert told.kind is ProblemKind.SETTINGS_UNREADABLE
    desk.wish(ChangeSettings(Settings(service_id=REMOTE)))
    desk.views.until(lambda v: v.problem is None)
    assert load_settings(desk.places) == (Settings(service_id=REMOTE), None)


def test_the_level_is_watched_while_wished_and_never_while_recording(desk: Desk) -> None:
    desk.switch_on()
    desk.wish(WatchLevel(is_on=True))
    watched = desk.microphone()
    watched.speak(tone(0.5))
    level = await_level(desk, is_live=True)
    assert level > -10
    visit, microphone = desk.record()
    assert watched.is_closed.is_set()
    microphone.speak(tone(1.0))
    desk.session(visit, lambda s: s.is_capturing)
    assert desk.has_opened_no_more()
    desk.intend(visit, Stop(0.0))
    desk.completed(visit)
    again = desk.microphone()
    desk.wish(WatchLevel(is_on=False))
    assert again.is_closed.wait(20)
    await_level(desk, is_live=False)


def test_a_watched_microphone_that_goes_is_looked_for_again(desk: Desk) -> None:
    desk.switch_on()
    desk.next_microphones = [Microphone(), Microphone.broken(Problem(ProblemKind.NO_MICROPHONE))]
    desk.wish(WatchLevel(is_on=True))
    first = desk.microphone()
    first.fail()
    assert first.is_closed.wait(20)
    second = open_in_a_while(desk)
    assert second.is_closed.wait(20)
    third = open_in_a_while(desk)
    third.speak(tone(0.5))
    await_level(desk, is_live=True)


def open_in_a_while(desk: Desk) -> Microphone:
    """The microphone that is opened when enough time has gone by."""
    deadline = time.monotonic() + 20
    while desk.has_opened_no_more() and time.monotonic() < deadline:
        desk.let_pass(2.0)
    return desk.microphone()


def await_level(desk: Desk, *, is_live: bool) -> float:
    """The level is pulled, so it is looked at until it is so."""
    deadline = time.monotonic() + 20
    while (level := desk.engine.level()).is_live is not is_live:
        assert time.monotonic() < deadline
    return level.rms_dbfs


@pytest.mark.parametrize("held", ["discover", "create", "upload", "status", "end"])
def test_closing_waits_for_no_service(desk: Desk, held: str) -> None:
    desk.server.held.add(held)
    desk.switch_on(LOCAL_SERVICE)
    visit, microphone = desk.record()
    microphone.speak(tone(21.0))
    desk.session(visit, lambda s: s.chunks_sealed)
    if held in ("status", "end"):
        desk.intend(visit, Stop(0.0))
        desk.session(visit, lambda s: s.phase is Phase.ENDING)
    began = time.monotonic()
    desk.switch_off()
    assert time.monotonic() - began < 1.5


def test_closing_twice_and_at_once_is_harmless(desk: Desk) -> None:
    desk.switch_on(LOCAL_SERVICE)
    desk.engine.close()
    desk.engine.close()
