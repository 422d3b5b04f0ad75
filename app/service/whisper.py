"""A transcriber that runs a Whisper model on this computer, for who installs ``faster-whisper`` beside the app.

Owns the loaded model; loads it at the first chunk. Called from the service's worker thread.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from app.service.ports import EngineUnavailable, Transcription, Utterance, Word

_FULL_SCALE = 32768.0


class Segment(Protocol):
    """What faster-whisper tells of a run of speech."""

    text: str
    start: float
    end: float
    words: Iterable[Any] | None


class WhisperModel(Protocol):
    """The part of ``faster_whisper.WhisperModel`` that is used."""

    def transcribe(self, audio: NDArray[np.float32], **options: Any) -> tuple[Iterable[Segment], Any]:
        """Segments, made while they are read, and facts about the audio."""
        ...


def load_faster_whisper(folder: Path) -> WhisperModel:
    """Load a CTranslate2 Whisper model from a folder; never from the network.

    Raises:
        EngineUnavailable: the library is not installed, or the folder holds no such model.
    """
    try:
        library = importlib.import_module("faster_whisper")
    except ImportError as exc:
        raise EngineUnavailable(
            "faster-whisper is not installed. Install it with: pip install faster-whisper"
        ) from exc
    if not (folder / "model.bin").is_file():
        raise EngineUnavailable(f"There is no Whisper model in {folder}.")
    model: WhisperModel = library.WhisperModel(str(folder), local_files_only=True)
    return model


class FasterWhisperTranscriber:
    """Transcribes with the Whisper model of a folder that the user names."""

    def __init__(self, folder: Path, load: Callable[[Path], WhisperModel] = load_faster_whisper) -> None:
        self.name = f"Whisper ({folder.name})"
        self._folder = folder
        self._load = load
        self._model: WhisperModel | None = None

    def transcribe(self, samples: NDArray[np.int16], language: str) -> Transcription:
        """Transcribe 16 kHz mono samples of one chunk.

        Raises:
            EngineUnavailable: the library or the model is missing, or the model failed on this chunk.
        """
        if self._model is None:
            self._model = self._load(self._folder)
        audio = samples.astype(np.float32) / _FULL_SCALE
        try:
            # Without the text before it: chunks may come in any order, and a slip does not spread.
            segments, _ = self._model.transcribe(
                audio,
                language=language.split("-", maxsplit=1)[0],
                word_timestamps=True,
                condition_on_previous_text=False,
            )
            return Transcription(tuple(_utterance(s) for s in segments if s.text.strip()))
        except (RuntimeError, ValueError) as exc:
            raise EngineUnavailable("The Whisper model failed on a piece of audio.") from exc

    def close(self) -> None:
        """Let the model go."""
        self._model = None


def _utterance(segment: Segment) -> Utterance:
    words = tuple(Word(w.word.strip(), w.start, w.end) for w in segment.words or ())
    return Utterance(segment.text.strip(), segment.start, segment.end, words)
