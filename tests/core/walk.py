"""A small world around one session machine: a disk, a microphone and a service that all fail at random.

It carries out the machine's commands, keeps what a real service would keep, and checks after each step what must
never be broken. A seed decides everything, so that each walk can be walked again.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from app.core.events import (
    CancelTimer,
    CaptureEnded,
    CaptureInterrupted,
    CaptureLost,
    CaptureStarted,
    ChunkSealed,
    ChunkUploaded,
    Command,
    CreateSession,
    Discard,
    EndCapture,
    EndSession,
    EraseAudio,
    Event,
    Fact,
    Intent,
    MakeNote,
    NoteAccepted,
    Pause,
    ProcessTemplate,
    Request,
    RequestFailed,
    Resume,
    Send,
    SendAgain,
    SessionCreated,
    SessionEnded,
    SessionId,
    SetTimer,
    Start,
    StartCapture,
    StatusRead,
    Stop,
    TimerFired,
    TryNow,
    UndoDiscard,
    UploadChunk,
    Visit,
)
from app.core.problems import Problem, ProblemKind
from app.core.scribe import ServiceStatus, SessionResult, TemplateResult, TemplateStatus
from app.core.session import TABLE, NotAllowed, Session
from app.core.views import Phase

TEMPLATES = ("soap", "medications", "vitals")
_PASSING = (
    ProblemKind.UNREACHABLE,
    ProblemKind.TIMED_OUT,
    ProblemKind.SERVICE_BUSY,
    ProblemKind.SERVICE_BROKEN,
    ProblemKind.ANSWER_UNREADABLE,
)


class Broken(AssertionError):
    """Something happened that must never happen."""


@dataclass
class Stored:
    """One session at the service."""

    templates: tuple[str, ...]
    chunks: dict[int, tuple[int, int]] = field(default_factory=dict)
    ended_with: int | None = None
    made: set[str] = field(default_factory=set)


class Service:
    """What a service keeps, and how it answers."""

    def __init__(self, spans: dict[int, tuple[int, int]]) -> None:
        self.sessions: dict[str, Stored] = {}
        self._spans = spans

    def answer(self, request: Request, session_id: str) -> Fact:
        """Carry a request out, as a correct service would."""
        if isinstance(request, CreateSession):
            self.sessions.setdefault(request.session_id, Stored(request.templates))
            return SessionCreated(request.session_id)
        stored = self.sessions.get(session_id)
        if stored is None:
            return RequestFailed(request, Problem(ProblemKind.SESSION_UNKNOWN))
        return self._answer(request, stored)

    def _answer(self, request: Request, stored: Stored) -> Fact:
        match request:
            case UploadChunk(index):
                if stored.ended_with is not None:
                    return RequestFailed(request, Problem(ProblemKind.SESSION_ENDED))
                stored.chunks[index] = self._spans[index]
                return ChunkUploaded(index)
            case EndSession(count):
                if stored.ended_with is None:
                    if sorted(stored.chunks) != list(range(count)) or set(stored.chunks) != set(self._spans):
                        raise Broken(f"ended with {count}, but {sorted(stored.chunks)} of {sorted(self._spans)} came")
                    stored.ended_with = count
                return SessionEnded(len(stored.chunks))
            case ProcessTemplate(template_id):
                stored.made.add(template_id)
                return NoteAccepted(template_id)
        return StatusRead(self.result(stored))

    @staticmethod
    def result(stored: Stored) -> SessionResult:
        """The session as Get Session tells it."""
        names = tuple(f"audio_{n}.wav" for n in sorted(stored.chunks))
        if stored.ended_with is None:
            return SessionResult(ServiceStatus.OPEN, audio_files=names, audio_files_received=len(names))
        notes = tuple(TemplateResult(t, TemplateStatus.SUCCESS) for t in (*stored.templates, *sorted(stored.made)))
        return SessionResult(
            ServiceStatus.COMPLETED, templates=notes, audio_files=names, audio_files_received=len(names)
        )


class World:
    """Walks one session through chance. ``make`` makes the machine, so that a broken one can be walked too."""

    def __init__(self, seed: int, make: Callable[[SessionId], Session] = Session) -> None:
        self._chance = random.Random(seed)
        self._make = make
        self.session = make(SessionId("ses_0123456789abcdefghij"))
        self.journal: list[Event] = []
        self.spans: dict[int, tuple[int, int]] = {}
        self.service = Service(self.spans)
        self._capture: StartCapture | None = None
        self._is_capture_ending = False
        self._has_captured = False
        self._requests: list[Send] = []
        self._addressed: dict[Send, str] = {}
        """Which service session each request was made out to when it left."""
        self._timers: set[str] = set()
        self._now = 1000.0
        self.is_calm = False
        self.is_erased = False
        self._is_over = False
        """Somebody has wished for the visit's end."""

    def walk(self, steps: int) -> None:
        """Take random steps, then let all faults end and see the session come to its end."""
        self._give(Start(Visit(templates=TEMPLATES), "s", "audio/wav", 20.0, self._now))
        for _ in range(steps):
            self._step()
        self._finish()

    # One step -----------------------------------------------------------------------------------------------------

    def _step(self) -> None:
        self._now += 1.0
        roll = self._chance.random()
        if roll < 0.12:
            self._wish()
        elif roll < 0.5:
            self._live()
        elif roll < 0.9:
            self._network()
        elif roll < 0.97:
            self._fire()
        else:
            self._crash()
        self._check()

    def _wish(self) -> None:
        kinds: list[Intent] = [Pause(self._now), Resume(self._now), TryNow(), MakeNote("hpi")]
        if self._chance.random() < 0.3:
            kinds += [Stop(self._now), SendAgain(self._now)]
        if self._chance.random() < 0.03:
            kinds += [Discard(self._now)]
        kinds += [UndoDiscard(self._now)]
        intent = self._chance.choice(kinds)
        if type(intent).__name__ in self.session.view().allowed:
            self._give(intent)
            return
        before = self.session.view()
        try:
            self.session.handle(intent)
        except NotAllowed:
            if self.session.view() != before:
                raise Broken(f"{intent} was refused and changed something") from None
        else:
            raise Broken(f"{intent} was taken although no button offered it")

    def _live(self) -> None:
        """The microphone's side."""
        capture = self._capture
        if capture is None:
            return
        roll = self._chance.random()
        if not self._has_captured and roll < 0.2 and not self.is_calm:
            self._over(CaptureLost(capture.take, Problem(ProblemKind.NO_MICROPHONE), self._now))
        elif not self._has_captured:
            self._has_captured = True
            self._give(CaptureStarted(capture.take, "USB", self._now))
        elif self._is_capture_ending:
            self._seal()
            self._over(CaptureEnded(capture.take, self._now))
        elif roll < 0.08 and not self.is_calm:
            self._seal()
            self._over(CaptureLost(capture.take, Problem(ProblemKind.MICROPHONE_LOST), self._now))
        else:
            self._seal()

    def _seal(self) -> None:
        index = len(self.spans)
        first = sum(count for _, count in self.spans.values())
        count = self._chance.randrange(1, 320_000)
        self.spans[index] = (first, count)
        self._give(ChunkSealed(index, first, count, 100))

    def _over(self, fact: CaptureEnded | CaptureLost) -> None:
        self._capture, self._is_capture_ending, self._has_captured = None, False, False
        self._give(fact)

    def _network(self) -> None:
        if not self._requests:
            return
        sent = self._requests.pop(self._chance.randrange(len(self._requests)))
        if not self.is_calm and self._chance.random() < 0.35:
            if self._chance.random() < 0.5:
                self._serve(sent)  # It was done; only the answer is lost.
            self._answer(sent, RequestFailed(sent.request, Problem(self._chance.choice(_PASSING))))
            return
        if not (self.is_calm or self.session.phase.is_final) and self._chance.random() < 0.01:
            self.service.sessions.clear()
        self._answer(sent, self._serve(sent))

    def _serve(self, sent: Send) -> Fact:
        return self.service.answer(sent.request, self._addressed[sent])

    def _answer(self, sent: Send, fact: Fact) -> None:
        if self.session.awaits(sent):
            self._give(fact)

    def _fire(self) -> None:
        if self._timers:
            name = self._chance.choice(sorted(self._timers))
            self._timers.discard(name)
            self._give(TimerFired(name))

    def _crash(self) -> None:
        """The app is killed and starts again: all that is left is the disk."""
        self._requests.clear()
        self._timers.clear()
        old, self.session = self.session, self._make(self.session.id)
        for event in self.journal:
            self.session.handle(event)
        before, after = old.view(), self.session.view()
        for name in ("phase", "chunks_sealed", "chunks_uploaded", "gaps", "is_ended", "is_created", "visit"):
            if getattr(before, name) != getattr(after, name):
                raise Broken(f"replay changed {name}: {getattr(before, name)} to {getattr(after, name)}")
        self._capture, self._is_capture_ending, self._has_captured = None, False, False
        if self.session.is_capture_open:
            interrupted = CaptureInterrupted(self._now)
            self.journal.append(interrupted)
            self.session.handle(interrupted)
        self._run(self.session.resume())

    # Giving and doing -----------------------------------------------------------------------------------------------

    def _give(self, event: Event) -> None:
        self._is_over = (self._is_over or isinstance(event, (Stop, Discard))) and not isinstance(event, UndoDiscard)
        if self.session.is_durable(event):
            self.journal.append(event)
        self._run(self.session.handle(event))

    def _run(self, commands: list[Command]) -> None:
        for command in commands:
            match command:
                case StartCapture():
                    self._open(command)
                case EndCapture():
                    self._is_capture_ending = self._capture is not None
                case Send(request):
                    if command in self._requests:
                        raise Broken(f"{request} was sent while it was on its way")
                    created = self.session.created
                    self._addressed[command] = created.session_id if created else ""
                    self._requests.append(command)
                case SetTimer(name=name):
                    self._timers.add(name)
                case CancelTimer(name):
                    self._timers.discard(name)
                case EraseAudio():
                    self.is_erased = True

    def _open(self, command: StartCapture) -> None:
        if self._capture is not None:
            raise Broken("the microphone was opened twice")
        if command.first_chunk != len(self.spans):
            raise Broken(f"chunk {command.first_chunk} would be the next, not {len(self.spans)}")
        if command.first_sample != sum(count for _, count in self.spans.values()):
            raise Broken("samples would be missing or doubled")
        self._capture = command

    def _check(self) -> None:
        view = self.session.view()
        if view.chunks_uploaded > view.chunks_sealed:
            raise Broken("more was uploaded than there is")
        if view.is_capturing and self._capture is None:
            raise Broken("the recording light is on and nothing records")
        if not (view.phase.is_live or self._is_over):
            raise Broken(f"the visit ended by itself: {view.phase}")
        is_kept = view.phase is not Phase.DISCARDED
        if self._is_over and is_kept and any(gap.seconds is None for gap in view.gaps):
            raise Broken("a gap lasts beyond the end of the visit")
        offered = {intent.__name__ for phase, intent in TABLE if phase is view.phase}
        if not view.allowed <= offered:
            raise Broken(f"{view.allowed - offered} cannot be wished while {view.phase}")

    # The end ------------------------------------------------------------------------------------------------------

    def _finish(self) -> None:
        """The network and the microphone work again: everything must come to a good end by itself."""
        self.is_calm = True
        for _ in range(2000):
            if self.session.phase.is_live and not self._is_capture_ending:
                self._give(Stop(self._now))
            if self.session.phase is Phase.FAILED and self.session.is_allowed(SendAgain):
                self._give(SendAgain(self._now))
            if self.session.is_settled and not self._requests and self._capture is None:
                break
            self._live()
            self._network()
            self._fire()
            self._check()
        self._judge()

    def _judge(self) -> None:
        phase = self.session.phase
        if phase is Phase.DISCARDED:
            if not self.is_erased:
                raise Broken("discarded, but still on the disk")
            return
        if not self.spans:
            if phase is not Phase.FAILED:
                raise Broken(f"nothing was recorded, yet it is {phase}")
            return
        if phase is not Phase.COMPLETED:
            raise Broken(f"all worked again, yet it is {phase}: {self.session.view().problem}")
        created = self.session.created
        stored = self.service.sessions.get(created.session_id if created else "", Stored(()))
        if stored.chunks != self.spans or list(stored.chunks.values()) != [self.spans[n] for n in stored.chunks]:
            raise Broken("the service has not got what was recorded")
        if stored.ended_with != len(self.spans):
            raise Broken(f"ended with {stored.ended_with} of {len(self.spans)}")
        missing = set(TEMPLATES) - {n.id for n in self.session.view().notes if n.status is TemplateStatus.SUCCESS}
        if missing:
            raise Broken(f"{missing} were asked for and never came")
