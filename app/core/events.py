"""Intents, facts, requests and commands: all that goes into the session machine and comes out of it.

An *intent* is somebody's wish, a *fact* is what happened, a *command* is what the engine is to do. Facts are in
the past tense, commands are imperative. All are frozen values, so that they can be journalled and replayed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NewType, TypeAlias

from app.core.problems import Problem
from app.core.scribe import SessionResult

SessionId = NewType("SessionId", str)
"""Our own name for a session; also the ``session_id`` that we propose to the service."""


MICROPHONE = "microphone"
FILE = "file"


@dataclass(frozen=True)
class Patient:
    """What the doctor typed about the patient. All of it optional; our own copy is the truth."""

    label: str = ""
    id: str = ""
    age: str = ""
    sex: str = ""


@dataclass(frozen=True)
class Visit:
    """What is chosen before Record."""

    patient: Patient = Patient()
    mode: str = "consultation"
    """``consultation`` or ``dictation``."""
    templates: tuple[str, ...] = ("soap", "medications")
    languages: tuple[str, ...] = ("en",)
    output_language: str = "en"
    model: str = ""


# Intents ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Start:
    """Record this visit. ``at`` is wall-clock time, seconds since 1970 UTC, as everywhere."""

    visit: Visit
    service_id: str
    """Where it is sent to; fixed for the session's life."""
    media_type: str
    max_chunk_seconds: float
    at: float
    max_templates: int = 2
    source: str = MICROPHONE
    """``microphone``, or ``file`` for audio that ends by itself (the sample, an imported recording)."""
    max_session_seconds: float | None = None
    """How long a session may be at the service; a longer visit goes on in the next. None where no limit is named."""


@dataclass(frozen=True)
class Pause:
    """Capture nothing until Resume."""

    at: float


@dataclass(frozen=True)
class Resume:
    """Go on recording."""

    at: float


@dataclass(frozen=True)
class Stop:
    """The visit is over: send the rest, end the session, wait for the notes."""

    at: float


@dataclass(frozen=True)
class Discard:
    """Throw the recording away. Never the default of anything."""

    at: float


@dataclass(frozen=True)
class TryNow:
    """Do not wait for the next try."""


@dataclass(frozen=True)
class CheckAgain:
    """Look once more whether the service has changed its mind."""


@dataclass(frozen=True)
class SendAgain:
    """Send the kept audio as a new session."""

    at: float


@dataclass(frozen=True)
class MakeNote:
    """Make another note from the same session."""

    template_id: str


@dataclass(frozen=True)
class UndoDiscard:
    """Have a visit back that was thrown away a moment ago; it is paused then."""

    at: float


@dataclass(frozen=True)
class MarkReviewed:
    """The doctor has checked the notes: the audio has served its purpose."""

    at: float


@dataclass(frozen=True)
class ChangePatient:
    """The visit was with somebody else than was typed."""

    patient: Patient
    at: float


Intent: TypeAlias = (
    Start
    | Pause
    | Resume
    | Stop
    | Discard
    | UndoDiscard
    | TryNow
    | CheckAgain
    | SendAgain
    | MakeNote
    | MarkReviewed
    | ChangePatient
)


# Requests to the service ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class CreateSession:
    """POST sessions."""

    session_id: str
    visit: Visit
    templates: tuple[str, ...]


@dataclass(frozen=True)
class UploadChunk:
    """POST one chunk. ``first`` is the chunk of the visit that the service's session begins with."""

    index: int
    first: int = 0

    @property
    def number(self) -> int:
        """What the service knows the chunk by: each of its sessions counts from 0."""
        return self.index - self.first


@dataclass(frozen=True)
class ReadStatus:
    """GET the session. With ``may_wait`` the service may hold the answer until something changes."""

    may_wait: bool = False


@dataclass(frozen=True)
class EndSession:
    """POST end."""

    audio_files_sent: int


@dataclass(frozen=True)
class ProcessTemplate:
    """POST process/template."""

    template_id: str


Request: TypeAlias = CreateSession | UploadChunk | ReadStatus | EndSession | ProcessTemplate


# Facts ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class CaptureStarted:
    """The first sample of a take has arrived from this microphone."""

    take: int
    microphone: str
    at: float


@dataclass(frozen=True)
class CaptureLost:
    """The microphone failed or could not be opened; everything before it is sealed and on disk."""

    take: int
    problem: Problem
    at: float


@dataclass(frozen=True)
class CaptureEnded:
    """A take is over, as asked or because a file has come to its end; its last sample is sealed and on disk."""

    take: int
    at: float


@dataclass(frozen=True)
class GapFound:
    """A stretch of a take that holds no sound, found while the take goes on.

    For ``lost`` and ``asleep`` the samples are missing: the stretch stands before ``first_sample``, and the recording
    is shorter by it. For ``silent`` the microphone gave exact zeros: they are in the recording, from
    ``first_sample`` on.
    """

    take: int
    first_sample: int
    """Counted from the session's first sample, as in :class:`ChunkSealed`."""
    seconds: float
    reason: str
    """``lost``, ``asleep`` or ``silent``."""
    began_at: float


