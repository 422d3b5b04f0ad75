"""The server's side of a session: its records and every decision about them.

Pure: no files, no database, no clock. The callers load records, ask here, and store what comes back.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from app.service.ports import Source, Transcript, Utterance

MAX_CHUNK_NUMBER = 99_999
MISSING_LISTED = 1_000
"""At most so many missing numbers are listed one by one; the message always names all of them as ranges."""

_CHUNK_NAME = re.compile(r"(?P<base>[A-Za-z0-9_-]{1,80})_(?P<number>[0-9]{1,10})\.(?P<extension>wav|ogg|opus|flac)")


class Refused(Exception):
    """The service will not do what was asked; the code is one of the protocol's error codes."""

    def __init__(self, code: str, message: str, details: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.details = details or {}


class Status(StrEnum):
    """Where a session stands, in the protocol's words."""

    CREATED = "created"
    RECORDING = "recording"
    PROCESSING = "processing"
    COMPLETED = "completed"
    PARTIAL = "partial"
    EXPIRED = "expired"

    @property
    def is_open(self) -> bool:
        """Whether uploads are accepted."""
        return self in (Status.CREATED, Status.RECORDING)

    @property
    def has_result(self) -> bool:
        """Whether processing came to its end."""
        return self in (Status.COMPLETED, Status.PARTIAL)


class NoteStatus(StrEnum):
    """Where a template's result stands, in the protocol's words."""

    PROCESSING = "processing"
    SUCCESS = "success"
    FAILED = "failed"


@dataclass(frozen=True)
class Session:
    """One session as it is stored. Times are seconds since the epoch."""

    id: str
    folder: str
    created_at: float
    expires_at: float
    status: Status = Status.CREATED
    languages: tuple[str, ...] = ()
    additional_data: dict[str, Any] = field(default_factory=dict)
    patient_details: dict[str, Any] | None = None
    ended_at: float | None = None
    finished_at: float | None = None
    audio_files_sent: int | None = None

    def is_overdue(self, now: float) -> bool:
        """Whether it is still open although its time is over."""
        return self.status.is_open and now >= self.expires_at

    @property
    def language(self) -> str:
        """The main language of the visit: the first hint, without its region."""
        return self.languages[0].split("-")[0].lower() if self.languages else "en"


@dataclass(frozen=True)
class Chunk:
    """One stored audio file. ``file`` is our own name for it, ``name`` the client's, ``heard`` what was said."""

    session_id: str
    number: int
    name: str
    file: str
    sha256: str
    duration_seconds: float
    heard: tuple[Utterance, ...] | None = None
    heard_by: str | None = None
    problem: str | None = None

    @property
    def is_settled(self) -> bool:
        """Whether nothing more will be learnt from it."""
        return self.heard is not None or self.problem is not None


@dataclass(frozen=True)
class Note:
    """The result of one template for one session."""

    session_id: str
    template_id: str
    document_id: str
    status: NoteStatus = NoteStatus.PROCESSING
    data: Any = None
    sources: tuple[Source, ...] = ()
    made_by: str | None = None
    error_code: str | None = None
    error_message: str | None = None


@dataclass(frozen=True)
class ChunkName:
    """A file name of the client's, taken apart."""

    text: str
    number: int
    extension: str


@dataclass(frozen=True)
class PlacedUtterance:
    """An utterance with its place in the visit and the number of the chunk it was heard in."""

    chunk: int
    utterance: Utterance


@dataclass(frozen=True)
class ProcessingError:
    """Something that keeps a result from being whole."""

    type: str
    message: str
    file: str | None = None
    missing: tuple[int, ...] | None = None


def parse_chunk_name(text: str) -> ChunkName:
    """Take ``audio_12.ogg`` apart; anything that is not such a name is refused."""
    match = _CHUNK_NAME.fullmatch(text)
    if match is None or int(match["number"]) > MAX_CHUNK_NUMBER:
        raise Refused(
            "invalid_request",
            "An audio file is named like audio_0.ogg: a base of letters, digits, '_' and '-', '_', "
            f"its number from 0 to {MAX_CHUNK_NUMBER}, and wav, ogg, opus or flac.",
        )
    return ChunkName(text, int(match["number"]), match["extension"])


def require_open(session: Session) -> None:
    """Refuse an upload to a session that takes none any more."""
    if session.status is Status.EXPIRED:
        raise Refused("session_expired", "The session has expired; send the audio as a new session.")
    if not session.status.is_open:
        raise Refused("session_ended", "The session has ended; it takes no further audio.")


def require_endable(session: Session) -> None:
    """Refuse to end a session twice, or one that has expired."""
    if session.status is Status.EXPIRED:
        raise Refused("session_expired", "The session has expired; send the audio as a new session.")
    if not session.status.is_open:
        raise Refused("session_already_ended", "The session has already been ended.")


def require_result(session: Session) -> None:
    """Refuse another document from a session that has no transcript yet."""
    if session.status is Status.EXPIRED:
        raise Refused("session_expired", "The session has expired; no document can be made from it.")
    if not session.status.has_result:
        raise Refused("session_not_completed", "The session is not completed yet; ask again when it is.")


def place(chunks: Iterable[Chunk]) -> list[PlacedUtterance]:
    """All utterances in order, their times counted from the session's start.

    A chunk starts where the chunks before it end, so audio that never came takes no time.
    """
    placed: list[PlacedUtterance] = []
    offset = 0.0
    for chunk in chunks:
        placed += [PlacedUtterance(chunk.number, _moved(heard, offset)) for heard in chunk.heard or ()]
        offset += chunk.duration_seconds
    return placed


def _moved(heard: Utterance, offset: float) -> Utterance:
    words = tuple(
        replace(word, start_seconds=word.start_seconds + offset, end_seconds=word.end_seconds + offset)
        for word in heard.words
    )
    return Utterance(heard.text, heard.start_seconds + offset, heard.end_seconds + offset, words)


def known_so_far(chunks: Sequence[Chunk]) -> list[Chunk]:
    """The chunks from 0 on without a hole, all settled: their text will not move any more."""
    known: list[Chunk] = []
    for number, chunk in enumerate(chunks):
        if chunk.number != number or not chunk.is_settled:
            break
        known.append(chunk)
    return known


def transcript_of(session: Session, chunks: Sequence[Chunk]) -> Transcript:
    """The whole transcript as the note maker gets it."""
    return Transcript(tuple(placed.utterance for placed in place(chunks)), session.language)


def missing_numbers(session: Session, chunks: Sequence[Chunk]) -> list[int]:
    """The numbers that should be there and are not: holes, and what was announced beyond the last one."""
    present = {chunk.number for chunk in chunks}
    expected = max(session.audio_files_sent or 0, max(present, default=-1) + 1)
    return [number for number in range(expected) if number not in present]


def processing_errors(session: Session, chunks: Sequence[Chunk], languages: Sequence[str]) -> list[ProcessingError]:
    """Everything that makes an ended session's result less than whole; empty when it is whole.

    Args:
        session: the ended session.
        chunks: its chunks in order.
        languages: what the transcriber understands; empty when it takes any language.
    """
    errors = _count_errors(session, chunks)
    errors += [
        ProcessingError("transcription_failed", f"{chunk.name}: {chunk.problem}", file=chunk.name)
        for chunk in chunks
        if chunk.problem is not None
    ]
    if languages and session.language not in languages:
        errors.append(
            ProcessingError(
                "language_unsupported",
                f"The visit was said to be in '{session.language}', which this service does not understand.",
            )
        )
    return errors


def _count_errors(session: Session, chunks: Sequence[Chunk]) -> list[ProcessingError]:
    sent, received = session.audio_files_sent or 0, len(chunks)
    missing = missing_numbers(session, chunks)
    if missing and not received:
        return [
            ProcessingError(
                "no_audio_received",
                f"No audio was received: {_ranges(missing)} of {sent} missing.",
                missing=tuple(missing[:MISSING_LISTED]),
            )
        ]
    if missing:
        return [
            ProcessingError(
                "missing_audio",
                f"{sent} audio files were announced, {received} received; missing: {_ranges(missing)}.",
                missing=tuple(missing[:MISSING_LISTED]),
            )
        ]
    if sent != received:
        return [
            ProcessingError(
                "count_mismatch",
                f"{sent} audio files were announced, {received} received.",
                missing=(),
            )
        ]
    return []


def _ranges(numbers: Sequence[int]) -> str:
    """``3, 7-9`` for 3, 7, 8, 9."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and runs[-1][1] == number - 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)


def outcome(session: Session, chunks: Sequence[Chunk], notes: Iterable[Note], languages: Sequence[str]) -> Status:
    """How an ended session comes out, once every chunk and every note is settled."""
    if processing_errors(session, chunks, languages):
        return Status.PARTIAL
    if chunks and any(note.status is NoteStatus.FAILED for note in notes):
        return Status.PARTIAL
    return Status.COMPLETED
