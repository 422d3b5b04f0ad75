"""A service that answers what it should not: no visit is lost by it, and none is shown what is not its own."""

from __future__ import annotations

import io
import json
import math
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httpx
import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.events import SendAgain, SessionCreated, SessionId, TryNow, Visit
from app.core.problems import ProblemKind
from app.core.scribe import SessionResult, TemplateStatus
from app.core.views import Phase, SessionView
from app.protocol.answer import RequestRefused
from tests.faults.desk import PATIENT, FaultDesk, assert_delivered, assert_delivered_as_one, heard
from tests.protocol.scripted import SESSION, Script
from tests.rig.answers import Asked, Kept, Kind, Reply, Scribe, error, reply

OTHERS = "The lump is on the left side, says somebody else."


@pytest.fixture
def on(desk: FaultDesk, scribe: Scribe) -> FaultDesk:
    """A computer that is on and knows what the service offers; chunks are short."""
    scribe.discovery["capabilities"]["max_chunk_duration_seconds"] = 2
    desk.switch_on()
    desk.await_service()
    return desk


def status(kept: Kept, http_status: int, **told: Any) -> Reply:
    """An answer to Get Session about a session that the service has whole."""
    files = {"audio_files_received": len(kept.chunks), "audio_files": kept.names}
    return reply(http_status, {"session_id": kept.id, **files, **told})


def ended(desk: FaultDesk, scribe: Scribe) -> tuple[SessionId, Kept]:
    """A visit that the service has whole and is still thinking about."""
    scribe.is_thinking = True
    session_id = desk.visit()
    desk.until_phase(session_id, Phase.PROCESSING)
    return session_id, assert_delivered_as_one(desk, scribe, session_id)


def send_again(desk: FaultDesk, scribe: Scribe, session_id: SessionId, before: Kept) -> SessionView:
    """What comes of sending the kept audio as a new session."""
    scribe.always(*Kind, answer=None)
    scribe.is_thinking = False
    desk.session(session_id, lambda s: "SendAgain" in s.allowed)
    desk.intend(session_id, SendAgain(desk.wall_clock()))
    scribe.until(lambda: any(k.id != before.id and k.ended_with is not None for k in scribe.sessions.values()))
    view = desk.completed(session_id)
    (after,) = (kept for kept in scribe.sessions.values() if kept.id != before.id)
    assert_delivered(desk, session_id, after)
    return view


# Busy and broken ----------------------------------------------------------------------------------------------------


def in_a_minute() -> str:
    return format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)


@pytest.mark.fault("S1")
@pytest.mark.parametrize(
    ("retry_after", "least", "most"),
    [
        (lambda: "60", 59, 60),
        (in_a_minute, 57, 60),
        (lambda: "-1", 0, 1),
        (lambda: "99999999", 299, 300),
        (lambda: "soon, perhaps", 0, 1),
        (lambda: "", 0, 1),
    ],
)
def test_a_busy_services_wish_is_kept_within_reason(
    on: FaultDesk, scribe: Scribe, retry_after: Callable[[], str], least: float, most: float
) -> None:
    on.chance = 1.0
    scribe.say(Kind.UPLOAD, reply(429, retry_after=retry_after()))
    began = time.time()
    session_id = on.visit(0.5)
    view = on.session(session_id, lambda s: s.next_try_at)
    assert view.next_try_at is not None
    assert least - 1 <= view.next_try_at - began <= most + 2
    assert len(scribe.asked_for(Kind.UPLOAD)) == 1, "and until then nothing is asked"
    on.let_pass(most)
    on.completed(session_id)
    assert_delivered_as_one(on, scribe, session_id)


@pytest.mark.fault("S2")
@pytest.mark.parametrize("broken", [500, 502, 503, 504])
def test_a_broken_service_is_asked_ever_more_rarely_and_never_given_up(
    on: FaultDesk, scribe: Scribe, broken: int
) -> None:
    on.chance = 1.0
    scribe.always(Kind.CREATE, Kind.UPLOAD, Kind.STATUS, Kind.END, answer=Reply(broken, b"<html>oops</html>"))
    session_id = on.visit(0.5)
    waits = [wait_for_next_try(on, session_id) for _ in range(9)]
    assert waits == pytest.approx([1, 2, 4, 8, 16, 32, 60, 60, 60], abs=0.9)
    assert len(scribe.asked_for(Kind.CREATE)) in (9, 10), "one try at a time; a new connection is one more occasion"
    scribe.always(Kind.CREATE, Kind.UPLOAD, Kind.STATUS, Kind.END, answer=None)
    on.intend(session_id, TryNow())
    on.completed(session_id)
    assert_delivered_as_one(on, scribe, session_id)


