"""A session in the engine's hands: its machine, its spool, its source of audio, its running capture."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path

from app.audio.capture import Capture, seal_samples
from app.audio.source import Source
from app.core.events import CaptureInterrupted, Command, Event, SessionId
from app.core.problems import Problem, ProblemKind
from app.core.session import Session
from app.core.views import SessionView
from app.store.spool import Spool, SpoolInUse


class Held:
    """One session. Owned by the engine's thread; the spool's ``append`` and ``seal`` are the capture thread's."""

    def __init__(self, folder: Path, open_source: Callable[[int], Source] | None = None) -> None:
        """Open a new or an old session's folder and replay its journal.

        ``open_source`` opens the session's audio at a sample; without one it is the microphone's.

        Raises:
            SpoolInUse: another process has it.
            OSError: the disk refuses.
        """
        self._folder = folder
        self._spool: Spool | None = Spool(folder)
        self.session = Session(SessionId(folder.name))
        self.open_source = open_source
        self.capture: Capture | None = None
        self.problem: Problem | None = None
        """The disk refuses what it should keep."""
        self._unwritten: list[Event] = []
        self._view: SessionView | None = None
        try:
            for event in self._spool.events:
                self.session.handle(event)
        except Exception:
            self._spool.close()
            raise

    @property
    def id(self) -> SessionId:
        """The session's id, which is its folder's name."""
        return self.session.id

    @property
    def spool(self) -> Spool:
        """The session's spool, opened again if it was let go."""
        if self._spool is None:
            self._spool = Spool(self._folder)
        return self._spool

    @property
    def view(self) -> SessionView:
        """The newest view, made once for each change."""
        if self._view is None:
            self._view = self.session.view()
        return self._view

    def handle(self, event: Event) -> list[Command]:
        """Let the machine decide, and journal what it must not forget before anything is done about it.

        A journal that the disk refuses does not stop the session, whose facts have happened all the same. What was
        refused is written before whatever is next.

        Raises:
            NotAllowed: the machine has no use for this intent now.
        """
        is_durable = self.session.is_durable(event)
        self._view = None
        commands = self.session.handle(event)
        if is_durable:
            self._unwritten.append(event)
            self._write_journal()
        return commands

    def _write_journal(self) -> None:
        try:
            while self._unwritten:
                self.spool.note(self._unwritten[0])
                del self._unwritten[0]
        except (OSError, SpoolInUse) as error:
            self.problem = disk_problem(error)
        else:
            self.problem = None

    def recover(self) -> list[Command]:
        """After replay: take in what the disk knows beyond the journal, then go on.

        Raises:
            OSError: the disk will not take a chunk of what was captured last.
        """
        if self.session.is_capture_open or self.session.phase.is_live:
            self._seal_rest()
        if self.session.is_capture_open:
            self.handle(CaptureInterrupted(self.spool.last_written_at))
        return self.session.resume()

    def seal_rest(self) -> list[Command]:
        """Make chunks of what a take that broke off has left on the disk, so that the next one begins behind it.

        Raises:
            OSError: the disk will not take them yet.
        """
        if self._spool is None or self.capture is not None or self._spool.is_all_sealed:
            return []
        return self._seal_rest()

    def _seal_rest(self) -> list[Command]:
        session, recovered = self.session, self.spool.recover()
        seal_samples(
            recovered.tail,
            first_chunk=len(recovered.chunks),
            first_sample=recovered.first_sample,
            media_type=session.media_type,
            max_chunk_seconds=session.max_chunk_seconds,
            spool=self.spool,
        )
        untold = self.spool.recover().chunks[session.view().chunks_sealed :]
        return [command for chunk in untold for command in self.handle(chunk)]

    def let_go(self) -> None:
        """Close the files of a session that nothing more will happen to."""
        if self._spool is not None and self.capture is None:
            self._write_journal()
            self._spool.close()
            self._spool = None

    def erase(self) -> None:
        """Remove the session from the disk."""
        self.spool.erase()
        self._spool = None


def disk_problem(error: Exception) -> Problem:
    """Why the disk refuses, in words for people."""
    if not isinstance(error, OSError):
        return Problem(ProblemKind.DISK_FAILED, type(error).__name__)
    kind = ProblemKind.DISK_FULL if error.errno in (errno.ENOSPC, errno.EDQUOT) else ProblemKind.DISK_FAILED
    return Problem(kind, errno.errorcode.get(error.errno or 0, type(error).__name__))
