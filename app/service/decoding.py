"""Uploaded bytes as the samples a transcriber takes: 16 kHz mono. Bounded: a small file cannot become hours."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from app.service.limits import Limits
from app.service.sessions import Refused

SAMPLE_RATE_HZ = 16_000
_RATES_HZ = range(8_000, 96_001)
_MAX_CHANNELS = 2


@dataclass(frozen=True)
class AudioFormat:
    """A format on offer: its content type, its file name extensions, and what libsndfile calls it."""

    content_type: str
    extensions: frozenset[str]
    containers: frozenset[str]


FORMATS = (
    AudioFormat("audio/ogg", frozenset({"ogg", "opus"}), frozenset({"OGG"})),
    AudioFormat("audio/wav", frozenset({"wav"}), frozenset({"WAV", "WAVEX"})),
    AudioFormat("audio/flac", frozenset({"flac"}), frozenset({"FLAC"})),
)


@dataclass(frozen=True)
class Decoded:
    """A decoded chunk."""

    samples: NDArray[np.int16]
    duration_seconds: float


def format_for(content_type: str, extension: str) -> AudioFormat:
    """The offered format of this content type, compared character for character."""
    for offered in FORMATS:
        if offered.content_type == content_type:
            if extension in offered.extensions:
                return offered
            raise Refused("invalid_audio_format", f"A .{extension} file is not {content_type}.")
    names = ", ".join(offered.content_type for offered in FORMATS)
    raise Refused("unsupported_media_type", f"The Content-Type of audio is exactly one of: {names}.")


def decode(data: bytes, audio_format: AudioFormat | None, limits: Limits) -> Decoded:
    """Decode one chunk; without ``audio_format`` in whatever format it is.

    Raises:
        Refused: it does not decode, is empty, or lasts longer than a chunk may.
    """
    try:
        with soundfile.SoundFile(io.BytesIO(data)) as file:
            _check(file, audio_format)
            most = int((limits.chunk_seconds + limits.chunk_tolerance_seconds) * file.samplerate)
            frames = file.read(most + 1, dtype="float32", always_2d=True)
            rate_hz = file.samplerate
    except (soundfile.LibsndfileError, RuntimeError, ValueError, TypeError) as exc:
        raise Refused("invalid_audio_format", "The audio file cannot be decoded.") from exc
    if not len(frames):
        raise Refused("invalid_audio_format", "The audio file holds no audio.")
    if len(frames) > most:
        raise Refused("chunk_too_large", f"An audio file lasts at most {limits.chunk_seconds:g} seconds.")
    return Decoded(_to_speech(frames, rate_hz), len(frames) / rate_hz)


def _check(file: soundfile.SoundFile, audio_format: AudioFormat | None) -> None:
    if audio_format is not None and file.format not in audio_format.containers:
        raise Refused("invalid_audio_format", f"The file is not {audio_format.content_type}.")
    if file.samplerate not in _RATES_HZ or file.channels > _MAX_CHANNELS:
        raise Refused("invalid_audio_format", "Audio is mono or stereo at 8 to 96 kHz.")


def _to_speech(frames: NDArray[np.float32], rate_hz: int) -> NDArray[np.int16]:
    mono = np.nan_to_num(frames.mean(axis=1), nan=0.0, posinf=1.0, neginf=-1.0)
    if rate_hz != SAMPLE_RATE_HZ:
        mono = soxr.resample(mono, rate_hz, SAMPLE_RATE_HZ)
    scaled: NDArray[np.int16] = np.clip(np.round(mono * 32768.0), -32768, 32767).astype(np.int16)
    return scaled
