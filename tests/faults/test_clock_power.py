"""Clocks that jump, computers that sleep, power that fails: durations, order and every acknowledged sample hold."""

from __future__ import annotations

import random
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import trustme

from app.audio.signal import Block
from app.audio.source import Stamp
from app.core.problems import ProblemKind
from app.core.views import Phase
from tests.engine.stand_ins import Microphone
from tests.faults.desk import RATE_HZ, FaultDesk, assert_delivered_as_one, heard, speech
from tests.faults.power_victim import SPOKEN_SECONDS
from tests.rig import power
from tests.rig.answers import Kind, Scribe
from tests.rig.fault_proxy import FaultProxy, Mode

HOUR, DAY = 3600.0, 86_400.0
POWER_CUTS = 20
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def on(desk: FaultDesk, scribe: Scribe) -> FaultDesk:
    """A computer that is on and knows what the service offers; chunks are short."""
    scribe.discovery["capabilities"]["max_chunk_duration_seconds"] = 2
    desk.switch_on()
    desk.await_service()
    return desk


@pytest.mark.fault("C1")
@pytest.mark.parametrize("jump", [HOUR, -HOUR, DAY, 30 * DAY, pytest.param(-time.time(), id="to 1970")])
def test_a_clock_that_is_set_in_the_middle_of_a_visit_changes_neither_length_nor_order(
    on: FaultDesk, scribe: Scribe, jump: float
) -> None:
    session_id = on.begin()
    on.speak(session_id, 4)
    on.wall_clock = lambda: time.time() + jump
    on.speak(session_id, 4)
    on.stop(session_id)
    view = on.completed(session_id)
    assert view.recorded_seconds == pytest.approx(8.0)
    assert view.gaps == (), "nothing is missing, whatever the clock says"
    assert view.has_audio
    pieces = list(scribe.sessions.values())
    np.testing.assert_array_equal(heard(*pieces), np.concatenate(on.said[session_id]))
    on.wall_clock = time.time
    on.let_pass(HOUR)
    assert on.completed(session_id).has_audio, "and nothing is deleted for it"


