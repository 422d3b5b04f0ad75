"""What one session at the service has been given, and which request to it is next.

Order, and never ending early, fall out of one function, :meth:`Delivery.due`: create, else the lowest unsent
chunks, else compare counts, else end.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from app.core.events import (
    CreateSession,
    EndSession,
    ReadStatus,
    Request,
    SessionCreated,
    UploadChunk,
    Visit,
)
from app.core.problems import Problem, ProblemKind
from app.core.scribe import ServiceStatus, SessionResult

UPLOADS_AT_ONCE = 2
_SEND_AGAIN_ROUNDS = 2
_NEW_SESSIONS_BY_ITSELF = 3
_TRAILING_NUMBER = re.compile(r"(\d+)(?:\.\w+)?$")


class Delivery:
    """What the service session of the moment has been given and has acknowledged.

    Chunks have the visit's numbers here. The service counts from 0, which is the ``first`` of them.
    """

    def __init__(self, session_id: str, max_templates: int, generation: int = 0, first: int = 0) -> None:
        self._session_id = session_id
        self._max_templates = max_templates
        self.generation = generation
        self.first = first
        self._last_id = ""
        self._sessions_left = _NEW_SESSIONS_BY_ITSELF
        self.in_flight: set[Request] = set()
        self._start_over()

    def _start_over(self) -> None:
        self.created: SessionCreated | None = None
        self.uploaded: set[int] = set()
        self.refused: dict[int, Problem] = {}
        self.missing: tuple[int, ...] = ()
        """Chunks that the service says it lacks, after all tries."""
        self.is_ended = False
        self._must_look = False
        self._was_told_ended = False
        """An upload was refused because the session had ended there."""
        self._is_compared = False
        self._is_end_asked = False
        self._asked_about: frozenset[int] = frozenset()
        self._rounds_left = _SEND_AGAIN_ROUNDS

    def start_over(self, generation: int, *, is_wished: bool) -> None:
        """The audio goes out again, to a new service session under a new id; on somebody's wish, or by itself."""
        self._sessions_left = _NEW_SESSIONS_BY_ITSELF if is_wished else self._sessions_left - 1
        self.generation = generation
        self.in_flight.clear()
        self._start_over()

    @property
    def can_start_over_by_itself(self) -> bool:
        """A service that loses one session after the other is not asked for ever."""
        return self._sessions_left > 0

    @property
    def proposed_id(self) -> str:
        """The id that we propose: ours, and ours with a number for each further one."""
        return self._session_id + (f"{self.generation:02d}" if self.generation else "")

    @property
    def is_looking(self) -> bool:
        """An answer was lost, or not believed; the next status answer decides."""
        return self._must_look

    def unsent(self, chunks: Iterable[int]) -> list[int]:
        """Which of these were not answered yet, lowest first."""
        return [i for i in chunks if i not in self.uploaded and i not in self.refused]

    def is_delivered(self, chunks: Iterable[int]) -> bool:
        """Each chunk has been answered, one way or the other."""
        return self.created is not None and not self.unsent(chunks)

    def due(self, visit: Visit, chunks: range, *, is_complete: bool) -> list[Request]:
        """The next requests up to the accepted end, those in flight included.

        ``is_complete`` says that no more chunks will come.
        """
        if self.created is None:
            return [CreateSession(self.proposed_id, visit, visit.templates[: self._max_templates])]
        if self._must_look:
            return [ReadStatus()]
        unsent = self.unsent(chunks)
        if unsent:
            return [UploadChunk(i, self.first) for i in unsent[:UPLOADS_AT_ONCE]]
        if not is_complete or self.is_ended or not chunks:
            return []
        return [EndSession(len(chunks))] if self._is_compared else [ReadStatus()]

    def is_on_its_way(self, request: Request) -> bool:
        """Whether to leave a due request alone. One create and one question for the status at a time."""
        if isinstance(request, ReadStatus | CreateSession):
            return any(isinstance(r, type(request)) for r in self.in_flight)
        return request in self.in_flight

    def on_sent(self, request: Request) -> None:
        """A request is on its way."""
        self.in_flight.add(request)
        if isinstance(request, ReadStatus):
            self._asked_about = frozenset(self.uploaded)
        elif isinstance(request, EndSession):
            self._is_end_asked = True

    def on_answered(self, kind: type[Request]) -> None:
        """A request of which there is one at a time was answered."""
        self.in_flight = {r for r in self.in_flight if not isinstance(r, kind)}

    def on_created(self, event: SessionCreated) -> None:
        """The service has the session; go on with the id in its answer.

        Another id than last time means another session there, which has nothing yet.
        """
        if self._last_id and event.session_id != self._last_id:
            self._start_over()
        self.created, self._last_id = event, event.session_id

    def on_uploaded(self, index: int) -> None:
        """A chunk was acknowledged."""
        self.in_flight.discard(UploadChunk(index, self.first))
        self.uploaded.add(index)
        self._is_compared = False

    def on_ended(self) -> None:
        """The end was accepted."""
        self.is_ended = True

    def on_status(self, result: SessionResult, chunks: range) -> bool:
        """Compare what the service has with what was sent; False when it is done without all of it."""
        was_looking, self._must_look = self._must_look, False
        was_told_ended, self._was_told_ended = self._was_told_ended, False
        if was_looking:
            self.uploaded |= self._listed(result) & set(chunks)
        is_open = result.status in (ServiceStatus.OPEN, ServiceStatus.PROCESSING)
        is_expired_early = result.status is ServiceStatus.EXPIRED and not self._is_end_asked
        if self.unsent(chunks) or is_expired_early:
            return is_open and not was_told_ended
        if result.status.is_final or (self._is_end_asked and result.status is ServiceStatus.PROCESSING):
            self.is_ended = self._is_end_asked or not is_open
        elif self._asked_about == self.uploaded:
            self._compare(result)
        return True

    def _compare(self, result: SessionResult) -> None:
        self.missing = self.lacking(result, self.uploaded)
        if self.missing and self._rounds_left:
            self._rounds_left -= 1
            self.uploaded -= set(self.missing)
        else:
            self._is_compared = True

    def lacking(self, result: SessionResult, chunks: Iterable[int]) -> tuple[int, ...]:
        """Which of these a status answer lacks. A service that lists no names is believed."""
        if not result.audio_files and result.audio_files_received != 0:
            return ()
        return tuple(sorted(set(chunks) - self._listed(result)))

    def _listed(self, result: SessionResult) -> set[int]:
        return {number + self.first for number in listed_numbers(result)}

    def on_failed(self, request: Request, problem: Problem) -> bool:
        """Whether the trouble is this one request's alone and is dealt with; the others go on."""
        match request, problem.kind:
            case UploadChunk(index), ProblemKind.CHUNK_REFUSED:
                self.refused[index] = problem
                return True
            case UploadChunk(), ProblemKind.SESSION_ENDED:
                self._must_look = self._was_told_ended = True
                return True
            case UploadChunk(), ProblemKind.NOT_ALLOWED:
                # Perhaps only the address has gone stale, as signed ones do together with their session.
                self._must_look = True
            case EndSession(), _:
                self._must_look = self._is_end_asked = True
        return False


def listed_numbers(result: SessionResult) -> set[int]:
    """The service's numbers of the chunks that a status answer lists.

    Names are read by their trailing number alone, since ``audio_0.ogg`` may come back as ``0.ogg`` or as
    ``s3://…/0.ogg`` (protocol page 1, End).
    """
    return {int(m[1]) for name in result.audio_files if (m := _TRAILING_NUMBER.search(name))}
