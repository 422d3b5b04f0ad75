"""Processes that are stopped, crash, are told to end, run out of memory or have bugs: the visit is what it was."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from app.core.events import SessionId, Stop, UndoDiscard
from app.core.views import EraseSession, KeyState, Phase
from app.engine.world import World
from app.store.keystore import KeystoreAbsent
from app.store.places import Places
from tests.audio.listener import breaks
from tests.audio.test_capture_child import Sound, sound
from tests.faults.apps import ROOT, App, Apps, News, await_end, delivered, end_visit, is_alive, only_one
from tests.faults.desk import RATE_HZ, TOKEN, FaultDesk, assert_delivered_as_one, choose_service, heard
from tests.faults.dying import RealDesk
from tests.rig.answers import Kind, Scribe, error, reply

__all__ = ["sound"]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks, stops and kills processes")

_PASSPHRASE = "correct horse battery staple"
_QUOTED = "Meera Krishnan has a fever"


@pytest.fixture
def apps(tmp_path: Path, sound: Sound, scribe: Scribe) -> Iterator[Apps]:
    scribe.discovery["capabilities"]["max_chunk_duration_seconds"] = 1.0
    with Apps(tmp_path, scribe.url) as apps:
        yield apps


@pytest.fixture
def start(home: Path, scribe: Scribe) -> Iterator[Callable[[], RealDesk]]:
    """Starts the app on the computer where another one has died."""
    desks: list[RealDesk] = []

    def start() -> RealDesk:
        desks.append(RealDesk(home, scribe.url))
        desks[-1].switch_on()
        return desks[-1]

    yield start
    for desk in desks:
        desk.switch_off()


def _record(apps: Apps, home: Path, does: str = "record", seconds: float = 0.6) -> tuple[App, SessionId]:
    app = apps.start(does, home)
    session_id = app.session()
    app.news.until("kept")
    app.news.for_seconds(seconds)
    return app, session_id


# Stopped, crashed, starved -----------------------------------------------------------------------------------------


@pytest.mark.fault("P2")
@pytest.mark.parametrize("seconds", [2.0, pytest.param(6.0, marks=pytest.mark.slow)])
def test_an_app_that_hangs_for_seconds_loses_nothing(
    apps: Apps, start: Callable[[], RealDesk], scribe: Scribe, home: Path, *, seconds: float
) -> None:
    app, session_id = _record(apps, home)
    os.kill(app.number, signal.SIGSTOP)
    app.news.for_seconds(seconds)
    stopped = app.kept[0]
    os.kill(app.number, signal.SIGCONT)
    while app.kept[0] < stopped + seconds * RATE_HZ:
        app.news.until("kept")
    app.kill()
    view = end_visit(start(), session_id)
    assert [gap.reason for gap in view.gaps] == ["interrupted"]
    assert len(delivered(scribe, session_id)) > (seconds + 0.5) * RATE_HZ


@pytest.mark.fault("P3")
def test_a_capture_process_that_crashes_is_replaced_in_a_second_and_the_gap_is_marked(
    start: Callable[[], RealDesk], sound: Sound, scribe: Scribe
) -> None:
    desk = start()
    session_id = desk.begin_real()
    desk.session(session_id, lambda s: s.is_capturing)
    (first,) = sound.pids()
    crashed_at = time.time()
    os.kill(first, signal.SIGSEGV)
    desk.session(session_id, lambda s: s.gaps and s.is_capturing)
    view = desk.session(session_id, lambda s: s.is_capturing)
    assert not is_alive(first)
    desk.intend(session_id, Stop(time.time()))
    (gap,) = desk.completed(session_id).gaps
    assert gap.reason == "microphone"
    assert gap.began_at == pytest.approx(crashed_at, abs=0.3)
    assert gap.seconds is not None
    assert gap.seconds < 1.0, view
    samples = heard(only_one(scribe, session_id))
    seam = round(gap.position_seconds * RATE_HZ)
    assert breaks(samples[:seam]) == breaks(samples[seam:]) == 0
    assert samples[seam] == 0


@pytest.mark.fault("P5")
def test_an_app_without_memory_keeps_what_it_had_and_its_microphone_records_on(
    apps: Apps, start: Callable[[], RealDesk], sound: Sound, scribe: Scribe, home: Path
) -> None:
    app, session_id = _record(apps, home, "record_and_starve")
    app.news.until("starves")
    app.news.for_seconds(1.0)
    microphone = sound.pids()[-1]
    assert is_alive(microphone)
    killed_at = app.kill()
    acknowledged, _ = app.kept
    desk = start()
    view = end_visit(desk, session_id)
    samples = heard(only_one(scribe, session_id))
    assert len(samples) >= acknowledged
    assert breaks(samples) <= len(view.gaps) - 1
    assert view.gaps[-1].began_at is not None
    assert view.gaps[-1].began_at > killed_at


# Told to end, with bugs: the app with its window -------------------------------------------------------------------


class _Guarded(RealDesk):
    """A computer without a keystore, whose key a passphrase guards."""

    def _world(self) -> World:
        self.keystore.refusal = KeystoreAbsent
        return replace(super()._world(), passphrase=_PASSPHRASE)


class _Windowed:
    """The real app, recording."""

    def __init__(self, home: Path, scribe: Scribe) -> None:
        choose_service(Places(home), scribe.url)
        self.news = News(home.with_name("news"))
        own = {"SCRIBEDESK_HOME": str(home), "SCRIBEDESK_PASSPHRASE": _PASSPHRASE, "SCRIBEDESK_TOKEN": TOKEN}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.windowed", str(self.news.path), _QUOTED],
            cwd=ROOT,
            env={**os.environ, **own, "QT_QPA_PLATFORM": "offscreen"},
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.app = App(self.process.pid, home, self.news)

    def plant_bugs(self) -> None:
        assert self.process.stdin
        self.process.stdin.write("now\n")
        self.process.stdin.flush()

    def terminate(self) -> tuple[int, float, str]:
        """Exit code, how long it took, and what it wrote to the terminal."""
        began = time.monotonic()
        self.process.terminate()
        code = self.process.wait(20.0)
        seconds = time.monotonic() - began
        self.news.all()
        _, errors = self.process.communicate()
        return code, seconds, errors


@pytest.fixture
def windowed(home: Path, scribe: Scribe, sound: Sound) -> Iterator[_Windowed]:
    windowed = _Windowed(home, scribe)
    yield windowed
    windowed.process.kill()
    windowed.process.communicate()


@pytest.mark.fault("P4")
def test_an_app_that_is_told_to_end_has_sealed_everything_in_two_seconds(
    windowed: _Windowed, sound: Sound, scribe: Scribe, home: Path
) -> None:
    windowed.news.until("kept")
    windowed.news.for_seconds(1.0)
    code, seconds, _ = windowed.terminate()
    assert code == 0
    assert seconds < 2.0
    sound.await_silence()
    (folder,) = Places(home).sessions.iterdir()
    spans = [re.findall(r"_(\d+)", path.stem) for path in folder.rglob("*.chunk")]
    assert sum(int(count) for _, count in spans) == windowed.app.kept[0]
    desk = _Guarded(home, scribe.url)
    desk.switch_on()
    try:
        session_id = SessionId(folder.name)
        back = desk.session(session_id, lambda s: s.phase is Phase.PAUSED)
        assert [gap.reason for gap in back.gaps] == ["paused"]
        desk.intend(session_id, Stop(time.time()))
        desk.completed(session_id)
    finally:
        desk.switch_off()
    assert len(delivered(scribe, session_id)) == windowed.app.kept[0]


@pytest.mark.fault("P7")
def test_bugs_in_a_slot_and_in_a_thread_are_logged_without_what_they_quote_and_recording_goes_on(
    windowed: _Windowed, home: Path
) -> None:
    windowed.news.until("kept")
    windowed.plant_bugs()
    log = Places(home).logs / "scribedesk.log"
    deadline = time.monotonic() + 20.0
    while not log.exists() or not {"ArithmeticError", "LookupError"} <= set(re.findall(r"\w+", log.read_text())):
        assert time.monotonic() < deadline, "nothing is logged"
        windowed.news.for_seconds(0.1)
    kept = windowed.app.kept[0]
    windowed.news.for_seconds(1.0)
    assert windowed.app.kept[0] - kept > 0.5 * RATE_HZ
    code, _, errors = windowed.terminate()
    assert code == 0
    assert "windowed.py" in log.read_text()
    for written in (log.read_text(), errors):
        assert "Meera" not in written
        assert "fever" not in written


# Killed at each step -----------------------------------------------------------------------------------------------


@pytest.fixture
def interrupted(apps: Apps, home: Path, sound: Sound) -> SessionId:
    """A visit in which the app died; its capture process has gone on for a while and ended."""
    app = apps.start("record", home, will_seconds=0.5)
    session_id = app.session()
    app.news.until("kept")
    app.news.for_seconds(1.2)
    app.kill()
    for microphone in sound.pids():
        await_end(microphone)
    return session_id


def _do(apps: Apps, does: str, home: Path, session_id: SessionId, dies_at_sync: int = 0) -> bool:
    """Have an app do something; whether it has lived to see that done."""
    app = apps.start(does, home, session=session_id, dies_at_sync=dies_at_sync)
    lines = app.news.all()
    await_end(app.number)
    return "done" in lines


def _killed_at_each_sync(
    apps: Apps, does: str, home: Path, session_id: SessionId, every: int
) -> Iterator[tuple[RealDesk, int]]:
    """The desk after doing something and being killed at a sync, on the same disk each time, for one sync after the
    other until it is done without coming to so many."""
    number, is_done = 1, False
    while not is_done:
        copy = home.with_name(f"disk-{does}-{number}")
        shutil.copytree(home, copy)
        shutil.copytree(home.with_name(f"{home.name}.keystore"), copy.with_name(f"{copy.name}.keystore"))
        is_done = _do(apps, does, copy, session_id, number)
        assert number > 1 or not is_done, "nothing is synced"
        desk = RealDesk(copy, apps.url)
        desk.switch_on()
        desk.views.until(lambda v: v.keys.state is KeyState.PROTECTED and v.service.state == "ready")
        try:
            yield desk, number
        finally:
            desk.switch_off()
        number += every


_EVERY = pytest.mark.parametrize("every", [4, pytest.param(1, marks=pytest.mark.slow)])


@pytest.mark.fault("P6")
@_EVERY
def test_a_crash_in_any_step_of_recovery_costs_and_doubles_nothing(
    apps: Apps, scribe: Scribe, home: Path, interrupted: SessionId, *, every: int
) -> None:
    lengths = set()
    for desk, _ in _killed_at_each_sync(apps, "recover", home, interrupted, every):
        view = end_visit(desk, interrupted)
        assert [gap.reason for gap in view.gaps] == ["interrupted"]
        lengths.add((len(delivered(scribe, interrupted)), view.gaps[0].began_at))
        scribe.sessions.clear()
    ((length, _),) = lengths
    assert length > 1.5 * RATE_HZ


@pytest.mark.fault("P6", "N6")
@_EVERY
def test_a_crash_in_any_step_of_ending_ends_the_visit_once(
    apps: Apps, scribe: Scribe, home: Path, interrupted: SessionId, *, every: int
) -> None:
    assert _do(apps, "recover", home, interrupted)
    lengths = set()
    for desk, _ in _killed_at_each_sync(apps, "end", home, interrupted, every):
        if desk.session(interrupted, lambda _: True).phase is Phase.PAUSED:
            desk.intend(interrupted, Stop(time.time()))
        desk.completed(interrupted)
        lengths.add(len(delivered(scribe, interrupted)))
        assert len(scribe.sessions) == 1
        scribe.sessions.clear()
    (length,) = lengths
    assert length > 1.5 * RATE_HZ


@pytest.mark.fault("P6", "H4")
@_EVERY
def test_a_crash_in_any_step_of_deleting_leaves_all_or_nothing(
    apps: Apps, home: Path, interrupted: SessionId, *, every: int
) -> None:
    assert _do(apps, "end", home, interrupted)
    for desk, _ in _killed_at_each_sync(apps, "erase", home, interrupted, every):
        left = desk.newest.session(interrupted)
        if left is None:
            assert not desk.folder(interrupted).exists()
        else:
            assert left.phase is Phase.COMPLETED
            desk.wish(EraseSession(interrupted))
            desk.views.until(lambda v: v.session(interrupted) is None)
        assert not desk.folder(interrupted).exists()


@pytest.mark.fault("P6")
@_EVERY
def test_a_crash_in_any_step_of_throwing_away_leaves_a_visit_that_can_be_had_back_or_nothing(
    apps: Apps, scribe: Scribe, home: Path, interrupted: SessionId, *, every: int
) -> None:
    assert _do(apps, "recover", home, interrupted)
    lengths = set()
    for desk, _ in _killed_at_each_sync(apps, "discard", home, interrupted, every):
        left = desk.newest.session(interrupted)
        if left is None:
            assert not desk.folder(interrupted).exists()
            continue
        if left.phase is Phase.DISCARDED:
            desk.intend(interrupted, UndoDiscard(time.time()))
            left = desk.session(interrupted, lambda s: s.phase is Phase.PAUSED)
        assert left.phase is Phase.PAUSED
        desk.intend(interrupted, Stop(time.time()))
        desk.completed(interrupted)
        lengths.add(len(delivered(scribe, interrupted)))
        scribe.sessions.clear()
    assert len(lengths) == 1


# Quit --------------------------------------------------------------------------------------------------------------


@pytest.mark.fault("P8")
def test_what_is_unsent_when_the_app_is_quit_goes_out_at_the_next_start_exactly_once(
    desk: FaultDesk, scribe: Scribe
) -> None:
    scribe.discovery["capabilities"]["max_chunk_duration_seconds"] = 4.0
    scribe.say(Kind.UPLOAD, reply(200, {}, is_done=True), reply(200, {}, is_done=True))
    scribe.always(Kind.UPLOAD, answer=error(503, "busy"))
    desk.switch_on()
    desk.await_service()
    before = desk.visit(12.0)
    unsent = desk.session(before, lambda s: s.chunks_uploaded == 2 and s.chunks_sealed > s.chunks_uploaded)
    during = desk.begin()
    desk.speak(during, 3.0)
    desk.switch_off()
    assert unsent.seconds_to_upload > 0
    scribe.always(Kind.UPLOAD, answer=None)
    desk.switch_on()
    desk.session(during, lambda s: s.phase is Phase.PAUSED)
    desk.stop(during)
    for session_id in (before, during):
        desk.completed(session_id)
        kept = assert_delivered_as_one(desk, scribe, session_id)
        assert sorted(index for index, _ in kept.uploads) == list(kept.chunks), "a chunk was sent twice"
