"""The spool of one session: every captured sample, the chunks made of them, and the journal.

The samples go into a log of checked records as they are captured, before anything else is done with them; chunks
are files of their own, written whole, so that a repeated upload sends the same bytes. After a crash the log holds
what was captured since the last chunk, and :meth:`Spool.recover` tells it. Samples are 16 kHz mono, 16-bit little
endian. Written by the capture thread (``append``, ``seal``), read by the engine and its workers.
"""

from __future__ import annotations

import re
import shutil
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import filelock

from app.core.events import ChunkSealed, Event
from app.store.durable import AppendLog, write_whole
from app.store.journal import Journal

_RECORD = struct.Struct("<4sQII")
_MAGIC = b"SDA1"
_CHUNK_NAME = re.compile(r"(\d+)_(\d+)_(\d+)\.chunk")
_BYTES_PER_SAMPLE = 2


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
        for first_sample, pcm in self._records():
            good_bytes += _RECORD.size + len(pcm)
            self._next_sample = first_sample + len(pcm) // _BYTES_PER_SAMPLE
        # Where the log has rotted, the chunks tell how far the recording has come.
        self._next_sample = max(self._next_sample, _end(tuple(self._sealed())))
        self._audio = AppendLog(self._audio_path, keep_bytes=good_bytes)

    @property
    def _audio_path(self) -> Path:
        return self._folder / "audio"

    def _records(self) -> Iterator[tuple[int, bytes]]:
        if not self._audio_path.exists():
            return
        with self._audio_path.open("rb") as file:
            while len(head := file.read(_RECORD.size)) == _RECORD.size:
                magic, first_sample, size, checksum = _RECORD.unpack(head)
                pcm = file.read(size)
                if magic != _MAGIC or len(pcm) != size or zlib.crc32(pcm) != checksum:
                    return
                yield first_sample, pcm

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
        for first_sample, pcm in self._records():
            skip = max(0, covered - first_sample) * _BYTES_PER_SAMPLE
            tail += pcm[skip:]
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