@pytest.fixture
def zones(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    yield monkeypatch
    monkeypatch.undo()
    time.tzset()


def move_to(zones: pytest.MonkeyPatch, zone: str) -> None:
    zones.setenv("TZ", zone)
    time.tzset()


@pytest.mark.fault("C2")
def test_times_are_the_same_after_a_journey_and_in_the_night_of_the_change_to_winter(
    on: FaultDesk, zones: pytest.MonkeyPatch
) -> None:
    move_to(zones, "Europe/Berlin")
    second_half_past_two = datetime(2026, 10, 25, 1, 30, tzinfo=UTC).timestamp()
    on.wall_clock = lambda: second_half_past_two
    session_id = on.visit(2)
    before = on.completed(session_id)
    on.switch_off()
    move_to(zones, "Asia/Kolkata")
    on.switch_on()
    after = on.completed(session_id)
    assert before.started_at == after.started_at == second_half_past_two
    assert before.ended_at == after.ended_at == second_half_past_two


@pytest.mark.fault("C3")
def test_a_certificate_of_tomorrow_tells_of_a_wrong_clock(
    make_desk: Callable[[str], FaultDesk], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    now = datetime.now(UTC)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(
        "127.0.0.1", not_before=now + timedelta(days=1), not_after=now + timedelta(days=9)
    ).configure_cert(context)
    with Scribe(context) as scribe:
        scribe.clock = lambda: time.time() + 3 * DAY
        desk = make_desk(scribe.url)
        desk.switch_on()
        session_id = desk.visit()
        view = desk.until_said(session_id, ProblemKind.CLOCK_WRONG)
        assert view.problem is not None
        assert "date and time" in view.problem.words.do
        assert "safe on this computer" in view.problem.words.safe
        assert not scribe.sessions


class Sleeper(Microphone):
    """A microphone whose computer falls asleep between two blocks when a test says so."""

    def __init__(self) -> None:
        super().__init__()
        self._heard_at, self._wall_time, self._asleep_seconds = 1000.0, time.time(), 0.0

    @property
    def stamp(self) -> Stamp:
        return Stamp(self._heard_at, self._wall_time, self._asleep_seconds)

    def read(self, timeout_seconds: float) -> Block | None:
        block = super().read(timeout_seconds)
        self._pass(0.25)
        return block

    def sleep(self, seconds: float) -> None:
        self._pass(seconds)
        self._asleep_seconds += seconds

    def _pass(self, seconds: float) -> None:
        self._heard_at += seconds
        self._wall_time += seconds


@pytest.mark.fault("W1")
def test_a_sleep_in_the_middle_of_a_visit_is_a_gap_and_the_visit_goes_on(on: FaultDesk, scribe: Scribe) -> None:
    microphone = Sleeper()
    on.next_microphones.append(microphone)
    session_id = on.begin()
    on.speak(session_id, 4)
    assert on.kept_awake == 1, "sleep is held off while it can be"
    microphone.sleep(600)
    on.move_clock(600)
    on.speak(session_id, 4)
    (gap,) = on.session(session_id, lambda s: s.gaps).gaps
    assert gap.reason == "asleep"
    assert gap.seconds == pytest.approx(600, abs=0.5)
    assert gap.position_seconds == pytest.approx(4, abs=0.3)
    on.stop(session_id)
    on.completed(session_id)
    assert on.kept_awake == 0
    assert_delivered_as_one(on, scribe, session_id)


@pytest.mark.fault("W2")
@pytest.mark.parametrize("stage", [Kind.UPLOAD, Kind.STATUS])
def test_after_a_sleep_the_rest_goes_out_on_fresh_connections_and_without_a_storm(
    desk: FaultDesk, proxy: FaultProxy, scribe: Scribe, stage: Kind
) -> None:
    scribe.discovery["capabilities"]["max_chunk_duration_seconds"] = 2
    scribe.is_thinking = True
    desk.url = proxy.url
    desk.switch_on()
    desk.await_service()
    rule = proxy.treat(Mode.BLACK_HOLE, (lambda line: "/audio/" in line) if stage is Kind.UPLOAD else _is_status)
    session_id = desk.visit()
    desk.until_phase(session_id, Phase.DRAINING, Phase.PROCESSING)
    proxy.until(lambda: rule.suffered >= 1)
    desk.move_clock(8 * HOUR)
    before, connections = len(proxy.seen), proxy.connections
    proxy.calm()
    scribe.is_thinking = False
    desk.completed(session_id)
    assert_delivered_as_one(desk, scribe, session_id)
    assert proxy.connections > connections
    assert len(proxy.seen) - before <= 25, "no more than what there was to do"


def _is_status(line: str) -> bool:
    return line.startswith("GET /v1/sessions/")


@pytest.mark.slow
@pytest.mark.fault("W3")
@pytest.mark.timeout(300)
@pytest.mark.skipif(not power.is_available(), reason="needs root on Linux, with mkfs.ext4 and mount")
def test_no_acknowledged_sample_is_lost_when_the_power_fails(tmp_path: Path, scribe: Scribe) -> None:
    scribe.discovery["capabilities"]["max_chunk_duration_seconds"] = 2
    chance = random.Random(20)
    for number in range(POWER_CUTS):
        folder = tmp_path / str(number)
        folder.mkdir()
        scribe.sessions.clear()
        with power.Disk(folder) as disk:
            cut_in_the_middle(disk, folder, scribe, chance.randrange(1, 100))


def cut_in_the_middle(disk: power.Disk, folder: Path, scribe: Scribe, after_blocks: int) -> None:
    """One visit that ends in a power cut; the next start has all of it that was acknowledged."""
    home, keystore = disk.folder / "home", folder / "keystore"
    home.mkdir()
    arguments = [str(home), str(keystore), scribe.url, str(after_blocks)]
    with subprocess.Popen(
        [sys.executable, "-m", "tests.faults.power_victim", *arguments],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as victim:
        assert victim.stdout is not None
        acknowledged = int(victim.stdout.readline())
        disk.cut()
        victim.kill()
    disk.restore()
    desk = FaultDesk(home, scribe.url, keystore=keystore)
    desk.switch_on()
    try:
        see_recovery(desk, scribe, acknowledged)
    finally:
        desk.switch_off()


def see_recovery(desk: FaultDesk, scribe: Scribe, acknowledged: int) -> None:
    (found,) = desk.views.until(lambda v: v.sessions and v.sessions[0].is_recovered).sessions
    assert found.phase is Phase.PAUSED
    assert found.recorded_seconds >= acknowledged / RATE_HZ
    desk.stop(found.id)
    desk.completed(found.id)
    (kept,) = (kept for kept in scribe.sessions.values() if kept.ended_with is not None)
    got = heard(kept)
    np.testing.assert_array_equal(got, speech(SPOKEN_SECONDS)[: len(got)])
    assert len(got) >= acknowledged
