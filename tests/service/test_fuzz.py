"""Whatever is sent, the service answers with what its OpenAPI document declares, and never with a 5xx."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode, SerializationContext
from schemathesis.checks import (
    content_type_conformance,
    not_a_server_error,
    response_headers_conformance,
)
from schemathesis.specs.openapi.checks import response_schema_conformance, status_code_conformance

from tests.service.peer import HOST, TOKEN, Peer, serving, wav

EXAMPLES_AN_OPERATION = 30
HEADERS = {"Authorization": f"Bearer {TOKEN}"}
DECLARED = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    response_headers_conformance,
]
OPERATIONS = [
    "GET /.well-known/medscribealliance",
    "GET /voice/v1/.well-known/medscribealliance",
    "POST /voice/v1/sessions",
    "GET /voice/v1/sessions/{session_id}",
    "POST /voice/v1/sessions/{session_id}/audio/{file_name}",
    "POST /voice/v1/sessions/{session_id}/end",
    "POST /voice/v1/sessions/{session_id}/process/template/{template_id}",
    "GET /voice/v1/templates",
    "GET /voice/v1/webhooks",
    "POST /voice/v1/webhooks",
    "DELETE /voice/v1/webhooks/{webhook_id}",
]


@schemathesis.serializer("audio/wav", "audio/ogg", "audio/flac")
def _as_bytes(_context: SerializationContext, value: Any) -> bytes:
    return value if isinstance(value, bytes) else json.dumps(value).encode()


@pytest.fixture
def peer(tmp_path: Path) -> Iterator[Peer]:
    with serving(tmp_path / "data") as running:
        yield running


@pytest.fixture
def operations(peer: Peer) -> dict[str, Any]:
    schema = schemathesis.openapi.from_dict(peer.client.get("/openapi.json", checked=False).json())
    return {label: schema[label.split(" ")[1]][label.split(" ")[0]] for label in OPERATIONS}


def test_every_operation_is_fuzzed(peer: Peer) -> None:
    paths = peer.client.get("/openapi.json", checked=False).json()["paths"]
    declared = [f"{method.upper()} {path}" for path, methods in paths.items() for method in methods]
    assert sorted(declared) == sorted(OPERATIONS)


@pytest.mark.fault("L4")
@pytest.mark.parametrize("label", OPERATIONS)
def test_only_declared_answers(peer: Peer, operations: dict[str, Any], label: str) -> None:
    operation = operations[label]
    cases: st.SearchStrategy[Any] = st.one_of([operation.as_strategy(mode) for mode in GenerationMode])
    ours = st.sampled_from([None, *_sessions(peer)])
    numbers = st.integers(0, 30)

    @settings(
        max_examples=EXAMPLES_AN_OPERATION,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=cases, session=ours, number=numbers, real=st.booleans())
    def holds(case: Any, session: str | None, number: int, real: bool) -> None:
        _aim(case, session, number, real)
        answer = _send(peer, case)
        case.validate_response(answer, checks=DECLARED)

    holds()


def _send(peer: Peer, case: Any) -> httpx.Response:
    wanted = case.as_transport_kwargs(base_url=f"http://{HOST}", headers=HEADERS)
    fields = ("method", "url", "headers", "files", "data", "params", "auth", "cookies", "hooks", "json")
    ready = requests.Request(**{name: value for name, value in wanted.items() if name in fields}).prepare()
    return peer.client.request(
        ready.method or "GET",
        ready.url or "",
        content=ready.body or b"",
        headers=[(name, value) for name, value in ready.headers.items() if name.lower() != "host"],
    )


def _sessions(peer: Peer) -> list[str]:
    """A session of each kind, so that not every request meets a 404."""
    opened, done = peer.client.create(), peer.client.create(templates=["plain", "broken"])
    peer.client.upload(done, 0)
    peer.client.end(done, 1)
    peer.client.result(done)
    return [opened, done]


def _aim(case: Any, session: str | None, number: int, real: bool) -> None:
    """Point a generated request at something that exists, and keep long polls from being long."""
    if session is not None and "session_id" in case.path_parameters:
        case.path_parameters["session_id"] = session
    if real and "file_name" in case.path_parameters:
        case.path_parameters["file_name"] = f"audio_{number}.wav"
        case.media_type, case.body = "audio/wav", wav(number, seconds=0.1)
    if str((case.query or {}).get("wait", "")).isdigit():
        case.query["wait"] = 0


def test_undeclared_methods_are_405(peer: Peer) -> None:
    paths = {path for _, path in (label.split(" ") for label in OPERATIONS)}
    undeclared = [
        (method, path)
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "TRACE", "HEAD", "OPTIONS")
        for path in sorted(paths)
        if f"{method} {path}" not in OPERATIONS
    ]
    for method, path in undeclared:
        plain = path.replace("{", "").replace("}", "")
        answer = peer.client.request(method, f"http://127.0.0.1:7000{plain}", checked=False)
        assert (method, path, answer.status_code) == (method, path, 405)
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["allow"]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@pytest.mark.fault("X8")
@settings(max_examples=60, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck))
@given(name=st.text(min_size=1, max_size=300))
@example(name="../../x")
@example(name="CON")
@example(name="a:b")
@example(name="\x00")
def test_no_name_becomes_a_path(peer: Peer, name: str) -> None:
    session = peer.client.create()
    quoted = "".join(f"%{byte:02X}" for byte in name.encode(errors="replace"))
    answers: list[httpx.Response] = [
        peer.client.get(f"/sessions/{quoted}"),
        peer.client.upload(session, 0, name=quoted),
        peer.client.post(f"/sessions/{session}/process/template/{quoted}"),
        peer.client.post("/sessions", json={"session_id": name.encode(errors="replace").decode()}),
    ]
    assert all(answer.status_code in (400, 404, 405) for answer in answers)
    assert peer.client.get(f"/sessions/{session}").json()["audio_files"] == []


@settings(max_examples=60, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck))
@given(body=json_values)
def test_any_json_ends_nothing_but_a_count(peer: Peer, body: Any) -> None:
    content = json.dumps(body).encode()
    answer = peer.client.post(
        "/sessions/ses_nobody/end", content=content, headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == 400
