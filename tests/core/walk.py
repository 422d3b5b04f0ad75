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
    Fact,
    GapFound,
    Intent,
    MakeNote,
    MarkReviewed,
    NoteAccepted,
    Patient,
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
    SoundNoticed,
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
from app.core.session import ERASE, NotAllowed, Session
from app.core.table import TABLE
from app.core.views import Phase

TEMPLATES = ("soap", "medications", "vitals")
REPLAYED = (
    *("phase", "visit", "chunks_sealed", "chunks_uploaded", "gaps", "is_ended", "is_created", "part_count"),
    *("missing_chunks", "ended_at", "reviewed_at", "undo_until", "is_recovered"),
)
"""What a restart must not change. Words of the moment (trouble, what the sound is like) may go."""
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
    has_told: bool = False
    """Its result has arrived."""
    made: set[str] = field(default_factory=set)


class Service:
    """What a service keeps, and how it answers."""

    def __init__(self, spans: dict[int, tuple[int, int]]) -> None:
        self.sessions: dict[str, Stored] = {}
        self.most_samples = 320_000
        """A longer chunk is refused."""
        self._spans = spans

    def forget(self) -> None:
        """Lose all whose result has not been told."""
        self.sessions = {name: stored for name, stored in self.sessions.items() if stored.has_told}

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
            case UploadChunk():
                return self._take(request, stored)
            case EndSession(count):
                if stored.ended_with is None:
                    if sorted(stored.chunks) != list(range(count)) or count == 0:
                        raise Broken(f"ended with {count}, but {sorted(stored.chunks)} came")
                    stored.ended_with = count
                return SessionEnded(len(stored.chunks))
            case ProcessTemplate(template_id):
                stored.made.add(template_id)
                return NoteAccepted(template_id)
        return StatusRead(self.result(stored))

    def _take(self, request: UploadChunk, stored: Stored) -> Fact:
        span = self._spans[request.index]
        if stored.ended_with is not None:
            return RequestFailed(request, Problem(ProblemKind.SESSION_ENDED))
        if span[1] > self.most_samples:
            return RequestFailed(request, Problem(ProblemKind.CHUNK_TOO_LARGE))
        if span in stored.chunks.values() and stored.chunks.get(request.number) != span:
            raise Broken(f"{span} was sent twice into one session")
        if stored.chunks.setdefault(request.number, span) != span:
            raise Broken(f"chunk {request.number} was sent with other sound than before")
        return ChunkUploaded(request.index)

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
        if self._chance.random() < 0.3:
            self.service.most_samples = self._chance.randrange(64_000, 320_000)
        self._capture: StartCapture | None = None
        self._is_capture_ending = False
        self._has_captured = False
        self._requests: list[Send] = []
        self._addressed: dict[Send, str] = {}
        """Which service session each request was made out to when it left."""
        self._timers: set[str] = set()
        self._newest: Event | None = None
        self._cutting: CutAgain | None = None
        self._now = 1000.0
        self.is_calm = False
        self.is_erased = False
        self._is_over = False
        """Somebody has wished for the visit's end."""

    def walk(self, steps: int) -> None:
        """Take random steps, then let all faults end and see the session come to its end."""
        limit = self._chance.choice((None, 90.0))
        visit = Visit(templates=TEMPLATES)
        self._give(Start(visit, "s", "audio/wav", 20.0, self._now, max_session_seconds=limit))
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
        if self._chance.random() < 0.1:
            kinds += [Discard(self._now)]
        kinds += [UndoDiscard(self._now), ChangePatient(Patient(f"at {self._now}"), self._now)]
        kinds += [CheckAgain(), MarkReviewed(self._now)]
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
        elif roll < 0.2:
            self._notice(capture.take)
        else:
            self._seal()

    def _notice(self, take: int) -> None:
        """Something about the sound, or the disk."""
        first = sum(count for _, count in self.spans.values())
        reason = self._chance.choice(("lost", "asleep", "silent"))
        trouble = Problem(ProblemKind.DISK_FULL)
        noticed: tuple[Event, ...] = (
            GapFound(take, first, 1.5, reason, self._now),
            SoundNoticed(take, self._chance.choice(("clipping", "")), self._now),
            DiskRefused(take, trouble, self._now),
            DiskRecovered(take, self._now),
        )
        self._give(self._chance.choice(noticed))

    def _cut(self) -> None:
        """Make the chunks anew, as the spool does."""
        command, self._cutting = self._cutting, None
        if command is None:
            return
        most = int(command.max_chunk_seconds * 16_000)
        edges = [*command.boundaries, sum(count for _, count in self.spans.values())]
        self.spans.clear()
        first = 0
        for edge in edges:
            while first < edge:
                count = min(most, edge - first)
                self.spans[len(self.spans)] = (first, count)
                first += count
        chunks = tuple(ChunkSealed(n, first, count, 100) for n, (first, count) in self.spans.items())
        self._give(ChunksCutAgain(command.max_chunk_seconds, chunks))

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
            self.service.forget()
        fact = self._serve(sent)
        if isinstance(fact, StatusRead) and fact.result.status.is_final:
            self.service.sessions[self._addressed[sent]].has_told = True
        self._answer(sent, fact)

    def _serve(self, sent: Send) -> Fact:
        return self.service.answer(sent.request, self._addressed[sent])

    def _answer(self, sent: Send, fact: Fact) -> None:
        if self.session.awaits(sent):
            self._give(sent.answered(fact))

    def _fire(self) -> None:
        if self._timers:
            name = self._chance.choice(sorted(self._timers))
            self._timers.discard(name)
            self._give(TimerFired(name))

    def _replayed(self) -> Session:
        """The machine as it would be after a restart, which must be the machine that there is."""
        session = self._make(self.session.id)
        for event in self.journal:
            session.handle(event)
        before, after = self.session.view(), session.view()
        for name in REPLAYED:
            if getattr(before, name) != getattr(after, name):
                raise Broken(f"replay changed {name}: {getattr(before, name)} to {getattr(after, name)}")
        return session

    def _crash(self) -> None:
        """The app is killed and starts again: all that is left is the disk."""
        if self.is_erased:
            return  # There is nothing on the disk to start from.
        self._requests.clear()
        self._timers.clear()
        self._cutting = None
        self.session = self._replayed()
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
        self._newest = event
        self._run(self.session.handle(event))

    def _run(self, commands: list[Command]) -> None:
        for command in commands:
            match command:
                case StartCapture():
                    self._open(command)
                case EndCapture():
                    self._is_capture_ending = self._capture is not None
                case Send():
                    self._post(command)
                case SetTimer(name=name):
                    self._timers.add(name)
                case CancelTimer(name):
                    self._timers.discard(name)
                case CutAgain() | EraseAudio():
                    self._touch_audio(command)

    def _post(self, command: Send) -> None:
        if command in self._requests:
            raise Broken(f"{command.request} was sent while it was on its way")
        created = self.session.created_for(command)
        self._addressed[command] = created.session_id if created else ""
        self._requests.append(command)

    def _touch_audio(self, command: CutAgain | EraseAudio) -> None:
        if isinstance(command, EraseAudio):
            if self._newest != TimerFired(ERASE) or self.session.phase is not Phase.DISCARDED:
                raise Broken("erased before its time, or though nobody wished it")
            self.is_erased = True
        elif self._capture is not None or self._cutting is not None:
            raise Broken("cut again while something is at work on the recording")
        else:
            self._cutting = command

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
        if self.is_erased and view.phase is not Phase.DISCARDED:
            raise Broken("erased, but had back")
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
            if self.session.is_stuck:
                self._give(TryNow())
            if self.session.phase in (Phase.FAILED, Phase.PARTIAL) and self.session.is_allowed(SendAgain):
                self._give(SendAgain(self._now))
            if self.session.is_settled and not self._requests and self._capture is None:
                break
            self._live()
            self._network()
            self._fire()
            self._cut()
            self._check()
        self._replayed()
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
        self._judge_what_was_sent()
        missing = set(TEMPLATES) - {n.id for n in self.session.view().notes if n.status is TemplateStatus.SUCCESS}
        if missing:
            raise Broken(f"{missing} were asked for and never came")

    def _judge_what_was_sent(self) -> None:
        """All that was recorded has come, once, in order, in as many sessions as the visit has parts."""
        ended = [s for s in self.service.sessions.values() if s.ended_with is not None]
        ended.sort(key=lambda stored: stored.chunks[0])
        came = [stored.chunks[number] for stored in ended for number in sorted(stored.chunks)]
        if len(ended) != self.session.view().part_count:
            raise Broken(f"{self.session.view().part_count} parts, {len(ended)} sessions")
        if [first for first, _ in came] != [sum(count for _, count in came[:n]) for n in range(len(came))]:
            raise Broken("the service has not got what was recorded in order")
        if sum(count for _, count in came) != sum(count for _, count in self.spans.values()):
            raise Broken("the service has not got all that was recorded")
        if any(stored.ended_with != len(stored.chunks) for stored in ended):
            raise Broken("a session was ended with another count")
