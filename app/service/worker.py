"""The work behind the answers: transcribing chunks as they arrive, notes, finishing, expiring, forgetting.

What is to do is read from the database before each step and each step's outcome is one transaction, so that a
killed service goes on where it was and says nothing twice. Runs on the ``scribe-worker`` thread.
"""

from __future__ import annotations

import json
import logging
import math
import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import asdict, dataclass

from app.service.audiofiles import AudioFiles
from app.service.database import Database, Records
from app.service.decoding import decode
from app.service.engines import Engines
from app.service.limits import Limits
from app.service.ports import EngineUnavailable, NoteContent, TemplateUnknown, Transcript, Utterance, Word
from app.service.sealing import SealBroken
from app.service.sessions import Chunk, Note, Refused, Session, Status, outcome, transcript_of
from app.service.webhooks import queue_event

logger = logging.getLogger(__name__)

_TIDY_SECONDS = 30.0
_FIRST_RETRY_SECONDS = 1.0
_LAST_RETRY_SECONDS = 60.0
_CLOSE_SECONDS = 2.0


class _Backoff:
    """When to try again what an engine could not do; growing delays, a job each."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._waits: dict[Hashable, tuple[float, float]] = {}

    def is_due(self, job: Hashable) -> bool:
        return job not in self._waits or self._waits[job][0] <= self._monotonic()

    def postpone(self, job: Hashable) -> None:
        delay = self._waits[job][1] * 2 if job in self._waits else _FIRST_RETRY_SECONDS
        delay = min(delay, _LAST_RETRY_SECONDS)
        self._waits[job] = (self._monotonic() + delay, delay)

    def forget(self, job: Hashable) -> None:
        self._waits.pop(job, None)

    def seconds_to_next(self) -> float:
        now = self._monotonic()
        ahead = [at - now for at, _ in self._waits.values() if at > now]
        return min(ahead, default=_TIDY_SECONDS)


@dataclass(frozen=True)
class _NoteFailure:
    code: str
    message: str


class Worker:
    """Owns the engines and does one job at a time."""

    def __init__(
        self,
        *,
        database: Database,
        files: AudioFiles,
        engines: Engines,
        limits: Limits,
        changed: Callable[[], None],
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._files = files
        self._engines = engines
        self._limits = limits
        self._changed = changed
        self._now = now
        self._monotonic = monotonic
        self._backoff = _Backoff(monotonic)
        self._woken = threading.Event()
        self._stopping = threading.Event()
        # An engine may not let go in time; the process may leave without it, since all work is on disk.
        self._thread = threading.Thread(target=self._run, name="scribe-worker", daemon=True)

    def start(self) -> None:
        """Begin, with what an earlier run left."""
        self._thread.start()

    def wake(self) -> None:
        """There may be something to do."""
        self._woken.set()

    def close(self) -> None:
        """Stop; a transcription under way is given up and done again at the next start."""
        self._stopping.set()
        self._woken.set()
        self._thread.join(_CLOSE_SECONDS)
        self._engines.close()
        self._thread.join(_CLOSE_SECONDS)

    def _run(self) -> None:
        tidy_at = self._monotonic()
        while not self._stopping.is_set():
            self._woken.clear()
            try:
                if self._monotonic() >= tidy_at:
                    self.tidy()
                    tidy_at = self._monotonic() + _TIDY_SECONDS
                did_something = self.step()
            except Exception:
                # A full disk or a locked file: the work is still queued and the next try may do it.
                logger.exception("A step of the scribe service's work failed; trying again.")
                self._stopping.wait(_FIRST_RETRY_SECONDS)
                continue
            if not did_something:
                self._woken.wait(min(self._backoff.seconds_to_next(), max(0.0, tidy_at - self._monotonic())))

    def step(self) -> bool:
        """Do the most urgent job; False when there is none that can be done now."""
        return self._finish_one() or self._make_one_note() or self._transcribe_one()

    # -- transcription ------------------------------------------------------------------------------------

    def _transcribe_one(self) -> bool:
        with self._database.reading() as records:
            waiting = records.unsettled_chunks()
            due = next((job for job in waiting if self._backoff.is_due((job[0].id, job[1]))), None)
            chunk = records.chunk(due[0].id, due[1]) if due else None
        if due is None or chunk is None:
            return False
        self._transcribe(due[0], chunk)
        return True

    def _transcribe(self, session: Session, chunk: Chunk) -> None:
        job = (session.id, chunk.number)
        try:
            decoded = decode(self._files.read(session.folder, chunk.number, chunk.file), None, self._limits)
            heard = _plain(self._engines.transcriber.transcribe(decoded.samples, session.language).utterances)
        except EngineUnavailable:
            if self._may_wait(session):
                self._backoff.postpone(job)
                return
            self._settle_chunk(chunk, "the transcriber was not available")
        except (OSError, SealBroken, Refused):
            self._settle_chunk(chunk, "the stored audio could not be read")
        except Exception as exc:  # noqa: BLE001 - whatever one chunk does to an engine, the others go on
            if self._stopping.is_set():
                return
            # The exception's text may quote what was said: its type alone is logged.
            logger.error("A chunk could not be transcribed: %s", type(exc).__name__)
            self._settle_chunk(chunk, "it could not be transcribed")
        else:
            with self._database.writing() as records:
                records.set_heard(chunk, heard, self._engines.transcriber.name)
        self._backoff.forget(job)
        self._changed()

    def _settle_chunk(self, chunk: Chunk, problem: str) -> None:
        with self._database.writing() as records:
            records.set_problem(chunk, problem)

    def _may_wait(self, session: Session) -> bool:
        """Whether an engine that is away may still be waited for; while closing, always."""
        if self._stopping.is_set() or session.ended_at is None:
            return True
        return self._now() < session.ended_at + self._limits.patience_seconds

    # -- notes --------------------------------------------------------------------------------------------

    def _make_one_note(self) -> bool:
        with self._database.reading() as records:
            waiting = records.unmade_notes()
            due = next((job for job in waiting if self._backoff.is_due(job[1].document_id)), None)
            chunks = records.chunks(due[0].id) if due else []
        if due is None:
            return False
        self._make_note(due[0], due[1], transcript_of(due[0], chunks))
        return True

    def _make_note(self, session: Session, note: Note, transcript: Transcript) -> None:
        try:
            made = self._attempt(note, transcript)
        except EngineUnavailable:
            if self._may_wait(session):
                self._backoff.postpone(note.document_id)
                return
            made = _NoteFailure("timeout", "The note maker was not available.")
        except Exception as exc:  # noqa: BLE001 - whatever one note does, the others still come
            if self._stopping.is_set():
                return
            logger.error("A note could not be made: %s", type(exc).__name__)
            made = _NoteFailure("extraction_failed", "The note could not be made from the transcript.")
        with self._database.writing() as records:
            if isinstance(made, _NoteFailure):
                records.fail_note(note.document_id, made.code, made.message)
            else:
                records.set_note(note.document_id, made, self._engines.note_maker.name)
        self._backoff.forget(note.document_id)
        self._changed()

    def _attempt(self, note: Note, transcript: Transcript) -> NoteContent | _NoteFailure:
        maker = self._engines.note_maker
        unknown = _NoteFailure("template_not_found", f"There is no template '{note.template_id}'.")
        if note.template_id not in {template.id for template in maker.templates()}:
            return unknown
        if not transcript.utterances:
            return _NoteFailure("insufficient_audio", "Nothing was understood that a note could be made of.")
        try:
            content = maker.make(note.template_id, transcript)
        except TemplateUnknown:
            return unknown
        json.dumps([content.data, [asdict(source) for source in content.sources]], allow_nan=False)
        return content

    # -- sessions -----------------------------------------------------------------------------------------

    def _finish_one(self) -> bool:
        with self._database.writing() as records:
            finishable = records.finishable_sessions()
            if not finishable:
                return False
            session, now = finishable[0], self._now()
            chunks, notes = records.chunks(session.id), records.notes(session.id)
            status = outcome(session, chunks, notes, self._engines.languages)
            records.finish_session(session.id, status, now)
            failed = bool(chunks) and not any(chunk.heard is not None for chunk in chunks)
            queue_event(records, "session.failed" if failed else "session.completed", session, status, now)
        self._changed()
        return True

    def tidy(self) -> None:
        """Expire open sessions whose time is over, and forget what is past its retention."""
        now = self._now()
        with self._database.writing() as records:
            overdue = [s for s in records.sessions(Status.CREATED, Status.RECORDING) if s.is_overdue(now)]
            for session in overdue:
                expire(records, session, now)
            for session in records.finished_before(now - self._limits.retention_seconds):
                records.remove_session(session.id)
        self._remove_audio(now)
        if overdue:
            self._changed()

    def _remove_audio(self, now: float) -> None:
        """Of sessions that are done with it, and of those that were forgotten."""
        there = self._files.folders()
        with self._database.reading() as records:
            needed = records.folders_needed(now - self._limits.audio_seconds)
        for folder in there - needed:
            self._files.remove_folder(folder)


def expire(records: Records, session: Session, now: float) -> None:
    """Close an open session whose time is over."""
    records.finish_session(session.id, Status.EXPIRED, now)
    queue_event(records, "session.expired", session, Status.EXPIRED, now)


def _plain(heard: tuple[Utterance, ...]) -> tuple[Utterance, ...]:
    """Utterances that can be stored and sent as JSON, whatever number types an engine works with."""
    return tuple(
        Utterance(str(u.text), *_span(u), tuple(Word(str(word.text), *_span(word)) for word in u.words))
        for u in heard
    )


def _span(spoken: Utterance | Word) -> tuple[float, float]:
    start, end = float(spoken.start_seconds), float(spoken.end_seconds)
    if not (math.isfinite(start) and math.isfinite(end)):
        raise ValueError("an utterance without a place in the audio")
    return start, end
