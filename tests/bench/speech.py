"""How well and how fast speech becomes text, and how many bytes it takes on its way."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field

import jiwer
import numpy as np
import pocketsphinx
import soundfile
from numpy.typing import NDArray

from app.audio.capture import seal_samples
from app.service.decoding import SAMPLE_RATE_HZ, decode
from app.service.limits import Limits
from app.service.sphinx import SphinxTranscriber
from tests.bench.figures import Row, Spread
from tests.bench.programs import ROOT, SAMPLE

_READINGS = ROOT / "tests" / "data" / "readings"
_OGG, _WAV = "audio/ogg", "audio/wav"
_MAX_CHUNK_SECONDS = 20.0
_REFERENCE_SECONDS = 30
_MOST_MEGABYTES = 0.20
_MOST_POINTS = 0.5
_MOST_SAMPLE_ERRORS = 12
_MOST_READING_ERRORS = 20
_LEAST_SPEED = 2.0

Samples = NDArray[np.int16]


@dataclass(frozen=True)
class _Reading:
    """A script and how it sounds."""

    script: str
    samples: Samples

    @property
    def minutes(self) -> float:
        return len(self.samples) / SAMPLE_RATE_HZ / 60


@dataclass
class _Chunks:
    """Takes chunks in place of the spool."""

    files: list[bytes] = field(default_factory=list)

    def append(self, pcm: bytes) -> None:
        """Not asked for when existing samples are sealed."""

    def seal(self, index: int, first_sample: int, sample_count: int, data: bytes) -> None:
        self.files.append(data)


@dataclass(frozen=True)
class _Heard:
    """What became of a reading."""

    text: str
    speeds: list[float]
    """Of each chunk, in times real time."""


def rows() -> Iterator[Row]:
    """Rows 5 and 13."""
    sample = _Reading(SAMPLE.with_suffix(".txt").read_text(encoding="utf-8"), _load_sample())
    ogg = _hear(sample, _OGG)
    speed = Spread.of(ogg.speeds)
    yield Row(
        "13",
        "Transcription by the local service, chunk by chunk",
        f"**{speed.show('x real time', 1)}**, {speed.count} chunks",
        f"PocketSphinx as it comes, {_REFERENCE_SECONDS} s at once: {_speed_of_pocketsphinx(sample):.1f} x",
        f"≥ {_LEAST_SPEED:.0f} x on a core",
        speed.median >= _LEAST_SPEED,
    )
    yield _bytes_row(sample)
    readings = list(_spoken_readings())
    with ThreadPoolExecutor(2) as pool:
        jobs = [(sample, _WAV), *((reading, _OGG) for reading in readings)]
        wav, *heard = pool.map(lambda job: _hear(*job), jobs)
    yield _sample_row(sample, ogg, wav)
    if readings:
        yield _readings_row(readings, heard, _errors([sample], [ogg]))


def _load_sample() -> Samples:
    samples, rate_hz = soundfile.read(SAMPLE, dtype="int16")
    assert rate_hz == SAMPLE_RATE_HZ
    return np.asarray(samples, np.int16)


def _spoken_readings() -> Iterator[_Reading]:
    """The held-out scripts in the voices of the sample."""
    sys.path.append(str(ROOT / "packaging"))
    from make_sample import VOICES, read_aloud

    for path in sorted(_READINGS.glob("*.txt")):
        script = path.read_text(encoding="utf-8")
        yield _Reading(script, read_aloud(script, VOICES))


def _chunks(reading: _Reading, media_type: str) -> list[bytes]:
    """The files that would be sent."""
    chunks = _Chunks()
    seal_samples(
        [reading.samples.astype("<i2").tobytes()],
        first_chunk=0,
        first_sample=0,
        media_type=media_type,
        max_chunk_seconds=_MAX_CHUNK_SECONDS,
        spool=chunks,
    )
    return chunks.files


def _hear(reading: _Reading, media_type: str) -> _Heard:
    """Transcribe as the service does, by a process of its own that has loaded its models."""
    texts, speeds = [], []
    with closing(SphinxTranscriber()) as transcriber:
        transcriber.transcribe(np.zeros(SAMPLE_RATE_HZ, np.int16), "en")
        for file in _chunks(reading, media_type):
            decoded = decode(file, None, Limits())
            began = time.monotonic()
            transcription = transcriber.transcribe(decoded.samples, "en")
            speeds.append(decoded.duration_seconds / (time.monotonic() - began))
            texts += [utterance.text for utterance in transcription.utterances]
    return _Heard(" ".join(texts), speeds)


def _speed_of_pocketsphinx(sample: _Reading) -> float:
    decoder = pocketsphinx.Decoder(loglevel="FATAL")
    samples = sample.samples[: _REFERENCE_SECONDS * SAMPLE_RATE_HZ]
    began = time.monotonic()
    decoder.start_utt()
    decoder.process_raw(samples.tobytes(), full_utt=True)
    decoder.end_utt()
    return len(samples) / SAMPLE_RATE_HZ / (time.monotonic() - began)


def _bytes_row(sample: _Reading) -> Row:
    ogg, wav = (sum(map(len, _chunks(sample, kind))) / 1e6 / sample.minutes for kind in (_OGG, _WAV))
    return Row(
        "5",
        "Sent for a minute of speech, Ogg/Opus",
        f"**{ogg:.3f} MB**, {ogg / wav:.1%} of WAV",
        f"WAV: {wav:.2f} MB",
        f"≤ {_MOST_MEGABYTES:.2f} MB",
        ogg <= _MOST_MEGABYTES,
    )


def _sample_row(sample: _Reading, ogg: _Heard, wav: _Heard) -> Row:
    errors, reference = _errors([sample], [ogg]), _errors([sample], [wav])
    return Row(
        "5",
        "Word error rate of the sample consultation, Ogg/Opus",
        f"**{errors:.1f} %** of {_count_words(sample)} words; {errors - reference:+.1f} points to WAV",
        f"WAV: {reference:.1f} %",
        f"≤ WAV + {_MOST_POINTS} points, ≤ {_MOST_SAMPLE_ERRORS} %",
        errors <= min(reference + _MOST_POINTS, _MOST_SAMPLE_ERRORS),
    )


def _readings_row(readings: Sequence[_Reading], heard: Sequence[_Heard], sample_errors: float) -> Row:
    each = Spread.of(_errors([r], [h]) for r, h in zip(readings, heard, strict=True))
    return Row(
        "5",
        f"Word error rate of {len(readings)} held-out readings, Ogg/Opus",
        f"**{each.show('% a reading', 1)}**; {_errors(readings, heard):.1f} % of all"
        f" {sum(map(_count_words, readings))} words",
        f"sample consultation: {sample_errors:.1f} %",
        f"each ≤ {_MOST_READING_ERRORS} %",
        each.most <= _MOST_READING_ERRORS,
    )


def _count_words(reading: _Reading) -> int:
    return len(_plain(_spoken(reading.script)).split())


def _errors(readings: Sequence[_Reading], heard: Sequence[_Heard]) -> float:
    """Word error rate over all words, in percent."""
    spoken = [_plain(_spoken(reading.script)) for reading in readings]
    return 100 * float(jiwer.wer(spoken, [_plain(h.text) for h in heard]))


def _spoken(script: str) -> str:
    """The script without its speakers' names."""
    return re.sub(r"^\w+: ", "", script, flags=re.MULTILINE)


def _plain(text: str) -> str:
    """Words alone: no case, no marks."""
    return " ".join(re.findall(r"[a-z0-9']+", text.lower()))
