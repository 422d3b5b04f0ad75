"""A session in the engine's hands: its machine, its spool, its source of audio, its running capture."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from app.audio.capture import Capture
from app.audio.source import Source
from app.core.events import CaptureInterrupted, Command, Event, SessionId
from app.core.session import Session
from app.core.views import SessionView
from app.store.spool import Recovered, Spool

_log = logging.getLogger(__name__)


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
        self._view: SessionView | None = None
        for event in self._spool.events:
            self.session.handle(event)

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

        Raises:
            NotAllowed: the machine has no use for this intent now.
            OSError: the journal could not be written; the commands are not to be run.
        """
        is_durable = self.session.is_durable(event)
        self._view = None
        commands = self.session.handle(event)
        if is_durable:
            self.spool.note(event)
        return commands

    def recover(self, seal_tail: Callable[[Held, Recovered], None]) -> list[Command]:
        """After replay: take in what the disk knows beyond the journal, then go on.

        ``seal_tail`` makes chunks of the samples that are in none.
        """
        if self.session.is_capture_open:
            recovered = self.spool.recover()
            if recovered.tail:
                seal_tail(self, recovered)
            known = self.session.view().chunks_sealed
            for chunk in self.spool.recover().chunks[known:]:
                self.handle(chunk)
            self.handle(CaptureInterrupted(recovered.last_written_at))
        return self.session.resume()

    def let_go(self) -> None:
        """Close the files of a session that nothing more will happen to."""
        if self._spool is not None and self.capture is None:
            self._spool.close()
            self._spool = None

    def erase(self) -> None:
        """Remove the session from the disk."""
        self.spool.erase()
        self._spool = None
