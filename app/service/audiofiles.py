"""The uploaded audio on disk, under names of our own. A written file survives a power cut."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Collection
from pathlib import Path


class AudioFiles:
    """One folder a session, one file a chunk. Folder and file names never come from a client."""

    def __init__(self, root: Path) -> None:
        self._root = root
        root.mkdir(mode=0o700, parents=True, exist_ok=True)

    def write(self, folder: str, extension: str, data: bytes) -> str:
        """Store bytes durably and return the file's new name."""
        directory = self._root / folder
        if not directory.exists():
            directory.mkdir(mode=0o700, exist_ok=True)
            _sync_directory(self._root)
        name = f"{secrets.token_hex(16)}.{extension}"
        try:
            with (directory / name).open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            (directory / name).unlink(missing_ok=True)
            raise
        _sync_directory(directory)
        return name

    def read(self, folder: str, name: str) -> bytes:
        """The bytes of one file."""
        return (self._root / folder / name).read_bytes()

    def remove(self, folder: str, name: str) -> None:
        """Delete one file."""
        (self._root / folder / name).unlink(missing_ok=True)

    def remove_folder(self, folder: str) -> None:
        """Delete all audio of a session."""
        shutil.rmtree(self._root / folder, ignore_errors=True)

    def remove_all_but(self, known: Collection[str]) -> None:
        """Delete what no record speaks of: uploads that were cut off before their record was written."""
        for directory in self._root.iterdir():
            for file in directory.iterdir():
                if f"{directory.name}/{file.name}" not in known:
                    file.unlink()
            if not any(directory.iterdir()):
                directory.rmdir()


def _sync_directory(directory: Path) -> None:
    if os.name == "nt":
        return  # Windows keeps directory entries safe by itself and cannot open directories.
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
