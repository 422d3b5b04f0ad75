"""Writing that survives a power cut: what these functions have returned from is on the disk."""

from __future__ import annotations

import os
from pathlib import Path


def write_whole(path: Path, data: bytes) -> None:
    """Replace a file by ``data``, or leave the old one: never something in between.

    Raises:
        OSError: nothing was replaced.
    """
    temporary = path.with_name(path.name + ".new")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)  # Half a file would only fill a full disk further.
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable. Windows has no such call and needs none."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class AppendLog:
    """A file that only grows, by whole pieces, each on the disk before :meth:`append` returns."""

    def __init__(self, path: Path, *, keep_bytes: int) -> None:
        """Open ``path``, cutting off what lies behind ``keep_bytes`` (a torn last piece)."""
        self._file = path.open("ab", buffering=0)
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
        view = memoryview(data)
        while view:
            view = view[self._file.write(view) or 0 :]
        os.fdatasync(self._file.fileno()) if hasattr(os, "fdatasync") else os.fsync(self._file.fileno())
        self._size += len(data)
        self._is_torn = False

    def _mend(self) -> None:
        if self._is_torn:
            self._file.truncate(self._size)
            self._is_torn = False

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()