@dataclass(frozen=True)
class SoundNoticed:
    """What the microphone gives has become noteworthy, or is in order again (the empty notice)."""

    take: int
    notice: str
    """``no-sound`` (exact zeros), ``too-quiet``, ``clipping``, ``no-speech``, ``long-silence``, or empty."""
    at: float


@dataclass(frozen=True)
class DiskRefused:
    """The disk does not take what is captured; it is held in memory for a while, and written as soon as it can be."""

    take: int
    problem: Problem
    at: float


@dataclass(frozen=True)
class DiskRecovered:
    """All that was held in memory is on the disk."""

    take: int
    at: float


@dataclass(frozen=True)
class CaptureInterrupted:
    """The app or the computer stopped during a take. ``at`` is when the last sample reached the disk."""

    at: float


@dataclass(frozen=True)
class ChunkSealed:
    """A chunk is on disk, whole. Samples are 16 kHz mono, counted from the session's first."""

    index: int
    first_sample: int
    sample_count: int
    byte_count: int


@dataclass(frozen=True)
class ChunksCutAgain:
    """All chunks were made anew from the captured samples, none longer than ``max_chunk_seconds``.

    Those told of before are no more; ``chunks`` are all there is.
    """

    max_chunk_seconds: float
    chunks: tuple[ChunkSealed, ...]


@dataclass(frozen=True)
class AudioErased:
    """The recording was deleted from this computer; what the service made of it stays."""

    at: float


@dataclass(frozen=True)
class SessionCreated:
    """The service has the session. ``session_id`` is the service's, which may differ from ours."""

    session_id: str
    upload_url: str = ""
    expires_at: float | None = None
    created_at: float | None = None
    """By the service's clock, as ``expires_at``: what lies between them is true whatever the clock here says."""
    generation: int | None = None
    """Here and in the other answers: which of the visit's sessions at the service it is about, as in :class:`Send`.
    None where only one can be meant."""


@dataclass(frozen=True)
class ChunkUploaded:
    """The service has acknowledged a chunk."""

    index: int
    generation: int | None = None


@dataclass(frozen=True)
class StatusRead:
    """The service told how the session stands."""

    result: SessionResult
    generation: int | None = None


@dataclass(frozen=True)
class SessionEnded:
    """The service has ended the session and started processing."""

    audio_files_received: int | None = None
    generation: int | None = None


@dataclass(frozen=True)
class NoteAccepted:
    """The service is making another note."""

    template_id: str
    document_id: str = ""
    generation: int | None = None


@dataclass(frozen=True)
class RequestFailed:
    """A request did not succeed. ``retry_after_seconds`` is the service's wish, unclamped."""

    request: Request
    problem: Problem
    retry_after_seconds: float | None = None
    generation: int | None = None


@dataclass(frozen=True)
class TimerFired:
    """A timer set by the machine has run out."""

    name: str


Fact: TypeAlias = (
    CaptureStarted
    | CaptureLost
    | CaptureEnded
    | CaptureInterrupted
    | GapFound
    | SoundNoticed
    | DiskRefused
    | DiskRecovered
    | ChunkSealed
    | ChunksCutAgain
    | AudioErased
    | SessionCreated
    | ChunkUploaded
    | StatusRead
    | SessionEnded
    | NoteAccepted
    | RequestFailed
    | TimerFired
)
Answer: TypeAlias = SessionCreated | ChunkUploaded | StatusRead | SessionEnded | NoteAccepted | RequestFailed
Event: TypeAlias = Intent | Fact


# Commands -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class StartCapture:
    """Open the microphone; number chunks from ``first_chunk``, samples from ``first_sample``."""

    take: int
    first_chunk: int
    first_sample: int
    media_type: str
    max_chunk_seconds: float


@dataclass(frozen=True)
class EndCapture:
    """Close the microphone, seal what it gave."""


@dataclass(frozen=True)
class Send:
    """Put a request to the service. ``generation`` counts the service sessions that this one has had."""

    request: Request
    generation: int = 0

    def answered(self, fact: Fact) -> Fact:
        """The fact as the answer to this."""
        return replace(fact, generation=self.generation) if isinstance(fact, Answer) else fact


@dataclass(frozen=True)
class SetTimer:
    """Wake the machine in ``seconds``; with ``is_spread``, at a random moment up to that (full jitter)."""

    name: str
    seconds: float
    is_spread: bool = False


@dataclass(frozen=True)
class CancelTimer:
    """Forget a timer."""

    name: str


@dataclass(frozen=True)
class CutAgain:
    """Make all chunks anew, none longer than this; :class:`ChunksCutAgain` tells that it is done.

    No chunk may reach across one of the samples in ``boundaries``: what lies before it went into another session.
    """

    max_chunk_seconds: float
    boundaries: tuple[int, ...] = ()


@dataclass(frozen=True)
class EraseAudio:
    """The recording was thrown away: remove it from the disk, and its key."""


Command: TypeAlias = StartCapture | EndCapture | Send | SetTimer | CancelTimer | CutAgain | EraseAudio
