"""What a screen needs, as frozen snapshots. The engine makes them; the window renders them and asks no more."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

from app.core.events import Intent, SessionId, Visit
from app.core.problems import Problem
from app.core.scribe import Discovery, ProcessingError, TemplateInfo, TemplateResult, Utterance
from app.core.settings import Settings


class Phase(StrEnum):
    """The session machine's state (architecture: the session machine)."""

    IDLE = "idle"
    RECORDING = "recording"
    PAUSED = "paused"
    DRAINING = "draining"
    ENDING = "ending"
    PROCESSING = "processing"
    COMPLETED = "completed"
    PARTIAL = "partial"
    FAILED = "failed"
    EXPIRED = "expired"
    DISCARDED = "discarded"

    @property
    def is_live(self) -> bool:
        """The visit is going on: recording or paused."""
        return self in (Phase.RECORDING, Phase.PAUSED)

    @property
    def is_finishing(self) -> bool:
        """After Stop, before a result."""
        return self in (Phase.DRAINING, Phase.ENDING, Phase.PROCESSING)

    @property
    def is_final(self) -> bool:
        """There is a result, or there never will be one."""
        return not (self.is_live or self.is_finishing or self is Phase.IDLE)


@dataclass(frozen=True)
class Gap:
    """A stretch of the visit without audio, at ``position_seconds`` of the recording.

    ``reason`` is ``paused``, ``microphone`` or ``interrupted`` (the app or computer stopped, a file broke off);
    ``seconds`` is None while it lasts, and where nobody can tell how much is missing.
    """

    position_seconds: float
    seconds: float | None
    reason: str


QUIET_SECONDS = 15.0
"""How long trouble that may pass by itself is no event (behaviour 2)."""


def is_worth_saying(problem: Problem | None, since: float | None, now: float) -> bool:
    """Whether a person should hear of a problem yet."""
    if problem is None:
        return False
    return since is None or now - since >= QUIET_SECONDS


@dataclass(frozen=True)
class SessionView:
    """One session as a screen shows it."""

    id: SessionId
    phase: Phase
    visit: Visit
    started_at: float | None = None
    """Seconds since 1970 UTC."""
    recorded_seconds: float = 0.0
    """Audio sealed on disk; the running time comes from the level tap."""
    is_capturing: bool = False
    """The recording light: samples are arriving."""
    microphone: str = ""
    gaps: tuple[Gap, ...] = ()
    chunks_sealed: int = 0
    chunks_uploaded: int = 0
    seconds_to_upload: float = 0.0
    is_created: bool = False
    """The service knows the session."""
    is_ended: bool = False
    """The service has accepted its end."""
    allowed: frozenset[str] = frozenset()
    """Names of the intents that the machine would take now: ``Pause``, ``Stop`` …"""
    transcript: str = ""
    utterances: tuple[Utterance, ...] = ()
    transcript_by: str = ""
    notes: tuple[TemplateResult, ...] = ()
    """In the order in which they were asked for; those not there yet have status PROCESSING."""
    processing_errors: tuple[ProcessingError, ...] = ()
    missing_chunks: tuple[int, ...] = ()
    """Chunks that the service does not have, after all tries."""
    missing_spans: tuple[tuple[float, float], ...] = ()
    """The same as stretches of the recording, seconds from its start."""
    audio_files_received: int | None = None
    problem: Problem | None = None
    trouble_since: float | None = None
    """When trouble that may pass by itself began; seconds since 1970 UTC."""
    next_try_at: float | None = None
    """Seconds since 1970 UTC, when something waits to be tried again."""
    service_name: str = ""


@dataclass(frozen=True)
class MicrophoneInfo:
    """A microphone on offer. ``name`` with ``host_api`` is its identity; an index is not."""

    name: str
    host_api: str = ""
    is_default: bool = False


@dataclass(frozen=True)
class Level:
    """Loudness now, for the meter, and how much of the running session has been captured."""

    rms_dbfs: float = -120.0
    peak_dbfs: float = -120.0
    captured_seconds: float = 0.0
    is_live: bool = False
    """Blocks are arriving."""


class ServiceState(StrEnum):
    """How the chosen service stands."""

    STARTING = "starting"
    READY = "ready"
    UNREACHABLE = "unreachable"


@dataclass(frozen=True)
class ServiceView:
    """The chosen service."""

    id: str = ""
    name: str = ""
    state: ServiceState = ServiceState.STARTING
    problem: Problem | None = None
    trouble_since: float | None = None
    """As in a session."""
    discovery: Discovery = field(default_factory=Discovery)
    templates: tuple[TemplateInfo, ...] = ()
    max_templates: int = 2


@dataclass(frozen=True)
class AppView:
    """Everything a window shows."""

    sessions: tuple[SessionView, ...] = ()
    """Newest first."""
    live: SessionId | None = None
    """The session that records or is paused, if any. At most one."""
    microphones: tuple[MicrophoneInfo, ...] = ()
    microphones_listed: bool = False
    """False until the first look at the devices is done."""
    service: ServiceView = field(default_factory=ServiceView)
    settings: Settings = field(default_factory=Settings)
    problem: Problem | None = None
    """Trouble that belongs to no session."""

    def session(self, session_id: SessionId | None) -> SessionView | None:
        """The session of that id, if it is there."""
        return next((s for s in self.sessions if s.id == session_id), None)


# What a window may ask of the engine ------------------------------------------------------------------------------


@dataclass(frozen=True)
class RecordVisit:
    """Begin a new session with the chosen microphone and service."""

    visit: Visit


@dataclass(frozen=True)
class Practise:
    """Record the sample consultation in place of a microphone, ``pace`` times as fast as it was spoken."""

    visit: Visit
    pace: float | None = None


@dataclass(frozen=True)
class SendFiles:
    """Make a session of these audio files, one after the other, as fast as they can be read."""

    visit: Visit
    paths: tuple[str, ...]


@dataclass(frozen=True)
class ForSession:
    """An intent for one session."""

    session_id: SessionId
    intent: Intent


@dataclass(frozen=True)
class ChangeSettings:
    """Use and keep these settings."""

    settings: Settings


@dataclass(frozen=True)
class ListMicrophones:
    """Look at the devices again."""


@dataclass(frozen=True)
class WatchLevel:
    """Show the chosen microphone's level without recording anything (``is_on``), or stop doing so."""

    is_on: bool


Wish: TypeAlias = RecordVisit | Practise | SendFiles | ForSession | ChangeSettings | ListMicrophones | WatchLevel
