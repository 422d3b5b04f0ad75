"""What each answer means: one table, read by people."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from app.core.events import Patient, SessionCreated, Visit
from app.core.problems import ProblemKind as Kind
from app.core.scribe import ServiceStatus
from tests.protocol.scripted import SESSION, TOKEN, Script, kind_of, refusal_of

CREATED = SessionCreated(SESSION)
HTML = "<!DOCTYPE html><html><body>Sign in</body></html>"
NOT_FOUND = {"detail": "Not Found"}
CALLS = {
    "create": lambda client: client.create(SESSION, Visit(), ["soap"]),
    "upload": lambda client: client.upload(CREATED, 0, b"RIFF", "audio/wav", "wav"),
    "status": lambda client: client.status(SESSION),
    "end": lambda client: client.end(SESSION, 1),
    "note": lambda client: client.process_template(SESSION, "soap"),
}


def error(code: str, message: str = "Text") -> dict[str, Any]:
    return {"error": {"code": code, "message": message}}


TABLE = [
    # A web page is never a scribe service, and never an acknowledged chunk.
    ("create", 200, HTML, Kind.NOT_A_SCRIBE_SERVICE),
    ("upload", 200, HTML, Kind.NOT_A_SCRIBE_SERVICE),
    ("status", 200, HTML, Kind.NOT_A_SCRIBE_SERVICE),
    ("status", 410, HTML, Kind.NOT_A_SCRIBE_SERVICE),
    ("upload", 403, HTML, Kind.NOT_A_SCRIBE_SERVICE),
    ("upload", 302, "", Kind.NOT_A_SCRIBE_SERVICE),
    ("upload", 511, HTML, Kind.NOT_A_SCRIBE_SERVICE),
    # A proxy's page around a true refusal is that refusal.
    ("upload", 413, HTML, Kind.CHUNK_TOO_LARGE),
    ("upload", 502, HTML, Kind.SERVICE_BROKEN),
    ("upload", 429, HTML, Kind.SERVICE_BUSY),
    # Who we are.
    ("upload", 401, {"detail": "token_expired"}, Kind.NOT_SIGNED_IN),
    ("status", 401, "", Kind.NOT_SIGNED_IN),
    ("note", 401, {"detail": "Invalid authentication"}, Kind.NOT_SIGNED_IN),
    ("create", 403, error("forbidden"), Kind.NOT_ALLOWED),
    ("create", 403, {"detail": "No active session token"}, Kind.NOT_SIGNED_IN),
    ("create", 403, "", Kind.NOT_ALLOWED),
    ("create", 400, error("invalid_api_key"), Kind.NOT_SIGNED_IN),
    # Later.
    ("upload", 408, "", Kind.SERVICE_BUSY),
    ("upload", 425, "", Kind.SERVICE_BUSY),
    ("create", 429, error("rate_limit_exceeded"), Kind.SERVICE_BUSY),
    ("create", 500, error("internal_error"), Kind.SERVICE_BROKEN),
    ("status", 503, error("session_not_found"), Kind.SERVICE_BROKEN),
    # The session.
    ("status", 404, error("session_not_found"), Kind.SESSION_UNKNOWN),
    ("status", 404, {"detail": "Session not found"}, Kind.SESSION_UNKNOWN),
    ("upload", 404, {"status": "failed", "error": "no such session"}, Kind.SESSION_UNKNOWN),
    ("status", 404, NOT_FOUND, Kind.NOT_A_SCRIBE_SERVICE),
    ("end", 404, NOT_FOUND, Kind.NOT_A_SCRIBE_SERVICE),
    ("upload", 404, "", Kind.NOT_A_SCRIBE_SERVICE),
    ("create", 404, error("nothing_here"), Kind.NOT_A_SCRIBE_SERVICE),
    ("upload", 410, error("session_expired"), Kind.SESSION_EXPIRED),
    ("end", 410, "", Kind.SESSION_EXPIRED),
    ("upload", 400, error("session_ended"), Kind.SESSION_ENDED),
    ("upload", 400, error("session_completed"), Kind.SESSION_ENDED),
    ("upload", 400, {"detail": "Session has already been ended"}, Kind.SESSION_ENDED),
    # The chunk.
    ("upload", 400, error("invalid_audio_format"), Kind.CHUNK_REFUSED),
    ("upload", 413, "", Kind.CHUNK_TOO_LARGE),
    ("upload", 400, error("chunk_too_large"), Kind.CHUNK_TOO_LARGE),
    ("upload", 422, error("AUDIO_TOO_LONG"), Kind.CHUNK_TOO_LARGE),
    ("create", 413, error("chunk_too_large"), Kind.REQUEST_REFUSED),
    ("upload", 415, "unsupported media type", Kind.CHUNK_REFUSED),
    ("upload", 422, error("audio_too_short"), Kind.CHUNK_REFUSED),
    # The rest.
    ("end", 400, error("missing_required_field"), Kind.REQUEST_REFUSED),
    ("note", 404, error("template_not_found"), Kind.REQUEST_REFUSED),
    ("create", 400, error("invalid_request"), Kind.REQUEST_REFUSED),
    # Nothing to read.
    ("status", 200, "", Kind.ANSWER_UNREADABLE),
    ("status", 200, {}, Kind.ANSWER_UNREADABLE),
    ("status", 200, [], Kind.ANSWER_UNREADABLE),
    ("status", 200, {"session_id": "ses_of_somebody_else_1", "status": "completed"}, Kind.ANSWER_UNREADABLE),
    ("status", 200, {"txn_id": "ses_of_somebody_else_1", "status": "completed"}, Kind.ANSWER_UNREADABLE),
    ("end", 202, {"session_id": "ses_of_somebody_else_1"}, Kind.ANSWER_UNREADABLE),
    ("note", 202, {"session_id": "ses_of_somebody_else_1"}, Kind.ANSWER_UNREADABLE),
    ("create", 201, "created", Kind.ANSWER_UNREADABLE),
    ("create", 201, {"session_id": "../../etc"}, Kind.ANSWER_UNREADABLE),
    ("create", 201, {"session_id": ".."}, Kind.ANSWER_UNREADABLE),
]


def response(status: int, body: Any, **headers: str) -> httpx.Response:
    if isinstance(body, str):
        kind = "text/html" if body.startswith("<") else "text/plain"
        return httpx.Response(status, text=body, headers={"content-type": kind, **headers})
    return httpx.Response(status, json=body, headers=headers)


@pytest.mark.parametrize(("call", "status", "body", "kind"), TABLE)
def test_an_answer_means(call: str, status: int, body: Any, kind: Kind) -> None:
    client = Script(response(status, body)).client()
    assert kind_of(lambda: CALLS[call](client)) is kind


@pytest.mark.parametrize(
    ("status", "body", "meaning"),
    [
        (202, {"status": "created"}, ServiceStatus.OPEN),
        (202, {"status": "processing", "transcript": "so far"}, ServiceStatus.PROCESSING),
        (202, {"status": "completed"}, ServiceStatus.PROCESSING),
        (202, {"status": "failed"}, ServiceStatus.FAILED),
        (200, {"status": "completed"}, ServiceStatus.COMPLETED),
        (200, {"status": "failed"}, ServiceStatus.FAILED),
        (200, {"status": "in-progress"}, ServiceStatus.PROCESSING),
        (200, {"status": "never heard of"}, ServiceStatus.COMPLETED),
        (200, {"transcript": "text"}, ServiceStatus.COMPLETED),
        (206, {"status": "failed"}, ServiceStatus.PARTIAL),
        (410, {"message": "gone"}, ServiceStatus.EXPIRED),
        (410, "", ServiceStatus.EXPIRED),
    ],
)
def test_a_session_stands(status: int, body: Any, meaning: ServiceStatus) -> None:
    assert Script(response(status, body)).client().status(SESSION).status is meaning


@pytest.mark.parametrize(
    "body",
    [
        error("BAD_REQUEST", "the reason"),
        {"status": "failed", "error": {"code": "x", "message": {"message": "the reason"}}, "txn_id": "t"},
        {"status": "failed", "error": {"code": "x", "display_message": "the reason"}},
        {"detail": "the reason"},
        {"detail": [{"type": "missing", "loc": ["body", "a"], "msg": "the reason", "input": {"name": "Asha"}}]},
        {"status": "failed", "error": "the reason"},
        {"message": "the reason"},
        "the reason",
    ],
)
def test_the_details_name_the_reason_in_whatever_shape_it_came(body: Any) -> None:
    refused = refusal_of(lambda: Script(response(400, body)).client().end(SESSION, 1))
    assert refused.problem.detail.startswith("HTTP 400")
    assert "the reason" in refused.problem.detail
    assert "Asha" not in refused.problem.detail


def test_details_hold_no_secret_no_patient_and_nothing_that_moves_the_cursor() -> None:
    said = f"bad {TOKEN} of Asha Rao \x1b[31m\u202e at https://store.example/x?sig=abc\r\nSet-Cookie: x"
    visit = Visit(patient=Patient(label="Asha Rao", id="oid-77"))
    client = Script(response(400, error("invalid_request", said))).client()
    refused = refusal_of(lambda: client.create(SESSION, visit, ["soap"]))
    for forbidden in (TOKEN, "Asha", "sig=abc", "\x1b", "\u202e", "\n", "\r"):
        assert forbidden not in refused.problem.detail + str(refused) + repr(refused)
    assert refused.problem.detail.isprintable()


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("60", 60.0), ("-1", -1.0), ("99999999", 99999999.0), ("1.5", 1.5), ("soon", None), ("", None), ("nan", None)],
)
def test_retry_after_comes_as_seconds_and_junk_is_no_wish(header: str, seconds: float | None) -> None:
    client = Script(httpx.Response(429, headers={"Retry-After": header})).client()
    assert refusal_of(lambda: client.status(SESSION)).retry_after_seconds == seconds


def test_retry_after_as_a_date_counts_from_now() -> None:
    for zone in ("GMT", "-0000", "+0530"):
        client = Script(httpx.Response(503, headers={"Retry-After": f"Fri, 31 Dec 2100 23:59:59 {zone}"})).client()
        seconds = refusal_of(lambda: client.status(SESSION)).retry_after_seconds  # noqa: B023 - called at once
        assert seconds is not None
        assert seconds > 365 * 24 * 3600
