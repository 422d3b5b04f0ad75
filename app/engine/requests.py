"""One request of a session, carried out: a blocking call that always comes back as a fact. Runs on a worker."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from app.audio.encoder import extension
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
from app.core.scribe import Discovery, SessionResult, TemplateInfo
from app.protocol.answer import RequestRefused

_log = logging.getLogger(__name__)
_LONGEST_HOLD_SECONDS = 8.0


class ScribeService(Protocol):
    """A scribe service as the engine sees it. Each call blocks and raises :class:`RequestRefused`."""

    def discover(self) -> Discovery:
        """What the service offers."""
        ...

    def templates(self) -> tuple[TemplateInfo, ...]:
        """The templates on offer."""
        ...

    def create(self, session_id: str, visit: Visit, templates: tuple[str, ...]) -> SessionCreated:
        """Make a session."""
        ...

    def upload(self, created: SessionCreated, index: int, data: bytes, media_type: str, extension: str) -> None:
        """Send one chunk; the same bytes each time."""
        ...

    def status(self, session_id: str, wait_seconds: float = 0.0) -> SessionResult:
        """How the session stands; the service may hold the answer for ``wait_seconds``."""
        ...

    def end(self, session_id: str, audio_files_sent: int) -> SessionEnded:
        """No more chunks will come."""
        ...

    def process_template(self, session_id: str, template_id: str) -> NoteAccepted:
        """Ask for another note."""
        ...

    def close(self) -> None:
        """Let go of connections."""
        ...


@dataclass(frozen=True)
class Call:
    """A request with all that it takes, gathered on the engine's thread."""

    request: Request
    service: ScribeService
    created: SessionCreated | None
    media_type: str
    read_chunk: Callable[[int], bytes]
    hold_seconds: float
    """How long the service may hold a status answer back."""


def carry_out(call: Call) -> Fact:
    """Put a request to the service and tell what came of it. Raises nothing."""
    request = call.request
    try:
        return _put(call)
    except RequestRefused as refusal:
        return RequestFailed(request, refusal.problem, refusal.retry_after_seconds)
    except OSError as error:
        _log.error("A chunk could not be read back: %s", type(error).__name__)
        return RequestFailed(request, Problem(ProblemKind.CHUNK_REFUSED, "unreadable on this computer's disk"))
    except Exception as bug:  # noqa: BLE001 - a worker that dies in silence would leave the session waiting for ever
        return RequestFailed(request, bug_problem(type(request).__name__, bug))


def bug_problem(doing: str, bug: Exception) -> Problem:
    """Log where a bug is, without its message, which may quote; and the problem that tells people of it."""
    where = "".join(traceback.format_tb(bug.__traceback__))
    _log.error("%s met %s\n%s", doing, type(bug).__name__, where)
    return Problem(ProblemKind.BUG, type(bug).__name__)


def _put(call: Call) -> Fact:
    service, created = call.service, call.created
    if isinstance(call.request, CreateSession):
        return service.create(call.request.session_id, call.request.visit, call.request.templates)
    assert created is not None
    match call.request:
        case UploadChunk(index) as chunk:
            data = call.read_chunk(index)
            service.upload(created, chunk.number, data, call.media_type, extension(call.media_type))
            return ChunkUploaded(index)
        case ReadStatus(may_wait):
            hold_seconds = min(call.hold_seconds, _LONGEST_HOLD_SECONDS) if may_wait else 0.0
            return StatusRead(service.status(created.session_id, hold_seconds))
        case EndSession(count):
            return service.end(created.session_id, count)
        case ProcessTemplate(template_id):
            return service.process_template(created.session_id, template_id)
