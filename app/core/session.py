"""The session machine: one recorded encounter, from Start to its result.

Its whole interface is :meth:`Session.handle`, :meth:`Session.resume` and :meth:`Session.view`. It decides and
does nothing: what the world tells it is an event, what it wants done comes back as commands. It knows no clock and
no chance; delays go out as timers. Recovery is replay: feed the durable events to a new session, then resume it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from enum import Enum, auto
from typing import Any, Final

from app.core.delivery import Delivery
from app.core.events import (
    FILE,
    CancelTimer,
    CaptureEnded,
    CaptureInterrupted,
    CaptureLost,
    CaptureStarted,
    ChangePatient,
    CheckAgain,
    ChunkSealed,
    ChunkUploaded,
    Command,
    CreateSession,
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
from app.core.problems import Problem, ProblemKind
from app.core.recording import Recording
from app.core.scribe import ServiceStatus, SessionResult, TemplateResult, TemplateStatus
from app.core.views import Phase, SessionView

RETRY, POLL, REOPEN, ERASE = "retry", "poll", "reopen", "erase"
"""The machine's timers: try a failed request again, ask for the status, open the microphone again, erase what was
thrown away."""

UNDO_SECONDS: Final = 30.0
"""How long a discarded visit can be had back."""

_LIVE_POLL_SECONDS: Final = 5.0
_RECHECK_SECONDS, _RECHECKS = 30.0, 20
_POLL_RATES: Final = ((30, 1.0), (75, 2.0), (float("inf"), 5.0))
_MAX_BACKOFF_SECONDS: Final = 60.0
_MAX_REOPEN_SECONDS: Final = 1.0

_FINAL = (Phase.COMPLETED, Phase.PARTIAL, Phase.FAILED, Phase.EXPIRED)

TABLE: Final[dict[tuple[Phase, type[Intent]], Phase]] = {
    (Phase.IDLE, Start): Phase.RECORDING,
    (Phase.RECORDING, Pause): Phase.PAUSED,
    (Phase.PAUSED, Resume): Phase.RECORDING,
    (Phase.RECORDING, Stop): Phase.DRAINING,
    (Phase.PAUSED, Stop): Phase.DRAINING,
    (Phase.RECORDING, Discard): Phase.DISCARDED,
    (Phase.PAUSED, Discard): Phase.DISCARDED,
    (Phase.DISCARDED, UndoDiscard): Phase.PAUSED,
    **{(phase, ChangePatient): phase for phase in Phase if phase not in (Phase.IDLE, Phase.DISCARDED)},
    **{
        (phase, TryNow): phase
        for phase in (Phase.RECORDING, Phase.PAUSED, Phase.DRAINING, Phase.ENDING, Phase.PROCESSING, *_FINAL)
    },
    **{(phase, CheckAgain): phase for phase in (Phase.PARTIAL, Phase.FAILED)},
    **{(phase, SendAgain): Phase.DRAINING for phase in (Phase.PARTIAL, Phase.FAILED, Phase.EXPIRED)},
    **{(phase, MakeNote): phase for phase in (Phase.COMPLETED, Phase.PARTIAL)},
    **{(phase, MarkReviewed): phase for phase in _FINAL},
}
"""What may be wished when, and the phase it leads to. Anything else is :class:`NotAllowed`."""

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
_LOST_AT_SERVICE: Final = (ProblemKind.SESSION_UNKNOWN, ProblemKind.SESSION_EXPIRED, ProblemKind.SESSION_ENDED)
_CHANGES_DELIVERY: Final = (*_LOST_AT_SERVICE, ProblemKind.CHUNK_REFUSED)
_DISK: Final = (ProblemKind.DISK_FULL, ProblemKind.DISK_FAILED)
_OF_CAPTURE: Final = (
    *(ProblemKind.NO_MICROPHONE, ProblemKind.MICROPHONE_LOST, ProblemKind.MICROPHONE_CHANGED),
    *(ProblemKind.MICROPHONE_BUSY, ProblemKind.MICROPHONE_FORBIDDEN, *_DISK),
)


_PASSING: Final = (TryNow, CheckAgain, NoteAccepted, SoundNoticed, DiskRefused, DiskRecovered)
"""What is true of a moment alone."""


class _NoteStage(Enum):
    WANTED = auto()
    ASKED = auto()
    ACCEPTED = auto()


class NotAllowed(Exception):
    """An intent that the session's phase has no use for."""


