"""Every dialect becomes the same nouns; nothing a server says can raise anything but our own refusal."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from random import Random
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.events import SessionCreated, Visit
from app.core.problems import ProblemKind as Kind
from app.core.scribe import ProcessingError, SessionResult, Source, TemplateResult, TemplateStatus, Utterance
from app.protocol import reading, values
from app.protocol.answer import Answer, RequestRefused, parse_json
from app.protocol.refusal import Call, refusal
from tests.protocol.scripted import SESSION, Script, kind_of

SOAP = {"subjective": "Cough <50 mg", "plan": "Rest"}


def session(**fields: Any) -> SessionResult:
    return reading.read_session({"session_id": SESSION, "status": "completed", **fields}, 200, SESSION)


def only_template(entry: Any) -> TemplateResult:
    (result,) = session(templates={"soap": entry}).templates
    return result


def test_a_result_of_the_local_service_is_read_whole() -> None:
    result = session(
        transcript="one\ntwo",
        transcript_by="pocketsphinx",
        utterances=[{"chunk": 0, "text": "one", "start_seconds": 0.5, "end_seconds": 1}, {"text": "two"}],
        templates={
            "soap": {
                "status": "success",
                "data": SOAP,
                "document_id": "d",
                "made_by": "rules on this computer",
                "sources": [{"at": "/plan", "statement": "Rest", "utterance": 1, "start_seconds": 2.0}, {"at": 3}],
                "error": None,
            }
        },
        audio_files_received=2,
        audio_files=["audio_0.wav", "audio_1.wav"],
        processing_errors=[{"type": "missing_audio", "message": "m", "file": None, "missing": [1, "2", -1, None]}],
    )
    assert result.utterances == (Utterance("one", 0.5, 1.0), Utterance("two"))
    assert (result.transcript, result.transcript_by) == ("one\ntwo", "pocketsphinx")
    assert result.templates == (
        TemplateResult(
            "soap",
            TemplateStatus.SUCCESS,
            data=SOAP,
            document_id="d",
            made_by="rules on this computer",
            sources=(Source("/plan", "Rest", 1, 2.0, None),),
        ),
    )
    assert result.audio_files_received == 2
    assert result.processing_errors == (ProcessingError("missing_audio", "m", "", (1, 2)),)
    assert result.raw["templates"]["soap"]["document_id"] == "d"


@pytest.mark.parametrize(
    "templates",
    [
        {"soap": {"status": "success", "data": SOAP}, "rx": {"status": "failure", "error": "no audio"}},
        [
            {"soap": {"status": "success", "data": SOAP}},
            {"rx": {"status": "failed", "errors": [{"msg": "no audio"}]}},
        ],
        [
            {"template_id": "soap", "status": "completed", "data": SOAP},
            {"id": "rx", "status": "failed", "error": {"code": "insufficient_audio", "message": "no audio"}},
        ],
        {"soap": SOAP, "rx": {"error": ["no audio"]}},
    ],
)
def test_templates_are_read_in_every_shape(templates: Any) -> None:
    soap, rx = session(templates=templates).templates
    assert (soap.id, soap.status, soap.data) == ("soap", TemplateStatus.SUCCESS, SOAP)
    assert (rx.id, rx.status, rx.error) == ("rx", TemplateStatus.FAILED, "no audio")


@pytest.mark.parametrize(
    ("entry", "status"),
    [
        (None, TemplateStatus.PROCESSING),
        ({"status": "in-progress"}, TemplateStatus.PROCESSING),
        ({"status": "partial_success", "data": "x"}, TemplateStatus.PARTIAL),
        ({"status": "no such word", "data": "x"}, TemplateStatus.SUCCESS),
        ({"status": 7, "error": "x"}, TemplateStatus.FAILED),
        ("# Note", TemplateStatus.SUCCESS),
        (0, TemplateStatus.SUCCESS),
    ],
)
def test_a_template_stands(entry: Any, status: TemplateStatus) -> None:
    assert only_template(entry).status is status


def test_repeats_in_a_list_are_all_kept() -> None:
    results = session(templates=[{"soap": "first"}, {"soap": "second"}]).templates
    assert [result.data for result in results] == ["first", "second"]


@pytest.mark.parametrize("said", [{"encoding": "base64"}, {"type": "text/markdown;base64"}])
def test_base64_is_decoded_only_where_a_field_says_so(said: dict[str, str]) -> None:
    packed = base64.b64encode("# Note é".encode()).decode()
    assert only_template({"data": packed, **said}).data == "# Note é"
    assert only_template({"data": packed}).data == packed
    assert only_template({"data": "not base64!", **said}).data == "not base64!"
    packed = base64.b64encode(json.dumps(SOAP).encode()).decode()
    assert only_template({"data": packed, **said}).data == SOAP


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("2026-01-01T00:00:00Z", 1767225600.0),
        ("2026-01-01T05:30:00+05:30", 1767225600.0),
        ("2026-01-01T00:00:00.250000", 1767225600.25),
        (1767225600, 1767225600.0),
        ("1767225600", 1767225600.0),
        (1767225600000, 1767225600.0),
        ("9999-12-31T23:59:59Z", None),
        ("0001-01-01T00:00:00+14:00", None),
        ("soon", None),
        (float("nan"), None),
        (None, None),
        (True, None),
        ({}, None),
    ],
)
def test_a_time_is_read_in_every_form(value: Any, seconds: float | None) -> None:
    assert values.moment(value) == seconds


def test_a_name_is_no_page_and_a_few_notes_are_no_hundreds() -> None:
    page = "x" * 100_000
    result = session(
        transcript=page,
        transcript_by=page,
        message=page,
        processing_errors=[{"message": page, "file": page}] * 1000,
        templates=[
            {f"t{n}": {"data": page, "name": page, "made_by": page, "warnings": [page] * 99}} for n in range(99)
        ],
    )
    assert (len(result.transcript), len(result.transcript_by), len(result.message)) == (100_000, 300, 500)
    assert (len(result.processing_errors), len(result.templates)) == (500, 20)
    note = result.templates[0]
    assert (note.id, len(note.name), len(note.made_by), len(note.warnings)) == ("t0", 300, 300, 10)
    assert note.name.endswith("…")
    assert note.data == page
    assert len(result.raw["templates"]) == 99
    # What is to be said to the service again is there whole or not at all.
    assert reading.read_template_list([{"id": page, "name": "a"}, {"id": "soap"}])[0].id == "soap"


def test_hostile_json_is_refused_or_made_harmless() -> None:
    for body in (b"[" * 200_000, b"[" * 70 + b"]" * 70, b"{", b"", b"\xff\xfe", b"nul"):
        assert kind_of(lambda body=body: parse_json(body)) is Kind.ANSWER_UNREADABLE  # type: ignore[misc]
    value = parse_json(
        b'\xef\xbb\xbf{"a": "\\ud800x", "\\udfff": 1, "n": NaN, "big": 1' + b"0" * 5000 + b', "inf": 1e999}'
    )
    json.dumps(value, allow_nan=False).encode()
    assert value["a"] == "\ufffdx"
    assert value["n"] is None
    assert len(value["big"]) == 5001
    assert value["inf"] == "1e999"


# Generated answers ----------------------------------------------------------------------------------------------

NAMES = re.findall(
    r"\w+",
    """
