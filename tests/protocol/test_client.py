"""What the client says to a service, and how it meets each dialect."""

from __future__ import annotations

import logging
from typing import Any

import httpx
import pytest

from app.core.events import Patient, SessionCreated, SessionEnded, Visit
from app.core.problems import ProblemKind as Kind
from app.core.scribe import Discovery, TemplateInfo
from app.protocol.client import ScribeClient
from tests.protocol.scripted import BASE, SESSION, TOKEN, Script, body_of, kind_of, refusal_of

VISIT = Visit(patient=Patient(label="Asha", id="oid-1"), languages=("hi", "en"), model="pro")


def ok(body: Any, status: int = 200, cache_control: str = "no-store") -> httpx.Response:
    return httpx.Response(status, json=body, headers={"cache-control": cache_control})


def test_discovery_is_read_with_every_field_that_matters() -> None:
    script = Script(
        ok(
            {
                "protocol": "MedScribeAlliance",
                "service": {"name": "Clinic"},
                "endpoints": {"base_url": "https://dead.example", "templates_url": "https://dead.example/t"},
                "capabilities": {
                    "audio_formats": ["audio/webm;codecs=opus", "audio/wav"],
                    "max_chunk_duration_seconds": 15,
                    "upload_methods": ["chunked", "single"],
                    "long_poll_seconds": 25,
                },
                "models": [
                    {"id": "lite", "max_session_duration_seconds": 600, "languages": ["en"]},
                    {"name": "x"},
                    3,
                ],
                "languages": {"supported": ["en", "hi"], "auto_detection": True},
            },
            cache_control="public, max-age=3600",
        )
    )
    found = script.client().discover()
    assert found.service_name == "Clinic"
    assert found.audio_formats == ("audio/webm;codecs=opus", "audio/wav")
    assert (found.max_chunk_seconds, found.long_poll_seconds, found.max_age_seconds) == (15.0, 25.0, 3600.0)
    assert [(m.id, m.max_session_seconds) for m in found.models] == [("lite", 600.0)]
    assert found.has_language_detection
    assert "authorization" not in script.asked[0].headers


def test_discovery_is_looked_for_in_three_places_and_its_absence_is_not_fatal() -> None:
    script = Script(httpx.Response(404, json={"detail": "Not Found"}))
    assert script.client("https://scribe.example/api").discover() == Discovery()
    assert [request.url.path for request in script.asked] == [
        "/api/.well-known/medscribealliance",
        "/.well-known/medscribealliance",
        "/voice/v1/.well-known/medscribealliance",
    ]


@pytest.mark.fault("X12")
@pytest.mark.parametrize("said", ["9.0", "v2", "2"])
def test_a_service_of_another_protocol_is_refused_in_words_and_gets_no_session(said: str) -> None:
    script = Script(ok({"protocol": "x", "protocol_version": said, "supported_versions": [said, "3.1"]}))
    client = script.client()
    refused = refusal_of(client.discover)
    assert refused.problem.kind is Kind.ANSWER_UNREADABLE
    assert f"version {said} of the protocol" in refused.problem.detail
    asked = len(script.asked)
    assert kind_of(lambda: client.create(SESSION, VISIT, [])) is Kind.ANSWER_UNREADABLE
    assert len(script.asked) == asked


@pytest.mark.parametrize(
    "versions",
    [
        {"protocol_version": "0.1"},
        {"protocol_version": "9.0", "supported_versions": ["9.0", "0.1"]},
        {"protocol_version": None},
        {"protocol_version": "draft", "supported_versions": "all"},
        {"protocol_version": 1.0},
    ],
)
def test_a_service_that_knows_our_protocol_or_does_not_say_is_taken(versions: dict[str, Any]) -> None:
    assert Script(ok({"service": {"name": "Clinic"}, **versions})).client().discover().service_name == "Clinic"


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (httpx.Response(200, html="<html>Welcome to the hotel</html>"), Kind.NOT_A_SCRIBE_SERVICE),
        (httpx.Response(302, headers={"location": "https://hotel.example"}), Kind.NOT_A_SCRIBE_SERVICE),
        (httpx.Response(503), Kind.SERVICE_BROKEN),
    ],
)
def test_a_broken_service_or_another_page_is_no_silent_service(answer: httpx.Response, kind: Kind) -> None:
    assert kind_of(Script(answer).client().discover) is kind


def test_a_web_site_at_the_root_does_not_hide_a_service_below() -> None:
    script = Script(httpx.Response(404), httpx.Response(200, html="<html>Our clinic</html>"))
    assert script.client("https://scribe.example/api").discover() == Discovery()


