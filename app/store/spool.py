"""The spool of one session: every captured sample, the chunks made of them, and the journal.

The samples go into a log of checked records as they are captured, before anything else is done with them; chunks
are files of their own, written whole, so that a repeated upload sends the same bytes. After a crash the log holds
what was captured since the last chunk, and :meth:`Spool.recover` tells it. Samples are 16 kHz mono, 16-bit little
endian. Written by the capture thread (``append``, ``seal``), read by the engine and its workers.
"""

from __future__ import annotations

import mmap
import re
import shutil
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import filelock

from app.core.events import ChunkSealed, Event
from app.store.durable import AppendLog, write_whole
from app.store.journal import Journal

_RECORD = struct.Struct("<4sQII")
_MAGIC = b"SDA1"
_CHUNK_NAME = re.compile(r"(\d+)_(\d+)_(\d+)\.chunk")
_BYTES_PER_SAMPLE = 2


class _Record(NamedTuple):
    first_sample: int
    pcm: bytes
    ends_at: int
    """Where in the log the next one begins."""


class SpoolInUse(Exception):
    """Another ScribeDesk is at work on this session."""


@dataclass(frozen=True)
class Recovered:
    """What the disk knows beyond the journal: chunks not journalled, and samples that are in no chunk yet."""

    chunks: tuple[ChunkSealed, ...]
    first_sample: int
    tail: bytes


class Spool:
    """One session's folder."""

    def __init__(self, folder: Path) -> None:
        """Open a session's folder, making it if need be.

        Raises:
            SpoolInUse: another process has it.
            OSError: the disk refuses.
        """
        self._chunks = folder / "chunks"
        for each in (folder, self._chunks):  # One by one: what ``parents`` makes is open to others.
            each.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = folder
        self._lock = filelock.FileLock(folder / "lock", thread_local=False)
        try:
            self._lock.acquire(timeout=0)
        except filelock.Timeout as error:
            raise SpoolInUse(folder.name) from error
        written = (path.stat().st_mtime for path in (folder / "journal", self._audio_path) if path.exists())
        self.last_written_at = max(written, default=0.0)
        """When anything last reached the disk before the spool was opened, seconds since 1970 UTC."""
        self._journal = Journal(folder / "journal")
        self._audio: AppendLog | None = None
        self._next_sample = 0
        self._sealed_samples = 0

    @property
    def events(self) -> list[Event]:
        """The journal as it was when the spool was opened."""
        return self._journal.events

    def note(self, event: Event) -> None:
        """Journal an event."""
        self._journal.append(event)

    def append(self, pcm: bytes) -> None:
        """Keep captured samples, in order and without a hole.

        Raises:
            OSError: the disk refused them.
        """
        if self._audio is None:
            self._open_audio()
        assert self._audio is not None
        head = _RECORD.pack(_MAGIC, self._next_sample, len(pcm), zlib.crc32(pcm))
        self._audio.append(head + pcm)
        self._next_sample += len(pcm) // _BYTES_PER_SAMPLE

    def _open_audio(self) -> None:
        good_bytes = 0
        for record in self._records():
            good_bytes = record.ends_at
            self._next_sample = record.first_sample + len(record.pcm) // _BYTES_PER_SAMPLE
        # Where the log has rotted, the chunks tell how far the recording has come.
        self._next_sample = max(self._next_sample, _end(tuple(self._sealed())))
        self._audio = AppendLog(self._audio_path, keep_bytes=good_bytes)

    @property
    def _audio_path(self) -> Path:
        return self._folder / "audio"

    def _records(self) -> Iterator[_Record]:
        """The whole records of the log. Rot costs the record that it is in, no other."""
        if not self._audio_path.exists() or not self._audio_path.stat().st_size:
            return
        with self._audio_path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as log:
            at = 0
            while 0 <= at <= len(log) - _RECORD.size:
                magic, first_sample, size, checksum = _RECORD.unpack_from(log, at)
                pcm = log[at + _RECORD.size : at + _RECORD.size + size]
                if magic == _MAGIC and len(pcm) == size and zlib.crc32(pcm) == checksum:
                    at += _RECORD.size + size
                    yield _Record(first_sample, pcm, at)
                else:
                    at = log.find(_MAGIC, at + 1)

    def seal(self, index: int, first_sample: int, sample_count: int, data: bytes) -> None:
        """Keep a finished chunk; it is on the disk, whole, when this returns.

        Raises:
            OSError: the disk refused it.
        """
        write_whole(self._chunks / f"{index:06d}_{first_sample}_{sample_count}.chunk", data)
        self._sealed_samples = first_sample + sample_count

    @property
    def is_all_sealed(self) -> bool:
        """Whether all that was appended since the spool was opened is in chunks. To be asked between takes."""
        return self._audio is None or self._next_sample <= self._sealed_samples

    def chunk(self, index: int) -> bytes:
        """The bytes of a chunk, the same at each call.

        Raises:
            OSError: it cannot be read.
        """
        path = next(self._chunks.glob(f"{index:06d}_*.chunk"), None)
        if path is None:
            raise FileNotFoundError(f"chunk {index}")
        return path.read_bytes()

    def recover(self) -> Recovered:
        """What is on the disk that the journal may not know of."""
        chunks = tuple(sorted(self._sealed(), key=lambda c: c.index))
        covered = self._sealed_samples = _end(chunks)
        tail = bytearray()
        for record in self._records():
            lost = record.first_sample - covered - len(tail) // _BYTES_PER_SAMPLE
            tail += bytes(max(0, lost) * _BYTES_PER_SAMPLE)  # Silence keeps the place of what has rotted.
            tail += record.pcm[max(0, covered - record.first_sample) * _BYTES_PER_SAMPLE :]
        return Recovered(chunks, covered, bytes(tail))

    def _sealed(self) -> Iterator[ChunkSealed]:
        for path in self._chunks.iterdir():
            if match := _CHUNK_NAME.fullmatch(path.name):
                index, first_sample, sample_count = map(int, match.groups())
                yield ChunkSealed(index, first_sample, sample_count, path.stat().st_size)

    def erase(self) -> None:
        """Remove the session from the disk, journal and all."""
        self.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def close(self) -> None:
        """Let go of the files."""
        self._journal.close()
        if self._audio is not None:
            self._audio.close()
        self._lock.release()


def _end(chunks: Sequence[ChunkSealed]) -> int:
    """The sample behind the last one that is in a chunk."""
    return max((c.first_sample + c.sample_count for c in chunks), default=0)
