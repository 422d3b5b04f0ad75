"""The session machine: one recorded encounter, from Start to its result.

Its whole interface is :meth:`Session.handle`, :meth:`Session.resume` and :meth:`Session.view`. It decides and
does nothing: what the world tells it is an event, what it wants done comes back as commands. It knows no clock and
no chance; delays go out as timers. Recovery is replay: feed the durable events to a new session, then resume it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Final, get_args

from app.core import joined
from app.core.delivery import UPLOADS_AT_ONCE
from app.core.events import (
    FILE,
    Answer,
    CancelTimer,
    CaptureEnded,
    CaptureInterrupted,
    CaptureLost,
    CaptureStarted,
    ChangePatient,
    CheckAgain,
    ChunksCutAgain,
    ChunkSealed,
    ChunkUploaded,
    Command,
    CreateSession,
    CutAgain,
    Discard,
    DiskRecovered,
    DiskRefused,
    EndCapture,
    EndSession,
    EraseAudio,
    Event,
    GapFound,
    Intent,
    MakeNote,
    MarkReviewed,
    NoteAccepted,
    Pause,
    ProcessTemplate,
    ReadStatus,
    Request,
    RequestFailed,
    Resume,
    Send,
    SendAgain,
    SessionCreated,
    SessionEnded,
    SessionId,
    SetTimer,
    SoundNoticed,
    Start,
    StatusRead,
    Stop,
    TimerFired,
    TryNow,
    UndoDiscard,
    UploadChunk,
    Visit,
)
from app.core.part import LIVE_POLL_SECONDS, Part
from app.core.parts import Parts, life_seconds, margin_seconds
from app.core.problems import Problem, ProblemKind
from app.core.recording import SAMPLE_RATE_HZ, Recording
from app.core.scribe import SessionResult
from app.core.table import TABLE
from app.core.views import Phase, SessionView

RETRY, REOPEN, ERASE, ROLLOVER = "retry", "reopen", "erase", "rollover"
"""The machine's timers: try a failed request again, open the microphone again, erase what was thrown away, go on in
the service's next session. Asking for the status has one for each part (:data:`app.core.part.POLL`)."""

UNDO_SECONDS: Final = 30.0
"""How long a discarded visit can be had back."""

_MAX_BACKOFF_SECONDS: Final = 60.0
_MAX_REOPEN_SECONDS: Final = 1.0
_SHORTEST_CHUNK_SECONDS: Final = 2.0

_LOST_AT_SERVICE: Final = (ProblemKind.SESSION_UNKNOWN, ProblemKind.SESSION_EXPIRED, ProblemKind.SESSION_ENDED)
_CHANGES_DELIVERY: Final = (*_LOST_AT_SERVICE, ProblemKind.CHUNK_REFUSED, ProblemKind.CHUNK_TOO_LARGE)
_DISK: Final = (ProblemKind.DISK_FULL, ProblemKind.DISK_FAILED)
_OF_CAPTURE: Final = (
    *(ProblemKind.NO_MICROPHONE, ProblemKind.MICROPHONE_LOST, ProblemKind.MICROPHONE_CHANGED),
    *(ProblemKind.MICROPHONE_BUSY, ProblemKind.MICROPHONE_FORBIDDEN, *_DISK),
)
_PASSING: Final = (TryNow, CheckAgain, NoteAccepted, SoundNoticed, DiskRefused, DiskRecovered)
"""What is true of a moment alone."""


class NotAllowed(Exception):
    """An intent that the session's phase has no use for."""


