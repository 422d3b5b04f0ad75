"""The session machine: one recorded encounter, from Start to its result.

Its whole interface is :meth:`Session.handle`, :meth:`Session.resume` and :meth:`Session.view`. It decides and
does nothing: what the world tells it is an event, what it wants done comes back as commands. It knows no clock and
no chance; delays go out as timers. Recovery is replay: feed the durable events to a new session, then resume it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Final, get_args

from app.core import joined, sending
from app.core.events import (
    FILE,
    MICROPHONE,
    Answer,
    AudioErased,
    CancelTimer,
    CaptureEnded,
    CaptureInterrupted,
    CaptureLost,
    CaptureStarted,
    ChangePatient,
    CheckAgain,
    ChunksCutAgain,
    ChunkSealed,
    Command,
    Discard,
    DiskRecovered,
    DiskRefused,
    EndCapture,
    EraseAudio,
    Event,
    GapFound,
    Intent,
    MakeNote,
    MarkReviewed,
    NoteAccepted,
    Pause,
    RequestFailed,
    Resume,
    Send,
    SendAgain,
    SessionCreated,
    SessionId,
    SetTimer,
    SoundNoticed,
    Start,
    StatusRead,
    Stop,
    TimerFired,
    TryNow,
    UndoDiscard,
)
from app.core.problems import Problem, ProblemKind
from app.core.recording import Recording
from app.core.sending import Sending
from app.core.table import TABLE
from app.core.views import Phase, SessionView

RETRY, ROLLOVER = sending.RETRY, sending.ROLLOVER
REOPEN, ERASE = "reopen", "erase"
"""The machine's timers: try a failed request again, go on in the service's next session; open the microphone again,
erase what was thrown away. Asking for the status has one for each part (:data:`app.core.part.POLL`)."""

UNDO_SECONDS: Final = 30.0
"""How long a discarded visit can be had back."""

_MAX_REOPEN_SECONDS: Final = 1.0

_DISK: Final = (ProblemKind.DISK_FULL, ProblemKind.DISK_FAILED)
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
        self._sending = Sending(session_id, self._recording)
        self._problem: Problem | None = None
        """What keeps the visit from being recorded."""
        self._cut_short: Problem | None = None
        """Why a file was not read to its end: the result of the rest is never a whole one."""
        self._ended_at: float | None = None
        self._reviewed_at: float | None = None
        self._undo_until: float | None = None
        self._is_erased = False
        self._is_recovered = False
        self._has_audio = True
        self._reopens = 0

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
        commands = [*self._sending.resume(self.phase)]
        if self.phase is Phase.DISCARDED:
            return [*commands, SetTimer(ERASE, UNDO_SECONDS)]
        return [*commands, *self._advance()]

    def is_allowed(self, intent: type[Intent]) -> bool:
        """Whether an intent would be taken now."""
        return (self.phase, intent) in TABLE and _CONDITIONS.get(intent, _always)(self)

    def awaits(self, sent: Send) -> bool:
        """Whether an answer to this is still wanted: not one that belongs to a service session given up since."""
        part = self._sending.part_of(sent)
        return part is not None and sent.request in part.delivery.in_flight

    def is_durable(self, event: Event) -> bool:
        """Whether an event belongs in the journal: without it, replay would come to another state.

        To be asked before the event is handled, since an answer that repeats the last one is not kept twice.
        """
        if isinstance(event, StatusRead | RequestFailed):
            return self._sending.is_durable(event)
        if isinstance(event, TimerFired):
            return event.name == REOPEN or (event.name == ROLLOVER and sending.may_roll_over(self.phase))
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
        return self._sending.max_chunk_seconds

    @property
    def created(self) -> SessionCreated | None:
        """The newest of the service's sessions, once it exists."""
        return self._sending.parts[-1].delivery.created

    def created_for(self, sent: Send) -> SessionCreated | None:
        """The service's session that a request is meant for."""
        part = self._sending.part_of(sent)
        return part.delivery.created if part else None

    @property
    def is_settled(self) -> bool:
        """Nothing more will happen by itself: erased, or a result, and every wanted note has come or failed."""
        if self.phase is Phase.DISCARDED:
            return self._is_erased
        return self.phase.is_final and not any(part.has_wanted_notes for part in self._sending.parts)

    @property
    def is_stuck(self) -> bool:
        """Nothing more is sent until a person has done something."""
        return self._sending.is_stuck

    def view(self) -> SessionView:
        """The session as a screen shows it."""
        recording, parts = self._recording, self._sending.parts
        pieces = self._sending.pieces(is_over=self.phase.is_final)
        missing = sorted({index for part in parts for index in part.missing})
        return SessionView(
            id=self.id,
            phase=self.phase,
            visit=self._sending.visit,
            started_at=self._start.at if self._start else None,
            recorded_seconds=recording.seconds,
            is_capturing=recording.is_capturing,
            microphone=recording.microphone,
            gaps=recording.gaps,
            chunks_sealed=len(recording.chunks),
            chunks_uploaded=sum(len(part.delivery.uploaded) for part in parts),
            seconds_to_upload=self._sending.seconds_to_upload(),
            is_created=all(part.delivery.created for part in parts),
            is_ended=all(part.delivery.is_ended for part in parts),
            allowed=frozenset(i.__name__ for (p, i) in TABLE if p is self.phase and self.is_allowed(i)),
            transcript=joined.transcript(pieces),
            utterances=joined.utterances(pieces),
            transcript_by=joined.transcript_by(pieces),
            notes=joined.notes(pieces) if self._start else (),
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
            has_audio=self._has_audio,
            is_recovered=self._is_recovered,
        )

    def _shown_problem(self) -> Problem | None:
        """What touches the recording first; then what keeps it from being sent; then what became of it."""
        now = self._recording.disk_problem or self._problem or self._sending.problem
        if now or not self.phase.is_final:
            return now
        return next((part.problem for part in self._sending.parts if part.problem), self._cut_short)

    def _advance(self) -> list[Command]:
        """Settle the phase, then send what is due and not on its way already."""
        self._sending.see_ends()
        if self.phase in (Phase.IDLE, Phase.DISCARDED):
            return []
        if not self.phase.is_live:
            self.phase = self._phase_after_stop()
        return [*self._sending.advance(self.phase)]

    def _phase_after_stop(self) -> Phase:
        """Phases follow facts."""
        if self._recording.is_open:
            return Phase.DRAINING
        if not self._recording.chunks:
            self._problem = self._cut_short or Problem(ProblemKind.NOTHING_RECORDED)
            return Phase.FAILED
        phase = self._sending.phase()
        return Phase.PARTIAL if phase is Phase.COMPLETED and self._cut_short else phase

    # Intents ------------------------------------------------------------------------------------------------------

    def _on_start(self, event: Start) -> Iterator[Command]:
        self._start = event
        self._recording.is_in_real_time = event.source == MICROPHONE
        self._sending.begin(event)
        yield self._begin_take()

    def _begin_take(self) -> Command:
        assert self._start is not None
        return self._recording.begin_take(self._start.media_type, self.max_chunk_seconds)

    def _on_pause(self, event: Pause) -> Iterator[Command]:
        self._recording.mark_gap("paused", event.at)
        yield from self._end_capture()

    def _on_resume(self, _: Resume) -> Iterator[Command]:
        self._is_recovered = False
        self._sending.roll_over_in_time(self.phase)
        # A take that is still closing is waited for: its end opens the next one.
        if not self._recording.is_open:
            yield self._begin_take()

    def _on_stop(self, event: Stop) -> Iterator[Command]:
        self._is_recovered = False
        self._recording.stopped_at = self._ended_at = event.at
        yield from self._end_capture()
        self._problem = None

    def _on_discard(self, event: Discard) -> Iterator[Command]:
        self._is_recovered = False
        self._recording.mark_gap("paused", event.at)
        yield from self._end_capture()
        self._problem = None
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
        self._sending.visit = replace(self._sending.visit, patient=event.patient)
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
        yield from self._sending.try_now()

    def _on_check_again(self, _: CheckAgain) -> Iterator[Command]:
        yield from self._sending.check_again()

    def _on_send_again(self, _: SendAgain) -> Iterator[Command]:
        self._reviewed_at = None
        yield from self._sending.send_again()

    def _on_make_note(self, event: MakeNote) -> Iterator[Command]:
        self._sending.make_note(event.template_id)
        yield from ()

    # Facts of capture ---------------------------------------------------------------------------------------------

    def _on_capture_started(self, event: CaptureStarted) -> Iterator[Command]:
        if self._recording.is_current(event):
            self._recording.on_started(event)
            self._reopens = 0
            self._problem = None
        yield from ()

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
            self._problem = None
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

    def _on_audio_erased(self, _: AudioErased) -> Iterator[Command]:
        self._has_audio = False
        yield from ()

    def _on_chunk_sealed(self, event: ChunkSealed) -> Iterator[Command]:
        self._recording.on_sealed(event)
        yield from self._sending.on_sealed(self.phase)

    def _on_cut_again(self, event: ChunksCutAgain) -> Iterator[Command]:
        self._sending.on_cut_again(event)
        yield from ()

    # Facts of the service, and of time ----------------------------------------------------------------------------

    def _on_answer(self, event: Answer) -> Iterator[Command]:
        yield from self._sending.on_answer(event, self.phase)

    def _on_timer(self, event: TimerFired) -> Iterator[Command]:
        self._sending.on_timer(event.name, self.phase)
        if event.name == REOPEN and self.phase is Phase.RECORDING and not self._recording.is_open:
            yield self._begin_take()
        elif event.name == ERASE and self.phase is Phase.DISCARDED:
            self._is_erased = True
            yield EraseAudio()


def _always(_: Session) -> bool:
    return True


_CONDITIONS: Final[dict[type[Intent], Callable[[Session], bool]]] = {
    TryNow: lambda session: session._sending.is_waiting or session._sending.is_stuck,
    SendAgain: lambda session: bool(session._recording.chunks) and session._has_audio,
    CheckAgain: lambda session: any(part.may_turn_out_better for part in session._sending.parts),
    MarkReviewed: lambda session: any(part.has_result for part in session._sending.parts),
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
    AudioErased: Session._on_audio_erased,
    **dict.fromkeys(get_args(Answer), Session._on_answer),
    TimerFired: Session._on_timer,
}
