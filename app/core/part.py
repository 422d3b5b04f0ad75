"""A part of a visit: a run of its chunks that has one session at the service, from its creation to its result.

Most visits have one part. A visit that outlives what the service allows a session goes on in the next.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import Enum, auto
from typing import Final

from app.core.delivery import Delivery
from app.core.events import (
    CancelTimer,
    ChunkSealed,
    Command,
    EndSession,
    NoteAccepted,
    ProcessTemplate,
    ReadStatus,
    Request,
    SessionEnded,
    SetTimer,
    UploadChunk,
    Visit,
)
from app.core.problems import Problem, ProblemKind
from app.core.scribe import (
    ProcessingError,
    ServiceStatus,
    SessionResult,
    TemplateResult,
    TemplateStatus,
)
from app.core.views import Phase

POLL: Final = "poll"
"""The timer of the first part's status; further parts have theirs with a number behind it."""

LIVE_POLL_SECONDS: Final = 5.0
_RECHECK_SECONDS, _RECHECKS = 30.0, 20
_POLL_RATES: Final = ((30, 1.0), (75, 2.0), (float("inf"), 5.0))

_PHASE_OF_STATUS: Final = {
    ServiceStatus.COMPLETED: Phase.COMPLETED,
    ServiceStatus.PARTIAL: Phase.PARTIAL,
    ServiceStatus.FAILED: Phase.FAILED,
    ServiceStatus.EXPIRED: Phase.EXPIRED,
}
_RANK: Final = {Phase.FAILED: 0, Phase.EXPIRED: 0, Phase.PARTIAL: 1, Phase.COMPLETED: 2}
_PROBLEM_OF_STATUS: Final = {
    ServiceStatus.FAILED: ProblemKind.PROCESSING_FAILED,
    ServiceStatus.EXPIRED: ProblemKind.SESSION_EXPIRED,
}


class _NoteStage(Enum):
    WANTED = auto()
    ASKED = auto()
    ACCEPTED = auto()