session_id status transcript templates utterances sources processing_errors missing text at utterance data
error errors warnings message code detail loc msg document_id type file upload_url expires_at capabilities
models languages supported audio_formats endpoints templates_url protocol items id title name details field
speaker audio_files_received audio_files max_chunk_duration_seconds long_poll_seconds start_seconds encoding
txn_id
""",
)
NUMBERS = (None, True, False, 0, -1, 3, 0.5, 1e300, 10**30, float("nan"), float("inf"))
WORDS = (SESSION, "completed", "failed", "processing", "base64", "session_ended", "Not Found", "2026-01-01", "model")
HOSTILE = ("", "x", "3", "-1", "nan", "\ud800", "\x00", "🩺", "../..", "already ended", "9" * 400, "\u202e\x1b[31m")
LEAVES = (*NUMBERS, *WORDS, *HOSTILE)
STATUSES = (200, 200, 200, 201, 202, 204, 206, 301, 400, 401, 403, 404, 409, 410, 422, 429, 500, 599, 103, 999)
UPLOAD_URLS = ("", "x", "//", "https://[::1", "https://evil.example", "../..", "\ud800", "\x00", "\u202e\x1b[31m")
READERS: tuple[Callable[[Any], object], ...] = (
    *(partial(reading.read_session, http_status=status, asked_id=SESSION) for status in (200, 202, 206, 410)),
    reading.read_discovery,
    partial(reading.read_created, asked_id=SESSION),
    partial(reading.read_ended, asked_id=SESSION),
    partial(reading.read_note, template_id="soap", asked_id=SESSION),
    reading.read_template_list,
)


def anything(chance: Random, depth: int = 4) -> Any:
    """Any JSON value, made of the protocol's own names more often than not."""
    kind = chance.random()
    if depth == 0 or kind < 0.35:
        return chance.choice(LEAVES)
    if kind < 0.55:
        return [anything(chance, depth - 1) for _ in range(chance.randrange(4))]
    return {chance.choice(NAMES): anything(chance, depth - 1) for _ in range(chance.randrange(6))}


