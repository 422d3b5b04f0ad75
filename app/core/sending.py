"""The service's side of a visit: what its parts are given, what is sent next, when it is tried again.

Decides with the session's phase, which it is told each time, and the recording, which it reads. Recording never waits
for anything that is decided here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from app.core import joined
from app.core.delivery import UPLOADS_AT_ONCE
from app.core.events import (
    Answer,
    CancelTimer,
    ChunksCutAgain,
    ChunkUploaded,
    Command,
    CreateSession,
    CutAgain,
    EndSession,
    NoteAccepted,
    ProcessTemplate,
    ReadStatus,
    Request,
    RequestFailed,
    Send,
    SessionCreated,
    SessionEnded,
    SessionId,
    SetTimer,
    Start,
    StatusRead,
    UploadChunk,
    Visit,
)
from app.core.part import LIVE_POLL_SECONDS, Part
from app.core.parts import Parts, life_seconds, margin_seconds
from app.core.problems import Problem, ProblemKind
from app.core.recording import SAMPLE_RATE_HZ, Recording
from app.core.scribe import SessionResult
from app.core.views import Phase

RETRY, ROLLOVER = "retry", "rollover"

_MAX_BACKOFF_SECONDS: Final = 60.0
_SHORTEST_CHUNK_SECONDS: Final = 2.0

_LOST_AT_SERVICE: Final = (ProblemKind.SESSION_UNKNOWN, ProblemKind.SESSION_EXPIRED, ProblemKind.SESSION_ENDED)
_CHANGES_DELIVERY: Final = (*_LOST_AT_SERVICE, ProblemKind.CHUNK_REFUSED, ProblemKind.CHUNK_TOO_LARGE)


class Sending:
    """All that a visit has to do with its service."""

    def __init__(self, session_id: SessionId, recording: Recording) -> None:
        self.visit = Visit()
        self.problem: Problem | None = None
        """What keeps the visit from being sent."""
        self.is_waiting = False
        """A retry timer runs; nothing is sent until it fires."""
        self.is_stuck = False
        """Only a person can help (sign-in, a refused request); nothing is sent until TryNow."""
        self.max_chunk_seconds = 20.0
        self._session_id = session_id
        self._recording = recording
        self._parts = Parts(session_id, 0)
        self._max_session_seconds: float | None = None
        self._tries = 0
        self._cut_to_seconds: float | None = None
        """How long chunks may be at most, when those that there are have to be cut again."""
        self._is_cutting = False

    def begin(self, start: Start) -> None:
        """A visit begins."""
        self.visit = start.visit
        self.max_chunk_seconds = start.max_chunk_seconds
        self._max_session_seconds = start.max_session_seconds
        self._parts = Parts(self._session_id, start.max_templates)

    @property
    def parts(self) -> list[Part]:
        """The parts that hold audio, in order; the first one always."""
        return self._parts.active

    def part_of(self, sent: Send) -> Part | None:
        """The part that a request was sent for; None when its session at the service was given up since."""
        return self._parts.of_generation(sent.generation)

    def is_durable(self, event: StatusRead | RequestFailed) -> bool:
        """Whether replay needs an answer that may be a mere repetition, or trouble that passes."""
        if isinstance(event, RequestFailed):
            return isinstance(event.request, EndSession) or event.problem.kind in _CHANGES_DELIVERY
        part = self._parts.of_answer(event)
        if part is None:
            return False
        is_news = part.verdict is None or event.result != part.result
        return part.delivery.is_looking or (event.result.status.is_final and is_news)

    def seconds_to_upload(self) -> float:
        """How much of the recording the service does not have yet."""
        spans = (self._recording.span_seconds(i) for part in self.parts for i in part.delivery.unsent(part.chunks))
        return sum(end - first for first, end in spans)

    def pieces(self, *, is_over: bool) -> list[joined.Piece]:
        """What each part has come to; ``is_over`` when no more is awaited."""
        return [self._piece(part, is_over=is_over) for part in self.parts]

    def _piece(self, part: Part, *, is_over: bool) -> joined.Piece:
        notes = part.notes(self.visit.templates, is_over=is_over or part.verdict is not None)
        if not part.chunks:
            return joined.Piece(0.0, 0.0, part.result, notes)
        start, _ = self._recording.span_seconds(part.first)
        _, end = self._recording.span_seconds(part.chunks[-1])
        return joined.Piece(start, end, part.result, notes)

    def phase(self) -> Phase:
        """What has become of a visit that is over, and has some sound."""
        verdicts = {part.verdict for part in self.parts}
        if None not in verdicts:
            return _joint({verdict for verdict in verdicts if verdict})
        on_their_way = [part for part in self.parts if part.verdict is None and not part.is_handed_over]
        if not on_their_way:
            return Phase.PROCESSING
        return Phase.ENDING if all(part.is_delivered for part in on_their_way) else Phase.DRAINING

    # What is sent next --------------------------------------------------------------------------------------------

    def resume(self, phase: Phase) -> Iterator[Command]:
        """After replay: nothing is on its way, and nobody is waited for."""
        self.is_waiting = self.is_stuck = self._is_cutting = False
        for part in self.parts:
            part.resume(is_live=phase.is_live)
        yield from self._watch_limit(phase)

    def see_ends(self) -> None:
        """Take note of what was handed over."""
        for part in self.parts:
            part.see_end()

    def advance(self, phase: Phase) -> Iterator[Command]:
        """Send what is due and not on its way already."""
        yield from self._cut_again(phase)
        if self.is_waiting or self.is_stuck:
            return
        free = UPLOADS_AT_ONCE
        for part in self.parts:
            for request in list(self._due(part, phase)):
                # A session is made once there is room to send something to it, lest it expire in the queue.
                if isinstance(request, UploadChunk | CreateSession) and free == 0:
                    continue
                free -= isinstance(request, UploadChunk)
                if not part.delivery.is_on_its_way(request):
                    yield from self._send(part, request, phase)

    def _due(self, part: Part, phase: Phase) -> Iterator[Request]:
        is_complete = part.end is not None or not (phase.is_live or self._recording.is_open)
        return part.due(self.visit, is_live=self._is_listened_to(part, phase), is_complete=is_complete)

    def _send(self, part: Part, request: Request, phase: Phase) -> Iterator[Command]:
        yield from part.on_sent(request, is_live=self._is_listened_to(part, phase))
        yield Send(request, part.delivery.generation)

    def _is_listened_to(self, part: Part, phase: Phase) -> bool:
        """The visit goes on, and the next that is said belongs to this part."""
        return part is self._parts.open and phase.is_live

    def _is_growing(self, part: Part, phase: Phase) -> bool:
        """More chunks may come."""
        return part is self._parts.open and (phase.is_live or self._recording.is_open)

    # Wishes -------------------------------------------------------------------------------------------------------

    def try_now(self) -> Iterator[Command]:
        """Wait no longer."""
        self.is_waiting = self.is_stuck = False
        yield CancelTimer(RETRY)

    def check_again(self) -> Iterator[Command]:
        """Look once more at what may turn out better."""
        for part in self.parts:
            if part.may_turn_out_better:
                yield from part.check_again()

    def send_again(self) -> Iterator[Command]:
        """Send what has not come to a whole result, or all of it when each part has."""
        for part in [part for part in self.parts if part.verdict is not Phase.COMPLETED] or self.parts:
            self._parts.start_over(part, is_wished=True)
            yield CancelTimer(part.timer)
        self.problem = self._cut_to_seconds = None
        self._tries = 0
        yield from self.try_now()

    def make_note(self, template_id: str) -> None:
        """Ask for another note, of every part."""
        for part in self.parts:
            part.want_note(template_id)

    # Chunks that are too large ------------------------------------------------------------------------------------

    def _on_too_large(self, part: Part, index: int, problem: Problem) -> None:
        """Smaller pieces of the same recording may do; below a certain size the service means something else."""
        if index not in part.chunks:
            return  # The journal has lost the chunk; it is told of again.
        first, end = self._recording.span_seconds(index)
        half = (end - first) / 2
        if half < _SHORTEST_CHUNK_SECONDS:
            part.delivery.refused[index] = problem
            return
        self._cut_to_seconds = min(half, self._cut_to_seconds or half)
        self.max_chunk_seconds = min(self.max_chunk_seconds, half)
        part.is_held = True

    def _cut_again(self, phase: Phase) -> Iterator[Command]:
        """Once the visit is over, so that no recording waits for it, and the other parts are handed over.

        A part is thus never made anew while its end may have been accepted already.
        """
        is_over = phase.is_finishing and not self._recording.is_open
        is_time = is_over and all(part.verdict or part.is_handed_over or part.is_quiet for part in self.parts)
        if self._cut_to_seconds is not None and is_time and not self._is_cutting:
            self._is_cutting = True
            yield CutAgain(self._cut_to_seconds, self._parts.boundaries(self._recording.chunks))

    def on_cut_again(self, event: ChunksCutAgain) -> None:
        """The chunks are others now, and what the service does not have goes out anew."""
        old = self._recording.chunks
        self._recording.chunks = list(event.chunks)
        self._parts.on_cut_again(old, self._recording.chunks)
        self.max_chunk_seconds = min(self.max_chunk_seconds, event.max_chunk_seconds)
        self._cut_to_seconds, self._is_cutting = None, False
        if self.problem and self.problem.kind is ProblemKind.CHUNK_TOO_LARGE:
            self.problem = None

    # Visits that outlive a session at the service -----------------------------------------------------------------

    def on_sealed(self, phase: Phase) -> Iterator[Command]:
        """The recording has grown."""
        was_empty = not self._parts.open.chunks
        self._parts.grow(len(self._recording.chunks))
        if was_empty and phase.is_live and self._parts.open.chunks:
            yield SetTimer(self._parts.open.timer, LIVE_POLL_SECONDS)
        self.roll_over_in_time(phase)

    def roll_over_in_time(self, phase: Phase) -> None:
        """Close a part whose time is up, or which another chunk could make longer than the service allows."""
        part, limit = self._parts.open, self._max_session_seconds
        is_expiring = part.closes_at is not None and self._recording.newest_at >= part.closes_at
        seconds = sum(self._recording.chunks[i].sample_count for i in part.chunks) / SAMPLE_RATE_HZ
        is_full = limit is not None and seconds + self.max_chunk_seconds > limit
        if may_roll_over(phase) and (is_expiring or is_full):
            self._roll_over()

    def _roll_over(self) -> None:
        """What is recorded from now on goes into the service's next session."""
        part = self._parts.open
        if part.chunks:
            self._parts.close()
        elif part.delivery.created:
            self._parts.start_over(part, is_wished=True)

    def _watch_limit(self, phase: Phase) -> Iterator[Command]:
        closes_at = self._parts.open.closes_at
        if closes_at is not None and may_roll_over(phase):
            yield SetTimer(ROLLOVER, max(0.0, closes_at - self._recording.newest_at))

    def on_timer(self, name: str, phase: Phase) -> None:
        """One of the timers of this side, or another's, has run out."""
        if name == RETRY:
            self.is_waiting = False
        elif name == ROLLOVER and may_roll_over(phase):
            self._roll_over()
        for part in self.parts:
            part.is_poll_due = part.is_poll_due or part.timer == name

    # Answers ------------------------------------------------------------------------------------------------------

    def on_answer(self, event: Answer, phase: Phase) -> Iterator[Command]:
        """The service has answered, or has not."""
        part = self._parts.of_answer(event)
        if part is None:
            return
        if not isinstance(event, RequestFailed):
            self._tries = 0
            if self.problem and self.problem.is_transient:
                self.problem = None
        yield from _ANSWERS[type(event)](self, part, event, phase)

    def _on_created(self, part: Part, event: SessionCreated, phase: Phase) -> Iterator[Command]:
        part.delivery.on_answered(CreateSession)
        part.delivery.on_created(event)
        now = self._recording.newest_at
        life = life_seconds(event, now, self._max_session_seconds)
        if part is self._parts.open:
            part.closes_at = now + life - margin_seconds(life, self.max_chunk_seconds)
            yield from self._watch_limit(phase)

    def _on_uploaded(self, part: Part, event: ChunkUploaded, _: Phase) -> Iterator[Command]:
        part.delivery.on_uploaded(event.index)
        yield from ()

    def _on_ended(self, part: Part, event: SessionEnded, _: Phase) -> Iterator[Command]:
        part.on_ended(event)
        yield from ()

    def _on_status(self, part: Part, event: StatusRead, phase: Phase) -> Iterator[Command]:
        part.delivery.on_answered(ReadStatus)
        result, is_growing = event.result, self._is_growing(part, phase)
        if phase is Phase.DISCARDED:
            return
        if part.verdict is not None:
            yield from part.on_late_result(result, self.visit.templates)
            return
        part.result = result
        is_sending = not part.is_handed_over or is_growing
        if is_sending and not part.delivery.on_status(result, part.chunks):
            self._start_over(part, Problem(ProblemKind.SESSION_ENDED), phase)
        elif part.is_handed_over and result.status.is_final and not is_growing:
            yield from self._conclude(part, result, phase)

    def _conclude(self, part: Part, result: SessionResult, phase: Phase) -> Iterator[Command]:
        if not phase.is_live:
            self.problem = None
        yield from part.conclude(result, self.visit.templates)

    def _on_note_accepted(self, part: Part, event: NoteAccepted, _: Phase) -> Iterator[Command]:
        yield from part.on_note_accepted(event)

    def _on_failed(self, part: Part, event: RequestFailed, phase: Phase) -> Iterator[Command]:
        request, problem = event.request, event.problem
        part.delivery.in_flight.discard(request)
        if isinstance(request, ProcessTemplate):
            part.on_note_failed(request.template_id, problem)
            if not problem.is_transient:
                return
        self.problem = problem
        if part.delivery.on_failed(request, problem):
            return
        if isinstance(request, UploadChunk) and problem.kind is ProblemKind.CHUNK_TOO_LARGE:
            self._on_too_large(part, request.index, problem)
        elif problem.kind in _LOST_AT_SERVICE:
            self._start_over(part, problem, phase)
        elif problem.is_transient:
            yield from self._wait(event.retry_after_seconds)
        else:
            self.is_stuck = True

    def _start_over(self, part: Part, problem: Problem, phase: Phase) -> None:
        """The service has lost a session. Before its end was accepted, the kept audio goes to a new one."""
        is_growing = self._is_growing(part, phase)
        if part.verdict is not None:
            self.problem = problem
        elif (not part.is_handed_over or is_growing) and part.delivery.can_start_over_by_itself:
            self._parts.start_over(part, is_wished=False)
            self.problem = None
        elif is_growing:
            self.is_stuck, self.problem = True, problem
        else:
            part.give_up(problem)

    def _wait(self, retry_after_seconds: float | None) -> Iterator[Command]:
        """Full jitter up to a growing bound, or the service's wish within reason (protocol page 3)."""
        if self.is_waiting:
            return
        self.is_waiting = True
        if retry_after_seconds is not None:
            yield SetTimer(RETRY, min(300.0, max(1.0, retry_after_seconds)))
        else:
            yield SetTimer(RETRY, min(_MAX_BACKOFF_SECONDS, 1.0 * 2**self._tries), is_spread=True)
        self._tries = min(self._tries + 1, 10)


def may_roll_over(phase: Phase) -> bool:
    """Whether more may be recorded, so that it matters how long a session still lives."""
    return phase.is_live or phase is Phase.DISCARDED


def _joint(verdicts: set[Phase]) -> Phase:
    """Of all parts together: what only some of them have come to is a part of a result."""
    if len(verdicts) == 1:
        return next(iter(verdicts))
    return Phase.FAILED if verdicts <= {Phase.FAILED, Phase.EXPIRED} else Phase.PARTIAL


_ANSWERS: Final[dict[type, Callable[[Sending, Part, Any, Phase], Iterator[Command]]]] = {
    SessionCreated: Sending._on_created,
    ChunkUploaded: Sending._on_uploaded,
    StatusRead: Sending._on_status,
    SessionEnded: Sending._on_ended,
    NoteAccepted: Sending._on_note_accepted,
    RequestFailed: Sending._on_failed,
}
