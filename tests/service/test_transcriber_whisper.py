"""The transcriber that uses a Whisper model, with a model of the test's own in place of the large one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from app.service.ports import EngineUnavailable, Word
from app.service.whisper import FasterWhisperTranscriber, Segment, load_faster_whisper


class Model:
    """Says one sentence, lazily as the real one does."""

    def __init__(self) -> None:
        self.audio: NDArray[np.float32] = np.empty(0, np.float32)
        self.options: dict[str, Any] = {}

    def transcribe(self, audio: NDArray[np.float32], **options: Any) -> tuple[Iterable[Segment], Any]:
        self.audio, self.options = audio, options
        return self._segments(), None

    def _segments(self) -> Iterator[Segment]:
        words = [
            SimpleNamespace(word=" Good", start=0.1, end=0.3),
            SimpleNamespace(word=" morning", start=0.3, end=0.8),
        ]
        yield SimpleNamespace(text=" Good morning", start=0.1, end=0.8, words=words)
        yield SimpleNamespace(text=" ", start=0.8, end=0.9, words=None)


def test_the_model_hears_floats_and_its_segments_become_utterances() -> None:
    model = Model()
    transcriber = FasterWhisperTranscriber(Path("/models/small"), lambda _: model)
    heard = transcriber.transcribe(np.array([0, 16384, -32768], np.int16), "en-IN").utterances
    assert [(u.text, u.start_seconds, u.end_seconds) for u in heard] == [("Good morning", 0.1, 0.8)]
    assert heard[0].words == (Word("Good", 0.1, 0.3), Word("morning", 0.3, 0.8))
    assert model.audio.tolist() == [0.0, 0.5, -1.0]
    assert model.options["language"] == "en"
    assert transcriber.name == "Whisper (small)"


def test_the_model_is_loaded_once_and_not_before_it_is_needed() -> None:
    loaded: list[Path] = []

    def load(folder: Path) -> Model:
        loaded.append(folder)
        return Model()

    transcriber = FasterWhisperTranscriber(Path("/models/small"), load)
    assert loaded == []
    transcriber.transcribe(np.zeros(160, np.int16), "en")
    transcriber.transcribe(np.zeros(160, np.int16), "en")
    assert loaded == [Path("/models/small")]


def test_a_model_that_fails_while_it_is_read_is_unavailable() -> None:
    class Failing(Model):
        def _segments(self) -> Iterator[Segment]:
            yield from super()._segments()
            raise RuntimeError("out of memory")

    transcriber = FasterWhisperTranscriber(Path("/models/small"), lambda _: Failing())
    with pytest.raises(EngineUnavailable):
        transcriber.transcribe(np.zeros(160, np.int16), "en")


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    with pytest.raises(EngineUnavailable, match=r"not installed|no Whisper model"):
        FasterWhisperTranscriber(tmp_path, load_faster_whisper).transcribe(np.zeros(160, np.int16), "en")
