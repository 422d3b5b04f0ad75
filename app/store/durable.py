"""Writing that survives a power cut: what these functions have returned from is on the disk."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, TypeVar

_T = TypeVar("_T")

HELD_SECONDS = 2.0 if os.name == "nt" else 0.0
"""How long a file may be held by somebody else. Elsewhere a refused permission does not pass by itself."""
_PAUSE_SECONDS = 0.02


def patiently(act: Callable[[], _T]) -> _T:
    """Do something to a file that an antivirus or an indexer may be looking at just now, as on Windows they do.

    Raises:
        OSError: it did not go, or the file was held for too long.
    """
    deadline = time.monotonic() + HELD_SECONDS
    while True:
        try:
            return act()
        except PermissionError:
            if time.monotonic() >= deadline:
                raise
            time.sleep(_PAUSE_SECONDS)


def write_whole(path: Path, data: bytes) -> None:
    """Replace a file by ``data``, or leave the old one: never something in between.

    Raises:
        OSError: nothing was replaced.
    """
    temporary = path.with_name(path.name + ".new")
    try:
        with patiently(lambda: temporary.open("wb", buffering=0)) as file:
            write_all(file, data)
            sync(file.fileno())
        patiently(lambda: temporary.replace(path))
    except OSError:
        temporary.unlink(missing_ok=True)  # Half a file would only fill a full disk further.
        raise
    sync_folder(path.parent)


def write_all(file: BinaryIO, data: bytes) -> None:
    """Write all of ``data`` to an unbuffered file: a disk that is almost full takes a part of it without a word.

    Raises:
        OSError: not all of it was written.
    """
    view = memoryview(data)
    while view:
        view = view[file.write(view) or 0 :]


def sync(descriptor: int) -> None:
    """Wait until a file's content is on the disk.

    Raises:
        OSError: it cannot be told that it is.
    """
    if sys.platform == "darwin":
        import fcntl

        try:
            fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)  # There, the plain call leaves it in the drive's cache.
        except OSError:
            os.fsync(descriptor)  # Not every file system has the full one.
    elif hasattr(os, "fdatasync"):
        os.fdatasync(descriptor)
    else:
        os.fsync(descriptor)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable. Windows has no such call and needs none."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def destroy(path: Path) -> None:
    """Overwrite a small file's content, where it lies as far as the disk does so, and wait for that.

    Raises:
        OSError: the content may still be there.
    """
    with patiently(lambda: path.open("r+b", buffering=0)) as file:
        write_all(file, os.urandom(max(1, path.stat().st_size)))
        sync(file.fileno())


def remove_tree(folder: Path) -> None:
    """Remove a folder and all in it; what is held by somebody else stays until the next time."""
    shutil.rmtree(folder, ignore_errors=True)


class AppendLog:
    """A file that only grows, by whole pieces, each on the disk before :meth:`append` returns."""

    def __init__(self, path: Path, *, keep_bytes: int) -> None:
        """Open ``path``, cutting off what lies behind ``keep_bytes`` (a torn last piece)."""
        self._path = path
        self._file: BinaryIO = patiently(lambda: path.open("ab", buffering=0))
        self._size = keep_bytes
        self._is_torn = self._file.tell() > keep_bytes
        self._mend()
        sync_folder(path.parent)

    def append(self, data: bytes) -> None:
        """Write all of ``data`` and wait for the disk.

        Raises:
            OSError: it is not whole on the disk. What of it got there is cut off before anything follows.
        """
        self._mend()
        self._is_torn = True
        write_all(self._file, data)
        sync(self._file.fileno())
        self._size += len(data)
        self._is_torn = False

    def _mend(self) -> None:
        """Cut off what is not whole. The file is looked for again: its volume may have vanished and come back."""
        if not self._is_torn:
            return
        with contextlib.suppress(OSError):
            self._file.close()
        self._file = patiently(lambda: self._path.open("r+b", buffering=0))
        if self._file.seek(0, os.SEEK_END) < self._size:
            raise OSError(errno.ESTALE, "not the file that was written")
        self._file.truncate(self._size)
        self._file.seek(self._size)
        self._is_torn = False

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()
