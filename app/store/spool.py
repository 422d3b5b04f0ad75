"""The spool of one session: every captured sample, the chunks made of them, and the journal, all sealed.

The samples go into a log of sealed records as they are captured, before anything else is done with them; chunks are
files of their own, written whole, so that a repeated upload sends the same bytes. After a crash the log holds what
was captured since the last chunk, and :meth:`Spool.recover` tells it. Samples are 16 kHz mono, 16-bit little endian.

The session's own key lies in the file ``key``, in an envelope that only the store's private key opens; without that
file nothing else in the folder can be read. File names hold numbers only. Written by the capture thread (``append``,
``seal``), read by the engine and its workers.
"""

from __future__ import annotations

import errno
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from app.core.events import ChunkSealed, Event
from app.store.chunks import Chunks, NewCutting
from app.store.durable import destroy, patiently, remove_tree, sync_folder, write_whole
from app.store.journal import Journal
from app.store.keypair import key_id_of
from app.store.sealed import Record, SealedLog

if TYPE_CHECKING:
    from filelock import BaseFileLock

    from app.store.keys import SessionKey

_HEAD = struct.Struct("<Qd")
_BYTES_PER_SAMPLE = 2

_UNTIL_CLOSED = "until-closed"


class SpoolInUse(Exception):
    """Another ScribeDesk is at work on this session."""


class SpoolDamaged(Exception):
    """The session's key is gone or damaged: nothing in the folder can be read any more."""


class SpoolErased(SpoolDamaged):
    """The session was being erased, or had not begun: nothing is left of it now."""


@dataclass(frozen=True)
class Recovered:
    """What the disk knows beyond the journal: chunks not journalled, and samples that are in no chunk yet."""

    chunks: tuple[ChunkSealed, ...]
    first_sample: int
    tail: bytes


