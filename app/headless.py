"""A visit without a window: the same engine, its progress as lines, its result as text or JSON."""

from __future__ import annotations

import json
import queue
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from app.compose import begin_logging, make_engine
from app.core.document import document, plain_text
from app.core.problems import Problem, ProblemKind
from app.core.scribe import TemplateResult, TemplateStatus, Utterance
from app.core.transcript import Mark, transcript_lines
from app.core.views import AppView, Phase, SessionView, Wish
from app.store.places import find_places

_EXIT_CODES = {Phase.COMPLETED: 0, Phase.PARTIAL: 3, Phase.FAILED: 4, Phase.EXPIRED: 5}
_EXIT_FAILED, _EXIT_CANNOT_REACH = 4, 6
_CANNOT_REACH = frozenset({ProblemKind.NOT_SIGNED_IN, ProblemKind.NOT_ALLOWED, ProblemKind.INSECURE})
_HOPELESS = frozenset({ProblemKind.DISK_FULL, ProblemKind.DISK_FAILED, ProblemKind.BUG})
_PATIENCE_SECONDS = 20.0
"""How long a service may stay out of reach before the first answer."""
_LONG_PATIENCE_SECONDS = 600.0
"""How long nothing may move after that."""


@dataclass(frozen=True)
class Outcome:
    """How it ended."""

    exit_code: int
    session: SessionView | None = None
    view: AppView | None = None

    def as_json(self) -> str:
        """One object with all that the service returned."""
        session = self.session
        assert session is not None
        told: dict[str, Any] = {
            "session_id": session.id,
            "status": str(session.phase),
            "transcript": session.transcript,
            "transcript_by": session.transcript_by,
            "templates": {n.id: _note_object(n) for n in session.notes},
            "audio_files_sent": session.chunks_sealed,
            "audio_files_received": session.audio_files_received,
            "processing_errors": [
                {"type": e.type, "message": e.message, "file": e.file, "missing": list(e.missing)}
                for e in session.processing_errors
            ],
        }
        return json.dumps(told, ensure_ascii=False)

    def as_text(self) -> str:
        """What a person reads: the transcript, then each note."""
        session = self.session
        assert session is not None
        transcript = "\n".join(_line(line) for line in transcript_lines(session))
        parts = [_titled("Transcript", transcript or "(nothing was understood)", session.transcript_by)]
        for note in session.notes:
            body = plain_text(document(note.data)) if note.status is TemplateStatus.SUCCESS else f"({note.error})"
            parts.append(_titled(note.name or note.id, body or "(nothing was said for this note)", note.made_by))
        if session.phase is not Phase.COMPLETED or session.missing_spans:
            words = session.problem.words.what if session.problem else "Not all of the visit is in it."
            parts.insert(0, f"Incomplete. {words}")
        return "\n\n".join(parts)


def run(wish: Wish, *, service_id: str | None, say: Callable[[str], None]) -> Outcome:
    """Carry out one wish that records a session, and wait for its result."""
    places = find_places()
    begin_logging(places)
    views: queue.SimpleQueue[AppView] = queue.SimpleQueue()
    engine = make_engine(places, views.put, takes_up_old_sessions=False, service_id=service_id)
    engine.start()
    try:
        problem = _await_service(views, say)
        if problem is not None:
            say(f"{problem.words.what} {problem.detail}".strip())
            return Outcome(_EXIT_CANNOT_REACH)
        engine.post(wish)
        return _Watch(say).follow(views)
    finally:
        engine.close()


def _await_service(views: queue.SimpleQueue[AppView], say: Callable[[str], None]) -> Problem | None:
    """Wait for the first answer of the service, so that its format is known and a wrong address is told at once."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    problem: Problem | None = None
    while (left := deadline - time.monotonic()) > 0:
        try:
            view = views.get(timeout=left)
        except queue.Empty:
            break
        problem = view.service.problem or problem
        if view.service.state == "ready":
            say(f"Service: {view.service.name}")
            return None
        if view.service.state == "unreachable" and problem and not _may_pass(problem):
            return problem
    return problem or Problem(ProblemKind.UNREACHABLE)


def _may_pass(problem: Problem) -> bool:
    return problem.kind in (ProblemKind.SERVICE_BUSY, ProblemKind.SERVICE_BROKEN, ProblemKind.LOCAL_SERVICE_DOWN)


class _Watch:
    """Turns views into lines of progress until the session is settled."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._said = ""

    def follow(self, views: queue.SimpleQueue[AppView]) -> Outcome:
        """Wait for the end."""
        while True:
            try:
                view = views.get(timeout=_LONG_PATIENCE_SECONDS)
            except queue.Empty:
                self._tell("Nothing has moved for a long time. The audio is kept and will be sent by the app.")
                return Outcome(_EXIT_CANNOT_REACH)
            if view.problem is not None and view.problem.kind in _HOPELESS:
                self._say(view.problem.sentence)
                return Outcome(_EXIT_FAILED)
            if not view.sessions:
                continue
            session = view.sessions[0]
            self._tell(_progress(session))
            code = _exit_code(session)
            if code is not None:
                if session.problem:
                    self._say(f"{session.problem.sentence} {session.problem.detail}".strip())
                return Outcome(code, session, view)

    def _tell(self, line: str) -> None:
        if line != self._said:
            self._say(line)
            self._said = line


def _exit_code(session: SessionView) -> int | None:
    """The exit code once nothing more will happen by itself."""
    is_awaiting_notes = any(n.status is TemplateStatus.PROCESSING for n in session.notes)
    if session.phase in (Phase.COMPLETED, Phase.PARTIAL) and is_awaiting_notes:
        return None
    if session.phase.is_final:
        return _EXIT_CODES.get(session.phase, _EXIT_FAILED)
    if session.problem and not session.problem.is_transient:
        return _EXIT_CANNOT_REACH if session.problem.kind in _CANNOT_REACH else _EXIT_FAILED
    return None


def _progress(session: SessionView) -> str:
    if session.phase is Phase.RECORDING:
        return f"Reading: {session.chunks_sealed} chunks, {session.chunks_uploaded} sent"
    if session.phase in (Phase.DRAINING, Phase.ENDING):
        return f"Sending: {session.chunks_uploaded} of {session.chunks_sealed} chunks"
    if session.phase is Phase.PROCESSING:
        return "Ended. The service is making the transcript and the notes."
    return f"{str(session.phase).capitalize()}."


def _note_object(note: TemplateResult) -> dict[str, Any]:
    told: dict[str, Any] = {"status": str(note.status), "data": note.data}
    optional = {"error": note.error, "made_by": note.made_by, "warnings": list(note.warnings)}
    return {**told, **{k: v for k, v in optional.items() if v}}


def _titled(title: str, body: str, made_by: str) -> str:
    by = f"\n(made by {made_by})" if made_by else ""
    return f"{title}\n{'=' * len(title)}\n{body}{by}"


def _line(line: Utterance | Mark) -> str:
    if isinstance(line, Utterance):
        return line.text
    return f"[{line.sentence()}]"
