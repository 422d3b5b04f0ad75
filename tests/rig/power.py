"""A disk whose power a test can cut: an ext4 file system of its own, in a file. Needs root on Linux.

Cutting has the file system forget, at that moment, all that is not on the disk, its own journal's memory included,
and refuse everything from then on. ``restore`` is the next start of the computer.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import struct
import subprocess
from pathlib import Path
from types import TracebackType

_SHUT_DOWN = 0x8004587D
"""The file system's ioctl EXT4_IOC_SHUTDOWN."""
_WITHOUT_FLUSHING = 2
_MEGABYTES = 48


def is_available() -> bool:
    """Whether this machine and this user can have such a disk."""
    return os.name != "nt" and os.geteuid() == 0 and all(shutil.which(t) for t in ("mkfs.ext4", "mount", "umount"))


class Disk:
    """The disk, while the context lasts; ``folder`` is where it is to be found."""

    def __init__(self, folder: Path) -> None:
        self._image = folder / "image"
        self.folder = folder / "disk"

    def __enter__(self) -> Disk:
        self.folder.mkdir()
        with self._image.open("wb") as image:
            image.truncate(_MEGABYTES * 1024 * 1024)
        _run("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0", str(self._image))
        self._mount()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _run("umount", "--lazy", str(self.folder))  # Also when somebody still has a file open.
        self._image.unlink()

    def _mount(self) -> None:
        _run("mount", "-o", "loop,noatime", str(self._image), str(self.folder))

    def cut(self) -> None:
        """Cut the power."""
        descriptor = os.open(self.folder, os.O_RDONLY)
        try:
            fcntl.ioctl(descriptor, _SHUT_DOWN, struct.pack("I", _WITHOUT_FLUSHING))
        finally:
            os.close(descriptor)

    def restore(self) -> None:
        """Start again. Whoever had files open on the disk must have let go of them."""
        _run("umount", str(self.folder))
        self._mount()


def _run(*command: str) -> None:
    subprocess.run(command, check=True, timeout=30, capture_output=True)