class Session:
    """One encounter. Owned by the engine's thread."""

    def __init__(self, session_id: SessionId) -> None:
        self.id = session_id
        self.phase = Phase.IDLE
        self._start: Start | None = None
        self._recording = Recording()
        self._delivery = Delivery(session_id, Visit(), 0)
        self._result: SessionResult | None = None
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
        self._polls = 0
        self._rechecks = 0
        self._is_waiting = False
        """A retry timer runs; nothing is sent until it fires."""
        self._is_stuck = False
        """Only a person can help (sign-in, a refused request); nothing is sent until TryNow."""
        self._is_poll_due = False
        self._wanted_notes: dict[str, _NoteStage] = {}
        """Notes that come after the end, as far as each has got."""
        self._note_problems: dict[str, Problem] = {}

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
        commands = list(_HANDLERS[type(event)](self, event))
        return [*commands, *self._advance()]

    def resume(self) -> list[Command]:
        """What is to be done after replay."""
        self._delivery.in_flight.clear()
        self._is_waiting = self._is_stuck = False
        self._wanted_notes = dict.fromkeys(self._wanted_notes, _NoteStage.WANTED)
        self._is_poll_due = self.phase is Phase.PROCESSING or self.phase.is_live
        if self.phase is Phase.DISCARDED:
            return [SetTimer(ERASE, UNDO_SECONDS)]
        return self._advance()

    def is_allowed(self, intent: type[Intent]) -> bool:
        """Whether an intent would be taken now."""
        return (self.phase, intent) in TABLE and _CONDITIONS.get(intent, _always)(self)

    def awaits(self, sent: Send) -> bool:
        """Whether an answer to this is still wanted: not one that belongs to a service session given up since."""
        return sent.generation == self._delivery.generation and sent.request in self._delivery.in_flight

    def is_durable(self, event: Event) -> bool:
        """Whether an event belongs in the journal: without it, replay would come to another state.

        To be asked before the event is handled, since an answer that repeats the last one is not kept twice.
        """
        if isinstance(event, StatusRead):
            is_news = event.result.status.is_final and event.result != self._result
            return is_news or self._delivery.is_looking
        if isinstance(event, RequestFailed):
            return isinstance(event.request, EndSession) or event.problem.kind in _CHANGES_DELIVERY
        if isinstance(event, TimerFired):
            return event.name == REOPEN  # It opens a take.
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
        return self._start.max_chunk_seconds if self._start else 20.0

    @property
    def created(self) -> SessionCreated | None:
        """The service's session, once it exists."""
        return self._delivery.created

    @property
    def is_settled(self) -> bool:
        """Nothing more will happen by itself: erased, or a result, and every wanted note has come or failed."""
        if self.phase is Phase.DISCARDED:
            return self._is_erased
        return self.phase.is_final and not self._wanted_notes

    @property
    def is_stuck(self) -> bool:
        """Nothing more is sent until a person has done something."""
        return self._is_stuck

    def view(self) -> SessionView:
        """The session as a screen shows it."""
        recording, delivery, result = self._recording, self._delivery, self._result
        missing = self._missing()
        return SessionView(
            id=self.id,
            phase=self.phase,
            visit=self._start.visit if self._start else Visit(),
            started_at=self._start.at if self._start else None,
            recorded_seconds=recording.seconds,
            is_capturing=recording.is_capturing,
            microphone=recording.microphone,
            gaps=recording.gaps,
            chunks_sealed=len(recording.chunks),
            chunks_uploaded=len(delivery.uploaded),
            seconds_to_upload=self._seconds_to_upload(),
            is_created=delivery.created is not None,
            is_ended=delivery.is_ended,
            allowed=frozenset(i.__name__ for (p, i) in TABLE if p is self.phase and self.is_allowed(i)),
            transcript=result.transcript if result else "",
            utterances=result.utterances if result else (),
            transcript_by=result.transcript_by if result else "",
            notes=self._notes(),
            processing_errors=result.processing_errors if result else (),
            missing_chunks=missing,
            missing_spans=tuple(recording.span_seconds(i) for i in missing if i < len(recording.chunks)),
            audio_files_received=result.audio_files_received if result else None,
            problem=recording.disk_problem or self._problem or (self._cut_short if self.phase.is_final else None),
            sound=recording.sound,
            ended_at=self._ended_at,
            reviewed_at=self._reviewed_at,
            undo_until=self._undo_until,
            is_recovered=self._is_recovered,
        )

    # What the view is made of -----------------------------------------------------------------------------------

    def _seconds_to_upload(self) -> float:
        chunks = self._recording.chunks
        spans = (self._recording.span_seconds(i) for i in self._delivery.unsent(len(chunks)))
        return sum(end - first for first, end in spans)

    def _missing(self) -> tuple[int, ...]:
        said = (n for e in self._result.processing_errors for n in e.missing) if self._result else iter(())
        return tuple(sorted({*self._delivery.missing, *self._delivery.refused, *said}))

    def _notes(self) -> tuple[TemplateResult, ...]:
        if self._start is None:
            return ()
        came = {t.id: t for t in self._result.templates} if self._result else {}
        ids = dict.fromkeys([*self._start.visit.templates, *came, *self._wanted_notes, *self._note_problems])
        return tuple(self._note(i, came.get(i)) for i in ids)

    def _note(self, template_id: str, came: TemplateResult | None) -> TemplateResult:
        if problem := self._note_problems.get(template_id):
            return TemplateResult(template_id, TemplateStatus.FAILED, error=f"{problem.words.what} {problem.detail}")
        if template_id in self._wanted_notes or (came is None and not self.phase.is_final):
            return TemplateResult(template_id, TemplateStatus.PROCESSING)
        if came is None:
            return TemplateResult(template_id, TemplateStatus.FAILED, error="The service did not return this note.")
        return came

    # What is sent next --------------------------------------------------------------------------------------------

    def _advance(self) -> list[Command]:
        """Settle the local phases, then send what is due and not on its way already."""
        if self._is_nothing_recorded():
            self.phase = Phase.FAILED
            self._problem = self._cut_short or Problem(ProblemKind.NOTHING_RECORDED)
        if self.phase in (Phase.DRAINING, Phase.ENDING):
            self.phase = Phase.ENDING if self._is_ready_to_end() else Phase.DRAINING
            if self._delivery.is_ended:
                self.phase, self._is_poll_due = Phase.PROCESSING, True
        commands: list[Command] = []
        for request in self._due():
            if not self._delivery.is_on_its_way(request):
                commands += self._send(request)
        return commands

    def _is_complete(self) -> bool:
        return not self._recording.is_open and not self.phase.is_live

    def _is_nothing_recorded(self) -> bool:
        return self.phase is Phase.DRAINING and self._is_complete() and not self._recording.chunks

    def _is_ready_to_end(self) -> bool:
        return self._is_complete() and self._delivery.is_delivered(len(self._recording.chunks))

    def _due(self) -> Iterator[Request]:
        if self._is_waiting or self._is_stuck or self.phase in (Phase.IDLE, Phase.DISCARDED):
            return
        if self.phase.is_live or self.phase in (Phase.DRAINING, Phase.ENDING):
            yield from self._delivery.due(len(self._recording.chunks), is_complete=self._is_complete())
        if self._is_poll_due and self._delivery.created and self.phase not in (Phase.DRAINING, Phase.ENDING):
            yield ReadStatus(may_wait=not self.phase.is_live)
        if self.phase in (Phase.COMPLETED, Phase.PARTIAL):
            yield from (ProcessTemplate(t) for t, stage in self._wanted_notes.items() if stage is _NoteStage.WANTED)

    def _send(self, request: Request) -> Iterator[Command]:
        self._delivery.on_sent(request)
        if isinstance(request, ProcessTemplate):
            self._wanted_notes[request.template_id] = _NoteStage.ASKED
        if isinstance(request, ReadStatus) and self._is_poll_due:
            self._is_poll_due = False
            yield from self._poll_later()
        yield Send(request, self._delivery.generation)

    def _poll_later(self) -> Iterator[Command]:
        """Polling is a rate, start to start, so that a service that holds the answer is asked again at once."""
        if self.phase.is_live:
            yield SetTimer(POLL, _LIVE_POLL_SECONDS)
        elif self.phase is Phase.PROCESSING or self._wanted_notes:
            self._polls += 1
            yield SetTimer(POLL, _poll_seconds(self._polls))
        elif self._may_turn_out_better() and self._rechecks:
            self._rechecks -= 1
            yield SetTimer(POLL, _RECHECK_SECONDS)

    def _may_turn_out_better(self) -> bool:
        """Whether it lies with the service that the result is none or not whole."""
        is_done = self._result is not None and self._result.status is ServiceStatus.COMPLETED
        return self.phase is Phase.FAILED or (self.phase is Phase.PARTIAL and not is_done)

    # Intents ------------------------------------------------------------------------------------------------------

    def _on_start(self, event: Start) -> Iterator[Command]:
        self._start = event
        self._delivery = Delivery(self.id, event.visit, event.max_templates)
        yield self._begin_take()

    def _begin_take(self) -> Command:
        assert self._start is not None
        return self._recording.begin_take(self._start.media_type, self._start.max_chunk_seconds)

    def _on_pause(self, event: Pause) -> Iterator[Command]:
        self._recording.mark_gap("paused", event.at)
        yield from self._end_capture()

    def _on_resume(self, _: Resume) -> Iterator[Command]:
        self._is_recovered = False
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
        self._delivery.visit = self._start.visit
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
        self._is_poll_due, self._rechecks = True, _RECHECKS
        yield CancelTimer(POLL)

    def _on_send_again(self, _: SendAgain) -> Iterator[Command]:
        self._delivery.start_over(is_wished=True)
        self._result = self._problem = self._reviewed_at = None
        self._tries = self._polls = 0
        self._is_waiting = self._is_stuck = self._is_poll_due = False
        self._wanted_notes.clear()
        self._note_problems.clear()
        yield CancelTimer(POLL)
        yield CancelTimer(RETRY)

    def _on_make_note(self, event: MakeNote) -> Iterator[Command]:
        self._want_note(event.template_id)
        yield from ()

    def _want_note(self, template_id: str) -> None:
        self._note_problems.pop(template_id, None)
        self._wanted_notes[template_id] = _NoteStage.WANTED
        self._polls = 0

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
        is_first = not self._recording.chunks
        self._recording.on_sealed(event)
        if is_first and self.phase.is_live:
            yield SetTimer(POLL, _LIVE_POLL_SECONDS)

    # Facts of the service -----------------------------------------------------------------------------------------

    def _answered(self, request: Request) -> None:
        self._delivery.in_flight.discard(request)
        self._tries = 0
        if self._problem and self._problem.is_transient:
            self._problem = None

    def _on_created(self, event: SessionCreated) -> Iterator[Command]:
        for request in [r for r in self._delivery.in_flight if isinstance(r, CreateSession)]:
            self._answered(request)
        self._delivery.on_created(event)
        yield from ()

    def _on_uploaded(self, event: ChunkUploaded) -> Iterator[Command]:
        self._answered(UploadChunk(event.index))
        self._delivery.on_uploaded(event.index)
        yield from ()

    def _on_ended(self, _: SessionEnded) -> Iterator[Command]:
        self._answered(EndSession(len(self._recording.chunks)))
        self._delivery.on_ended()
        yield from ()

    def _on_status(self, event: StatusRead) -> Iterator[Command]:
        for request in [r for r in self._delivery.in_flight if isinstance(r, ReadStatus)]:
            self._answered(request)
        result = event.result
        if self.phase is Phase.DISCARDED:
            return
        if self.phase.is_final:
            yield from self._on_late_result(result)
            return
        self._result = result
        if self.phase is not Phase.PROCESSING:
            if not self._delivery.on_status(result, len(self._recording.chunks)):
                self._start_over(Problem(ProblemKind.SESSION_ENDED))
            if not self._delivery.is_ended:
                return
        if result.status.is_final and not self.phase.is_live:
            yield from self._conclude(result)

    def _conclude(self, result: SessionResult) -> Iterator[Command]:
        """The service is done: take its verdict, then ask for the notes that did not fit into the session."""
        assert self._start is not None
        self.phase = self._verdict(result.status)
        kind = _PROBLEM_OF_STATUS.get(result.status)
        self._problem = Problem(kind, result.message) if kind else None
        self._delivery.on_ended()
        self._is_poll_due = False
        self._polls, self._rechecks = 0, _RECHECKS
        came = {t.id: t for t in result.templates}
        for template_id in self._start.visit.templates[self._start.max_templates :]:
            if template_id not in came:
                self._want_note(template_id)
        for template in result.templates:
            if template.status is TemplateStatus.PROCESSING:
                self._wanted_notes[template.id] = _NoteStage.ACCEPTED
        yield CancelTimer(POLL)
        yield from self._poll_later()

    def _verdict(self, status: ServiceStatus) -> Phase:
        phase = _PHASE_OF_STATUS.get(status, self.phase)
        return Phase.PARTIAL if phase is Phase.COMPLETED and self._cut_short else phase

    def _on_late_result(self, result: SessionResult) -> Iterator[Command]:
        """After a verdict: notes made later, or a service that has changed its mind for the better."""
        phase = self._verdict(result.status)
        if _RANK[phase] > _RANK[self.phase]:
            self._result = result
            yield from self._conclude(result)
        elif phase is self.phase and result.status in (ServiceStatus.COMPLETED, ServiceStatus.PARTIAL):
            self._result = result
        for template in result.templates:
            is_awaited = self._wanted_notes.get(template.id) is _NoteStage.ACCEPTED
            if is_awaited and template.status is not TemplateStatus.PROCESSING:
                del self._wanted_notes[template.id]

    def _on_note_accepted(self, event: NoteAccepted) -> Iterator[Command]:
        self._answered(ProcessTemplate(event.template_id))
        if event.template_id in self._wanted_notes:
            self._wanted_notes[event.template_id] = _NoteStage.ACCEPTED
            self._is_poll_due = True
            yield CancelTimer(POLL)

    def _on_failed(self, event: RequestFailed) -> Iterator[Command]:
        request, problem = event.request, event.problem
        self._delivery.in_flight.discard(request)
        if isinstance(request, ProcessTemplate) and not problem.is_transient:
            self._wanted_notes.pop(request.template_id, None)
            self._note_problems[request.template_id] = problem
            return
        if isinstance(request, ProcessTemplate):
            self._wanted_notes[request.template_id] = _NoteStage.WANTED
        self._problem = problem
        if self._delivery.on_failed(request, problem):
            return
        if problem.kind in _LOST_AT_SERVICE:
            self._start_over(problem)
        elif problem.is_transient:
            yield from self._wait(event.retry_after_seconds)
        else:
            self._is_stuck = True

    def _start_over(self, problem: Problem) -> None:
        """The service has lost the session. Before its end was accepted, the kept audio goes to a new one."""
        if self.phase.is_final:
            self._problem = problem
        elif self.phase is Phase.PROCESSING or not self._delivery.can_start_over_by_itself:
            self.phase = self.phase if self.phase.is_live else Phase.FAILED
            self._is_stuck, self._problem = self.phase.is_live, problem
        else:
            self._delivery.start_over(is_wished=False)
            self._result = self._problem = None

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
        elif event.name == POLL:
            self._is_poll_due = True
        elif event.name == REOPEN and self.phase is Phase.RECORDING and not self._recording.is_open:
            yield self._begin_take()
        elif event.name == ERASE and self.phase is Phase.DISCARDED:
            self._is_erased = True
            yield EraseAudio()


def _poll_seconds(polls: int) -> float:
    """Every second at first, then every two, then every five (protocol page 1, polling)."""
    return next(seconds for limit, seconds in _POLL_RATES if polls <= limit)


def _always(_: Session) -> bool:
    return True


_CONDITIONS: Final[dict[type[Intent], Callable[[Session], bool]]] = {
    TryNow: lambda session: session._is_waiting or session._is_stuck,
    SendAgain: lambda session: bool(session._recording.chunks),
    CheckAgain: Session._may_turn_out_better,
    MarkReviewed: lambda session: session._result is not None,
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
    SessionCreated: Session._on_created,
    ChunkUploaded: Session._on_uploaded,
    StatusRead: Session._on_status,
    SessionEnded: Session._on_ended,
    NoteAccepted: Session._on_note_accepted,
    RequestFailed: Session._on_failed,
    TimerFired: Session._on_timer,
}
