"""Answers of a service gone wrong: good ones changed a little or a lot, and noise. The same for each seed."""

from __future__ import annotations

import base64
import json
from random import Random
from typing import Any

from tests.protocol.scripted import SESSION

SOAP = {"subjective": "Cough <50 mg", "plan": ["Rest", {"name": "Amoxicillin", "dosage": "500 mg"}]}
GOOD: dict[str, Any] = {
    "discovery": {
        "protocol": "medscribealliance",
        "protocol_version": "0.1",
        "supported_versions": ["0.1"],
        "service": {"name": "Clinic", "documentation_url": "https://scribe.example/docs"},
        "endpoints": {"base_url": "https://scribe.example/v1", "templates_url": "https://scribe.example/t"},
        "capabilities": {
            "audio_formats": ["audio/webm;codecs=opus", "audio/wav"],
            "max_chunk_duration_seconds": 20,
            "upload_methods": ["chunked"],
            "long_poll_seconds": 25,
        },
        "models": [{"id": "pro", "display_name": "Pro", "languages": ["en"], "max_session_duration_seconds": 3600}],
        "languages": {"supported": ["en", "hi"], "auto_detection": True},
    },
    "templates": {
        "templates": [{"id": "soap", "name": "SOAP", "description": "d"}],
        "items": [{"id": 1, "title": "t"}],
    },
    "create": {
        "session_id": SESSION,
        "status": "created",
        "created_at": "2026-01-01T00:00:00Z",
        "expires_at": "2026-01-01T01:00:00+05:30",
        "upload_url": f"https://scribe.example/voice/v1/sessions/{SESSION}/audio",
    },
    "upload": {"status": "ok", "error": {"code": "chunk_too_large", "message": "m", "details": {"field": "model"}}},
    "status": {
        "session_id": SESSION,
        "status": "completed",
        "transcript": [{"speaker": "Doctor", "text": "one"}, "two"],
        "transcript_by": "x",
        "utterances": [{"chunk": 0, "text": "one", "start_seconds": 0.5, "end_seconds": 1}],
        "templates": {
            "soap": {
                "status": "success",
                "data": SOAP,
                "sources": [{"at": "/plan", "statement": "Rest", "utterance": 0, "start_seconds": 1.0}],
                "warnings": ["w", {"message": "m"}],
            },
            "rx": {
                "status": "failed",
                "encoding": "base64",
                "data": base64.b64encode(json.dumps(SOAP).encode()).decode(),
                "errors": [{"msg": "no audio", "code": "insufficient_audio"}],
            },
        },
        "audio_files_received": 2,
        "audio_files": ["audio_0.wav", "s3://bucket/1.webm"],
        "processing_errors": [{"type": "missing_audio", "message": "m", "file": None, "missing": [1, "2"]}],
        "message": "done",
    },
    "end": {
        "session_id": SESSION,
        "status": "processing",
        "message": "Session ended. Processing started.",
        "audio_files_received": 3,
        "audio_files": ["0.webm"],
        "detail": [{"type": "x", "loc": ["body", "audio_files_sent"], "msg": "m", "input": {"a": 1}}],
    },
    "note": {"session_id": SESSION, "document_id": "d1", "status": "processing"},
}
_WRITTEN = {kind: json.dumps(good) for kind, good in GOOD.items()}
STATUSES = (*[200] * 12, *[201, 202, 206, 410] * 3, 204, 301, 302, 308, 400, 401, 403, 404, 405, 409, 413, 415, 422)
STATUSES += (425, 429, 500, 503, 599, 103, 999)
WORDS = (
    "completed",
    "failed",
    "expired",
    "processing",
    "session_ended",
    "already ended",
    "Not Found",
    "token_expired",
)
PLACES = (
    "https://evil.example/up",
    "http://169.254.169.254/",
    "file:///etc/passwd",
    "../../..",
    "//",
    "https://[::1",
)
NASTY = (
    "",
    "x",
    "CON",
    "a:b",
    "a\x00b",
    "\ud800",
    "\udfff\ud800",
    "🩺",
    "\u202e\x1b[31m",
    "9" * 5000,
    "x" * 300,
    "nan",
)
TIMES = ("9999-12-31T23:59:59Z", "0001-01-01T00:00:00+14:00", "2026-02-30", "-1", "1e400", "2026-01-01T00:00:00")
NUMBERS = (0, -1, 1, 2**63, 10**30, -(10**4000), 1e308, -0.0, 1e-320, float("nan"), float("inf"), -float("inf"))
LEAVES: tuple[Any, ...] = (None, True, False, SESSION, {}, [], *WORDS, *PLACES, *NASTY, *TIMES, *NUMBERS)
RETRY_AFTER = ("60", "-1", "99999999", "soon", "", "Fri, 31 Dec 2100 23:59:59 GMT", "\x00", "1e9", "9" * 400)
TYPES = ("application/json", "text/html", "text/plain; charset=utf-16", "", "multipart/mixed; boundary=\x80")
NAMES = sorted({key for good in GOOD.values() for key in good} | {"text", "id", "data", "code", "items", "txn_id"})