@pytest.mark.fault("S2")
def test_tries_are_spread_over_the_whole_wait_so_that_clients_do_not_come_all_at_once(
    on: FaultDesk, scribe: Scribe
) -> None:
    on.chance = 0.25
    scribe.always(Kind.CREATE, answer=Reply(503))
    session_id = on.visit(0.5)
    assert [wait_for_next_try(on, session_id) for _ in range(7)] == pytest.approx(
        [0.25, 0.5, 1, 2, 4, 8, 15], abs=0.24
    )


@pytest.mark.slow
@pytest.mark.fault("S2")
def test_many_visits_that_wait_for_a_broken_service_are_together_no_storm(on: FaultDesk, scribe: Scribe) -> None:
    on.chance = 0.0  # Each of them would try again at once.
    scribe.always(Kind.CREATE, Kind.UPLOAD, Kind.STATUS, Kind.END, answer=Reply(503))
    visits = [on.visit(0.5) for _ in range(6)]
    scribe.until(lambda: len({asked.body for asked in scribe.asked_for(Kind.CREATE)}) == len(visits))
    began = len(scribe.asked)
    for second in range(20):
        on.let_pass(1.0)
        most = began + 1.2 * second + 4  # While the test looks on, some time passes, too.
        assert not is_asked_more_than(most, scribe), "one a second, all together"
    assert len(scribe.asked) - began >= 15, "and they go on trying"
    scribe.always(Kind.CREATE, Kind.UPLOAD, Kind.STATUS, Kind.END, answer=None)
    on.let_pass(60)
    for session_id in visits:
        on.completed(session_id)
        assert_delivered_as_one(on, scribe, session_id)


def is_asked_more_than(most: float, scribe: Scribe) -> bool:
    with scribe.changed:
        return scribe.changed.wait_for(lambda: len(scribe.asked) > most, 0.1)


def wait_for_next_try(desk: FaultDesk, session_id: SessionId) -> float:
    """How long the app means to wait; that time passes at once."""
    view = desk.session(session_id, lambda s: s.next_try_at and s.next_try_at > time.time())
    assert view.next_try_at is not None
    seconds = view.next_try_at - time.time()
    desk.let_pass(seconds)
    desk.session(session_id, lambda s: s.next_try_at != view.next_try_at)
    return seconds


# Refused ------------------------------------------------------------------------------------------------------------


@pytest.mark.fault("S3")
def test_a_refused_sign_in_is_renewed_once_for_all_who_wait(desk: FaultDesk, scribe: Scribe) -> None:
    scribe.discovery["capabilities"]["max_chunk_duration_seconds"] = 2
    desk.token = ""
    desk.switch_on()
    desk.await_service()
    session_id = desk.begin()
    desk.speak(session_id, 3)
    desk.session(session_id, lambda s: s.is_created and s.seconds_to_upload == 0)
    looked = len(scribe.asked_for(Kind.DISCOVER))
    desk.keep_token("renewed")
    scribe.tokens = {"renewed"}
    desk.speak(session_id, 6)
    desk.stop(session_id)
    desk.completed(session_id)
    assert_delivered_as_one(desk, scribe, session_id)
    assert len(scribe.asked_for(Kind.DISCOVER)) == looked + 1, "connected anew once"
    assert any(has_token(asked) for asked in scribe.asked_for(Kind.UPLOAD))


def has_token(asked: Asked) -> bool:
    return asked.headers.get("authorization") == "Bearer renewed"


@pytest.mark.fault("S4")
@pytest.mark.parametrize("kind", [Kind.UPLOAD, Kind.STATUS, Kind.END])
def test_a_session_that_the_service_has_lost_is_sent_as_a_new_one(on: FaultDesk, scribe: Scribe, kind: Kind) -> None:
    scribe.say(kind, error(404, "session_not_found"))
    session_id = on.visit()
    on.completed(session_id)
    lost, kept = scribe.sessions.values()
    assert_delivered(on, session_id, kept)
    assert lost.ended_with is None, "the orphan makes no second note"


@pytest.mark.fault("S4")
@pytest.mark.parametrize("refusal", [error(403, "forbidden"), Reply(403, b"Request has expired")])
def test_what_may_not_be_done_is_told_and_the_audio_waits(on: FaultDesk, scribe: Scribe, refusal: Reply) -> None:
    scribe.always(Kind.UPLOAD, answer=refusal)
    session_id = on.visit(0.5)
    view = on.session(session_id, lambda s: s.problem and s.phase is Phase.DRAINING)
    assert view.problem is not None
    assert view.problem.kind in (ProblemKind.NOT_ALLOWED, ProblemKind.NOT_SIGNED_IN)
    assert "safe on this computer" in view.problem.words.safe
    scribe.always(Kind.UPLOAD, answer=None)
    on.intend(session_id, TryNow())
    on.completed(session_id)
    assert_delivered_as_one(on, scribe, session_id)


