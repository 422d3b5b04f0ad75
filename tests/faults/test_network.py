"""Trouble on the way to the service: nothing that was said is lost, and nothing is sent twice as something new."""

from __future__ import annotations

import ssl
import time
import warnings
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
import trustme

from app.core.problems import ProblemKind
from app.core.views import Phase
from tests.faults.conftest import Watch
from tests.faults.desk import PATIENT, TOKEN, FaultDesk, assert_delivered_as_one, heard, speech
from tests.rig.answers import Kind, Reply, Scribe, page
from tests.rig.canary import bytes_canary, sound_canary, text_canary
from tests.rig.fault_proxy import FaultProxy, Mode
from tests.rig.network import CABLE, FAR, Network


@pytest.fixture
def afar(desk: FaultDesk, proxy: FaultProxy, scribe: Scribe) -> FaultDesk:
    """A computer that reaches the service through the proxy and knows what it offers; chunks are short."""
    scribe.discovery["capabilities"]["max_chunk_duration_seconds"] = 2
    desk.url = proxy.url
    desk.switch_on()
    desk.await_service()
    return desk


@pytest.mark.fault("N1")
def test_without_a_network_a_visit_is_recorded_and_its_session_is_made_later(
    desk: FaultDesk, proxy: FaultProxy, scribe: Scribe, no_plain_text: Watch
) -> None:
    no_plain_text.canaries += [text_canary(text) for text in (PATIENT.label, PATIENT.id, TOKEN, scribe.transcript)]
    no_plain_text.canaries.append(sound_canary("what was said", speech(5)))
    proxy.go_down()
    desk.url = proxy.url
    desk.switch_on()
    session_id = desk.visit()
    desk.until_phase(session_id, Phase.DRAINING)
    view = desk.until_said(session_id, ProblemKind.UNREACHABLE)
    assert view.problem is not None
    assert "safe on this computer" in view.problem.words.safe
    assert not scribe.asked
    proxy.come_back()
    desk.completed(session_id)
    assert_delivered_as_one(desk, scribe, session_id)
    chunk = scribe.only.chunks[0]
    no_plain_text.canaries.append(bytes_canary("a chunk", chunk[len(chunk) // 2 :][:32]))


@pytest.mark.fault("N2")
def test_a_network_that_is_gone_for_an_hour_costs_nothing(afar: FaultDesk, proxy: FaultProxy, scribe: Scribe) -> None:
    scribe.session_seconds = 4 * 3600
    session_id = afar.begin()
    afar.speak(session_id, 6)
    scribe.until(lambda: scribe.sessions and scribe.only.uploads)
    proxy.go_down()
    for _ in range(6):
        afar.let_pass(600)
        afar.speak(session_id, 5)
    assert afar.newest.live == session_id, "the microphone goes on"
    afar.stop(session_id)
    proxy.come_back()
    afar.completed(session_id)
    kept = assert_delivered_as_one(afar, scribe, session_id)
    first_times = list(dict.fromkeys(index for index, _ in kept.uploads))
    backwards = sum(later < earlier for earlier, later in pairwise(first_times))
    assert backwards <= 4, "in order, save for the few that were on their way or waited for their turn"


@pytest.mark.fault("N3")
@pytest.mark.parametrize("mode", [Mode.RESET, Mode.CUT_UP])
def test_a_connection_reset_in_a_chunk_is_made_good_under_the_same_name(
    afar: FaultDesk, proxy: FaultProxy, scribe: Scribe, mode: Mode
) -> None:
    rule = proxy.treat(mode, lambda line: "/audio_1." in line, times=3)
    session_id = afar.visit()
    afar.completed(session_id)
    assert rule.suffered == 3
    kept = assert_delivered_as_one(afar, scribe, session_id)
    assert [index for index, _ in kept.uploads].count(1) == 1


@pytest.mark.fault("N4")
@pytest.mark.parametrize("mode", [Mode.LOST, Mode.CUT_DOWN])
def test_a_chunk_whose_answer_is_lost_is_neither_doubled_nor_left_out(
    afar: FaultDesk, proxy: FaultProxy, scribe: Scribe, mode: Mode
) -> None:
    rule = proxy.treat(mode, lambda line: "/audio/" in line, times=4)
    session_id = afar.visit(8)
    afar.completed(session_id)
    assert rule.suffered == 4
    assert_delivered_as_one(afar, scribe, session_id)


@pytest.mark.fault("N5")
@pytest.mark.parametrize("mode", [Mode.LOST, Mode.CUT_DOWN])
def test_a_session_whose_making_was_not_answered_is_the_one_that_is_used(
    afar: FaultDesk, proxy: FaultProxy, scribe: Scribe, mode: Mode
) -> None:
    rule = proxy.treat(mode, lambda line: line == "POST /v1/sessions", times=2)
    session_id = afar.visit()
    afar.completed(session_id)
    assert rule.suffered == 2
    assert_delivered_as_one(afar, scribe, session_id)
    assert len(scribe.sessions) == 1, "no orphan"


@pytest.mark.fault("N6")
@pytest.mark.parametrize("mode", [Mode.LOST, Mode.CUT_DOWN])
def test_an_end_whose_answer_is_lost_is_looked_up_and_not_repeated(
    afar: FaultDesk, proxy: FaultProxy, scribe: Scribe, mode: Mode
) -> None:
    rule = proxy.treat(mode, lambda line: line.endswith("/end"), times=1)
    scribe.is_thinking = True
    session_id = afar.visit()
    afar.until_phase(session_id, Phase.PROCESSING)
    assert rule.suffered == 1
    lines = proxy.seen
    assert any(line.startswith("GET /v1/sessions/") for line in lines[lines.index(_end_in(lines)) + 1 :])
    scribe.is_thinking = False
    afar.completed(session_id)
    assert assert_delivered_as_one(afar, scribe, session_id).ends == 1


def _end_in(lines: list[str]) -> str:
    return next(line for line in lines if line.endswith("/end"))


@pytest.mark.fault("N12")
@pytest.mark.parametrize("kind", [Kind.CREATE, Kind.UPLOAD, Kind.STATUS, Kind.END])
def test_a_sign_in_page_of_the_network_is_no_answer(afar: FaultDesk, scribe: Scribe, kind: Kind) -> None:
    scribe.always(kind, answer=page())
    session_id = afar.visit()
    view = afar.until_said(session_id, ProblemKind.NOT_A_SCRIBE_SERVICE)
    assert view.problem is not None
    assert "sign in to the network" in view.problem.words.do
    assert "safe on this computer" in view.problem.words.safe
    assert not view.phase.is_final
    scribe.always(kind, answer=None)
    afar.completed(session_id)
    assert_delivered_as_one(afar, scribe, session_id)


@pytest.mark.fault("N12")
def test_a_network_that_sends_everybody_to_its_sign_in_page_is_told_from_a_service(
    afar: FaultDesk, scribe: Scribe
) -> None:
    elsewhere = Reply(302, b"", (("Location", "http://127.0.0.1:9/sign-in"),))
    scribe.always(*Kind, answer=elsewhere)
    session_id = afar.visit()
    afar.until_said(session_id, ProblemKind.NOT_A_SCRIBE_SERVICE)
    scribe.always(*Kind, answer=None)
    afar.completed(session_id)
    assert_delivered_as_one(afar, scribe, session_id)


@pytest.mark.fault("N13")
def test_proxies_that_the_environment_names_see_nothing(
    desk: FaultDesk, scribe: Scribe, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Scribe() as trap:
        for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, trap.url.removesuffix("/v1"))
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        desk.switch_on()
        session_id = desk.visit()
        desk.completed(session_id)
        assert_delivered_as_one(desk, scribe, session_id)
        desk.switch_off()
        assert not trap.asked


# On a network of the test's own -----------------------------------------------------------------------------------


@pytest.fixture
def wired(network: Network, home: Path) -> Iterator[tuple[FaultDesk, Scribe]]:
    """A computer and, on its own loopback, a service, within a network that can be jammed."""
    with Scribe() as scribe:
        scribe.discovery["capabilities"]["max_chunk_duration_seconds"] = 2
        desk = FaultDesk(home, scribe.url)
        yield desk, scribe
        desk.switch_off()


@pytest.fixture
def trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> trustme.CA:
    """A certificate authority that this computer believes."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    return authority


def server_side(
    authority: trustme.CA, host: str, since: datetime | None = None, until: datetime | None = None
) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(host, not_before=since, not_after=until).configure_cert(context)
    return context


@pytest.mark.slow
@pytest.mark.fault("N1", "N7")
def test_a_visit_begins_at_once_where_packets_vanish(network: Network, wired: tuple[FaultDesk, Scribe]) -> None:
    desk, scribe = wired
    network.swallow()
    began = time.monotonic()
    desk.switch_on()
    session_id = desk.begin()
    desk.speak(session_id, 5)
    desk.stop(session_id)
    desk.until_phase(session_id, Phase.DRAINING)
    assert time.monotonic() - began < 2.0, "nothing waits for the network"
    desk.until_said(session_id, ProblemKind.UNREACHABLE)
    assert time.monotonic() - began < 12.0, "it is known after ten seconds"
    network.calm()
    desk.completed(session_id)
    assert_delivered_as_one(desk, scribe, session_id)


@pytest.mark.slow
@pytest.mark.fault("N2", "N7")
def test_packets_that_vanish_in_the_middle_of_a_visit_are_noticed_in_ten_seconds(
    network: Network, wired: tuple[FaultDesk, Scribe]
) -> None:
    desk, scribe = wired
    desk.switch_on()
    desk.await_service()
    session_id = desk.begin()
    desk.speak(session_id, 5)
    scribe.until(lambda: scribe.sessions and scribe.only.uploads)
    network.swallow()
    began = time.monotonic()
    desk.speak(session_id, 5)
    view = desk.session(session_id, lambda s: s.problem)
    assert view.problem is not None
    assert view.problem.is_transient
    assert time.monotonic() - began < 13.0
    desk.speak(session_id, 5)
    network.calm()
    desk.stop(session_id)
    desk.completed(session_id)
    assert_delivered_as_one(desk, scribe, session_id)


@pytest.mark.slow
@pytest.mark.fault("N8")
def test_a_hole_for_large_packets_is_told_and_waited_out(network: Network, wired: tuple[FaultDesk, Scribe]) -> None:
    desk, scribe = wired
    desk.switch_on()
    desk.await_service()
    network.swallow_longer_than(1000)
    session_id = desk.visit()
    view = desk.session(session_id, lambda s: s.problem)
    assert view.problem is not None
    assert view.problem.kind in (ProblemKind.TIMED_OUT, ProblemKind.UNREACHABLE)
    assert view.is_created, "small packets pass"
    assert view.chunks_uploaded == 0
    assert view.seconds_to_upload == pytest.approx(5.0)
    network.calm()
    desk.completed(session_id)
    assert_delivered_as_one(desk, scribe, session_id)


@pytest.mark.slow
@pytest.mark.fault("N9")
@pytest.mark.parametrize(("percent", "seconds"), [(20, 5.0), (40, 1.5)])
def test_lost_packets_make_it_slow_and_nothing_else(
    network: Network, wired: tuple[FaultDesk, Scribe], percent: int, seconds: float
) -> None:
    desk, scribe = wired
    desk.switch_on()
    desk.await_service()
    network.lose(percent)
    session_id = desk.visit(seconds)
    scribe.until(lambda: scribe.sessions and scribe.only.ended_with is not None, 90)
    desk.completed(session_id)
    assert_delivered_as_one(desk, scribe, session_id)


@pytest.mark.slow
@pytest.mark.fault("N10")
def test_a_line_slower_than_speech_gets_there_and_the_backlog_is_told(
    network: Network, wired: tuple[FaultDesk, Scribe]
) -> None:
    desk, scribe = wired
    desk.switch_on()
    desk.await_service()
    network.narrow(64)
    session_id = desk.visit(4)
    left = [desk.session(session_id, lambda s: s.is_created).seconds_to_upload]
    while left[-1] > 0:
        left.append(desk.session(session_id, lambda s: s.seconds_to_upload < left[-1]).seconds_to_upload)
    assert 1.0 < left[0] <= 4.0
    assert len(left) > 2, "it goes down step by step"
    desk.completed(session_id)
    assert_delivered_as_one(desk, scribe, session_id)


@pytest.mark.slow
@pytest.mark.fault("N10")
def test_with_opus_a_line_of_64_kbit_is_faster_than_speech(network: Network, wired: tuple[FaultDesk, Scribe]) -> None:
    desk, scribe = wired
    scribe.discovery["capabilities"]["audio_formats"] = ["audio/wav", "audio/ogg;codecs=opus"]
    desk.switch_on()
    desk.await_service()
    network.narrow(64)
    began = time.monotonic()
    session_id = desk.visit(16)
    desk.completed(session_id)
    assert time.monotonic() - began < 16.0
    assert len(heard(scribe.only)) == 16 * 16_000


@pytest.mark.slow
@pytest.mark.fault("N11")
def test_a_name_server_that_never_answers_holds_nothing_up(
    network: Network, make_desk: Callable[[str], FaultDesk], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RES_OPTIONS", "timeout:1 attempts:1")
    network.lead_astray()
    network.swallow()
    desk = make_desk("https://scribe.clinic.example/v1")
    began = time.monotonic()
    desk.switch_on()
    session_id = desk.visit()
    desk.until_phase(session_id, Phase.DRAINING)
    assert time.monotonic() - began < 2.0, "nothing waits for the name"
    desk.until_said(session_id, ProblemKind.UNREACHABLE)
    assert time.monotonic() - began > 0.9, "the name server was waited for"


@pytest.mark.slow
@pytest.mark.fault("N15")
def test_a_computer_that_changes_networks_in_the_middle_of_a_request_sends_the_rest_from_there(
    network: Network, make_desk: Callable[[str], FaultDesk], trusted: trustme.CA
) -> None:
    with network.far_side():
        service = Scribe(server_side(trusted, FAR), host=FAR)
    with service as scribe:
        scribe.discovery["capabilities"]["max_chunk_duration_seconds"] = 2
        desk = make_desk(scribe.url)
        desk.switch_on()
        desk.await_service()
        network.narrow(64, CABLE)
        session_id = desk.visit()
        scribe.until(lambda: scribe.sessions)
        network.change_address("10.77.0.3")
        network.widen(CABLE)
        scribe.until(lambda: scribe.only.ended_with is not None, 40)
        desk.completed(session_id)
        assert_delivered_as_one(desk, scribe, session_id)


# Certificates -------------------------------------------------------------------------------------------------------

YESTERDAY, TOMORROW = (datetime.now(UTC) + timedelta(days=days) for days in (-1, 1))


def expired(authority: trustme.CA) -> ssl.SSLContext:
    return server_side(authority, "127.0.0.1", YESTERDAY - timedelta(days=9), YESTERDAY)


def for_another_host(authority: trustme.CA) -> ssl.SSLContext:
    return server_side(authority, "other.example")


def self_signed(_: trustme.CA) -> ssl.SSLContext:
    return server_side(trustme.CA(), "127.0.0.1")


def of_an_old_kind(authority: trustme.CA) -> ssl.SSLContext:
    context = server_side(authority, "127.0.0.1")
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    return context


@pytest.mark.fault("N14")
@pytest.mark.parametrize("set_up", [expired, for_another_host, self_signed, of_an_old_kind])
def test_a_connection_that_is_not_secure_is_refused_and_the_visit_is_kept(
    make_desk: Callable[[str], FaultDesk], trusted: trustme.CA, set_up: Callable[[trustme.CA], ssl.SSLContext]
) -> None:
    with Scribe(set_up(trusted)) as impostor:
        desk = make_desk(impostor.url)
        desk.switch_on()
        session_id = desk.visit()
        view = desk.until_said(session_id, ProblemKind.INSECURE)
        assert view.problem is not None
        assert "refused" in view.problem.words.what
        assert "safe on this computer" in view.problem.words.safe
        assert not impostor.asked
        desk.switch_off()
        port = impostor.address[1]
    with Scribe(server_side(trusted, "127.0.0.1"), port=port) as scribe:
        desk.switch_on()
        desk.completed(session_id)
        assert_delivered_as_one(desk, scribe, session_id)