class Spool:
    """One session's folder, held by this process until :meth:`close`."""

    def __init__(self, folder: Path, key: bytes, lock: BaseFileLock, wall_clock: Callable[[], float]) -> None:
        """For :meth:`create` and :meth:`open`."""
        self._folder = folder
        self._key = key
        self._lock = lock
        self._journal = Journal(folder / "journal", key, wall_clock=wall_clock)
        self._audio = SealedLog(self._audio_path, key, "audio")
        self._chunks = Chunks(folder, key)
        self._found: _Found | None = None
        self._has_appended = False
        self._next_sample = 0

    @classmethod
    def create(cls, folder: Path, key: SessionKey, *, wall_clock: Callable[[], float] = time.time) -> Spool:
        """Begin a session. Its key is on the disk before anything else is.

        Raises:
            SpoolInUse: another process has it.
            OSError: the disk refuses, or there is such a session.
        """
        folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        lock = _hold(folder)
        try:
            if (folder / "key").exists():
                raise FileExistsError(errno.EEXIST, "there is such a session")
            write_whole(folder / "key", key.envelope)
            sync_folder(folder.parent)
            return cls(folder, key.key, lock, wall_clock)
        except BaseException:
            lock.release()
            raise

    @classmethod
    def open(
        cls,
        folder: Path,
        open_envelope: Callable[[str, bytes], SessionKey],
        *,
        wall_clock: Callable[[], float] = time.time,
    ) -> Spool:
        """Open a session that was begun before.

        Raises:
            SpoolInUse: another process has it.
            KeysLocked: as ``open_envelope`` has it.
            SpoolErased: it was to be erased, which is done now.
            SpoolDamaged: its key is gone or damaged. The folder is left as it is.
            OSError: the disk refuses.
        """
        if not folder.is_dir():
            raise FileNotFoundError(errno.ENOENT, "no such session")
        lock = _hold(folder)
        try:
            _finish_erasing(folder, lock)
            key = open_envelope(folder.name, _read_envelope(folder)).key
            return cls(folder, key, lock, wall_clock)
        except ValueError as error:
            lock.release()
            raise SpoolDamaged(str(error)) from error
        except BaseException:
            lock.release()
            raise

    @property
    def key(self) -> bytes:
        """What everything here is sealed with; for the process that records on when the app dies."""
        return self._key

    # The journal --------------------------------------------------------------------------------------------------

    @property
    def events(self) -> list[Event]:
        """The journal as it was when the spool was opened."""
        return self._journal.events

    def note(self, event: Event) -> None:
        """Journal an event.

        Raises:
            OSError: the disk refused it.
        """
        self._journal.append(event)

    @property
    def last_written_at(self) -> float:
        """When anything last reached the disk before the spool was opened, seconds since 1970 UTC, or 0."""
        return max(self._journal.last_written_at, self.heard_until)

    @property
    def heard_until(self) -> float:
        """When the last sample was heard that was captured before the spool was opened, or 0."""
        return self._find().at

    # Captured samples ---------------------------------------------------------------------------------------------

    def append(self, pcm: bytes, at: float) -> None:
        """Keep captured samples, in order and without a hole. ``at`` is the wall clock's time at their end.

        Raises:
            OSError: the disk refused them.
        """
        if not self._has_appended:
            self._audio.cut_behind(self._find().last)
            # Where the log has rotted, the chunks tell how far the recording has come.
            self._chunks.look()
            self._next_sample = max(self._find().end, self._chunks.sealed_to)
        self._audio.append(_HEAD.pack(self._next_sample, at) + pcm)
        self._next_sample += len(pcm) // _BYTES_PER_SAMPLE
        self._has_appended = True

    def samples(self) -> Iterator[tuple[int, bytes]]:
        """All that was captured, as first sample and samples. What has rotted is left out.

        Raises:
            OSError: the disk cannot be read.
        """
        for record in self._audio.records():
            yield _HEAD.unpack_from(record.body)[0], record.body[_HEAD.size :]

    def _find(self) -> _Found:
        """What the log held when it was opened. A look at all of it, so it is taken when somebody wants to know."""
        if self._found is None:
            last = None
            for last in self._audio.records():  # noqa: B007 - the last one is what is wanted
                pass
            self._found = _Found(last)
        return self._found

    @property
    def _audio_path(self) -> Path:
        return self._folder / "audio"

    # Chunks -------------------------------------------------------------------------------------------------------

    def seal(self, index: int, first_sample: int, sample_count: int, data: bytes) -> None:
        """Keep a finished chunk; it is on the disk, whole, when this returns.

        Raises:
            OSError: the disk refused it.
        """
        self._chunks.seal(index, first_sample, sample_count, data)

    @property
    def is_all_sealed(self) -> bool:
        """Whether all that was appended since the spool was opened is in chunks. To be asked between takes."""
        return not self._has_appended or self._next_sample <= self._chunks.sealed_to

    def chunk(self, index: int) -> bytes:
        """The bytes of a chunk, the same at each call.

        Raises:
            OSError: it cannot be read, or has rotted.
        """
        return self._chunks.read(index)

    def sealed(self) -> tuple[ChunkSealed, ...]:
        """The chunks on the disk, lowest number first."""
        return self._chunks.look()

    def recover(self) -> Recovered:
        """What is on the disk that the journal may not know of.

        Raises:
            OSError: the disk cannot be read.
        """
        chunks = self._chunks.look()
        covered = self._chunks.sealed_to
        tail = bytearray()
        for first_sample, pcm in self.samples():
            lost = first_sample - covered - len(tail) // _BYTES_PER_SAMPLE
            tail += bytes(max(0, lost) * _BYTES_PER_SAMPLE)  # Silence keeps the place of what has rotted.
            tail += pcm[max(0, covered - first_sample) * _BYTES_PER_SAMPLE :]
        return Recovered(chunks, covered, bytes(tail))

    def cut_again(self) -> NewCutting:
        """Begin to make all chunks anew. Until that is committed the old ones are there, and after a crash again.

        Raises:
            OSError: the disk refuses.
        """
        return self._chunks.cut_again()

    # The end of it ------------------------------------------------------------------------------------------------

    @property
    def audio_bytes(self) -> int:
        """What captured samples and chunks take up on the disk."""
        captured = self._audio_path.stat().st_size if self._audio_path.exists() else 0
        return captured + self._chunks.byte_count

    def erase_audio(self) -> None:
        """Remove samples and chunks; key and journal stay. Nothing may be captured or cut meanwhile.

        Raises:
            OSError: the samples are still there.
        """
        self._audio.close()
        self._found = None
        patiently(lambda: self._audio_path.unlink(missing_ok=True))
        self._chunks.erase()
        sync_folder(self._folder)

    def erase(self) -> None:
        """Remove the session from the disk, its key first: from then on nobody can read what may be left.

        A crash in the middle is made good when the folder is opened the next time.

        Raises:
            OSError: something is left; to be called again.
        """
        self._close_files()
        _erase_key(self._folder)
        _erase(self._folder, self._lock)

    def close(self) -> None:
        """Let go of the files."""
        self._close_files()
        self._lock.release()

    def _close_files(self) -> None:
        self._journal.close()
        self._audio.close()