@pytest.mark.fault("S5")
def test_a_session_that_expired_with_some_results_shows_them_and_can_be_sent_again(
    on: FaultDesk, scribe: Scribe
) -> None:
    session_id, kept = ended(on, scribe)
    note = {"soap": {"status": "success", "data": "Half a note."}}
    told = status(kept, 410, status="expired", message="Session expired.", transcript="Half of it.", templates=note)
    scribe.always(Kind.STATUS, answer=told)
    view = on.until_phase(session_id, Phase.EXPIRED)
    assert view.transcript == "Half of it."
    assert [n.data for n in view.notes] == ["Half a note."]
    assert view.problem is not None
    assert view.problem.kind is ProblemKind.SESSION_EXPIRED
    assert send_again(on, scribe, session_id, kept).transcript == scribe.transcript


@pytest.mark.fault("S6")
@pytest.mark.parametrize("refusal", [Reply(413), error(400, "chunk_too_large", "The chunk is too long.")])
def test_a_chunk_that_is_too_large_is_cut_again_from_what_was_recorded(
    desk: FaultDesk, scribe: Scribe, refusal: Reply
) -> None:
    scribe.refuses = lambda asked: refusal if asked.kind is Kind.UPLOAD and seconds_of(asked.body) > 8 else None
    desk.switch_on()
    desk.await_service()
    session_id = desk.visit(40)
    desk.completed(session_id)
    (kept,) = (kept for kept in scribe.sessions.values() if kept.ended_with is not None)
    assert_delivered(desk, session_id, kept)
    assert max(seconds_of(chunk) for chunk in kept.chunks.values()) <= 8


def seconds_of(chunk: bytes) -> float:
    return float(soundfile.info(io.BytesIO(chunk)).duration)


@pytest.mark.fault("S7")
@pytest.mark.parametrize("code", ["audio_too_short", "audio_quality_poor"])
def test_audio_that_the_service_does_not_like_is_told_in_words_and_can_be_sent_again(
    on: FaultDesk, scribe: Scribe, code: str
) -> None:
    scribe.always(Kind.UPLOAD, answer=error(422, code))
    session_id = on.visit(0.5)
    view = on.session(session_id, lambda s: s.problem and s.problem.kind is ProblemKind.CHUNK_REFUSED)
    assert view.problem is not None
    assert code in view.problem.detail
    assert "safe on this computer" in view.problem.words.safe
    refused = on.session(session_id, lambda s: "SendAgain" in s.allowed)
    assert refused.missing_chunks == tuple(range(refused.chunks_sealed))
    send_again(on, scribe, session_id, next(iter(scribe.sessions.values())))


# Results ------------------------------------------------------------------------------------------------------------


@pytest.mark.fault("S8")
def test_of_a_partial_result_what_came_is_shown_and_what_did_not_is_marked(on: FaultDesk, scribe: Scribe) -> None:
    scribe.is_thinking = True
    session_id = on.begin(templates=("soap", "medications"))
    on.speak(session_id, 5)
    on.stop(session_id)
    on.until_phase(session_id, Phase.PROCESSING)
    told = {
        "status": "partial",
        "transcript": "All that was said.",
        "processing_errors": [{"type": "extraction_failed", "message": "no medications", "file": "audio_1.wav"}],
        "templates": {
            "soap": {"status": "success", "data": "The note."},
            "medications": {"status": "failed", "error": "The model gave up."},
        },
    }
    scribe.always(Kind.STATUS, answer=status(scribe.only, 206, **told))
    view = on.until_phase(session_id, Phase.PARTIAL)
    assert view.transcript == "All that was said."
    notes = {note.id: note for note in view.notes}
    assert notes["soap"].data == "The note."
    assert notes["medications"].status is TemplateStatus.FAILED
    assert "gave up" in notes["medications"].error
    assert [e.message for e in view.processing_errors] == ["no medications"]


