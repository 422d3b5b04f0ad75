"""Whatever a service answers, what comes out is a noun or our own refusal, in bounded memory and time."""

from __future__ import annotations

import base64
import json
import os
import socket
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import is_dataclass
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import httpx
import pytest

from app.core.events import NoteAccepted, SessionCreated, SessionEnded, Visit
from app.core.problems import ProblemKind as Kind
from app.core.scribe import SessionResult
from app.protocol.answer import MAX_ANSWER_BYTES, RequestRefused, parse_json
from app.protocol.client import ScribeClient
from app.protocol.reading import is_session_id
from app.protocol.values import moment
from app.protocol.values import text as read_text
from app.protocol.wire import Patience, Wire
from tests.faults.mutants import GOOD, mutant
from tests.protocol.scripted import BASE, SESSION, TOKEN, RawServer, Script, answer, kind_of

SEED = int(os.environ.get("SCRIBEDESK_FUZZ_SEED", "20260101"))
ANSWERS = int(os.environ.get("SCRIBEDESK_FUZZ_ANSWERS", "100000"))
ROOM_KIB = 64 * 1024


# Generated answers ------------------------------------------------------------------------------------------------


def call_of(kind: str, client: ScribeClient) -> Callable[[], object]:
    calls: dict[str, Callable[[], object]] = {
        "discovery": client.discover,
        "templates": client.templates,
        "create": partial(client.create, SESSION, Visit(), ["soap"]),
        "upload": partial(client.upload, SessionCreated(SESSION), 0, b"x", "audio/wav", "wav"),
        "status": partial(client.status, SESSION),
        "end": partial(client.end, SESSION, 1),
        "note": partial(client.process_template, SESSION, "soap"),
    }
    return calls[kind]


def fuzz(kind: str, seeds: range) -> int:
    """How many of the answers were taken; each that is neither taken nor refused ends the test and tells its seed."""
    taken = 0
    answers: list[httpx.Response] = []
    client = ScribeClient(BASE, TOKEN, transport=httpx.MockTransport(lambda _: answers[-1]))
    call = call_of(kind, client)
    for seed in seeds:
        status, headers, body = mutant(kind, Random(seed))
        answers[:] = [httpx.Response(status, headers=headers, content=body)]
        client._foreign_version = ""
        taken += was_taken(call, f"{kind}, seed {seed}")
    return taken


def was_taken(call: Callable[[], object], where: str) -> bool:
    try:
        check_noun(call())
    except RequestRefused as refused:
        detail = refused.problem.detail
        if len(detail) > 200 or not detail.isprintable() or TOKEN in detail:
            raise AssertionError(f"{where}: the detail is not harmless") from refused
        return False
    except Exception as error:
        raise AssertionError(f"{where}: {type(error).__name__}") from error
    return True


def check_noun(noun: object) -> None:
    """It can be kept, sent on and shown, and is about the session that was asked about."""
    for text in texts_in(noun):
        text.encode()
    if isinstance(noun, SessionResult):
        json.dumps(noun.raw, allow_nan=False).encode()
        assert noun.session_id == SESSION
        assert read_text(noun.raw.get("session_id")) in ("", SESSION)
    elif isinstance(noun, SessionCreated):
        assert is_session_id(noun.session_id)
    elif isinstance(noun, SessionEnded):
        assert noun.audio_files_received is None or noun.audio_files_received >= 0
    elif isinstance(noun, NoteAccepted):
        assert noun.template_id == "soap"


