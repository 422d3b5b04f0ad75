"""The chunks of one session: files sealed whole, in a folder for each time that they were cut.

Of those folders the one with the highest number counts, so that cutting all chunks again takes effect by one rename.
A chunk's place in the recording is in its name, and the name is sealed with it.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from pathlib import Path

from app.core.events import ChunkSealed
from app.store.durable import patiently, remove_tree, sync_folder, write_whole
from app.store.sealed import WHOLE_OVERHEAD, open_whole, seal_whole

_CHUNK_NAME = re.compile(r"(\d+)_(\d+)_(\d+)\.chunk")
_CUTTING_NAME = re.compile(r"cut-(\d{6})")
_NEW = "cut.new"


class Chunks:
    """All chunks of a session."""

    def __init__(self, folder: Path, key: bytes) -> None:
        """Look for them in a session's folder. What a crash left of other cuttings is removed."""
        self._folder = folder
        self._key = key
        self._number = _tidy(folder)
        self.sealed_to = 0
        """The sample behind the chunk that was sealed last, or behind all when they were last looked at."""

    def seal(self, index: int, first_sample: int, sample_count: int, data: bytes) -> None:
        """Keep a finished chunk; it is on the disk, whole, when this returns.

        Raises:
            OSError: the disk refused it.
        """
        if not self._current.exists():
            self._current.mkdir(mode=0o700)
            sync_folder(self._folder)
        self.write(self._current, ChunkSealed(index, first_sample, sample_count, len(data)), data)
        self.sealed_to = first_sample + sample_count

    def write(self, folder: Path, chunk: ChunkSealed, data: bytes) -> None:
        """Seal a chunk into one of the folders.

        Raises:
            OSError: the disk refused it.
        """
        name = f"{chunk.index:06d}_{chunk.first_sample}_{chunk.sample_count}.chunk"
        write_whole(folder / name, seal_whole(self._key, "chunk", name, data))

    def read(self, index: int) -> bytes:
        """The bytes of a chunk, the same at each call.

        Raises:
            OSError: it cannot be read, or has rotted.
        """
        path = next(self._current.glob(f"{index:06d}_*.chunk"), None)
        if path is None:
            raise FileNotFoundError(errno.ENOENT, f"no chunk {index}")
        try:
            return open_whole(self._key, "chunk", path.name, patiently(path.read_bytes))
        except ValueError as error:
            raise OSError(errno.EIO, f"chunk {index} is damaged") from error

    def look(self) -> tuple[ChunkSealed, ...]:
        """All that are there, in order."""
        chunks = tuple(sorted(self._found(), key=lambda chunk: chunk.index))
        self.sealed_to = max((chunk.first_sample + chunk.sample_count for chunk in chunks), default=0)
        return chunks

    def _found(self) -> Iterator[ChunkSealed]:
        for path in self._current.glob("*.chunk"):
            if match := _CHUNK_NAME.fullmatch(path.name):
                index, first_sample, sample_count = map(int, match.groups())
                yield ChunkSealed(index, first_sample, sample_count, max(0, path.stat().st_size - WHOLE_OVERHEAD))

    @property
    def byte_count(self) -> int:
        """What they take up on the disk."""
        return sum(path.stat().st_size for path in self._current.glob("*.chunk"))

    def cut_again(self) -> NewCutting:
        """Begin to make them all anew."""
        return NewCutting(self, self._folder / _NEW)

    def use(self, made: Path) -> None:
        """Let the chunks in a new folder count, all of them at once, and remove the old ones.

        Raises:
            OSError: the old ones count.
        """
        old, new = self._current, _cutting(self._folder, self._number + 1)
        patiently(lambda: made.rename(new))
        sync_folder(self._folder)
        self._number += 1
        self.look()
        remove_tree(old)

    def erase(self) -> None:
        """Remove them all."""
        for folder in self._folder.glob("cut*"):
            remove_tree(folder)

    @property
    def _current(self) -> Path:
        return _cutting(self._folder, self._number)


class NewCutting:
    """Chunks that take the place of all others once they are committed. Used by one worker."""

    def __init__(self, chunks: Chunks, folder: Path) -> None:
        """Use ``cut_again``.

        Raises:
            OSError: the disk refuses.
        """
        self._chunks = chunks
        self._folder = folder
        self._made: list[ChunkSealed] = []
        remove_tree(folder)
        folder.mkdir(mode=0o700)

    def seal(self, index: int, first_sample: int, sample_count: int, data: bytes) -> None:
        """Keep a finished chunk among the new ones.

        Raises:
            OSError: the disk refused it.
        """
        chunk = ChunkSealed(index, first_sample, sample_count, len(data))
        self._chunks.write(self._folder, chunk, data)
        self._made.append(chunk)

    def commit(self) -> tuple[ChunkSealed, ...]:
        """Let the new chunks count, all of them at once, and remove the old ones.

        Raises:
            OSError: the old ones count.
        """
        self._chunks.use(self._folder)
        return tuple(self._made)

    def abandon(self) -> None:
        """Leave the old chunks as they are."""
        remove_tree(self._folder)


def _cutting(folder: Path, number: int) -> Path:
    return folder / f"cut-{number:06d}"


def _tidy(folder: Path) -> int:
    """The number of the cutting that counts. What a crash left of others is removed."""
    numbers = sorted(int(match[1]) for each in folder.iterdir() if (match := _CUTTING_NAME.fullmatch(each.name)))
    for leftover in (folder / _NEW, *(_cutting(folder, number) for number in numbers[:-1])):
        remove_tree(leftover)
    return numbers[-1] if numbers else 0
