"""Samples into one uploadable file, bit by bit as they come, so that closing a chunk costs next to nothing.

Encoders live on the capture thread. The media types are those of the scribe service's discovery, whose spelling is
kept character for character.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import soundfile

from app.audio.signal import Samples
from app.core.recording import SAMPLE_RATE_HZ


@dataclass(frozen=True)
class _Codec:
    container: str
    subtype: str
    extension: str
    compression_level: float | None = None


# libsndfile maps a compression level of 0 to 1 onto 256 to 6 kbit/s for one Opus channel: this one is 24 kbit/s.
_OPUS_LEVEL = 0.928
_CODECS = {
    "audio/ogg": _Codec("OGG", "OPUS", "ogg", _OPUS_LEVEL),
    "audio/wav": _Codec("WAV", "PCM_16", "wav"),
    "audio/flac": _Codec("FLAC", "PCM_16", "flac"),
}
_FALLBACK = "audio/wav"


def choose_media_type(offered: Sequence[str]) -> str:
    """The best of a service's formats that can be made here, spelt as the service spells it."""
    for essence in _CODECS:
        for media_type in offered:
            if _essence(media_type) == essence and _is_makeable(media_type):
                return media_type
    return _FALLBACK


def extension(media_type: str) -> str:
    """The file name's ending for that media type, without the dot."""
    return _codec(media_type).extension


class Encoder:
    """One chunk in the making. Each file decodes on its own, to exactly the samples' count."""

    def __init__(self, media_type: str) -> None:
        codec = _codec(media_type)
        self._memory = io.BytesIO()
        self._file = soundfile.SoundFile(
            self._memory,
            "w",
            samplerate=SAMPLE_RATE_HZ,
            channels=1,
            format=codec.container,
            subtype=codec.subtype,
            compression_level=codec.compression_level,
        )
        self.sample_count = 0

    def write(self, samples: Samples) -> None:
        """Encode some more."""
        self._file.write(samples)
        self.sample_count += len(samples)

    def finish(self) -> bytes:
        """The whole file. Nothing may follow."""
        self._file.close()
        return self._memory.getvalue()


def _essence(media_type: str) -> str:
    return media_type.partition(";")[0].strip().lower()


def _is_makeable(media_type: str) -> bool:
    parameters = media_type.partition(";")[2].lower()
    return "codecs" not in parameters or "opus" in parameters


def _codec(media_type: str) -> _Codec:
    return _CODECS[_essence(media_type)]