class Session:
    """One encounter. Owned by the engine's thread."""

    def __init__(self, session_id: SessionId) -> None:
        self.id = session_id
        self.phase = Phase.IDLE
        self._start: Start | None = None
        self._recording = Recording()
        self._parts = Parts(session_id, 0)
        self._problem: Problem | None = None
        self._cut_short: Problem | None = None
        """Why a file was not read to its end: the result of the rest is never a whole one."""
        self._ended_at: float | None = None
        self._reviewed_at: float | None = None
        self._undo_until: float | None = None
        self._is_erased = False
        self._is_recovered = False
        self._tries = 0
        self._reopens = 0
        self._is_waiting = False
        """A retry timer runs; nothing is sent until it fires."""
        self._is_stuck = False
        """Only a person can help (sign-in, a refused request); nothing is sent until TryNow."""
        self._max_chunk_seconds = 20.0
        self._cut_to_seconds: float | None = None
        """How long chunks may be at most, when those that there are have to be cut again."""
        self._is_cutting = False

    # The interface --------------------------------------------------------------------------------------------

    def handle(self, event: Event) -> list[Command]:
        """Take in one event; return what is to be done about it.

        Raises:
            NotAllowed: an intent that :data:`TABLE` does not hold for this phase. Nothing has changed then.
        """
        if isinstance(event, Intent):
            if not self.is_allowed(type(event)):
                raise NotAllowed(f"{type(event).__name__} while {self.phase}")
            self.phase = TABLE[self.phase, type(event)]
        if not isinstance(event, _PASSING):
            self._recording.note_time(event)
        commands = list(_HANDLERS[type(event)](self, event))
        return [*commands, *self._advance()]

    def resume(self) -> list[Command]:
        """What is to be done after replay."""
        self._is_waiting = self._is_stuck = self._is_cutting = False
        for part in self._parts.active:
            part.resume(is_live=self.phase.is_live)
        if self.phase is Phase.DISCARDED:
            return [SetTimer(ERASE, UNDO_SECONDS)]
        return [*self._watch_limit(), *self._advance()]

    def is_allowed(self, intent: type[Intent]) -> bool:
        """Whether an intent would be taken now."""
        return (self.phase, intent) in TABLE and _CONDITIONS.get(intent, _always)(self)

    def awaits(self, sent: Send) -> bool:
        """Whether an answer to this is still wanted: not one that belongs to a service session given up since."""
        part = self._parts.of_generation(sent.generation)
        return part is not None and sent.request in part.delivery.in_flight

    def is_durable(self, event: Event) -> bool:
        """Whether an event belongs in the journal: without it, replay would come to another state.

        To be asked before the event is handled, since an answer that repeats the last one is not kept twice.
        """
        if isinstance(event, StatusRead):
            part = self._parts.of_answer(event)
            is_news = part is not None and (part.verdict is None or event.result != part.result)
            return part is not None and (part.delivery.is_looking or (event.result.status.is_final and is_news))
        if isinstance(event, RequestFailed):
            return isinstance(event.request, EndSession) or event.problem.kind in _CHANGES_DELIVERY
        if isinstance(event, TimerFired):
            return event.name == REOPEN or (event.name == ROLLOVER and self._may_roll_over)
        return not isinstance(event, _PASSING)

    @property
    def service_id(self) -> str:
        """Where this session is sent to."""
        return self._start.service_id if self._start else ""

    @property
    def is_capture_open(self) -> bool:
        """A take was asked for and is not over, or was to be opened again: after a replay, the app died meanwhile."""
        return self._recording.is_open or self.phase is Phase.RECORDING

    @property
    def source(self) -> str:
        """``microphone`` or ``file``."""
        return self._start.source if self._start else ""

    @property
    def media_type(self) -> str:
        """Content type of the chunks; fixed for the session's life."""
        return self._start.media_type if self._start else ""

    @property
    def max_chunk_seconds(self) -> float:
        """The longest chunk that the service takes."""
        return self._max_chunk_seconds

    @property
    def created(self) -> SessionCreated | None:
        """The newest of the service's sessions, once it exists."""
        return self._parts.active[-1].delivery.created

    def created_for(self, sent: Send) -> SessionCreated | None:
        """The service's session that a request is meant for."""
        part = self._parts.of_generation(sent.generation)
        return part.delivery.created if part else None

    @property
    def is_settled(self) -> bool:
        """Nothing more will happen by itself: erased, or a result, and every wanted note has come or failed."""
        if self.phase is Phase.DISCARDED:
            return self._is_erased
        return self.phase.is_final and not any(part.has_wanted_notes for part in self._parts.active)

    @property
    def is_stuck(self) -> bool:
        """Nothing more is sent until a person has done something."""
        return self._is_stuck

    def view(self) -> SessionView:
        """The session as a screen shows it."""
        recording, parts = self._recording, self._parts.active
        pieces = [self._piece(part) for part in parts]
        missing = sorted({index for part in parts for index in part.missing})
        return SessionView(
            id=self.id,
            phase=self.phase,
            visit=self._visit,
            started_at=self._start.at if self._start else None,
            recorded_seconds=recording.seconds,
            is_capturing=recording.is_capturing,
            microphone=recording.microphone,
            gaps=recording.gaps,
            chunks_sealed=len(recording.chunks),
            chunks_uploaded=sum(len(part.delivery.uploaded) for part in parts),
            seconds_to_upload=self._seconds_to_upload(),
            is_created=all(part.delivery.created for part in parts),
            is_ended=all(part.delivery.is_ended for part in parts),
            allowed=frozenset(i.__name__ for (p, i) in TABLE if p is self.phase and self.is_allowed(i)),
            transcript=joined.transcript(pieces),
            utterances=joined.utterances(pieces),
            transcript_by=joined.transcript_by(pieces),
            notes=joined.notes(pieces),
            processing_errors=tuple(error for part in parts for error in part.errors),
            missing_chunks=tuple(missing),
            missing_spans=tuple(recording.span_seconds(i) for i in missing if i < len(recording.chunks)),
            audio_files_received=joined.as_one([part.heard for part in parts]),
            problem=self._shown_problem(),
            sound=recording.sound,
            part_count=len(parts),
            ended_at=self._ended_at,
            reviewed_at=self._reviewed_at,
            undo_until=self._undo_until,
            is_recovered=self._is_recovered,
        )

    # What the view is made of -----------------------------------------------------------------------------------

    @property
    def _visit(self) -> Visit:
        return self._start.visit if self._start else Visit()

    def _shown_problem(self) -> Problem | None:
        """What touches the recording first; then what keeps it from being sent; then what became of it."""
        now = self._recording.disk_problem or self._problem
        if now or not self.phase.is_final:
            return now
        return next((part.problem for part in self._parts.active if part.problem), self._cut_short)

    def _seconds_to_upload(self) -> float:
        spans = (self._recording.span_seconds(i) for p in self._parts.active for i in p.delivery.unsent(p.chunks))
        return sum(end - first for first, end in spans)

    def _piece(self, part: Part) -> joined.Piece:
        is_over = part.verdict is not None or self.phase.is_final
        notes = part.notes(self._visit.templates, is_over=is_over) if self._start else ()
        if not part.chunks:
            return joined.Piece(0.0, 0.0, part.result, notes)
        start, _ = self._recording.span_seconds(part.first)
        _, end = self._recording.span_seconds(part.chunks[-1])
        return joined.Piece(start, end, part.result, notes)

    # What is sent next --------------------------------------------------------------------------------------------

    def _advance(self) -> list[Command]:
        """Settle the phase, then send what is due and not on its way already."""
        for part in self._parts.active:
            part.see_end()
        if not (self.phase.is_live or self.phase in (Phase.IDLE, Phase.DISCARDED)):
            self.phase = self._phase_after_stop()
        commands = [*self._cut_again()]
        if self._is_waiting or self._is_stuck or self.phase in (Phase.IDLE, Phase.DISCARDED):
            return commands
        free = UPLOADS_AT_ONCE
        for part in self._parts.active:
            for request in list(self._due(part)):
                if isinstance(request, UploadChunk | CreateSession) and free == 0:
                    continue
                free -= isinstance(request, UploadChunk)
                if not part.delivery.is_on_its_way(request):
                    commands += self._send(part, request)
        return commands

    def _phase_after_stop(self) -> Phase:
        """Phases follow facts: what the parts of a visit have come to."""
        parts = self._parts.active
        if self._recording.is_open:
            return Phase.DRAINING
        if not self._recording.chunks:
            self._problem = self._cut_short or Problem(ProblemKind.NOTHING_RECORDED)
            return Phase.FAILED
        verdicts = {part.verdict for part in parts}
        if None not in verdicts:
            return self._verdict({verdict for verdict in verdicts if verdict})
        unended = [part for part in parts if part.verdict is None and not part.is_handed_over]
        if not unended:
            return Phase.PROCESSING
        return Phase.ENDING if all(part.is_delivered for part in unended) else Phase.DRAINING

    def _verdict(self, verdicts: set[Phase]) -> Phase:
        """Of all parts together: what only some of them have come to is a part of a result."""
        if len(verdicts) > 1:
            return Phase.FAILED if verdicts <= {Phase.FAILED, Phase.EXPIRED} else Phase.PARTIAL
        (verdict,) = verdicts
        return Phase.PARTIAL if verdict is Phase.COMPLETED and self._cut_short else verdict

    def _due(self, part: Part) -> Iterator[Request]:
        is_live = self.phase.is_live and part is self._parts.open
        is_complete = part.end is not None or not (self.phase.is_live or self._recording.is_open)
        return part.due(self._visit, is_live=is_live, is_complete=is_complete)

    def _send(self, part: Part, request: Request) -> Iterator[Command]:
        yield from part.on_sent(request, is_live=self.phase.is_live and part is self._parts.open)
        yield Send(request, part.delivery.generation)

    # Chunks that are too large ------------------------------------------------------------------------------------

    def _cut_again(self) -> Iterator[Command]:
        """Once the visit is over, so that no recording waits for it, and the parts that need it not are on their way.

        A part is thus never made anew while its end may have been accepted already.
        """
        parts = self._parts.active
        is_over = self.phase.is_finishing and not self._recording.is_open
        is_time = is_over and all(part.verdict or part.is_handed_over or part.is_quiet for part in parts)
        if self._cut_to_seconds is not None and is_time and not self._is_cutting:
            self._is_cutting = True
            yield CutAgain(self._cut_to_seconds, self._parts.boundaries(self._recording.chunks))

    def _on_too_large(self, part: Part, index: int, problem: Problem) -> None:
        """Smaller pieces of the same recording may do; below a certain size the service means something else."""
        first, end = self._recording.span_seconds(index)
        half = (end - first) / 2
        if half < _SHORTEST_CHUNK_SECONDS:
            part.delivery.refused[index] = problem
            return
        self._cut_to_seconds = min(half, self._cut_to_seconds or half)
        self._max_chunk_seconds = min(self._max_chunk_seconds, half)
        part.is_held = True

    def _on_cut_again(self, event: ChunksCutAgain) -> Iterator[Command]:
        old = self._recording.chunks
        self._recording.chunks = list(event.chunks)
        self._max_chunk_seconds = min(self._max_chunk_seconds, event.max_chunk_seconds)
        self._parts.on_cut_again(old, self._recording.chunks)
        self._cut_to_seconds, self._is_cutting = None, False
        if self._problem and self._problem.kind is ProblemKind.CHUNK_TOO_LARGE:
            self._problem = None
        yield from ()

    # Visits that outlive a session at the service -----------------------------------------------------------------

    @property
    def _may_roll_over(self) -> bool:
        return self.phase.is_live or self.phase is Phase.DISCARDED

    def _watch_limit(self) -> Iterator[Command]:
        closes_at = self._parts.open.closes_at
        if closes_at is not None and self._may_roll_over:
            yield SetTimer(ROLLOVER, max(0.0, closes_at - self._recording.newest_at))

    def _roll_over(self) -> None:
        """What is recorded from now on goes into the service's next session."""
        part = self._parts.open
        if part.chunks:
            self._parts.close()
        elif part.delivery.created:
            self._parts.start_over(part, is_wished=True)

    def _roll_over_in_time(self) -> None:
        """Close a part whose time is up, or which another chunk could make longer than the service allows."""
        part, limit = self._parts.open, self._start.max_session_seconds if self._start else None
        is_expiring = part.closes_at is not None and self._recording.newest_at >= part.closes_at
        seconds = sum(self._recording.chunks[i].sample_count for i in part.chunks) / SAMPLE_RATE_HZ
        is_full = limit is not None and seconds + self._max_chunk_seconds > limit
        if self._may_roll_over and (is_expiring or is_full):
            self._roll_over()

    # Intents ------------------------------------------------------------------------------------------------------

    def _on_start(self, event: Start) -> Iterator[Command]:
        self._start = event
        self._max_chunk_seconds = event.max_chunk_seconds
        self._parts = Parts(self.id, event.max_templates)
        yield self._begin_take()

    def _begin_take(self) -> Command:
        assert self._start is not None
        return self._recording.begin_take(self._start.media_type, self._max_chunk_seconds)

    def _on_pause(self, event: Pause) -> Iterator[Command]:
        self._recording.mark_gap("paused", event.at)
        yield from self._end_capture()

    def _on_resume(self, _: Resume) -> Iterator[Command]:
        self._is_recovered = False
        self._roll_over_in_time()
        # A take that is still closing is waited for: its end opens the next one.
        if not self._recording.is_open:
            yield self._begin_take()

    def _on_stop(self, event: Stop) -> Iterator[Command]:
        self._is_recovered = False
        self._recording.stopped_at = self._ended_at = event.at
        yield from self._end_capture()
        self._clear_capture_problem()

    def _on_discard(self, event: Discard) -> Iterator[Command]:
        self._is_recovered = False
        self._recording.mark_gap("paused", event.at)
        yield from self._end_capture()
        self._clear_capture_problem()
        self._undo_until = event.at + UNDO_SECONDS
        if not self._recording.is_open:
            yield SetTimer(ERASE, UNDO_SECONDS)

    def _erase_later(self, at: float) -> Iterator[Command]:
        """The take of a discarded visit is over: now the time runs in which it can be had back."""
        self._undo_until = at + UNDO_SECONDS
        yield SetTimer(ERASE, UNDO_SECONDS)

    def _on_undo_discard(self, _: UndoDiscard) -> Iterator[Command]:
        self._undo_until = None
        yield CancelTimer(ERASE)

    def _on_change_patient(self, event: ChangePatient) -> Iterator[Command]:
        assert self._start is not None
        self._start = replace(self._start, visit=replace(self._start.visit, patient=event.patient))
        yield from ()

    def _on_mark_reviewed(self, event: MarkReviewed) -> Iterator[Command]:
        self._reviewed_at = event.at
        yield from ()

    def _end_capture(self) -> Iterator[Command]:
        yield CancelTimer(REOPEN)
        if self._recording.is_open:
            self._recording.is_ending = True
            yield EndCapture()

    def _on_try_now(self, _: TryNow) -> Iterator[Command]:
        yield CancelTimer(RETRY)
        self._is_waiting = self._is_stuck = False

    def _on_check_again(self, _: CheckAgain) -> Iterator[Command]:
        for part in self._parts.active:
            if part.may_turn_out_better:
                yield from part.check_again()

    def _on_send_again(self, _: SendAgain) -> Iterator[Command]:
        """Send what has not come to a whole result, or all of it when each part has."""
        active = self._parts.active
        again = [part for part in active if part.verdict is not Phase.COMPLETED] or active
        for part in again:
            self._parts.start_over(part, is_wished=True)
            yield CancelTimer(part.timer)
        self._problem = self._reviewed_at = self._cut_to_seconds = None
        self._tries = 0
        self._is_waiting = self._is_stuck = False
        yield CancelTimer(RETRY)

    def _on_make_note(self, event: MakeNote) -> Iterator[Command]:
        for part in self._parts.active:
            part.want_note(event.template_id)
        yield from ()

    # Facts of capture ---------------------------------------------------------------------------------------------

    def _on_capture_started(self, event: CaptureStarted) -> Iterator[Command]:
        if self._recording.is_current(event):
            self._recording.on_started(event)
            self._reopens = 0
            self._clear_capture_problem()
        yield from ()

    def _clear_capture_problem(self) -> None:
        if self._problem and self._problem.kind in _OF_CAPTURE:
            self._problem = None

    def _on_capture_lost(self, event: CaptureLost) -> Iterator[Command]:
        if not self._recording.is_current(event):
            return
        is_disk = event.problem.kind in _DISK and not self.phase.is_final
        if is_disk:
            # After Stop, too: the session is not ended without what the disk would not take.
            self.phase, self._problem = Phase.PAUSED, event.problem
            self._recording.stopped_at = self._ended_at = None
        self._recording.on_over(event, "interrupted" if self.source == FILE and not is_disk else "microphone")
        if self.phase is Phase.DISCARDED:
            yield from self._erase_later(event.at)
        elif self.phase is Phase.RECORDING and self.source == FILE:
            self._cut_file_short(event.problem, event.at)
        elif self.phase is Phase.RECORDING:
            self._problem = event.problem
            yield self._reopen_later(event.problem.kind)

    def _reopen_later(self, kind: ProblemKind) -> Command:
        """At once when there is another microphone; else with patience."""
        if kind is ProblemKind.MICROPHONE_CHANGED:
            return SetTimer(REOPEN, 0.0)
        seconds = min(_MAX_REOPEN_SECONDS, 0.25 * 2**self._reopens)
        self._reopens = min(self._reopens + 1, 10)
        return SetTimer(REOPEN, seconds)

    def _cut_file_short(self, problem: Problem, at: float) -> None:
        """A file is not opened again: what it gave is sent, and labelled when the result is there."""
        has_some = bool(self._recording.chunks)
        self._cut_short = Problem(ProblemKind.AUDIO_CUT_SHORT, problem.detail) if has_some else problem
        self.phase, self._ended_at = Phase.DRAINING, at

    def _on_capture_ended(self, event: CaptureEnded) -> Iterator[Command]:
        if not self._recording.is_current(event):
            return
        is_at_its_end = self.source == FILE and not self._recording.is_ending
        self._recording.on_over(event)
        if self.phase is Phase.DISCARDED:
            yield from self._erase_later(event.at)
        elif self.phase is Phase.RECORDING and is_at_its_end:
            self.phase, self._ended_at = Phase.DRAINING, event.at
        elif self.phase is Phase.RECORDING:
            yield self._begin_take()

    def _on_capture_interrupted(self, event: CaptureInterrupted) -> Iterator[Command]:
        self._recording.on_over(event, "interrupted")
        if self.phase is Phase.RECORDING and self.source == FILE:
            self._cut_file_short(Problem(ProblemKind.AUDIO_CUT_SHORT, "the app was closed meanwhile"), event.at)
        elif self.phase is Phase.RECORDING:
            self.phase, self._is_recovered = Phase.PAUSED, True
            self._clear_capture_problem()
        elif self.phase is Phase.DISCARDED:
            yield from self._erase_later(event.at)

    def _on_gap_found(self, event: GapFound) -> Iterator[Command]:
        if self._recording.is_known(event):
            self._recording.on_gap_found(event)
        yield from ()

    def _on_sound(self, event: SoundNoticed) -> Iterator[Command]:
        if self._recording.is_current(event):
            self._recording.sound = event.notice
        yield from ()

    def _on_disk(self, event: DiskRefused | DiskRecovered) -> Iterator[Command]:
        if self._recording.is_current(event):
            self._recording.disk_problem = (
                Problem(ProblemKind.DISK_WAITING, event.problem.detail) if isinstance(event, DiskRefused) else None
            )
        yield from ()

    def _on_chunk_sealed(self, event: ChunkSealed) -> Iterator[Command]:
        was_empty = not self._parts.open.chunks
        self._recording.on_sealed(event)
        self._parts.grow(len(self._recording.chunks))
        if was_empty and self.phase.is_live and self._parts.open.chunks:
            yield SetTimer(self._parts.open.timer, LIVE_POLL_SECONDS)
        self._roll_over_in_time()

    # Facts of the service -----------------------------------------------------------------------------------------

    def _on_answer(self, event: Answer) -> Iterator[Command]:
        part = self._parts.of_answer(event)
        if part is None:
            return
        if not isinstance(event, RequestFailed):
            self._tries = 0
            if self._problem and self._problem.is_transient:
                self._problem = None
        yield from _OF_PART[type(event)](self, part, event)

    def _on_created(self, part: Part, event: SessionCreated) -> Iterator[Command]:
        part.delivery.on_answered(CreateSession)
        part.delivery.on_created(event)
        now = self._recording.newest_at
        life = life_seconds(event, now, self._start.max_session_seconds if self._start else None)
        if part is self._parts.open:
            part.closes_at = now + life - margin_seconds(life, self._max_chunk_seconds)
            yield from self._watch_limit()

    def _on_uploaded(self, part: Part, event: ChunkUploaded) -> Iterator[Command]:
        part.delivery.on_uploaded(event.index)
        yield from ()

    def _on_ended(self, part: Part, event: SessionEnded) -> Iterator[Command]:
        part.on_ended(event)
        yield from ()

    def _on_status(self, part: Part, event: StatusRead) -> Iterator[Command]:
        part.delivery.on_answered(ReadStatus)
        result, templates = event.result, self._visit.templates
        if self.phase is Phase.DISCARDED:
            return
        if part.verdict is not None:
            yield from part.on_late_result(result, templates)
            return
        part.result = result
        is_sending = not part.is_handed_over or self._is_growing(part)
        if is_sending and not part.delivery.on_status(result, part.chunks):
            yield from self._start_over(part, Problem(ProblemKind.SESSION_ENDED))
        elif part.is_handed_over and result.status.is_final and not self._is_growing(part):
            yield from self._conclude(part, result)

    def _is_growing(self, part: Part) -> bool:
        return part is self._parts.open and (self.phase.is_live or self._recording.is_open)

    def _conclude(self, part: Part, result: SessionResult) -> Iterator[Command]:
        yield from part.conclude(result, self._visit.templates)
        if not self.phase.is_live:
            self._problem = None

    def _on_note_accepted(self, part: Part, event: NoteAccepted) -> Iterator[Command]:
        yield from part.on_note_accepted(event)

    def _on_failed(self, part: Part, event: RequestFailed) -> Iterator[Command]:
        request, problem = event.request, event.problem
        part.delivery.in_flight.discard(request)
        if isinstance(request, ProcessTemplate):
            part.on_note_failed(request.template_id, problem)
            if not problem.is_transient:
                return
        self._problem = problem
        if part.delivery.on_failed(request, problem):
            return
        if isinstance(request, UploadChunk) and problem.kind is ProblemKind.CHUNK_TOO_LARGE:
            self._on_too_large(part, request.index, problem)
        elif problem.kind in _LOST_AT_SERVICE:
            yield from self._start_over(part, problem)
        elif problem.is_transient:
            yield from self._wait(event.retry_after_seconds)
        else:
            self._is_stuck = True

    def _start_over(self, part: Part, problem: Problem) -> Iterator[Command]:
        """The service has lost a session. Before its end was accepted, the kept audio goes to a new one."""
        is_growing = self._is_growing(part)
        if part.verdict is not None:
            self._problem = problem
        elif (not part.is_handed_over or is_growing) and part.delivery.can_start_over_by_itself:
            self._parts.start_over(part, is_wished=False)
            self._problem = None
        elif is_growing:
            self._is_stuck, self._problem = True, problem
        else:
            part.give_up(problem)
        yield from ()

    def _wait(self, retry_after_seconds: float | None) -> Iterator[Command]:
        """Full jitter up to a growing bound, or the service's wish within reason (protocol page 3)."""
        if self._is_waiting:
            return
        self._is_waiting = True
        if retry_after_seconds is not None:
            yield SetTimer(RETRY, min(300.0, max(1.0, retry_after_seconds)))
        else:
            yield SetTimer(RETRY, min(_MAX_BACKOFF_SECONDS, 1.0 * 2**self._tries), is_spread=True)
        self._tries = min(self._tries + 1, 10)

    def _on_timer(self, event: TimerFired) -> Iterator[Command]:
        if event.name == RETRY:
            self._is_waiting = False
        elif event.name == ROLLOVER and self._may_roll_over:
            self._roll_over()
        elif event.name == REOPEN and self.phase is Phase.RECORDING and not self._recording.is_open:
            yield self._begin_take()
        elif event.name == ERASE and self.phase is Phase.DISCARDED:
            self._is_erased = True
            yield EraseAudio()
        for part in self._parts.active:
            part.is_poll_due = part.is_poll_due or part.timer == event.name


