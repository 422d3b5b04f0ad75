"""A disk of a few megabytes that a test fills up, makes read-only, takes away and brings back.

It is mounted where only this process and those that it starts can see it, so that nothing of it is left on the
computer, however the test ends. Needs root on Linux.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
from pathlib import Path
from types import TracebackType

_CLONE_NEWNS = 0x0002_0000
_BLOCK = 4096


class _Mounts:
    are_own = False


def _have_own_mounts() -> None:
    """See to it that what this thread and those that it starts mount is seen by nobody else."""
    if _Mounts.are_own:
        return
    if ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWNS):
        raise OSError(ctypes.get_errno(), "no mounts of one's own")
    _run("mount", "--make-rprivate", "/")
    _Mounts.are_own = True


class Volume:
    """A file system at ``path``, while the context lasts. Other disks lie beside: see ``tests.store.small_disk``."""

    def __init__(self, path: Path, size_bytes: int) -> None:
        self.path = path
        self._store = path.with_name(f"{path.name}.volume")
        """Where it can be reached while it is away."""
        self._size = size_bytes
        self._is_there = False

    def __enter__(self) -> Volume:
        _have_own_mounts()
        for folder in (self.path, self._store):
            folder.mkdir(mode=0o700, exist_ok=True)
        _run("mount", "-t", "tmpfs", "-o", f"size={self._size},mode=0700", "none", str(self._store))
        self.bring_back()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._is_there:
            self.take_away()
        _run("umount", "--lazy", str(self._store))

    @property
    def free_bytes(self) -> int:
        """What still fits."""
        told = os.statvfs(self._store)
        return told.f_bavail * told.f_bsize

    def fill(self, leave_bytes: int = 0) -> None:
        """Let somebody else use it up."""
        with (self._store / "somebody's").open("ab", buffering=0) as file:
            while (count := (self.free_bytes - leave_bytes) // _BLOCK) > 0:
                file.write(bytes(min(count, 256) * _BLOCK))

    def empty(self) -> None:
        """Have what was used up given back."""
        (self._store / "somebody's").unlink()

    def write_protect(self) -> None:
        """Let nothing be written to it; nothing may be open for writing."""
        _run("mount", "-o", "remount,bind,ro", str(self.path))

    def take_away(self) -> None:
        """Pull it out. What is open stays so, as with every disk."""
        _run("umount", "--lazy", str(self.path))
        self._is_there = False

    def bring_back(self) -> None:
        """Plug it in."""
        _run("mount", "--bind", str(self._store), str(self.path))
        self._is_there = True


def hold(folder: Path) -> None:
    """Let nothing be made in a folder, nor removed from it, not even by root."""
    _run("chattr", "+i", str(folder))


def let_go(folder: Path) -> None:
    """Undo :func:`hold`."""
    _run("chattr", "-i", str(folder))


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=20)
