"""A session in the engine's hands: its machine, its spool, its source of audio, its running capture."""

from __future__ import annotations

import errno
import itertools
import logging
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from app.audio.capture import Capture
from app.audio.keeping import seal_samples
from app.audio.microphone import Will
from app.audio.source import Source
from app.core.events import CaptureInterrupted, ChunkSealed, Command, Discard, Event, Pause, SessionId, Stop
from app.core.problems import Problem, ProblemKind
from app.core.session import NotAllowed, Session
from app.core.views import Phase, SessionView
from app.engine.aftermath import bring_in
from app.store.keys import Keys, KeysLocked
from app.store.spool import Spool, SpoolDamaged, SpoolInUse

_log = logging.getLogger(__name__)
_BYTES_PER_SAMPLE = 2
_AFTER_DEATH = "after-death"


class Held:
    """One session. Owned by the engine's thread; the spool's ``append`` and ``seal`` are the capture thread's."""

    @classmethod
    def begin(cls, folder: Path, keys: Keys, open_source: Callable[[int], Source] | None = None) -> Held:
        """Make a new session's folder, sealed with a key of its own.

        ``open_source`` opens the session's audio at a sample; without one it is the microphone's.

        Raises:
            OSError: the disk refuses.
        """
        return cls(folder, keys, Spool.create(folder, keys.new_session_key(folder.name)), open_source)

    @classmethod
    def take_up(cls, folder: Path, keys: Keys) -> Held:
        """Open an old session's folder and replay its journal.

        Raises:
            SpoolInUse: another process has it.
            KeysLocked: its key is not at hand.
            SpoolDamaged: its key cannot be read.
            OSError: the disk refuses.
        """
        return cls(folder, keys, Spool.open(folder, keys.open_envelope))

    def __init__(
        self, folder: Path, keys: Keys, spool: Spool, open_source: Callable[[int], Source] | None = None
    ) -> None:
        self._folder = folder
        self._keys = keys
        self._spool: Spool | None = spool
        self.session = Session(SessionId(folder.name))
        self.open_source = open_source
        self.capture: Capture | None = None
        self.is_switching = False
        """The running take ends for the sake of another microphone."""
        self.problem: Problem | None = None
        """The disk refuses what it should keep."""
        self._unwritten: list[Event] = []
        self._view: SessionView | None = None
        try:
            self._replay(spool.events)
        except Exception:
            spool.close()
            raise

    def _replay(self, events: Iterable[Event]) -> None:
        for event in events:
            try:
                self.session.handle(event)
            except NotAllowed as refusal:  # An event before it has rotted. What came of it is told by what follows.
                _log.warning("A wish in the journal made no sense: %s", refusal)

    @property
    def id(self) -> SessionId:
        """The session's id, which is its folder's name."""
        return self.session.id

    @property
    def spool(self) -> Spool:
        """The session's spool, opened again if it was let go."""
        if self._spool is None:
            self._spool = Spool.open(self._folder, self._keys.open_envelope)
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
        except (OSError, SpoolInUse, SpoolDamaged, KeysLocked) as error:
            self.problem = disk_problem(error)
        else:
            self.problem = None

    @property
    def will(self) -> Will:
        """What the capture process is to do when the app dies in a take of this session."""
        return Will(self._folder / _AFTER_DEATH, self.spool.key)

    def recover(self) -> list[Command]:
        """After replay: take in what the disk knows beyond the journal, then go on.

        Raises:
            OSError: the disk will not take a chunk of what was captured last.
        """
        heard_until = bring_in(self.spool, self.will.path, self._wanted_until)
        if self.session.is_capture_open or self.session.phase.is_live:
            self._seal_rest()
        self._tell_chunks()
        if self.session.is_capture_open:
            self.handle(CaptureInterrupted(max(heard_until, self.spool.last_written_at)))
        return self.session.resume()

    @property
    def _wanted_until(self) -> float:
        """Until when the visit was to be recorded, as far as the journal knows."""
        if self.session.phase is Phase.RECORDING:
            return math.inf
        ends = (event.at for event in self.spool.events if isinstance(event, (Pause, Stop, Discard)))
        return max(ends, default=math.inf)

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
            [recovered.tail],
            first_chunk=len(recovered.chunks),
            first_sample=recovered.first_sample,
            media_type=session.media_type,
            max_chunk_seconds=session.max_chunk_seconds,
            spool=self.spool,
        )
        return self._tell_chunks()

    def _tell_chunks(self) -> list[Command]:
        """Tell the machine of chunks that the journal has lost, without which later ones would not count."""
        untold = self.spool.sealed()[self.session.view().chunks_sealed :]
        return [command for chunk in untold for command in self.handle(chunk)]

    def cut_again(self, max_chunk_seconds: float, boundaries: Sequence[int]) -> tuple[ChunkSealed, ...]:
        """Make all chunks anew, none longer than this or across a boundary. For a worker, while no take is open.

        Raises:
            OSError: the disk will not take them; the chunks are as they were.
        """
        cutting = self.spool.cut_again()
        try:
            first_chunk = 0
            for first, last in itertools.pairwise((0, *boundaries, sys.maxsize)):
                first_chunk = seal_samples(
                    _between(self.spool.samples(), first, last),
                    first_chunk=first_chunk,
                    first_sample=first,
                    media_type=self.session.media_type,
                    max_chunk_seconds=max_chunk_seconds,
                    spool=cutting,
                )
        except BaseException:
            cutting.abandon()
            raise
        return cutting.commit()

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


def _between(records: Iterable[tuple[int, bytes]], first: int, last: int) -> Iterator[bytes]:
    """The captured samples from ``first`` up to ``last``; silence keeps the place of what has rotted."""
    at = first
    for begin, pcm in records:
        end = begin + len(pcm) // _BYTES_PER_SAMPLE
        if end > first and begin < last:
            yield bytes(max(0, begin - at) * _BYTES_PER_SAMPLE)
            yield pcm[max(0, first - begin) * _BYTES_PER_SAMPLE : (last - begin) * _BYTES_PER_SAMPLE]
            at = min(end, last)


def disk_problem(error: Exception) -> Problem:
    """Why the disk refuses, in words for people."""
    if not isinstance(error, OSError):
        return Problem(ProblemKind.DISK_FAILED, type(error).__name__)
    kind = ProblemKind.DISK_FULL if error.errno in (errno.ENOSPC, errno.EDQUOT) else ProblemKind.DISK_FAILED
    return Problem(kind, errno.errorcode.get(error.errno or 0, type(error).__name__))