def test_whatever_json_says_only_our_own_refusal_comes_out() -> None:
    for seed in range(4000):
        body = anything(Random(seed))
        if isinstance(body, dict):
            body["session_id"] = SESSION
        for read in READERS:
            with suppress(RequestRefused):
                read(body)


def test_whatever_is_answered_only_our_own_refusal_comes_out() -> None:
    for seed in range(600):
        chance = Random(seed)
        body = json.dumps(anything(chance)).encode() if chance.random() < 0.8 else chance.randbytes(40)
        headers = [(b"Retry-After", chance.randbytes(6)), (b"Location", body[:30])]
        client = Script(httpx.Response(chance.choice(STATUSES), content=body, headers=headers)).client()
        for call in (
            client.discover,
            client.templates,
            partial(client.create, SESSION, Visit(), ["soap"]),
            partial(client.upload, SessionCreated(SESSION, chance.choice(UPLOAD_URLS)), 0, b"", "audio/wav", "wav"),
            partial(client.status, SESSION),
            partial(client.end, SESSION, 1),
            partial(client.process_template, SESSION, "soap"),
        ):
            with suppress(RequestRefused):
                call()


_bodies = st.binary(max_size=60) | st.text(max_size=60).map(str.encode)


@settings(max_examples=200, deadline=None)
@given(body=_bodies, status=st.sampled_from(STATUSES), call=st.sampled_from(Call))
def test_every_refusal_is_one_harmless_line(body: bytes, status: int, call: Call) -> None:
    refused = refusal(call, Answer(status, {}, body))
    assert len(refused.problem.detail) <= 200
    assert "\n" not in refused.problem.detail
    assert refused.problem.detail.isprintable()


def test_how_long_a_session_lives_is_told_by_the_services_own_clock() -> None:
    body = {"session_id": SESSION, "created_at": "1999-01-01T00:00:00Z", "expires_at": "2026-01-01T01:00:00Z"}
    created = reading.read_created(body | {"created_at": "2026-01-01T00:00:00Z"}, SESSION)
    assert created.expires_at is not None
    assert created.created_at is not None
    assert created.expires_at - created.created_at == 3600.0
    assert reading.read_created(body, SESSION).created_at is None  # Not a time that anything could be made at.