@pytest.mark.fault("S9")
def test_a_service_that_heard_less_than_was_sent_is_told_of_and_can_be_sent_all_again(
    on: FaultDesk, scribe: Scribe
) -> None:
    session_id, kept = ended(on, scribe)
    told = {"status": "completed", "transcript": "Most of it.", "templates": {}}
    files = {"audio_files_received": len(kept.chunks) - 1, "audio_files": kept.names[:-1]}
    scribe.always(Kind.STATUS, answer=reply(200, {"session_id": kept.id, **told, **files}))
    view = on.session(session_id, lambda s: s.phase.is_final)
    assert view.phase is Phase.PARTIAL, "less than all is never called whole"
    assert view.transcript == "Most of it."
    assert view.audio_files_received == len(kept.chunks) - 1 < view.chunks_sealed
    assert view.missing_chunks == (len(kept.chunks) - 1,)
    send_again(on, scribe, session_id, kept)


@pytest.mark.slow
@pytest.mark.fault("S10")
def test_a_service_that_thinks_for_ever_is_asked_ever_more_rarely_also_after_a_restart(
    on: FaultDesk, scribe: Scribe
) -> None:
    session_id, _ = ended(on, scribe)
    scribe.until(lambda: scribe.asked[-1].kind is Kind.STATUS)
    for polls, seconds in ((30, 1.0), (50, 2.0), (5, 5.0)):
        assert not is_asked(on, scribe, after_seconds=0.7 * seconds)
        assert is_asked(on, scribe, after_seconds=0.3 * seconds)
        for _ in range(polls):
            assert is_asked(on, scribe, after_seconds=5.0)
    on.switch_off()
    on.switch_on()
    on.until_phase(session_id, Phase.PROCESSING)
    assert is_asked(on, scribe, after_seconds=5.0)
    scribe.is_thinking = False
    on.let_pass(5)
    on.completed(session_id)


def is_asked(desk: FaultDesk, scribe: Scribe, after_seconds: float) -> bool:
    """Whether the status is asked for, once that time has passed."""
    before = len(scribe.asked_for(Kind.STATUS))
    desk.let_pass(after_seconds)
    with scribe.changed:
        return scribe.changed.wait_for(lambda: len(scribe.asked_for(Kind.STATUS)) > before, 0.2)


@pytest.mark.fault("S11")
@pytest.mark.parametrize(
    ("told", "note"),
    [
        ({"status": "completed", "templates": [{"soap": {"status": "success", "data": "N."}}]}, "N."),
        ({"status": "success", "novelty": {"a": [1]}, "templates": {"soap": {"data": "N.", "x": None}}}, "N."),
        ({"status": "COMPLETED", "templates": [{"soap": {"status": "finished-ish", "data": "N."}}]}, "N."),
    ],
)
def test_another_dialect_is_understood(on: FaultDesk, scribe: Scribe, told: dict[str, Any], note: str) -> None:
    session_id, kept = ended(on, scribe)
    scribe.always(Kind.STATUS, answer=status(kept, 200, transcript="What was said.", **told))
    view = on.completed(session_id)
    assert view.transcript == "What was said."
    assert [n.data for n in view.notes if n.id == "soap"] == [note]


@pytest.mark.fault("S11")
def test_a_status_that_nobody_knows_is_waited_out(on: FaultDesk, scribe: Scribe) -> None:
    session_id, kept = ended(on, scribe)
    asked = len(scribe.asked_for(Kind.STATUS))
    scribe.always(Kind.STATUS, answer=status(kept, 202, status="pondering"))
    scribe.until(lambda: len(scribe.asked_for(Kind.STATUS)) > asked)
    on.until_phase(session_id, Phase.PROCESSING)
    scribe.always(Kind.STATUS, answer=None)
    scribe.is_thinking = False
    on.completed(session_id)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
FIELDS = (
    *("session_id", "status", "transcript", "templates", "audio_files", "audio_files_received", "created_at"),
    *("expires_at", "processing_errors", "message", "utterances", "txn_id", "upload_url", "error", "detail"),
)
ANSWERS = st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=8) | JSON
STATUSES = st.sampled_from([200, 201, 202, 206, 400, 401, 404, 409, 410, 422, 429, 500, 503])


@pytest.mark.fault("S12")
@settings(max_examples=60, deadline=None)
@given(answer=ANSWERS, http_status=STATUSES)
def test_an_answer_of_any_shape_is_a_result_or_a_refusal(answer: Any, http_status: int) -> None:
    body = json.dumps(answer).encode()
    client = Script(lambda _: httpx.Response(http_status, content=body)).client()
    created = SessionCreated(SESSION)
    for call in (
        client.discover,
        client.templates,
        lambda: client.create(SESSION, Visit(), ("soap",)),
        lambda: client.upload(created, 0, b"x", "audio/wav", "wav"),
        lambda: client.status(SESSION),
        lambda: client.end(SESSION, 1),
        lambda: client.process_template(SESSION, "soap"),
    ):
        with suppress(RequestRefused):
            answered = call()
            assert not isinstance(answered, SessionResult) or answered.session_id == SESSION


