"""A request always comes back as a fact, whatever the service or the disk does."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from app.core.events import (
    ChunkUploaded,
    CreateSession,
    EndSession,
    Fact,
    NoteAccepted,
    ProcessTemplate,
    ReadStatus,
    Request,
    RequestFailed,
    SessionCreated,
    SessionEnded,
    StatusRead,
    UploadChunk,
    Visit,
)
from app.core.problems import Problem, ProblemKind
from app.core.scribe import ServiceStatus
from app.engine.local_service import Address
from app.engine.requests import Call, carry_out
from app.protocol.answer import RequestRefused
from tests.engine.stand_ins import Connection, Kept, ScribeServer

CREATE = CreateSession("ses", Visit(), ("soap",))
ALL: tuple[Request, ...] = (CREATE, UploadChunk(0), ReadStatus(), EndSession(0), ProcessTemplate("hpi"))


def unreadable(_index: int) -> bytes:
    raise FileNotFoundError


def put(
    request: Request, server: ScribeServer | None = None, read_chunk: Callable[[int], bytes] = lambda _: b"chunk"
) -> Fact:
    if server is None:
        server = ScribeServer()
        server.sessions["ses"] = Kept(["soap"])
    connection = Connection(server, Address("https://scribe.example", "token"))
    return carry_out(Call(request, connection, SessionCreated("ses"), "audio/wav", read_chunk, 30.0))


def test_each_request_has_its_fact() -> None:
    assert put(CREATE, ScribeServer()) == SessionCreated("ses")
    assert put(UploadChunk(0)) == ChunkUploaded(0)
    assert put(EndSession(0)) == SessionEnded(0)
    assert put(ProcessTemplate("hpi")) == NoteAccepted("hpi")
    status = put(ReadStatus())
    assert isinstance(status, StatusRead)
    assert status.result.status is ServiceStatus.OPEN


@pytest.mark.parametrize("request_", ALL, ids=lambda r: type(r).__name__)
def test_a_refusal_tells_which_request_and_when_to_come_again(request_: Request) -> None:
    class Busy(Connection):
        def _call(self, name: str, work: Callable[[], object]) -> object:  # type: ignore[override]
            raise RequestRefused(Problem(ProblemKind.SERVICE_BUSY), 7.0)

    busy = Busy(ScribeServer(), Address("https://scribe.example", "token"))
    fact = carry_out(Call(request_, busy, SessionCreated("ses"), "audio/wav", lambda _: b"", 0.0))
    assert fact == RequestFailed(request_, Problem(ProblemKind.SERVICE_BUSY), 7.0)


def test_a_chunk_that_cannot_be_read_back_is_that_chunks_trouble_alone() -> None:
    fact = put(UploadChunk(3), read_chunk=unreadable)
    assert isinstance(fact, RequestFailed)
    assert fact.request == UploadChunk(3)
    assert fact.problem.kind is ProblemKind.CHUNK_REFUSED
    assert "disk" in fact.problem.detail


def test_a_bug_is_told_and_logged_without_what_it_quotes(caplog: pytest.LogCaptureFixture) -> None:
    def buggy(_index: int) -> bytes:
        words = "Mrs Jones has a cough"
        raise ValueError(words)

    fact = put(UploadChunk(0), read_chunk=buggy)
    assert fact == RequestFailed(UploadChunk(0), Problem(ProblemKind.BUG, "ValueError"))
    assert "in buggy" in caplog.text
    assert "Jones" not in caplog.text


@pytest.mark.parametrize(
    ("may_wait", "offered", "asked"), [(False, 30.0, 0.0), (True, 30.0, 8.0), (True, 5.0, 5.0), (True, 0.0, 0.0)]
)
def test_the_service_may_hold_an_answer_only_when_it_offers_that_and_not_for_long(
    may_wait: bool, offered: float, asked: float
) -> None:
    waits: list[float] = []

    class Listening(Connection):
        def status(self, session_id: str, wait_seconds: float = 0.0):  # type: ignore[no-untyped-def]
            waits.append(wait_seconds)
            return super().status(session_id, wait_seconds)

    server = ScribeServer()
    server.sessions["ses"] = Kept([])
    listening = Listening(server, Address("https://scribe.example", "token"))
    carry_out(Call(ReadStatus(may_wait), listening, SessionCreated("ses"), "audio/wav", unreadable, offered))
    assert waits == [asked]
