"""Trouble on the way to the service: nothing that was said is lost, and nothing is sent twice as something new."""

from __future__ import annotations

import pytest

from app.core.problems import ProblemKind
from app.core.views import Phase
from tests.faults.desk import FaultDesk, assert_delivered_as_one
from tests.rig.answers import Kind, Reply, Scribe, page
from tests.rig.fault_proxy import FaultProxy, Mode


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
    desk: FaultDesk, proxy: FaultProxy, scribe: Scribe
) -> None:
    proxy.go_down()
    desk.url = proxy.url
    desk.switch_on()
    session_id = desk.visit()
    view = desk.until_said(session_id, ProblemKind.UNREACHABLE)
    assert view.phase is Phase.DRAINING
    assert view.problem is not None
    assert "safe on this computer" in view.problem.words.safe
    assert not scribe.asked
    proxy.come_back()
    desk.completed(session_id)
    assert_delivered_as_one(desk, scribe, session_id)


@pytest.mark.fault("N2")
def test_a_network_that_is_gone_for_an_hour_costs_nothing(afar: FaultDesk, proxy: FaultProxy, scribe: Scribe) -> None:
    session_id = afar.begin()
    afar.speak(session_id, 6)
    scribe.until(lambda: scribe.only.uploads)
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
    assert all(abs(index - place) <= 1 for place, index in enumerate(first_times)), "two at a time, in order"


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