def texts_in(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from texts_in([*value.keys(), *value.values()])
    elif isinstance(value, list | tuple):
        for item in value:
            yield from texts_in(item)
    elif is_dataclass(value):
        yield from texts_in(vars(value))


@pytest.mark.fault("S11", "S12", "S13", "S15", "X7")
@pytest.mark.parametrize("kind", GOOD)
def test_a_good_answer_is_taken_and_a_generated_one_is_taken_or_refused(kind: str) -> None:
    count = 5000 // len(GOOD)
    taken = fuzz(kind, range(SEED, SEED + count))
    assert count * 0.05 < taken < count, f"seed {SEED}: the answers are all good or all bad, and show nothing"


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.fault("S11", "S12", "S13", "S15", "X7")
@pytest.mark.parametrize("kind", GOOD)
def test_a_hundred_thousand_generated_answers(kind: str) -> None:
    """Over all kinds together; SCRIBEDESK_FUZZ_ANSWERS and SCRIBEDESK_FUZZ_SEED ask for more and for others."""
    count = ANSWERS // len(GOOD) + 1
    sys.stdout.write(f"{kind}: seeds from {SEED}, {count} answers\n")
    assert fuzz(kind, range(SEED, SEED + count))


# Bombs ------------------------------------------------------------------------------------------------------------

FULL = MAX_ANSWER_BYTES - 100
EMOJI = "🩺".encode()


def repeated(start: bytes, piece: bytes, end: bytes, size: int = FULL) -> bytes:
    return start + piece * ((size - len(start) - len(end)) // len(piece)) + end


def session(transcript: bytes) -> bytes:
    return b'{"status": "completed", "transcript": "' + transcript + b'"}'


def packed(megabytes: int) -> bytes:
    packer = zlib.compressobj(wbits=31)
    start, more = (packer.compress(bytes(1024 * 1024)) + packer.flush(zlib.Z_FULL_FLUSH) for _ in range(2))
    return start + more * (megabytes - 1)


def base64_of(inner: bytes) -> bytes:
    return b'{"templates": {"soap": {"encoding": "base64", "data": "' + base64.b64encode(inner) + b'"}}}'


def flood(piece: bytes, head: bytes) -> Callable[[socket.socket], None]:
    """A server that never stops."""

    def talk(line: socket.socket) -> None:
        line.sendall(head)
        while True:
            line.sendall(piece)

    return talk


UNREADABLE, UNREACHABLE, TAKEN = Kind.ANSWER_UNREADABLE.value, Kind.UNREACHABLE.value, "taken"
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
BODIES: dict[str, tuple[Callable[[], bytes], str]] = {
    "objects": (lambda: repeated(b"[", b"{},", b"{}]"), UNREADABLE),
    "lists-in-lists": (lambda: repeated(b'{"status": [', b"[[[0]]],", b"0]}"), UNREADABLE),
    "numbers": (lambda: repeated(b'{"status": [', b"1,", b"1]}"), UNREADABLE),
    "deep": (lambda: b"[" * FULL, UNREADABLE),
    "deep-objects": (lambda: repeated(b"", b'{"a":', b""), UNREADABLE),
    "keys": (lambda: b"{" + b",".join(b'"%d":%d' % (n, n) for n in range(1_000_000)) + b"}", UNREADABLE),
    "digits": (lambda: repeated(b'{"status": ', b"9", b"}"), TAKEN),
    "long-text": (lambda: session(b"word " * (FULL // 5 - 20)), TAKEN),
    "long-and-many": (
        lambda: (
            b'{"utterances": [' + b'{"text": "a"},' * 20_000 + b'{}], "transcript": "' + b"a" * 13_500_000 + b'"}'
        ),
        TAKEN,
    ),
    "many": (lambda: b'{"status": "open", "utterances": [' + b'{"text": "a"},' * 100_000 + b"{}]}", TAKEN),
    "half-wide-text": (lambda: session(b"a" * 8_400_000 + "क".encode()), TAKEN),
    "half-text": (lambda: session("क".encode() * 2_800_000), TAKEN),
    "fitting-wide-text": (lambda: session(b"a" * 5_000_000 + EMOJI), TAKEN),
    "halves-of-characters": (lambda: session(rb"\ud800" + b"a" * 5_000_000), TAKEN),
    "wide-text": (lambda: session(b"a" * (FULL - 200) + EMOJI), UNREADABLE),
    "wide-escape": (lambda: session(b"a" * (FULL - 200) + rb"\ud83e\ude7a"), UNREADABLE),
    "base64-wide": (lambda: base64_of(b"a" * (FULL * 3 // 4 - 200) + EMOJI), TAKEN),
    "base64-objects": (lambda: base64_of(repeated(b"[", b"{},", b"{}]", FULL * 3 // 4 - 200)), TAKEN),
    "small-base64-objects": (lambda: base64_of(repeated(b"[", b"{},", b"{}]", 2_900_000)), TAKEN),
    "small-base64-wide": (lambda: base64_of(b"a" * 2_900_000 + EMOJI), TAKEN),
    "create-objects": (lambda: repeated(b"[", b"{},", b"{}]"), UNREADABLE),
    "too-long": (lambda: session(b"a" * 100_000_000), UNREADABLE),
}
TALKS: dict[str, tuple[Callable[[socket.socket], None], str]] = {
    "gzip": (lambda line: line.sendall(answer(packed(1024), "Content-Encoding: gzip")), UNREADABLE),
    "gzip-in-transfer": (lambda line: line.sendall(answer(packed(64), "Transfer-Encoding: gzip")), UNREACHABLE),
    "endless": (flood(b"10000\r\n" + b"a" * 65536 + b"\r\n", OK + b"Transfer-Encoding: chunked\r\n\r\n"), UNREADABLE),
    "endless-to-the-end": (flood(b"a" * 65536, OK + b"\r\n"), UNREADABLE),
    "endless-headers": (flood(b"X-A: b\r\n" * 1000, OK), UNREACHABLE),
    "endless-header": (flood(b"a" * 65536, OK + b"X-A: "), UNREACHABLE),
    "refusal": (
        lambda line: line.sendall(answer(b'{"error": "' + b"a b " * 4_000_000 + b'"}', status="400 No")),
        Kind.REQUEST_REFUSED.value,
    ),
}


def bomb(line: socket.socket, name: str) -> None:
    if name in TALKS:
        TALKS[name][0](line)
    elif name in BODIES:
        line.sendall(answer(BODIES[name][0](), "Content-Type: application/json"))
    else:
        line.sendall(answer(session(b"hello")))


@pytest.mark.fault("X5", "X7", "S16")
@pytest.mark.skipif(sys.platform != "linux", reason="counts memory as Linux does")
@pytest.mark.parametrize(
    "names",
    [("gzip", "endless", "objects", "wide-text"), pytest.param((*BODIES, *TALKS), marks=pytest.mark.slow)],
    ids=["some", "all"],
)
def test_no_bomb_fills_memory(names: Sequence[str]) -> None:
    def talk(line: socket.socket) -> None:
        first = server.heads[-1].split(b"\r\n")[0].decode()
        bomb(line, asked.pop(0) if first.startswith("POST") else first.split(" ")[1].rpartition("/")[2])

    asked = [name for name in BODIES if name.startswith("create")]
    with RawServer(talk, reads_bodies=True) as server:
        told = subprocess.run(
            [sys.executable, "-m", "tests.faults.bombed", server.url, *names],
            cwd=Path(__file__).parents[2],
            capture_output=True,
            timeout=100,
            check=True,
        )
    met = json.loads(told.stdout)
    outcomes = {name: outcome for name, (_, outcome) in [*BODIES.items(), *TALKS.items()]}
    sys.stdout.write(f"grew by KiB: { {name: kib for name, (_, kib) in met.items()} }\n")
    assert {name: outcome for name, (outcome, _) in met.items()} == {name: outcomes[name] for name in names}
    too_big = {name: kib for name, (_, kib) in met.items() if kib > ROOM_KIB}
    assert not too_big, f"grew by KiB: {too_big}"


# Time -------------------------------------------------------------------------------------------------------------

HURRY = Patience(total_seconds=1.2, read_seconds=30.0)


def drip(head: bytes, piece: bytes, seconds: float) -> RawServer:
    """A server that says a little every now and then, for ever."""

    def talk(line: socket.socket) -> None:
        line.sendall(head)
        while not server.stopped.wait(seconds):
            line.sendall(piece)

    server = RawServer(talk)
    return server


@pytest.mark.fault("X6")
@pytest.mark.parametrize(
    ("head", "piece", "seconds"),
    [
        (OK + b"Content-Length: 1000000\r\n\r\n", b"a", 0.5),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\na\r\n", 0.1),
        (OK + b"X-Long: ", b"a", 0.5),
        (b"", b"HTTP/1.1 103 Early Hints\r\n\r\n", 0.01),
        (b"", b"", 30.0),
    ],
    ids=["body", "chunks", "headers", "early hints", "silence"],
)
def test_an_answer_that_never_ends_is_given_up_at_the_deadline(head: bytes, piece: bytes, seconds: float) -> None:
    with drip(head, piece, seconds) as server:
        wire = Wire(server.url, TOKEN, None, "test")
        started = time.monotonic()
        kind = kind_of(lambda: wire.send("GET", httpx.URL(server.url), HURRY))
        assert 1.0 < time.monotonic() - started < 3.0
        assert kind is Kind.TIMED_OUT
        wire.close()


@pytest.mark.slow
@pytest.mark.fault("X6")
def test_a_drip_of_a_byte_each_half_second_ends_for_the_client_as_it_is() -> None:
    with drip(OK + b"Content-Length: 1000000\r\n\r\n", b"a", 0.5) as server:
        client = ScribeClient(server.url, TOKEN)
        started = time.monotonic()
        assert kind_of(client.discover) is Kind.TIMED_OUT
        assert time.monotonic() - started < 32
        client.close()


@pytest.mark.fault("X6")
@pytest.mark.parametrize("kind", GOOD)
def test_every_call_has_a_deadline(kind: str) -> None:
    script = Script(httpx.Response(200, json=GOOD[kind]))
    call_of(kind, script.client())()
    assert all(10 <= request.extensions["timeout"]["pool"] <= 61 for request in script.asked)


# Values -----------------------------------------------------------------------------------------------------------


@pytest.mark.fault("S13")
@pytest.mark.parametrize("expires_at", [None, "", "soon", "9999-12-31T23:59:59Z", "NaN", -1, 10**400, [], {}, True])
def test_an_expiry_that_is_none_is_not_believed(expires_at: Any) -> None:
    body = json.dumps({"session_id": SESSION, "expires_at": expires_at}).encode()
    created = Script(httpx.Response(201, content=body)).client().create(SESSION, Visit(), [])
    assert created.expires_at is None


@pytest.mark.fault("S13")
def test_an_expiry_in_the_past_is_told_as_it_is() -> None:
    assert moment("2020-01-01T00:00:00Z") == 1577836800.0


@pytest.mark.fault("X7")
@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b'{"a": 1, "a": 2}', {"a": 2}),
        (b'{"a": "\\ud800", "\\udfff": "\\ud83e\\ude7a"}', {"a": "\ufffd", "\ufffd": "🩺"}),
        (b'{"a": "\xed\xa0\x80"}', {"a": "\ufffd\ufffd\ufffd"}),
        (b'{"a": NaN, "b": -Infinity}', {"a": None, "b": None}),
        (b'{"a": ' + b"9" * 5000 + b"}", {"a": "9" * 5000}),
        (b'{"a": -1' + b"0" * 299 + b"}", {"a": "-1" + "0" * 299}),
        (b'{"a": 1e999}', {"a": "1e999"}),
        (b"[" * 64 + b"]" * 64, None),
        (b"[" * 65 + b"]" * 65, RequestRefused),
        (b"[" * 100_000 + b"]" * 100_000, RequestRefused),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, RequestRefused),
        (b'"\\u0000"', "\x00"),
        (b'{"a": 1}garbage', RequestRefused),
        (b"\xff\xfe{\x00}\x00", RequestRefused),
        (b"", RequestRefused),
    ],
    ids=lambda value: repr(value)[:24] if isinstance(value, bytes) else "",
)
def test_json_that_is_legal_and_vicious(body: bytes, value: Any) -> None:
    if value is RequestRefused:
        assert kind_of(lambda: parse_json(body)) is Kind.ANSWER_UNREADABLE
        return
    parsed = parse_json(body)
    json.dumps(parsed, allow_nan=False).encode()
    assert value is None or parsed == value
