"""Where to cut the running audio into chunks. Decides only: no thread, no file, no clock.

A cut falls in a pause of the talk whenever there is one before the limit. What is quiet is judged against what was
heard in the last half minute, so that a fan or a loud voice moves the line with it. Samples that surely belong to
the open chunk are given out at once; those behind the best place to cut so far are held back.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from app.audio.signal import Samples
from app.core.recording import SAMPLE_RATE_HZ

_FRAME = SAMPLE_RATE_HZ * 20 // 1000
_FRAMES_A_SECOND = SAMPLE_RATE_HZ // _FRAME
_EARLIEST_SECONDS = 8.0
_WANTED_SECONDS = 12.0
_LONGEST_SECONDS = 20.0
_SHORTEST_LIMIT_SECONDS = 1.0
_MARGIN_SECONDS = 0.1
_PAUSE = 15
"""Frames, 300 ms: a pause that nobody would call part of a word."""
_DIP = 10
"""Frames, 200 ms: the least that is looked at as a place to cut."""
_HOPE = 75
"""Frames, 1.5 s: how long a dip waits for a pause. What is held back for it has to be encoded at Stop."""
_LONGEST_WAIT = 200
"""Frames, 4 s: how long the best place so far is kept when it is not even a dip."""


@dataclass(frozen=True)
class Piece:
    """The next samples of the open chunk, which ends with them or goes on."""

    samples: Samples
    ends_chunk: bool


class Chunker:
    """Samples in, pieces out. The pieces joined are the samples that went in, whatever the blocks' sizes."""

    def __init__(self, max_chunk_seconds: float) -> None:
        longest = max(min(max_chunk_seconds, _LONGEST_SECONDS) - _MARGIN_SECONDS, _SHORTEST_LIMIT_SECONDS)
        self._limit = int(longest * _FRAMES_A_SECOND)
        self._earliest = int(min(_EARLIEST_SECONDS, 0.4 * longest) * _FRAMES_A_SECOND)
        self._wanted = int(min(_WANTED_SECONDS, 0.6 * longest) * _FRAMES_A_SECOND)
        self._loudness = _Loudness()
        self._held = np.empty(0, np.int16)
        self._given = 0
        """Frames of the open chunk that have been given out; ``_held`` begins after them."""
        self._powers: list[float] = []
        """One a frame of the open chunk."""
        self._seen = 0
        """Frames of the open chunk that have been judged."""
        self._quiet_run = 0
        self._best = 0
        self._best_power = math.inf

    def push(self, samples: Samples) -> list[Piece]:
        """What can be encoded now."""
        self._held = np.concatenate((self._held, samples))
        pieces: list[Piece] = []
        for power in self._new_powers():
            self._powers.append(power)
            self._loudness.hear(power)
            pieces += self._judge()
        pieces += self._give(self._certain())
        return pieces

    def finish(self) -> list[Piece]:
        """The rest of the open chunk, if there is one. Nothing may follow."""
        is_open = self._given > 0 or len(self._held) > 0
        rest, self._held = self._held, self._held[:0]
        return [Piece(rest, ends_chunk=True)] if is_open else []

    def _new_powers(self) -> list[float]:
        first = (len(self._powers) - self._given) * _FRAME
        frames = (len(self._held) - first) // _FRAME
        new = self._held[first : first + frames * _FRAME].reshape(frames, _FRAME).astype(np.float64)
        return [float(power) for power in np.mean(new * new, axis=1)]

    def _judge(self) -> Iterator[Piece]:
        while self._seen < len(self._powers):
            self._look_at(self._powers[self._seen])
            cut = self._cut()
            if cut:
                yield from self._give(cut, ends_chunk=True)
                self._begin_chunk(cut)

    def _look_at(self, power: float) -> None:
        self._seen += 1
        self._quiet_run = self._quiet_run + 1 if power <= self._loudness.quiet else 0
        if self._seen >= self._earliest and self._seen >= _DIP:
            dip = math.fsum(self._powers[self._seen - _DIP : self._seen]) / _DIP
            if dip <= self._best_power:
                self._best, self._best_power = self._seen - _DIP // 2, dip
            elif self._seen - self._best > _LONGEST_WAIT:
                self._settle_for_later()

    def _settle_for_later(self) -> None:
        recent = np.array(self._powers[self._best - _DIP // 2 + 1 : self._seen])
        dips = np.convolve(recent, np.ones(_DIP) / _DIP, "valid")
        lowest = int(dips.argmin())
        self._best, self._best_power = self._best + 1 + lowest, float(dips[lowest])

    def _cut(self) -> int:
        """The frame to cut before, or 0 to go on."""
        if self._seen < self._earliest:
            return 0
        if self._quiet_run >= _PAUSE:
            return max(self._best, self._seen - _PAUSE // 2)
        is_due = self._seen >= self._wanted or self._seen - self._best >= _HOPE
        if self._seen >= self._limit or (is_due and self._best_power <= self._loudness.dip):
            return self._best
        return 0

    def _certain(self) -> int:
        """Frames that no later judgement can put into the next chunk."""
        return self._best or min(self._seen, self._earliest - _PAUSE)

    def _give(self, end: int, ends_chunk: bool = False) -> Iterator[Piece]:
        if end > self._given or ends_chunk:
            count = (end - self._given) * _FRAME
            samples, self._held = self._held[:count], self._held[count:]
            self._given = end
            yield Piece(samples, ends_chunk)

    def _begin_chunk(self, cut: int) -> None:
        del self._powers[:cut]
        self._given = self._seen = self._quiet_run = self._best = 0
        self._best_power = math.inf


class _Loudness:
    """What is quiet here and now: the room is known from the last half minute, the voice from the last seconds.

    So a speaker further away than the one before is not taken for a pause.
    """

    _LEAST_SPREAD_DB = 4.0
    _GREATEST_SPREAD_DB = 34.0

    def __init__(self) -> None:
        self._room = _Histogram(30.0)
        self._voice = _Histogram(4.0)
        self._noise_db = 0.0
        self._speech_db = 0.0

    def hear(self, power: float) -> None:
        decibels = _decibels(power)
        self._room.add(decibels)
        self._voice.add(decibels)
        self._speech_db = self._voice.quantile(0.8)
        self._noise_db = max(self._room.quantile(0.03), self._speech_db - self._GREATEST_SPREAD_DB)

    @property
    def quiet(self) -> float:
        """The power up to which a frame is part of a pause."""
        return self._line(0.3)

    @property
    def dip(self) -> float:
        """The power up to which 200 ms are well under the voice."""
        return self._line(0.5)

    def _line(self, share: float) -> float:
        spread = max(self._LEAST_SPREAD_DB, share * (self._speech_db - self._noise_db))
        return float(10.0 ** ((self._noise_db + spread) / 10.0))


class _Histogram:
    """Loudness in whole decibels, in which the past fades away."""

    _BINS = 100

    def __init__(self, fade_seconds: float) -> None:
        self._kept = 1.0 - 1.0 / (fade_seconds * _FRAMES_A_SECOND)
        self._bins = np.zeros(self._BINS)

    def add(self, decibels: float) -> None:
        self._bins *= self._kept
        self._bins[min(self._BINS - 1, int(decibels))] += 1.0

    def quantile(self, share: float) -> float:
        below = self._bins.cumsum()
        return float(below.searchsorted(share * below[-1]))


def _decibels(power: float) -> float:
    """Over one step of a 16-bit sample: 0 for digital silence, 90 for full scale."""
    return 10.0 * math.log10(power) if power > 1.0 else 0.0
