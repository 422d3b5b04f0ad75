"""Several sound files as one source: the parts of a visit, one after the other, from any sample on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from app.audio.files import FileSource
from app.audio.signal import Block, Conditioner
from app.core.recording import SAMPLE_RATE_HZ


class Playlist:
    """Files played one after the other, each conditioned by itself, so that their rates may differ."""

    def __init__(self, paths: Sequence[Path], pace: float | None, first_sample: int = 0) -> None:
        """Look at the files.

        ``first_sample`` says where to begin, in samples of what comes out: a recording that was paused goes on there.

        Raises:
            SourceFailed: one of them cannot be read.
        """
        self._name = paths[0].name if len(paths) == 1 else f"{len(paths)} files"
        self._waiting: list[FileSource] = []
        begin_seconds = first_sample / SAMPLE_RATE_HZ
        for path in paths:
            file = FileSource(path, pace, begin_seconds)
            if file.seconds > begin_seconds:
                self._waiting.append(file)
            begin_seconds = max(0.0, begin_seconds - file.seconds)
        self._file: FileSource | None = None
        self._conditioner = Conditioner(SAMPLE_RATE_HZ)
        self._is_ending = False

    @property
    def name(self) -> str:
        """The file's name, or how many there are."""
        return self._name

    def open(self) -> int:
        """Begin with the first file."""
        self._next_file()
        return SAMPLE_RATE_HZ

    def _next_file(self) -> None:
        self._file = self._waiting.pop(0) if self._waiting and not self._is_ending else None
        if self._file is not None:
            self._conditioner = Conditioner(self._file.open())

    def read(self, timeout_seconds: float) -> Block | None:
        """The next block of the file being played, or of the next one."""
        while self._file is not None:
            block = self._file.read(timeout_seconds)
            samples = self._conditioner.flush() if block is None else self._conditioner.push(block)
            if block is None:
                self._file.close()
                self._next_file()
            if len(samples):
                return samples[:, np.newaxis]
        return None

    def end(self) -> None:
        """Play no further."""
        self._is_ending = True
        if self._file is not None:
            self._file.end()

    def close(self) -> None:
        """Close the file being played."""
        if self._file is not None:
            self._file.close()
            self._file = None
