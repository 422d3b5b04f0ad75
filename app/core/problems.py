"""Trouble that we expect and can explain, as values.

A :class:`Problem` says what happened, whether the recording is safe and what to do, in that order; the code and
the status go into ``detail``, which is shown behind *Details* and may be logged. A problem never holds patient
text, a token or a signed URL.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class ProblemKind(StrEnum):
    """Every kind of trouble the app tells people about."""

    UNREACHABLE = "unreachable"
    TIMED_OUT = "timed_out"
    SERVICE_BUSY = "service_busy"
    SERVICE_BROKEN = "service_broken"
    NOT_A_SCRIBE_SERVICE = "not_a_scribe_service"
    INSECURE = "insecure"
    NOT_SIGNED_IN = "not_signed_in"
    NOT_ALLOWED = "not_allowed"
    SESSION_UNKNOWN = "session_unknown"
    SESSION_EXPIRED = "session_expired"
    SESSION_EXISTS = "session_exists"
    SESSION_ENDED = "session_ended"
    CHUNK_REFUSED = "chunk_refused"
    REQUEST_REFUSED = "request_refused"
    ANSWER_UNREADABLE = "answer_unreadable"
    PROCESSING_FAILED = "processing_failed"
    NOTHING_RECORDED = "nothing_recorded"
    NO_MICROPHONE = "no_microphone"
    MICROPHONE_LOST = "microphone_lost"
    AUDIO_UNREADABLE = "audio_unreadable"
    AUDIO_CUT_SHORT = "audio_cut_short"
    DISK_FULL = "disk_full"
    DISK_FAILED = "disk_failed"
    DISK_LOW = "disk_low"
    DISK_WAITING = "disk_waiting"
    HEARD_FEWER = "heard_fewer"
    MICROPHONE_CHANGED = "microphone_changed"
    MICROPHONE_BUSY = "microphone_busy"
    MICROPHONE_FORBIDDEN = "microphone_forbidden"
    CHUNK_TOO_LARGE = "chunk_too_large"
    CLOCK_WRONG = "clock_wrong"
    KEYS_LOCKED = "keys_locked"
    LIBRARY_SET_ASIDE = "library_set_aside"
    LIBRARY_NEWER = "library_newer"
    SESSION_IN_USE = "session_in_use"
    FOLDER_UNSAFE = "folder_unsafe"
    LOCAL_SERVICE_DOWN = "local_service_down"
    SETTINGS_UNREADABLE = "settings_unreadable"
    BUG = "bug"


@dataclass(frozen=True)
class Words:
    """What a person reads: what happened, whether the recording is safe, what to do."""

    what: str
    safe: str
    do: str


_SAFE = "The recording is safe on this computer."
_SAFE_SENT_LATER = "The recording is safe on this computer and will be sent by itself."

WORDS: dict[ProblemKind, Words] = {
    ProblemKind.UNREACHABLE: Words(
        "The scribe service cannot be reached.",
        _SAFE_SENT_LATER,
        "Check the network, or go on: nothing is needed from you.",
    ),
    ProblemKind.TIMED_OUT: Words(
        "The scribe service did not answer in time.", _SAFE_SENT_LATER, "Nothing is needed from you."
    ),
    ProblemKind.SERVICE_BUSY: Words("The scribe service is busy.", _SAFE_SENT_LATER, "Nothing is needed from you."),
    ProblemKind.SERVICE_BROKEN: Words(
        "The scribe service has an internal fault.",
        _SAFE_SENT_LATER,
        "If this lasts, tell whoever runs the service.",
    ),
    ProblemKind.NOT_A_SCRIBE_SERVICE: Words(
        "Something else answered at the service's address, perhaps a sign-in page of the network.",
        _SAFE_SENT_LATER,
        "Check the address, or sign in to the network in a browser.",
    ),
    ProblemKind.INSECURE: Words(
        "The connection to the service is not secure and was refused.",
        _SAFE,
        "Check the computer's clock; then ask your IT person about the service's certificate.",
    ),
    ProblemKind.NOT_SIGNED_IN: Words(
        "The service does not accept the sign-in.", _SAFE, "Sign in again; the recording is sent after that."
    ),
    ProblemKind.NOT_ALLOWED: Words(
        "This account may not do that at the service.", _SAFE, "Ask whoever runs the service."
    ),
    ProblemKind.SESSION_UNKNOWN: Words(
        "The service does not know this session.", _SAFE, "Send it again as a new session."
    ),
    ProblemKind.SESSION_EXPIRED: Words(
        "The session expired at the service.", _SAFE, "Send it again as a new session."
    ),
    ProblemKind.SESSION_EXISTS: Words("The service already has this session.", _SAFE, "Nothing is needed from you."),
    ProblemKind.SESSION_ENDED: Words(
        "The service has already ended this session.",
        _SAFE,
        "Look at what came back, or send it again as a new session.",
    ),
    ProblemKind.CHUNK_REFUSED: Words(
        "The service refused a piece of the recording.", _SAFE, "Send it again as a new session."
    ),
    ProblemKind.REQUEST_REFUSED: Words(
        "The service refused the request.",
        _SAFE,
        "The details name the reason; change the form and try again.",
    ),
    ProblemKind.ANSWER_UNREADABLE: Words(
        "The service's answer could not be understood.",
        _SAFE,
        "Try again; if this lasts, tell whoever runs the service.",
    ),
    ProblemKind.PROCESSING_FAILED: Words(
        "The service could not make the transcript and the notes.", _SAFE, "Send it again as a new session."
    ),
    ProblemKind.NOTHING_RECORDED: Words(
        "Nothing was recorded.", "There is no audio to keep.", "Check the microphone and start again."
    ),
    ProblemKind.NO_MICROPHONE: Words(
        "No microphone can be opened.",
        "What was recorded so far is safe on this computer.",
        "Plug one in or choose another; recording goes on by itself.",
    ),
    ProblemKind.MICROPHONE_LOST: Words(
        "The microphone stopped.",
        "What was recorded so far is safe on this computer.",
        "Plug it in again or choose another; recording goes on by itself.",
    ),
    ProblemKind.AUDIO_UNREADABLE: Words(
        "This file is not audio that can be read here.",
        "The file was not changed.",
        "Choose a WAV, FLAC, OGG or MP3 file.",
    ),
    ProblemKind.AUDIO_CUT_SHORT: Words(
        "The sound file was not read to its end: the rest of it is missing here.",
        "What was read is safe on this computer, and the file was not changed.",
        "Check the file, then send it once more.",
    ),
    ProblemKind.DISK_FULL: Words(
        "The disk is full. Recording has stopped.",
        "What was recorded until now is safe on this computer.",
        "Free some space, then resume.",
    ),
    ProblemKind.DISK_FAILED: Words(
        "The recording could not be written to the disk. Recording has stopped.",
        "What was written until now is safe on this computer.",
        "Check the disk, then resume.",
    ),
    ProblemKind.DISK_LOW: Words(
        "The disk is nearly full.",
        "The recording goes on and is safe on this computer.",
        "Free some space soon, or end the visit in good time.",
    ),
    ProblemKind.DISK_WAITING: Words(
        "The disk does not take the recording just now.",
        "What was recorded until now is safe on this computer; what is said now is held in memory for a short while.",
        "Free some space, or see to the disk, at once.",
    ),
    ProblemKind.HEARD_FEWER: Words(
        "The service has not heard the whole recording.",
        _SAFE,
        "Read the notes with that in mind, or send it again as a new session.",
    ),
    ProblemKind.MICROPHONE_CHANGED: Words(
        "Another microphone is in use now.",
        "What was recorded so far is safe on this computer.",
        "Look at its name; choose another if it is not the right one.",
    ),
    ProblemKind.MICROPHONE_BUSY: Words(
        "Another program has the microphone to itself.",
        "What was recorded so far is safe on this computer.",
        "Close that program or choose another microphone; recording goes on by itself.",
    ),
    ProblemKind.MICROPHONE_FORBIDDEN: Words(
        "This computer does not let ScribeDesk use the microphone.",
        "What was recorded so far is safe on this computer.",
        "Allow it in the system's privacy settings, under Microphone; recording goes on by itself.",
    ),
    ProblemKind.CHUNK_TOO_LARGE: Words(
        "The service takes only smaller pieces of audio.",
        _SAFE,
        "Nothing is needed from you: the recording is cut into smaller pieces and sent.",
    ),
    ProblemKind.CLOCK_WRONG: Words(
        "The connection was refused because this computer's clock seems to be wrong.",
        _SAFE_SENT_LATER,
        "Set the computer's date and time.",
    ),
    ProblemKind.KEYS_LOCKED: Words(
        "The key to the recordings on this computer is locked.",
        "New visits are recorded and sealed; nothing is lost.",
        "Unlock the system's keychain, or enter the passphrase.",
    ),
    ProblemKind.LIBRARY_SET_ASIDE: Words(
        "The collection of older visits could not be read.",
        "It was kept beside, untouched, and new visits are recorded as always.",
        "Tell your IT person; it may be mended from a backup.",
    ),
    ProblemKind.LIBRARY_NEWER: Words(
        "The collection of older visits was written by a newer ScribeDesk.",
        "It was left untouched, and new visits are recorded as always.",
        "Install the newer ScribeDesk again to see the older visits.",
    ),
    ProblemKind.SESSION_IN_USE: Words(
        "Another ScribeDesk on this computer is at work on this visit.",
        "It is safe there.",
        "Look for the other window.",
    ),
    ProblemKind.FOLDER_UNSAFE: Words(
        "The folder for recordings is not a safe place: it cannot be written, or other computers share it.",
        "Nothing was recorded there yet.",
        "Choose a folder on this computer's own disk.",
    ),
    ProblemKind.LOCAL_SERVICE_DOWN: Words(
        "The scribe service on this computer is not running.",
        _SAFE_SENT_LATER,
        "It is being started again; nothing is needed from you.",
    ),
    ProblemKind.SETTINGS_UNREADABLE: Words(
        "The settings file could not be read.",
        "Recordings are not affected.",
        "The usual settings are in force; the old file was kept beside the new one.",
    ),
    ProblemKind.BUG: Words(
        "Something went wrong inside ScribeDesk.",
        _SAFE,
        "If this lasts, restart the app and tell your IT person.",
    ),
}

_TRANSIENT = frozenset(
    {
        ProblemKind.UNREACHABLE,
        ProblemKind.TIMED_OUT,
        ProblemKind.SERVICE_BUSY,
        ProblemKind.SERVICE_BROKEN,
        ProblemKind.NOT_A_SCRIBE_SERVICE,
        ProblemKind.LOCAL_SERVICE_DOWN,
        ProblemKind.ANSWER_UNREADABLE,
        ProblemKind.CLOCK_WRONG,
        ProblemKind.KEYS_LOCKED,
    }
)


@dataclass(frozen=True)
class Problem:
    """One piece of expected trouble.

    ``detail`` is a short technical note without patient data (``HTTP 503 service_unavailable``).
    """

    kind: ProblemKind
    detail: str = ""

    @property
    def words(self) -> Words:
        """What a person reads."""
        return WORDS[self.kind]

    @property
    def is_transient(self) -> bool:
        """It may pass by itself: try again later (protocol page 3)."""
        return self.kind in _TRANSIENT

    @property
    def sentence(self) -> str:
        """All of it in one line, for a terminal."""
        return f"{self.words.what} {self.words.safe} {self.words.do}"
