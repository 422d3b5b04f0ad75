"""The uploaded audio on disk, sealed, under names of our own. A written file survives a power cut."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Collection
from pathlib import Path

from app.service.sealing import Seal


class AudioFiles:
    """One folder a session, one file a chunk. Folder and file names never come from a client."""

    def __init__(self, root: Path, key: bytes) -> None:
        self._root = root
        self._seal = Seal(key, "audio")
        root.mkdir(mode=0o700, parents=True, exist_ok=True)

    def write(self, folder: str, number: int, data: bytes) -> str:
        """Seal a chunk and store it durably; the file's new name."""
        directory = self._root / folder
        if not directory.exists():
            directory.mkdir(mode=0o700, exist_ok=True)
            _sync_directory(self._root)
        name = f"{secrets.token_hex(16)}.sealed"
        try:
            with (directory / name).open("xb") as file:
                file.write(self._seal.seal(data, _place(folder, number)))
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            (directory / name).unlink(missing_ok=True)
            raise
        _sync_directory(directory)
        return name

    def read(self, folder: str, number: int, name: str) -> bytes:
        """A chunk's bytes.

        Raises:
            OSError: the file cannot be read.
            SealBroken: it is damaged, or not this chunk's.
        """
        return self._seal.open((self._root / folder / name).read_bytes(), _place(folder, number))

    def remove(self, folder: str, name: str) -> None:
        """Delete one file."""
        (self._root / folder / name).unlink(missing_ok=True)

    def folders(self) -> set[str]:
        """The sessions' folders that are there."""
        return {directory.name for directory in self._root.iterdir()}

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


def _place(folder: str, number: int) -> str:
    return f"{folder}/{number}"


def _sync_directory(directory: Path) -> None:
    if os.name == "nt":
        return  # Windows keeps directory entries safe by itself and cannot open directories.
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