@pytest.mark.fault("S13")
@pytest.mark.parametrize(
    "expires_at",
    [None, "", "yesterday", "2001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", 1e308, -5, "NaN", math.nan, [], {"a": 1}],
)
def test_an_end_of_life_that_makes_no_sense_ends_nothing(on: FaultDesk, scribe: Scribe, expires_at: Any) -> None:
    scribe.alters = {Kind.CREATE: {"expires_at": expires_at}}
    session_id = on.begin()
    for _ in range(3):
        on.speak(session_id, 3)
        on.let_pass(300)
    on.stop(session_id)
    view = on.completed(session_id)
    pieces = [kept for kept in scribe.sessions.values() if kept.ended_with is not None]
    assert len(pieces) == view.part_count
    np.testing.assert_array_equal(heard(*pieces), np.concatenate(on.said[session_id]))


@pytest.mark.fault("S14")
def test_a_visit_that_outlives_its_session_goes_on_in_the_next_without_a_lost_sample(
    on: FaultDesk, scribe: Scribe
) -> None:
    session_id = on.begin()
    for _ in range(4):
        on.speak(session_id, 5)
        on.session(session_id, lambda s: s.is_created and s.seconds_to_upload == 0)
        on.move_clock(1800)
    on.stop(session_id)
    view = on.completed(session_id)
    pieces = list(scribe.sessions.values())
    assert view.part_count == len(pieces) >= 2
    assert all(kept.ended_with == len(kept.chunks) for kept in pieces)
    assert all(kept.patient == {"oid": PATIENT.id, "name": PATIENT.label} for kept in pieces)
    np.testing.assert_array_equal(heard(*pieces), np.concatenate(on.said[session_id]))
    assert view.transcript.count(scribe.transcript) == len(pieces), "one transcript of all parts"
    assert [note.id for note in view.notes] == ["soap"], "one note to the doctor"


@pytest.mark.fault("S15")
@pytest.mark.parametrize("field", ["session_id", "txn_id"])
def test_what_is_said_of_another_session_is_never_shown_under_this_patient(
    on: FaultDesk, scribe: Scribe, field: str
) -> None:
    session_id, kept = ended(on, scribe)
    others = {"status": "completed", "transcript": OTHERS, "templates": {"soap": {"data": OTHERS}}}
    scribe.always(Kind.STATUS, answer=reply(200, {field: "ses_of_somebody_else_entirely", **others}))
    view = on.until_said(session_id, ProblemKind.ANSWER_UNREADABLE)
    assert view.phase is Phase.PROCESSING
    assert OTHERS not in repr(view)
    scribe.always(Kind.STATUS, answer=None)
    scribe.is_thinking = False
    view = on.completed(session_id)
    assert OTHERS not in repr(view)
    assert kept.ends == 1


@pytest.mark.fault("S16")
def test_an_answer_of_a_hundred_megabytes_is_cut_off_and_the_true_one_is_taken_later(
    on: FaultDesk, scribe: Scribe
) -> None:
    session_id, kept = ended(on, scribe)
    huge = status(kept, 200, status="completed", transcript="a" * 100_000_000)
    scribe.say(Kind.STATUS, huge)
    view = on.until_said(session_id, ProblemKind.ANSWER_UNREADABLE)
    assert view.phase is Phase.PROCESSING
    del huge
    scribe.transcript = "word " * 200_000  # A megabyte in one line.
    scribe.is_thinking = False
    assert len(on.completed(session_id).transcript.split()) == 200_000


@pytest.mark.fault("S17")
def test_a_session_that_the_service_deleted_stays_here_and_can_be_sent_again(on: FaultDesk, scribe: Scribe) -> None:
    session_id, kept = ended(on, scribe)
    scribe.forget(kept.id)
    view = on.session(session_id, lambda s: s.problem and s.problem.kind is ProblemKind.SESSION_UNKNOWN)
    assert view.chunks_sealed == len(kept.chunks)
    send_again(on, scribe, session_id, kept)


@pytest.mark.fault("S17")
def test_a_result_outlives_its_session_at_the_service(on: FaultDesk, scribe: Scribe) -> None:
    session_id = on.visit()
    before = on.completed(session_id)
    on.switch_off()
    scribe.forget(scribe.only.id)
    on.switch_on()
    view = on.completed(session_id)
    assert (view.transcript, view.notes) == (before.transcript, before.notes)
