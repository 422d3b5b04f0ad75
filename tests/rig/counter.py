"""A sound that counts: whoever records it can be told exactly what is missing from the recording.

Each 20 ms carry their own number as four digits and a check digit, each digit a tone in a band of its own. Tones that
are whole multiples of 50 Hz begin and end such a stretch at zero, so that nothing clicks; they come through Opus and
through resamplers.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.audio.signal import Samples

_RATE_HZ = 16_000
_FRAME = _RATE_HZ // 50
_FIRST_BIN = 8
_BASE = 16
_DIGITS = 4
_BANDS = _DIGITS + 1
_HOP = 20
_AMPLITUDE = 0.12
_CLEAR = 0.75
_FRAMES_AT_ONCE = 4_096

SECONDS_UNTIL_REPEAT = _BASE**_DIGITS * _FRAME / _RATE_HZ


@dataclass(frozen=True)
class Reading:
    """One number that was heard: where in the recording, and where in the signal that is."""

    sample: int
    signal_seconds: float


@dataclass(frozen=True)
class Missing:
    """A stretch of the signal that is not in the recording, which stands before ``sample`` of it."""

    sample: int
    seconds: float


def counter_signal(seconds: float) -> Samples:
    """The signal from its start on."""
    tones = np.sin(2 * np.pi * np.outer(np.arange(_BANDS * _BASE) + _FIRST_BIN, np.arange(_FRAME)) / _FRAME)
    digits = _digits_of(np.arange(int(seconds * _RATE_HZ / _FRAME)))
    bands = np.arange(_BANDS) * _BASE
    frames = [tones[bands + of_frame].sum(axis=0) for of_frame in digits]
    return np.rint(np.concatenate(frames) * _AMPLITUDE * 32_767).astype(np.int16)


def _digits_of(numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    digits = numbers[:, None] // _BASE ** np.arange(_DIGITS) % _BASE
    check = (digits * np.arange(1, 2 * _DIGITS, 2) + 5).sum(axis=1, keepdims=True) % _BASE
    return np.hstack((digits, check))


def read_counters(samples: Samples) -> list[Reading]:
    """Every number that can be read in a recording, in its order."""
    readings: list[Reading] = []
    best: tuple[float, int, int] | None = None  # how clear, sample, number
    for sample, number, clear in _candidates(samples):
        if best and (number != best[2] or sample - best[1] > _FRAME):
            readings.append(Reading(best[1], best[2] * _FRAME / _RATE_HZ))
            best = None
        if best is None or clear > best[0]:
            best = (clear, sample, number)
    if best:
        readings.append(Reading(best[1], best[2] * _FRAME / _RATE_HZ))
    return readings


def _candidates(samples: Samples) -> list[tuple[int, int, float]]:
    found: list[tuple[int, int, float]] = []
    if len(samples) < _FRAME:
        return found
    windows = np.lib.stride_tricks.sliding_window_view(samples, _FRAME)[::_HOP]
    for first in range(0, len(windows), _FRAMES_AT_ONCE):
        spectrum = np.abs(np.fft.rfft(windows[first : first + _FRAMES_AT_ONCE].astype(np.float64))) ** 2
        bands = spectrum[:, _FIRST_BIN : _FIRST_BIN + _BANDS * _BASE].reshape(-1, _BANDS, _BASE)
        digits = bands.argmax(axis=2)
        clear = (bands.max(axis=2) / (bands.sum(axis=2) + 1e3)).min(axis=1)
        numbers = (digits[:, :_DIGITS] * _BASE ** np.arange(_DIGITS)).sum(axis=1)
        is_good = (clear > _CLEAR) & (_digits_of(numbers)[:, _DIGITS] == digits[:, _DIGITS])
        found += [((first + int(i)) * _HOP, int(numbers[i]), float(clear[i])) for i in np.flatnonzero(is_good)]
    return found


def missing_from(readings: Sequence[Reading], at_least_seconds: float = 0.03) -> list[Missing]:
    """Where the signal goes on faster than the recording. Stretches of the recording without numbers do not count."""
    found = []
    for before, after in itertools.pairwise(readings):
        seconds = (after.signal_seconds - before.signal_seconds) - (after.sample - before.sample) / _RATE_HZ
        if seconds >= at_least_seconds:
            found.append(Missing(after.sample, seconds))
    return found
