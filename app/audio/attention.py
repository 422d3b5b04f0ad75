"""What is noteworthy in what a microphone gives: no sound, too quiet, clipping, nobody speaking.

Samples in, a notice out; no clock, no thread. A notice is a word of :class:`~app.core.events.SoundNoticed`, and empty
when all is well. It is meant for a doctor with a patient before her, so it comes seldom: silence in a talk is no
fault, and what has proved to be a pause is given more time from then on.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from app.audio.signal import Samples
from app.core.recording import SAMPLE_RATE_HZ

_FRAME = 512
_FRAME_SECONDS = _FRAME / SAMPLE_RATE_HZ
_WINDOW = np.hanning(_FRAME).astype(np.float32)
_VOICE_BINS = slice(8, 112)
"""250 to 3500 Hz: what speech has and most hum, wind and rustling has not."""
_FULL_SCALE_DB = 10 * np.log10((_FRAME * 32_768.0) ** 2 * 0.375 / 2)
"""The power of a windowed frame whose RMS is full scale."""
_FLOOR_RISE_DB = 2.0
"""A second. A fan that is switched on is noise after five."""
_ABOVE_FLOOR_DB = 9.0
_LEAST_DBFS = -75.0
_SPEECH_RUN_SECONDS = 0.12

_NO_SOUND_SECONDS = 3.0
_NO_SOUND_GATED_SECONDS = 30.0
_TOO_QUIET_SECONDS = 15.0
_TOO_QUIET_DBFS = -50.0
_NEARLY_NOTHING_DBFS = -78.0
_QUIET_SPEECH_SECONDS = 2.0
_LOUD_PERCENTILE = 90
_MOST_PATIENCE_SECONDS = 60.0
_FULL_SCALE = 32_600
_CLIPPED_SHARE = 0.002
_CLIPPED_PIECES = 4
_PIECE = SAMPLE_RATE_HZ // 4
_CLIPPING_FORGOTTEN_PIECES = 40
_NO_SPEECH_SECONDS = 30.0
_LONG_SILENCE_SECONDS = 300.0


class Attention:
    """Listens to a take."""

    def __init__(self, *, is_start: bool) -> None:
        """``is_start`` tells whether the visit begins with this take: only then somebody is to speak soon."""
        self._is_start = is_start
        self._speech = _Speech()
        self._clipping = _Clipping()
        self._quiet = _Quiet()
        self.notice = ""

    def push(self, samples: Samples, zero_seconds: float, is_gated: bool) -> str | None:
        """Take in samples; the notice, when it has changed.

        ``zero_seconds`` is how long there have been exact zeros until now, ``is_gated`` whether they are this
        microphone's way of being quiet.
        """
        levels, spoken = self._speech.push(samples)
        self._quiet.push(levels, spoken)
        self._clipping.push(samples)
        before, self.notice = self.notice, self._judge(zero_seconds, is_gated)
        return self.notice if self.notice != before else None

    def _judge(self, zero_seconds: float, is_gated: bool) -> str:
        if zero_seconds >= (_NO_SOUND_GATED_SECONDS if is_gated else _NO_SOUND_SECONDS):
            return "no-sound"
        if self._quiet.is_too_quiet:
            return "too-quiet"
        if self._clipping.is_clipping:
            return "clipping"
        if self._speech.silent_seconds >= _LONG_SILENCE_SECONDS:
            return "long-silence"
        is_waiting = self._is_start and not self._speech.was_heard
        return "no-speech" if is_waiting and self._speech.silent_seconds >= _NO_SPEECH_SECONDS else ""


def verdict(samples: Samples) -> str:
    """The notice that fits a short recording in which somebody was asked to speak."""
    speech, clipping = _Speech(), _Clipping()
    levels, spoken = speech.push(samples)
    clipping.push(samples)
    if not samples.any():
        return "no-sound"
    if clipping.is_clipping:
        return "clipping"
    if not spoken.any():
        return "no-speech"
    return "too-quiet" if np.percentile(levels[spoken], _LOUD_PERCENTILE) < _TOO_QUIET_DBFS else ""


class _Speech:
    """Tells speech from the noise of the room, by how far the voice band rises above its own floor."""

    def __init__(self) -> None:
        self._rest = np.empty(0, np.int16)
        self._floor: float | None = None
        self._run_seconds = 0.0
        self.silent_seconds = 0.0
        self.was_heard = False

    def push(self, samples: Samples) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """The level of each whole frame in the voice band, and whether somebody speaks in it."""
        samples = np.concatenate((self._rest, samples))
        whole = len(samples) // _FRAME * _FRAME
        self._rest = samples[whole:]
        levels = _voice_dbfs(samples[:whole].reshape(-1, _FRAME))
        return levels, np.array([self._is_speech(float(level)) for level in levels], bool)

    def _is_speech(self, level: float) -> bool:
        if self._floor is None:
            self._floor = min(level, -40.0)
        self._floor = min(level, self._floor + _FLOOR_RISE_DB * _FRAME_SECONDS)
        is_loud = level > max(self._floor + _ABOVE_FLOOR_DB, _LEAST_DBFS)
        self._run_seconds = self._run_seconds + _FRAME_SECONDS if is_loud else 0.0
        is_speech = self._run_seconds >= _SPEECH_RUN_SECONDS  # a click is shorter
        self.was_heard |= is_speech
        self.silent_seconds = 0.0 if is_speech else self.silent_seconds + _FRAME_SECONDS
        return is_speech


class _Quiet:
    """Speech that is hardly there, or next to nothing at all, for a while."""

    def __init__(self) -> None:
        self._seconds = self._speech_seconds = 0.0
        self._nothing_seconds = self._last_nothing_seconds = 0.0
        self._patience_seconds = _TOO_QUIET_SECONDS

    def push(self, levels: NDArray[np.float32], spoken: NDArray[np.bool_]) -> None:
        """Take in frames."""
        for level, is_speech in zip(levels, spoken, strict=True):
            self._weigh(float(level), bool(is_speech))

    def _weigh(self, level: float, is_speech: bool) -> None:
        if is_speech and level > _TOO_QUIET_DBFS:
            self._seconds = self._speech_seconds = 0.0
        else:
            self._seconds += _FRAME_SECONDS
            self._speech_seconds += is_speech * _FRAME_SECONDS
        if level <= _NEARLY_NOTHING_DBFS:
            self._nothing_seconds += _FRAME_SECONDS
        elif level > _NEARLY_NOTHING_DBFS + _ABOVE_FLOOR_DB and self._nothing_seconds:
            self._last_nothing_seconds, self._nothing_seconds = self._nothing_seconds, 0.0
        if is_speech and self._last_nothing_seconds:
            # It was a pause then, of a microphone that takes the noise away.
            proven_seconds = min(2 * self._last_nothing_seconds, _MOST_PATIENCE_SECONDS)
            self._patience_seconds = max(self._patience_seconds, proven_seconds)
            self._last_nothing_seconds = 0.0

    @property
    def is_too_quiet(self) -> bool:
        """Whether somebody should come closer, or look at the switch."""
        is_faint = self._seconds >= _TOO_QUIET_SECONDS and self._speech_seconds >= _QUIET_SPEECH_SECONDS
        return is_faint or self._nothing_seconds >= self._patience_seconds


class _Clipping:
    """Samples of full size. A knock has some, a microphone that is set too loud has them again and again."""

    def __init__(self) -> None:
        self._rest = np.empty(0, np.int16)
        self._pieces: list[bool] = []
        self.is_clipping = False

    def push(self, samples: Samples) -> None:
        """Take in samples."""
        samples = np.concatenate((self._rest, samples))
        whole = len(samples) // _PIECE * _PIECE
        self._rest = samples[whole:]
        for piece in samples[:whole].reshape(-1, _PIECE):
            is_full = (piece >= _FULL_SCALE) | (piece <= -_FULL_SCALE)
            self._pieces.append(float(is_full.mean()) >= _CLIPPED_SHARE)
            self._pieces = self._pieces[-_CLIPPING_FORGOTTEN_PIECES:]
            clipped = sum(self._pieces[-2 * _CLIPPED_PIECES :])
            self.is_clipping = clipped >= _CLIPPED_PIECES or (self.is_clipping and any(self._pieces))


def _voice_dbfs(frames: NDArray[np.int16]) -> NDArray[np.float32]:
    spectra = np.fft.rfft(frames * _WINDOW, axis=1)[:, _VOICE_BINS]
    power = (spectra.real**2 + spectra.imag**2).sum(axis=1)
    levels: NDArray[np.float32] = (10 * np.log10(power + 1e-3) - _FULL_SCALE_DB).astype(np.float32)
    return levels