def test_an_unreachable_service_raises() -> None:
    def down(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    assert kind_of(Script(down).client().discover) is Kind.UNREACHABLE


def test_create_says_what_the_protocol_asks_for() -> None:
    script = Script(ok({"session_id": SESSION, "upload_url": f"{BASE}/u", "expires_at": "2026-01-01T00:00:00"}, 201))
    created = script.client().create(SESSION, VISIT, ["soap", "medications"])
    assert created == SessionCreated(SESSION, f"{BASE}/u", 1767225600.0)
    request = script.asked[0]
    assert (request.method, str(request.url)) == ("POST", f"{BASE}/sessions")
    assert request.headers["authorization"] == f"Bearer {TOKEN}"
    assert request.headers["accept"] == "application/json"
    assert body_of(request) == {
        "session_id": SESSION,
        "templates": ["soap", "medications"],
        "upload_type": "chunked",
        "communication_protocol": "http",
        "language_hint": ["hi", "en"],
        "model": "pro",
        "session_mode": "consultation",
        "transcript_language": "en",
        "additional_data": {"client": "scribedesk/0.1.0"},
        "patient_details": {"oid": "oid-1", "name": "Asha"},
    }


def test_the_id_in_the_answer_counts() -> None:
    created = Script(ok({"session_id": "ses_theirs"}, 201)).client().create(SESSION, VISIT, [])
    assert created.session_id == "ses_theirs"


@pytest.mark.parametrize(
    "complaint",
    [
        {"detail": [{"type": "x", "loc": ["body", "transcript_language"], "msg": "m", "input": {"model": "pro"}}]},
        {"error": {"code": "BAD_REQUEST", "message": "Field 'body -> transcript_language'"}},
        {"error": {"code": "invalid_request", "details": {"field": "transcript_language"}}},
    ],
)
def test_an_optional_field_that_is_not_taken_is_dropped_once(
    complaint: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    script = Script(ok(complaint, 422), ok({"session_id": SESSION}, 201))
    with caplog.at_level(logging.WARNING):
        script.client().create(SESSION, VISIT, ["soap"])
    first, second = map(body_of, script.asked)
    assert first.keys() - second.keys() == {"transcript_language"}
    assert "transcript_language" in caplog.text
    assert "Asha" not in caplog.text


def test_a_complaint_that_stays_is_refused_after_one_repeat() -> None:
    script = Script(ok({"error": {"code": "x", "message": "model and session_mode"}}, 400))
    client = script.client()
    assert kind_of(lambda: client.create(SESSION, VISIT, [])) is Kind.REQUEST_REFUSED
    assert len(script.asked) == 2


def test_a_session_that_exists_counts_as_created_once_it_is_seen() -> None:
    upload_url = f"{BASE}/elsewhere"
    script = Script(
        httpx.Response(409), ok({"session_id": SESSION, "status": "created", "upload_url": upload_url}, 202)
    )
    assert script.client().create(SESSION, VISIT, []) == SessionCreated(SESSION, upload_url)
    unseen = Script(httpx.Response(409), ok({"error": {"code": "session_not_found"}}, 404)).client()
    assert kind_of(lambda: unseen.create(SESSION, VISIT, [])) is Kind.SESSION_EXISTS


@pytest.mark.parametrize(
    ("upload_url", "goes_to"),
    [
        (f"{BASE}/up/1", f"{BASE}/up/1/audio_3.wav"),
        ("https://SCRIBE.example:443/up%2F1/?a=b", "https://scribe.example/up%2F1/audio_3.wav?a=b"),
        ("/voice/v2/up", "https://scribe.example/voice/v2/up/audio_3.wav"),
        ("", f"{BASE}/sessions/{SESSION}/audio/audio_3.wav"),
        ("https://evil.example/up", f"{BASE}/sessions/{SESSION}/audio/audio_3.wav"),
        ("http://scribe.example/up", f"{BASE}/sessions/{SESSION}/audio/audio_3.wav"),
        ("https://scribe.example:8443/up", f"{BASE}/sessions/{SESSION}/audio/audio_3.wav"),
        ("https://me@scribe.example/up", f"{BASE}/sessions/{SESSION}/audio/audio_3.wav"),
        ("wss://scribe.example/up", f"{BASE}/sessions/{SESSION}/audio/audio_3.wav"),
        ("file:///etc/passwd", f"{BASE}/sessions/{SESSION}/audio/audio_3.wav"),
        ("http://169.254.169.254/latest", f"{BASE}/sessions/{SESSION}/audio/audio_3.wav"),
        ("https://[", f"{BASE}/sessions/{SESSION}/audio/audio_3.wav"),
    ],
)
def test_audio_goes_to_the_configured_service_alone(upload_url: str, goes_to: str) -> None:
    script = Script(httpx.Response(204))
    created = SessionCreated(SESSION, upload_url)
    script.client().upload(created, 3, b"\x00\xff", "audio/webm;codecs=opus", ".wav")
    (request,) = script.asked
    assert str(request.url) == goes_to
    assert request.content == b"\x00\xff"
    assert request.headers["content-type"] == "audio/webm;codecs=opus"


def test_end_says_how_many_and_an_ended_session_is_ended() -> None:
    script = Script(ok({"session_id": SESSION, "status": "processing", "audio_files_received": 3}, 202))
    assert script.client().end(SESSION, 3) == SessionEnded(3)
    assert body_of(script.asked[0]) == {"audio_files_sent": 3}
    for body in ({"error": {"code": "session_already_ended"}}, {"detail": "Session already ended"}):
        assert Script(ok(body, 400)).client().end(SESSION, 3) == SessionEnded()


def test_waiting_is_asked_for_only_when_wanted() -> None:
    script = Script(ok({"status": "processing"}, 202))
    client = script.client()
    client.status(SESSION)
    client.status(SESSION, wait_seconds=20.0)
    assert [str(request.url) for request in script.asked] == [
        f"{BASE}/sessions/{SESSION}",
        f"{BASE}/sessions/{SESSION}?wait=20",
    ]


def test_templates_come_from_whichever_list_the_service_has() -> None:
    items = {"items": [{"id": "t1", "title": "SOAP", "desc": "d"}, {"title": "no id"}]}
    script = Script(httpx.Response(500), ok(items))
    assert script.client().templates() == (TemplateInfo("t1", "SOAP", "d"),)
    assert script.asked[1].url.path == "/voice/api/v1/template"
    first = Script(ok({"templates": [{"id": "soap"}]})).client()
    assert first.templates() == (TemplateInfo("soap", "soap", ""),)
    assert kind_of(Script(httpx.Response(500)).client().templates) is Kind.SERVICE_BROKEN


def test_another_note_is_asked_for_by_its_template() -> None:
    script = Script(ok({"document_id": "d1", "status": "processing"}, 202))
    accepted = script.client().process_template(SESSION, "a/b c")
    assert (accepted.template_id, accepted.document_id) == ("a/b c", "d1")
    assert script.asked[0].url.raw_path.decode().endswith(f"/sessions/{SESSION}/process/template/a%2Fb%20c")


def test_the_token_is_asked_for_at_each_call_and_shown_nowhere() -> None:
    tokens = iter(["first", "second", "bad\r\nX-Evil: 1"])
    script = Script(ok({"status": "completed"}))
    client = script.client(token=lambda: next(tokens))
    client.status(SESSION)
    client.status(SESSION)
    assert [r.headers["authorization"] for r in script.asked] == ["Bearer first", "Bearer second"]
    assert kind_of(lambda: client.status(SESSION)) is Kind.NOT_SIGNED_IN
    assert len(script.asked) == 2
    assert TOKEN not in repr(Script(httpx.Response(200)).client())


@pytest.mark.parametrize("session_id", ["", "..", "../x", "a/b", "a?b", "x" * 201, "a\x00b", "a b"])
def test_an_id_that_is_no_part_of_an_address_is_never_sent(session_id: str) -> None:
    script = Script(ok({"status": "completed"}))
    assert kind_of(lambda: script.client().status(session_id)) is Kind.SESSION_UNKNOWN
    assert script.asked == []


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("http://scribe.example/v1", Kind.INSECURE),
        ("http://10.0.0.1/v1", Kind.INSECURE),
        ("http://127.0.0.1.evil.example/v1", Kind.INSECURE),
        ("ftp://scribe.example", Kind.NOT_A_SCRIBE_SERVICE),
        ("scribe.example/v1", Kind.NOT_A_SCRIBE_SERVICE),
        ("https://me:secret@scribe.example", Kind.NOT_A_SCRIBE_SERVICE),
        ("https://", Kind.NOT_A_SCRIBE_SERVICE),
        ("https://a.example:x", Kind.NOT_A_SCRIBE_SERVICE),
        ("", Kind.NOT_A_SCRIBE_SERVICE),
    ],
)
def test_an_address_that_may_not_be_used_is_refused_at_once(address: str, kind: Kind) -> None:
    assert kind_of(lambda: ScribeClient(address, TOKEN)) is kind


@pytest.mark.parametrize(
    "address", ["http://127.0.0.1:9/v1", "http://localhost:9", "http://[::1]:9/", "https://a.example"]
)
def test_this_computer_needs_no_https(address: str) -> None:
    ScribeClient(address, TOKEN).close()