class Part:
    """One run of chunks, and what has become of it at the service."""

    def __init__(self, session_id: str, max_templates: int, *, generation: int, first: int, place: int) -> None:
        self.delivery = Delivery(session_id, max_templates, generation, first)
        self.end: int | None = None
        """The first chunk that is no longer of this part; None while it grows."""
        self.closes_at: float | None = None
        """When it is to be closed, lest the service's session expire; seconds since 1970 UTC."""
        self.is_held = False
        """Its chunks are too large for the service, and wait to be cut again."""
        self.result: SessionResult | None = None
        self.verdict: Phase | None = None
        """One of the final phases, once the service is done with it."""
        self.problem: Problem | None = None
        """Why the verdict is no better."""
        self.is_poll_due = False
        self.timer = POLL if place == 0 else f"{POLL} {place + 1}"
        self._max_templates = max_templates
        self._chunks = range(first, first)
        self._received: int | None = None
        self._sent_count: int | None = None
        self._lost: set[int] | None = None
        """If the recording was cut again after this part was sent: how many chunks it had then, and which of today's
        the service does not have."""
        self._has_seen_end = False
        self._polls = 0
        self._rechecks = 0
        self._wanted: dict[str, _NoteStage] = {}
        """Notes that come after the end, as far as each has got."""
        self._note_problems: dict[str, Problem] = {}

    # How it stands ------------------------------------------------------------------------------------------------

    @property
    def first(self) -> int:
        """Its first chunk."""
        return self.delivery.first

    @property
    def chunks(self) -> range:
        """Its chunks as far as they are sealed."""
        return self._chunks

    @property
    def is_done(self) -> bool:
        """The service has its audio and is at work on it, or has been."""
        return self.is_handed_over and self.verdict not in (Phase.FAILED, Phase.EXPIRED)

    @property
    def is_handed_over(self) -> bool:
        """The service has all of it and has accepted its end."""
        return self.delivery.is_ended and not self.delivery.unsent(self._chunks)

    @property
    def is_delivered(self) -> bool:
        """Each chunk has been answered."""
        return self.delivery.is_delivered(self._chunks)

    @property
    def is_quiet(self) -> bool:
        """It waits for its chunks to be cut again, and none of them is on its way."""
        return self.is_held and not any(isinstance(request, UploadChunk) for request in self.delivery.in_flight)

    @property
    def has_result(self) -> bool:
        """The service has told what came of it in the end."""
        return self.result is not None and self.result.status.is_final

    @property
    def has_wanted_notes(self) -> bool:
        """Notes are still to come."""
        return bool(self._wanted)

    @property
    def may_turn_out_better(self) -> bool:
        """Whether it lies with the service that the result is none or not whole."""
        is_service_content = self.result is not None and self.result.status is ServiceStatus.COMPLETED
        return self.verdict is Phase.FAILED or (self.verdict is Phase.PARTIAL and not is_service_content)

    @property
    def heard(self) -> int | None:
        """How many chunks the service says that it has."""
        told = self.result.audio_files_received if self.result else None
        return self._received if told is None else told

    @property
    def _sent(self) -> int:
        return len(self._chunks) if self._sent_count is None else self._sent_count

    @property
    def missing(self) -> set[int]:
        """Chunks that the service does not have, after all tries."""
        if self._lost is not None:
            return self._lost
        said = {n + self.first for e in self.errors for n in e.missing}
        return {*self.delivery.missing, *self.delivery.refused, *said, *self._unheard()}

    def _unheard(self) -> tuple[int, ...]:
        is_final = self.result is not None and self.verdict in (Phase.COMPLETED, Phase.PARTIAL)
        if not is_final or self.result is None or not self.result.audio_files or not self._is_heard_short():
            return ()
        return self.delivery.lacking(self.result, self._chunks)

    def _is_heard_short(self) -> bool:
        return self.heard is not None and self.heard < self._sent

    @property
    def errors(self) -> tuple[ProcessingError, ...]:
        """What went wrong at the service; that it heard less than was sent is said in words."""
        said = self.result.processing_errors if self.result else ()
        if self.problem is None or self.problem.kind is not ProblemKind.HEARD_FEWER:
            return said
        return (*said, ProcessingError("fewer_heard", f"The service heard {self.problem.detail}."))

    def notes(self, templates: tuple[str, ...], *, is_over: bool) -> tuple[TemplateResult, ...]:
        """A note for each template; ``is_over`` when none comes by itself any more."""
        came = {t.id: t for t in self.result.templates} if self.result else {}
        ids = dict.fromkeys([*templates, *came, *self._wanted, *self._note_problems])
        return tuple(self._note(i, came.get(i), is_over=is_over) for i in ids)

    def _note(self, template_id: str, came: TemplateResult | None, *, is_over: bool) -> TemplateResult:
        if problem := self._note_problems.get(template_id):
            return TemplateResult(template_id, TemplateStatus.FAILED, error=f"{problem.words.what} {problem.detail}")
        if template_id in self._wanted or (came is None and not is_over):
            return TemplateResult(template_id, TemplateStatus.PROCESSING)
        if came is None:
            return TemplateResult(template_id, TemplateStatus.FAILED, error="The service did not return this note.")
        return came

    # What it sends next -------------------------------------------------------------------------------------------

    def grow(self, chunk_count: int) -> None:
        """So many chunks of the visit are sealed."""
        self._chunks = range(self.first, chunk_count if self.end is None else min(self.end, chunk_count))

    def due(self, visit: Visit, *, is_live: bool, is_complete: bool) -> Iterator[Request]:
        """The next requests, those in flight included.

        ``is_live``: the visit goes on and its next chunks are this part's. ``is_complete``: no more chunks will come.
        """
        delivery = self.delivery
        if self.verdict is None and (self._chunks or delivery.generation == 0):
            for request in delivery.due(visit, self._chunks, is_complete=is_complete):
                if not (self.is_held and isinstance(request, UploadChunk)):
                    yield request
        if self.is_poll_due and delivery.created and (is_live or self.is_handed_over or self.verdict):
            yield ReadStatus(may_wait=not is_live)
        if self.verdict in (Phase.COMPLETED, Phase.PARTIAL):
            yield from (ProcessTemplate(t) for t, stage in self._wanted.items() if stage is _NoteStage.WANTED)

    def on_sent(self, request: Request, *, is_live: bool) -> Iterator[Command]:
        """A request is about to go out."""
        self.delivery.on_sent(request)
        if isinstance(request, ProcessTemplate):
            self._wanted[request.template_id] = _NoteStage.ASKED
        if isinstance(request, ReadStatus) and self.is_poll_due:
            self.is_poll_due = False
            yield from self._poll_later(is_live=is_live)

    def _poll_later(self, *, is_live: bool) -> Iterator[Command]:
        """Polling is a rate, start to start, so that a service that holds the answer is asked again at once."""
        if is_live:
            yield SetTimer(self.timer, LIVE_POLL_SECONDS)
        elif self.verdict is None or self._wanted:
            self._polls += 1
            yield SetTimer(self.timer, _poll_seconds(self._polls))
        elif self.may_turn_out_better and self._rechecks:
            self._rechecks -= 1
            yield SetTimer(self.timer, _RECHECK_SECONDS)

    def see_end(self) -> None:
        """Once its end is accepted, its result is asked for."""
        if self.is_handed_over and not self._has_seen_end and self.verdict is None:
            self._has_seen_end = self.is_poll_due = True

    def resume(self, *, is_live: bool) -> None:
        """After a restart nothing is on its way."""
        self.delivery.in_flight.clear()
        self._wanted = dict.fromkeys(self._wanted, _NoteStage.WANTED)
        self.is_poll_due = is_live or (self.is_handed_over and self.verdict is None)

    def check_again(self) -> Iterator[Command]:
        """Look once more, and for a while."""
        self.is_poll_due, self._rechecks = True, _RECHECKS
        yield CancelTimer(self.timer)

    def start_over(self, generation: int, *, is_wished: bool) -> None:
        """Its audio goes out again, to a new session at the service."""
        self.delivery.start_over(generation, is_wished=is_wished)
        self.result = self.verdict = self.problem = self.closes_at = None
        self._received = self._sent_count = self._lost = None
        self._has_seen_end = False
        self._wanted.clear()
        self._note_problems.clear()
        if is_wished:
            self.is_poll_due = self.is_held = False
            self._polls = 0

    def keep(self, old: Sequence[ChunkSealed], new: Sequence[ChunkSealed], first: int, end: int | None) -> None:
        """The recording was cut again; what the service has of this part is the same sound in other chunks."""
        gone = [old[index] for index in self.missing if index < len(old)]
        self._lost = {chunk.index for chunk in new if any(_overlap(chunk, lost) for lost in gone)}
        self._sent_count = self._sent
        self.delivery.first, self.end = first, end
        self.grow(len(new))
        self.delivery.uploaded = set(self._chunks) - self._lost

    def give_up(self, problem: Problem) -> None:
        """It cannot be sent by itself any more."""
        self.verdict, self.problem = Phase.FAILED, problem

    # Its result ---------------------------------------------------------------------------------------------------

    def on_ended(self, event: SessionEnded) -> None:
        """Its end was accepted."""
        self.delivery.on_answered(EndSession)
        self.delivery.on_ended()
        self._received = event.audio_files_received

    def conclude(self, result: SessionResult, templates: tuple[str, ...]) -> Iterator[Command]:
        """The service is done: take its verdict, then ask for the notes that did not fit into the session."""
        self.result = result
        self.verdict = self._verdict_on(result)
        self.problem = self._problem_with(result)
        self.delivery.on_ended()
        self.is_poll_due = False
        self._polls, self._rechecks = 0, _RECHECKS
        came = {t.id for t in result.templates}
        for template_id in templates[self._max_templates :]:
            if template_id not in came:
                self.want_note(template_id)
        for template in result.templates:
            if template.status is TemplateStatus.PROCESSING:
                self._wanted[template.id] = _NoteStage.ACCEPTED
        yield CancelTimer(self.timer)
        yield from self._poll_later(is_live=False)

    def _verdict_on(self, result: SessionResult) -> Phase:
        """What a final status comes to; a result of less than was sent is never a whole one."""
        received = self._received if result.audio_files_received is None else result.audio_files_received
        is_short = received is not None and received < self._sent
        phase = _PHASE_OF_STATUS[result.status]
        return Phase.PARTIAL if phase is Phase.COMPLETED and is_short else phase

    def _problem_with(self, result: SessionResult) -> Problem | None:
        if kind := _PROBLEM_OF_STATUS.get(result.status):
            return Problem(kind, result.message)
        is_told = any(error.missing for error in result.processing_errors)
        if self.verdict is Phase.PARTIAL and self._is_heard_short() and not is_told:
            return Problem(ProblemKind.HEARD_FEWER, f"{self.heard} of {self._sent} pieces of the recording")
        return None

    def on_late_result(self, result: SessionResult, templates: tuple[str, ...]) -> Iterator[Command]:
        """After a verdict: notes made later, or a service that has changed its mind for the better."""
        assert self.verdict is not None
        phase = self._verdict_on(result) if result.status.is_final else self.verdict
        if _RANK[phase] > _RANK[self.verdict]:
            yield from self.conclude(result, templates)
        elif phase is self.verdict and result.status in (ServiceStatus.COMPLETED, ServiceStatus.PARTIAL):
            self.result = result
        for template in result.templates:
            is_awaited = self._wanted.get(template.id) is _NoteStage.ACCEPTED
            if is_awaited and template.status is not TemplateStatus.PROCESSING:
                del self._wanted[template.id]

    # Notes that come later ----------------------------------------------------------------------------------------

    def want_note(self, template_id: str) -> None:
        """Ask for another note."""
        self._note_problems.pop(template_id, None)
        self._wanted[template_id] = _NoteStage.WANTED
        self._polls = 0

    def on_note_accepted(self, event: NoteAccepted) -> Iterator[Command]:
        """The service is making it."""
        self.delivery.in_flight.discard(ProcessTemplate(event.template_id))
        if event.template_id in self._wanted:
            self._wanted[event.template_id] = _NoteStage.ACCEPTED
            self.is_poll_due = True
            yield CancelTimer(self.timer)

    def on_note_failed(self, template_id: str, problem: Problem) -> None:
        """It is asked for again if the trouble may pass; else the note alone has failed."""
        if problem.is_transient:
            self._wanted[template_id] = _NoteStage.WANTED
        else:
            self._wanted.pop(template_id, None)
            self._note_problems[template_id] = problem


def _overlap(one: ChunkSealed, other: ChunkSealed) -> bool:
    return (
        one.first_sample < other.first_sample + other.sample_count
        and other.first_sample < one.first_sample + one.sample_count
    )


def _poll_seconds(polls: int) -> float:
    """Every second at first, then every two, then every five (protocol page 1, polling)."""
    return next(seconds for limit, seconds in _POLL_RATES if polls <= limit)
