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

    ``reason`` is ``paused``, ``microphone`` (none could be read), ``lost`` (audio was dropped on its way),
    ``silent`` (the microphone gave exact zeros), ``asleep`` (the computer slept) or ``interrupted`` (the app or the
    computer stopped, a file broke off). ``seconds`` is None while it lasts, and where nobody can tell how much is
    missing.
    """

    position_seconds: float
    seconds: float | None
    reason: str
    began_at: float | None = None
    """Seconds since 1970 UTC."""
    takes_up_recording: bool = False
    """The stretch is in the recording, as silence; it does not stand between two of its samples."""


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
    sound: str = ""
    """What is noteworthy of the sound just now, as in :class:`~app.core.events.SoundNoticed`."""
    part_count: int = 1
    """Sessions at the service that make up this visit: a long one is carried over into the next before it expires."""
    ended_at: float | None = None
    """When the visit was over, seconds since 1970 UTC."""
    reviewed_at: float | None = None
    undo_until: float | None = None
    """A discarded visit can be had back until then."""
    audio_until: float | None = None
    """When the audio is deleted from this computer; None while it is not delivered, or when it is gone already."""
    notes_until: float | None = None
    """The same for transcript and notes; None when they are kept until somebody deletes them."""
    has_audio: bool = True
    """The recording is still on this computer."""
    is_recovered: bool = False
    """The visit was going on when the app or the computer stopped; it was found at this start."""

    @property
    def is_unsent(self) -> bool:
        """There is audio that the service does not have whole."""
        return not self.is_ended and self.phase not in (Phase.IDLE, Phase.DISCARDED) and self.chunks_sealed > 0


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


class KeyState(StrEnum):
    """Who guards the key to what is kept on this computer."""

    WAITING = "waiting"
    """The system's keystore has been asked and has not answered."""
    PROTECTED = "protected"
    """The key lies in the system's keystore."""
    PASSPHRASE = "passphrase"  # noqa: S105 - a state
    """The key was unlocked with a passphrase."""
    SESSION_ONLY = "session-only"
    """There is no keystore: what is recorded can be read until the app ends, and never after."""
    LOCKED = "locked"
    """The key is there, but the keystore is locked or wants a passphrase. New visits are recorded and sealed; older
    ones cannot be read until it is open."""
    MISSING = "missing"
    """The keystore has lost the key. As locked, and only the recovery code helps."""


@dataclass(frozen=True)
class KeysView:
    """The key to what is kept on this computer."""

    state: KeyState = KeyState.WAITING
    keystore: str = ""
    """What the system calls its keystore."""
    has_passphrase: bool = False
    recovery_code: str = field(default="", repr=False)
    """To be shown once, until the doctor says it is noted."""
    sealed_session_count: int = 0
    """Visits on this computer that cannot be read now."""
    next_try_at: float | None = None
    """After wrong codes: not before then, seconds since 1970 UTC."""
    was_refused: bool = False
    """The last passphrase or recovery code was wrong."""


@dataclass(frozen=True)
class StorageView:
    """The disk that visits are kept on."""

    free_seconds: float | None = None
    """How much recording fits; None while it is not known."""
    is_low: bool = False
    """Less than an hour fits: said before a visit."""
    is_critical: bool = False
    """Less than a quarter of an hour, or a gigabyte, is left: said during a visit."""
    refusal: str = ""
    """Why visits should not be kept in this folder: ``network``, ``synced``, ``read-only``, or empty."""
    folder: str = ""


@dataclass(frozen=True)
class StoredSession:
    """What is kept of one session."""

    id: SessionId
    audio_bytes: int = 0
    is_delivered: bool = False


@dataclass(frozen=True)
class StoredView:
    """What is stored here: made when it is asked for."""

    sessions: tuple[StoredSession, ...] = ()
    library_bytes: int = 0
    service_bytes: int = 0
    log_bytes: int = 0


@dataclass(frozen=True)
class MicrophoneTest:
    """A short recording to hear oneself. None of it is kept."""

    stage: str
    """``recording``, ``playing``, ``done`` or ``failed``."""
    seconds: float = 0.0
    peak_dbfs: float = -120.0
    notice: str = ""
    """As in :class:`~app.core.events.SoundNoticed`."""
    problem: Problem | None = None


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
    keys: KeysView = field(default_factory=KeysView)
    storage: StorageView = field(default_factory=StorageView)
    stored: StoredView | None = None
    """The answer to :class:`LookAtStored`."""
    microphone_test: MicrophoneTest | None = None
    microphone_missing: bool = False
    """The pinned microphone is not there; the system's is used meanwhile."""
    diagnostics: str = ""
    """The answer to :class:`PrepareDiagnostics`: all that would be saved."""

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


@dataclass(frozen=True)
class TestMicrophone:
    """Record ten seconds, then play them; with ``is_on`` False, stop that."""

    __test__ = False  # Its name is not that of a test.
    is_on: bool = True


@dataclass(frozen=True)
class AskKeystoreAgain:
    """Look once more whether the keystore gives the key."""


@dataclass(frozen=True)
class UnlockWith:
    """Try a passphrase or a recovery code."""

    secret: str = field(repr=False)


@dataclass(frozen=True)
class SetPassphrase:
    """Guard the key with a passphrase; the empty one takes it away."""

    passphrase: str = field(repr=False)


@dataclass(frozen=True)
class RecoveryCodeNoted:
    """The doctor has the recovery code; it is not shown again."""


@dataclass(frozen=True)
class BeginNewStore:
    """The key is lost: keep new visits under a new one. What is sealed stays where it is."""


@dataclass(frozen=True)
class LookAtStored:
    """Find out what is stored on this computer."""


@dataclass(frozen=True)
class PurgeAudio:
    """Delete the recordings of these sessions now; transcripts and notes stay."""

    session_ids: tuple[SessionId, ...]


@dataclass(frozen=True)
class EraseSession:
    """Delete a session with all that belongs to it, and its key. What the service has is not touched."""

    session_id: SessionId


@dataclass(frozen=True)
class PrepareDiagnostics:
    """Gather what helps to find a fault, without patient data, as text to be read first."""


@dataclass(frozen=True)
class SaveDiagnostics:
    """Write what was gathered to a file."""

    path: str


Wish: TypeAlias = (
    RecordVisit
    | Practise
    | SendFiles
    | ForSession
    | ChangeSettings
    | ListMicrophones
    | WatchLevel
    | TestMicrophone
    | AskKeystoreAgain
    | UnlockWith
    | SetPassphrase
    | RecoveryCodeNoted
    | BeginNewStore
    | LookAtStored
    | PurgeAudio
    | EraseSession
    | PrepareDiagnostics
    | SaveDiagnostics
)