@dataclass(frozen=True)
class _Found:
    last: Record | None

    @property
    def end(self) -> int:
        """The sample behind the last one."""
        if self.last is None:
            return 0
        first_sample, _ = _HEAD.unpack_from(self.last.body)
        return int(first_sample) + (len(self.last.body) - _HEAD.size) // _BYTES_PER_SAMPLE

    @property
    def at(self) -> float:
        """When that was written."""
        return float(_HEAD.unpack_from(self.last.body)[1]) if self.last else 0.0


def _hold(folder: Path) -> BaseFileLock:
    import filelock

    lock = filelock.FileLock(folder / "lock", thread_local=False)
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout as error:
        raise SpoolInUse(folder.name) from error
    return lock


def _read_envelope(folder: Path) -> bytes:
    try:
        return patiently((folder / "key").read_bytes)
    except FileNotFoundError as error:
        raise SpoolDamaged("the session's key is gone") from error


def _erased_key(folder: Path) -> Path:
    return folder / "key.erased"


def sealed_to(sessions: Path) -> Iterator[str]:
    """Ids of the keys that the sessions in a folder are sealed to for good; what cannot be read tells none."""
    for folder in sessions.iterdir() if sessions.is_dir() else ():
        with suppress(OSError, ValueError, SpoolDamaged):
            if not is_until_closed(folder):
                yield key_id_of(_read_envelope(folder))


def keep_until_closed(folder: Path, *, is_so: bool = True) -> None:
    """Mark a session whose key is in memory alone: a later start must know that nobody can open it. Or unmark it.

    Raises:
        OSError: the disk refuses.
    """
    mark = folder / _UNTIL_CLOSED
    mark.touch(mode=0o600) if is_so else mark.unlink(missing_ok=True)


def is_until_closed(folder: Path) -> bool:
    """Whether a session's key was in memory alone."""
    return (folder / _UNTIL_CLOSED).exists()


def erase_folder(folder: Path) -> None:
    """Remove a session that cannot be opened, its key first.

    Raises:
        SpoolInUse: another process has it.
        OSError: something is left; to be called again.
    """
    if folder.is_dir():
        lock = _hold(folder)
        _erase_key(folder)
        _erase(folder, lock)


def _erase_key(folder: Path) -> None:
    if (folder / "key").exists():
        patiently(lambda: (folder / "key").rename(_erased_key(folder)))
        sync_folder(folder)


def _finish_erasing(folder: Path, lock: BaseFileLock) -> None:
    """Remove a session that a crash kept from being erased, or from having a key: nothing can be in that one."""
    is_empty = not any((folder / name).exists() for name in ("key", "journal", "audio"))
    if is_empty or _erased_key(folder).exists():
        _erase(folder, lock)
        raise SpoolErased(folder.name)


def _erase(folder: Path, lock: BaseFileLock) -> None:
    """Destroy the key, then remove everything; what tells that it is to be erased goes last."""
    key = _erased_key(folder)
    if key.exists():
        destroy(key)
    for path in folder.iterdir():
        if path.is_dir():
            remove_tree(path)
        elif path.name not in (key.name, "lock"):
            patiently(path.unlink)
    key.unlink(missing_ok=True)
    lock.release()
    remove_tree(folder)
    sync_folder(folder.parent)