def mutant(kind: str, chance: Random) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """Status, headers and body of one answer to a call."""
    headers = [
        (b"Content-Type", chance.choice(TYPES).encode("latin-1")),
        (b"Retry-After", chance.choice(RETRY_AFTER).encode("latin-1")),
        (b"Cache-Control", b"max-age=" + chance.randbytes(3)),
        (b"Location", chance.choice(PLACES).encode()),
    ]
    return chance.choice(STATUSES), headers, _body(kind, chance)


def _body(kind: str, chance: Random) -> bytes:
    form = chance.random()
    if form < 0.05:
        return chance.randbytes(chance.randrange(80))
    value = json.loads(_WRITTEN[kind if form < 0.9 else chance.choice(list(GOOD))])
    for _ in range(chance.choice((0, 1, 1, 2, 3, 8))):
        value = _changed(value, chance)
    text = json.dumps(value, ensure_ascii=chance.random() < 0.5)
    if form > 0.8:
        text = _doubled_key(text, chance)
    body = text.encode("utf-8", errors="surrogatepass")
    return _damaged(body, chance) if form < 0.25 else body


def _changed(value: Any, chance: Random) -> Any:
    """One place in it, found by walking down at random, is no longer what it was."""
    if not isinstance(value, dict | list) or not value or chance.random() < 0.15:
        return _instead(value, chance)
    key: Any = chance.choice(list(value)) if isinstance(value, dict) else chance.randrange(len(value))
    act = chance.random()
    if act < 0.1:
        del value[key]
    elif act < 0.2 and isinstance(value, dict):
        value[chance.choice((*NAMES, *NASTY))] = value.pop(key)
    elif act < 0.3 and isinstance(value, list):
        value.extend(value[:50])
    else:
        value[key] = _changed(value[key], chance)
    return value


def _instead(value: Any, chance: Random) -> Any:
    act = chance.random()
    if act < 0.7:
        leaf = chance.choice(LEAVES)
        return type(leaf)() if leaf in ({}, []) else leaf
    if act < 0.8:
        return [value, value]
    if act < 0.9:
        return {chance.choice((*NAMES, *NASTY)): value}
    for _ in range(chance.choice((3, 63, 70, 300))):
        value = [value] if chance.random() < 0.5 else {"data": value}
    return value


def _doubled_key(text: str, chance: Random) -> str:
    name = json.dumps(chance.choice(NAMES))
    return text.replace("{", "{" + f"{name}: {json.dumps(chance.choice(LEAVES))}, ", 1) if text != "{}" else text


def _damaged(body: bytes, chance: Random) -> bytes:
    at = chance.randrange(len(body) + 1)
    act = chance.random()
    if act < 0.3:
        return body[:at]
    if act < 0.6:
        return body[:at] + chance.randbytes(chance.randrange(1, 6)) + body[at:]
    if act < 0.8:
        return body[:at] + body[at + chance.randrange(1, 9) :]
    return body + body[:at]
