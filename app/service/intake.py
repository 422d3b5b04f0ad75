"""What the service does for a caller: takes sessions and audio in, ends sessions, tells how they stand.

Callable from any thread. When a method that stores something returns, it is stored durably.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.service.audiofiles import AudioFiles
from app.service.database import Database, Records, Webhook
from app.service.decoding import decode, format_for
from app.service.engines import Engines
from app.service.limits import Limits
from app.service.ports import Template
from app.service.sessions import (
    Chunk,
    Note,
    NoteStatus,
    Refused,
    Session,
    Status,
    parse_chunk_name,
    require_endable,
    require_open,
    require_result,
)
from app.service.webhooks import MAX_WEBHOOKS, check_url, queue_event
from app.service.worker import expire


@dataclass(frozen=True)
class NewSession:
    """What a caller asks for."""

    session_id: str | None = None
    templates: Sequence[str] = ()
    languages: Sequence[str] = ()
    additional_data: dict[str, Any] = field(default_factory=dict)
    patient_details: dict[str, Any] | None = None


@dataclass(frozen=True)
class Snapshot:
    """A session with everything that belongs to it, as of one moment."""

    session: Session
    chunks: list[Chunk]
    notes: list[Note]


class Intake:
    """The use cases of the protocol, one method each; :class:`Refused` says what is not done and why."""

    def __init__(
        self,
        *,
        database: Database,
        files: AudioFiles,
        engines: Engines,
        limits: Limits,
        changed: Callable[[], None],
        now: Callable[[], float] = time.time,
    ) -> None:
        self.engines = engines
        self.limits = limits
        self._database = database
        self._files = files
        self._changed = changed
        self._now = now

    # -- sessions -----------------------------------------------------------------------------------------

    def create(self, wish: NewSession) -> Session:
        """Open a session."""
        templates = list(dict.fromkeys(wish.templates))
        if len(templates) > self.limits.templates:
            raise Refused("invalid_template", f"A session takes at most {self.limits.templates} templates.")
        now = self._now()
        session = Session(
            id=wish.session_id or "ses_" + secrets.token_hex(12),
            folder=secrets.token_hex(16),
            created_at=now,
            expires_at=now + self.limits.session_seconds,
            languages=tuple(wish.languages),
            additional_data=wish.additional_data,
            patient_details=wish.patient_details,
        )
        with self._database.writing() as records:
            if records.session(session.id) is not None:
                raise Refused("session_exists", "There is a session with this id already.")
            records.add_session(session)
            for template_id in templates:
                records.ask_note(_new_note(session.id, template_id))
            queue_event(records, "session.started", session, session.status, now)
        self._changed()
        return session

    def accept_chunk(self, session_id: str, file_name: str, content_type: str, data: bytes) -> Chunk:
        """Store one audio file. The same bytes again are welcome; other bytes under its number are refused."""
        self._expire_if_overdue(session_id)
        with self._database.reading() as records:
            session = _known(records, session_id)
            require_open(session)
        name = parse_chunk_name(file_name)
        audio_format = format_for(content_type, name.extension)
        decoded = decode(data, audio_format, self.limits)
        chunk = Chunk(
            session_id=session_id,
            number=name.number,
            name=name.text,
            file=self._files.write(session.folder, name.number, data),
            sha256=hashlib.sha256(data).hexdigest(),
            duration_seconds=decoded.duration_seconds,
        )
        kept = chunk
        try:
            kept = self._record(chunk)
        finally:
            if kept is not chunk or not self._is_recorded(chunk):
                self._files.remove(session.folder, chunk.file)
        self._changed()
        return kept

    def end(self, session_id: str, audio_files_sent: int) -> Snapshot:
        """Commit a session: no further audio; what is there is queued for processing."""
        self._expire_if_overdue(session_id)
        with self._database.writing() as records:
            require_endable(_known(records, session_id))
            now = self._now()
            records.commit_session(session_id, audio_files_sent, now)
            session = _known(records, session_id)
            queue_event(records, "session.ended", session, session.status, now)
            snapshot = _snapshot(records, session)
        self._changed()
        return snapshot

    def look(self, session_id: str) -> Snapshot:
        """How a session stands."""
        self._expire_if_overdue(session_id)
        with self._database.reading() as records:
            return _snapshot(records, _known(records, session_id))

    # -- templates ----------------------------------------------------------------------------------------

    def templates(self) -> tuple[Template, ...]:
        """The templates on offer."""
        return self.engines.note_maker.templates()

    def ask_document(self, session_id: str, template_id: str) -> Note:
        """Queue one more note of a finished session; one that is being made already is not made twice."""
        self._expire_if_overdue(session_id)
        with self._database.writing() as records:
            session = _known(records, session_id)
            if template_id not in {template.id for template in self.templates()}:
                raise Refused("template_not_found", "There is no such template.")
            require_result(session)
            for note in records.notes(session_id):
                if note.template_id == template_id and note.status is NoteStatus.PROCESSING:
                    return note
            note = _new_note(session_id, template_id)
            records.ask_note(note)
        self._changed()
        return note

    # -- webhooks -----------------------------------------------------------------------------------------

    def webhooks(self) -> list[Webhook]:
        """All registered destinations."""
        with self._database.reading() as records:
            return records.webhooks()

    def add_webhook(self, url: str, events: Sequence[str], secret: str | None) -> Webhook:
        """Register a destination."""
        check_url(url)
        webhook = Webhook(
            id="wh_" + secrets.token_hex(12),
            url=url,
            events=tuple(dict.fromkeys(events)),
            secret=secret or secrets.token_hex(32),
            created_at=self._now(),
        )
        with self._database.writing() as records:
            if len(records.webhooks()) >= MAX_WEBHOOKS:
                raise Refused("invalid_request", f"There are {MAX_WEBHOOKS} webhooks already; delete one first.")
            records.add_webhook(webhook)
        return webhook

    def remove_webhook(self, webhook_id: str) -> None:
        """Forget a destination."""
        with self._database.writing() as records:
            if not records.remove_webhook(webhook_id):
                raise Refused("webhook_not_found", "There is no such webhook.")

    # -- within -------------------------------------------------------------------------------------------

    def _expire_if_overdue(self, session_id: str) -> None:
        now = self._now()
        with self._database.reading() as records:
            session = records.session(session_id)
        if session is None or not session.is_overdue(now):
            return
        with self._database.writing() as records:
            session = records.session(session_id)
            if session is not None and session.is_overdue(now):
                expire(records, session, now)
        self._changed()

    def _record(self, chunk: Chunk) -> Chunk:
        """Record a chunk whose file is on disk; an equal one that is there already comes back instead."""
        with self._database.writing() as records:
            session = _known(records, chunk.session_id)
            require_open(session)
            known = records.chunk(chunk.session_id, chunk.number)
            if known is not None and known.sha256 != chunk.sha256:
                raise Refused("audio_conflict", f"Other audio was stored as number {chunk.number} before.")
            if known is not None:
                return known
            records.add_chunk(chunk)
            if session.status is Status.CREATED:
                records.set_status(session.id, Status.RECORDING)
        return chunk

    def _is_recorded(self, chunk: Chunk) -> bool:
        with self._database.reading() as records:
            known = records.chunk(chunk.session_id, chunk.number)
        return known is not None and known.file == chunk.file


def _known(records: Records, session_id: str) -> Session:
    session = records.session(session_id)
    if session is None:
        raise Refused("session_not_found", "There is no such session.")
    return session


def _snapshot(records: Records, session: Session) -> Snapshot:
    return Snapshot(session, records.chunks(session.id), records.notes(session.id))


def _new_note(session_id: str, template_id: str) -> Note:
    return Note(session_id, template_id, "doc_" + secrets.token_hex(12))