def _always(_: Session) -> bool:
    return True


_CONDITIONS: Final[dict[type[Intent], Callable[[Session], bool]]] = {
    TryNow: lambda session: session._is_waiting or session._is_stuck,
    SendAgain: lambda session: bool(session._recording.chunks),
    CheckAgain: lambda session: any(part.may_turn_out_better for part in session._parts.active),
    MarkReviewed: lambda session: any(part.has_result for part in session._parts.active),
    UndoDiscard: lambda session: not session._is_erased,
}
"""What else must be so for an intent to be taken in a phase that has a use for it."""

_HANDLERS: Final[dict[type, Callable[[Session, Any], Iterator[Command]]]] = {
    Start: Session._on_start,
    Pause: Session._on_pause,
    Resume: Session._on_resume,
    Stop: Session._on_stop,
    Discard: Session._on_discard,
    UndoDiscard: Session._on_undo_discard,
    ChangePatient: Session._on_change_patient,
    MarkReviewed: Session._on_mark_reviewed,
    TryNow: Session._on_try_now,
    CheckAgain: Session._on_check_again,
    SendAgain: Session._on_send_again,
    MakeNote: Session._on_make_note,
    CaptureStarted: Session._on_capture_started,
    CaptureLost: Session._on_capture_lost,
    CaptureEnded: Session._on_capture_ended,
    CaptureInterrupted: Session._on_capture_interrupted,
    GapFound: Session._on_gap_found,
    SoundNoticed: Session._on_sound,
    DiskRefused: Session._on_disk,
    DiskRecovered: Session._on_disk,
    ChunkSealed: Session._on_chunk_sealed,
    ChunksCutAgain: Session._on_cut_again,
    **dict.fromkeys(get_args(Answer), Session._on_answer),
    TimerFired: Session._on_timer,
}

_OF_PART: Final[dict[type, Callable[[Session, Part, Any], Iterator[Command]]]] = {
    SessionCreated: Session._on_created,
    ChunkUploaded: Session._on_uploaded,
    StatusRead: Session._on_status,
    SessionEnded: Session._on_ended,
    NoteAccepted: Session._on_note_accepted,
    RequestFailed: Session._on_failed,
}
