"""A service in trouble is not made worse by us, and one refused sign-in is renewed once."""

from __future__ import annotations

import heapq
from bisect import bisect_left
from datetime import UTC, datetime
from email.utils import format_datetime
from random import Random

import httpx
import pytest

from app.core.problems import ProblemKind as Kind
from app.engine.bucket import Bucket
from app.engine.renewal import Renewal, Verdict
from tests.protocol.scripted import SESSION, Script, refusal_of

HOUR = 3600.0


def outage(bucket: Bucket, sessions: int, seed: int) -> list[float]:
    """When a service that is down for an hour is asked, by sessions that try again up to a minute later, jittered."""
    chance = Random(seed)
    asked: list[float] = []
    due = [(chance.random(), number, True) for number in range(sessions)]
    while due and due[0][0] < HOUR:
        now, number, is_new = heapq.heappop(due)
        wait = bucket.wait_seconds(now) if is_new else 0.0
        if wait > 0:
            heapq.heappush(due, (now + wait, number, False))
            continue
        asked.append(now)
        bucket.on_trouble(now + 0.01)
        heapq.heappush(due, (now + 0.01 + chance.random() * 60, number, True))
    return sorted(asked)


def most_within(asked: list[float], seconds: float) -> int:
    return max(bisect_left(asked, at + seconds) - index for index, at in enumerate(asked))


@pytest.mark.fault("S2")
@pytest.mark.parametrize("sessions", [1, 5, 40, 400])
def test_a_full_outage_sees_about_one_request_a_second(sessions: int) -> None:
    for seed in range(3):
        asked = outage(Bucket(), sessions, seed)
        assert len(asked) <= HOUR + 10
        assert most_within(asked[1:], 60.0) <= 62
        assert most_within(asked[1:], 1.0) <= 3


@pytest.mark.fault("S2")
def test_every_session_gets_its_turn_in_an_outage() -> None:
    bucket = Bucket()
    bucket.on_trouble(0.0)
    assert [bucket.wait_seconds(5.0) for _ in range(5)] == [0.0, 0.0, 1.0, 2.0, 3.0]


def test_a_service_that_is_well_is_asked_at_once() -> None:
    bucket = Bucket()
    assert [bucket.wait_seconds(0.0) for _ in range(100)] == [0.0] * 100
    bucket.on_trouble(0.0)
    assert bucket.wait_seconds(0.0) == 1.0
    bucket.on_answer()
    assert [bucket.wait_seconds(0.1) for _ in range(100)] == [0.0] * 100


def test_a_long_pause_saves_up_no_storm() -> None:
    bucket = Bucket()
    bucket.on_trouble(0.0)
    assert [bucket.wait_seconds(HOUR) for _ in range(4)] == [0.0, 0.0, 1.0, 2.0]


@pytest.mark.fault("S2")
def test_an_app_that_starts_with_many_unsent_visits_asks_for_two_before_it_knows_how_the_service_is() -> None:
    bucket = Bucket()
    bucket.on_connected(100.0)
    assert [bucket.wait_seconds(100.0) for _ in range(4)] == [0.0, 0.0, 1.0, 2.0]
    assert bucket.on_answer(), "the others need not wait"
    assert not bucket.on_answer()
    assert [bucket.wait_seconds(100.1) for _ in range(100)] == [0.0] * 100


# Renewing the sign-in --------------------------------------------------------------------------------------------


@pytest.mark.fault("S3", "T3")
def test_many_refusals_at_once_are_one_renewal() -> None:
    renewal = Renewal()
    assert [renewal.on_refused(0) for _ in range(4)] == [Verdict.RENEW, *[Verdict.WAIT] * 3]
    renewal.on_renewed()
    # One that went out before the renewal comes back after it.
    assert renewal.on_refused(0) is Verdict.SEND_AGAIN
    renewal.on_accepted(1)
    assert renewal.on_refused(1) is Verdict.RENEW


@pytest.mark.fault("S3", "T2")
def test_a_renewed_sign_in_that_is_refused_asks_a_person_and_never_loops() -> None:
    renewal = Renewal()
    renewal.on_refused(0)
    renewal.on_renewed()
    assert [renewal.on_refused(1) for _ in range(3)] == [Verdict.ASK] * 3
    # An answer to the old one proves nothing for the new one.
    renewal.on_accepted(0)
    assert renewal.on_refused(1) is Verdict.ASK
    renewal.on_renewed(by_person=True)
    assert renewal.on_refused(1) is Verdict.SEND_AGAIN
    assert renewal.on_refused(2) is Verdict.RENEW


@pytest.mark.fault("T2")
def test_a_renewal_that_fails_asks_a_person_and_lets_nobody_wait() -> None:
    renewal = Renewal()
    renewal.on_refused(0)
    renewal.on_not_renewed()
    assert renewal.on_refused(0) is Verdict.ASK
    renewal.on_renewed(by_person=True)
    assert renewal.on_refused(0) is Verdict.SEND_AGAIN


# What the service asks for ---------------------------------------------------------------------------------------

NOON = datetime(2100, 1, 1, 12, tzinfo=UTC)


@pytest.mark.fault("S1")
@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
@pytest.mark.parametrize(
    ("wish", "seconds"),
    [
        ("60", 60.0),
        ("-1", -1.0),
        ("99999999", 99999999.0),
        (" 7 ", 7.0),
        ("1e9", None),
        ("9" * 400, None),
        ("NaN", None),
        ("soon", None),
        ("٣", None),
        ("Fri, 99 Foo 2100 25:61:61 GMT", None),
    ],
)
def test_the_wish_to_be_left_alone_is_read_whatever_is_written(status: int, wish: str, seconds: float | None) -> None:
    client = Script(httpx.Response(status, headers=[(b"Retry-After", wish.encode())])).client()
    refused = refusal_of(lambda: client.status(SESSION))
    assert refused.retry_after_seconds == seconds
    assert refused.problem.kind in (Kind.SERVICE_BUSY, Kind.SERVICE_BROKEN)
    assert refused.problem.is_transient


@pytest.mark.fault("S1")
def test_the_wish_may_be_a_date() -> None:
    date = format_datetime(NOON, usegmt=True)
    client = Script(httpx.Response(429, headers={"Retry-After": date})).client()
    seconds = refusal_of(lambda: client.status(SESSION)).retry_after_seconds
    assert seconds == pytest.approx((NOON - datetime.now(UTC)).total_seconds(), abs=5)
