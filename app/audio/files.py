"""Recordings that exist already: a file in place of a microphone, and a chunk's bytes back into samples.

A ``FileSource`` reads on the capture thread and has no thread of its own, so a file read as fast as can be is read
no faster than it is encoded.
"""

from __future__ import annotations

import io
import re
import threading
import time
from pathlib import Path

import numpy as np
import soundfile

from app.audio.signal import Block, Conditioner, Samples
from app.audio.source import SourceFailed
from app.core.problems import Problem, ProblemKind

_BLOCK_SECONDS = 0.1
_CUT_SHORT = re.compile(r"^\s*data\s*:\s*(\d+) \(should be (\d+)\)", re.MULTILINE)
_SIZE_UNKNOWN = 0x7FFF_0000
"""WAV files written into a pipe claim to be this long or longer."""


class FileSource:
    """A sound file, played at ``pace`` times its own speed, or as fast as it is taken when ``pace`` is None."""

    def __init__(self, path: Path, pace: float | None, begin_seconds: float = 0.0) -> None:
        """Look at the file; raises :class:`SourceFailed` when it is no audio, empty, or seen to be cut short.

        ``begin_seconds`` is where in the file playing begins.
        """
        self._path = path
        self._begin_seconds = begin_seconds
        self._pace = pace
        self._file: soundfile.SoundFile | None = None
        self._first_frame = 0
        self._frames_read = 0
        self._began_at = 0.0
        self._is_ending = threading.Event()
        with _open(path) as file:
            self.seconds = file.frames / file.samplerate

    @property
    def name(self) -> str:
        """The file's name. It may hold a patient's: not for a log."""
        return self._path.name

    def open(self) -> int:
        """Begin where it was asked for."""
        file = self._file = _open(self._path)
        self._first_frame = file.seek(min(round(self._begin_seconds * file.samplerate), file.frames))
        self._began_at = time.monotonic()
        return int(file.samplerate)

    def read(self, timeout_seconds: float) -> Block | None:  # noqa: ARG002  a file comes when it is due
        """The next tenth of a second, when it would have been spoken."""
        file = self._file
        if file is None or self._is_ending.is_set():
            return None
        block = _read(file, int(file.samplerate * _BLOCK_SECONDS))
        self._frames_read += len(block)
        if not len(block):
            self._check_whole(file)
            return None
        return None if self._waited_in_vain(file.samplerate) else block

    def end(self) -> None:
        """Play no further."""
        self._is_ending.set()

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _waited_in_vain(self, rate_hz: int) -> bool:
        if self._pace is None:
            return False
        due = self._began_at + self._frames_read / rate_hz / self._pace
        return self._is_ending.wait(max(0.0, due - time.monotonic()))

    def _check_whole(self, file: soundfile.SoundFile) -> None:
        if self._first_frame + self._frames_read < file.frames:
            seconds = (self._first_frame + self._frames_read) / file.samplerate
            raise _unreadable(f"the file breaks off after {seconds:.1f} s")


def decode(data: bytes) -> Samples:
    """The samples in a whole sound file, such as a chunk. Raises :class:`SourceFailed`."""
    with _open(io.BytesIO(data)) as file:
        conditioner = Conditioner(file.samplerate)
        samples = conditioner.push(_read(file, file.frames))
        return np.concatenate((samples, conditioner.flush()))


class _Forward(soundfile.SoundFile):  # type: ignore[misc]  # soundfile has no types
    """A file that is only read onwards.

    WORKAROUND: soundfile seeks after each read of a seekable file, and a seek leaves MP3 silent for some frames,
    https://github.com/bastibe/python-soundfile/pull/329.
    """

    def seekable(self) -> bool:
        """Never."""
        return False


def _open(file: Path | io.BytesIO) -> soundfile.SoundFile:
    try:
        opened = _Forward(file)
    except soundfile.LibsndfileError as error:
        raise _unreadable(error.error_string) from error
    except OSError as error:
        raise _unreadable(error.strerror or type(error).__name__) from error
    fault = _fault(opened)
    if fault:
        opened.close()
        raise _unreadable(fault)
    return opened


def _fault(file: soundfile.SoundFile) -> str:
    if file.frames <= 0:
        return "there is no sound in it"
    claim = _CUT_SHORT.search(file.extra_info)
    if claim and int(claim[2]) < int(claim[1]) < _SIZE_UNKNOWN:
        return "the file breaks off before its end"
    return ""


def _read(file: soundfile.SoundFile, frames: int) -> Block:
    try:
        block: Block = file.read(frames, dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise _unreadable(error.error_string) from error
    return block


def _unreadable(detail: str) -> SourceFailed:
    return SourceFailed(Problem(ProblemKind.AUDIO_UNREADABLE, detail))
