"""The one form that audio has inside the app: 16 kHz, mono, 16-bit samples. Runs on whichever thread calls it."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import soxr
from numpy.typing import NDArray

from app.core.recording import SAMPLE_RATE_HZ

Block: TypeAlias = NDArray[np.float32] | NDArray[np.int16]
"""What a source hands over at once: one row a frame, one column a channel; floats are full scale at 1.0."""

Samples: TypeAlias = NDArray[np.int16]
"""16 kHz mono."""

_FULL_SCALE = 32_768.0


class Conditioner:
    """Turns a source's blocks, whatever their rate and channels, into samples, without a seam between blocks."""

    def __init__(self, rate_hz: int) -> None:
        self.rate_hz = rate_hz
        self._resampler = None
        if rate_hz != SAMPLE_RATE_HZ:
            self._resampler = soxr.ResampleStream(rate_hz, SAMPLE_RATE_HZ, 1, dtype="float32", quality="HQ")

    def push(self, block: Block) -> Samples:
        """The samples that are complete after this block; the resampler keeps a few back."""
        mono = _as_mono(block)
        return _as_samples(self._resampler.resample_chunk(mono) if self._resampler else mono)

    def flush(self) -> Samples:
        """The samples that were kept back. Nothing may follow."""
        nothing = np.empty(0, np.float32)
        return _as_samples(self._resampler.resample_chunk(nothing, last=True) if self._resampler else nothing)


def _as_mono(block: Block) -> NDArray[np.float32]:
    floats = block.astype(np.float32)
    if block.dtype == np.int16:
        floats /= _FULL_SCALE
    if floats.shape[1] == 1:
        return floats[:, 0]
    mono: NDArray[np.float32] = floats.mean(axis=1, dtype=np.float32)
    return mono


def _as_samples(floats: NDArray[np.float32]) -> Samples:
    whole = np.rint(floats * _FULL_SCALE)
    samples: Samples = np.clip(whole, -_FULL_SCALE, _FULL_SCALE - 1).astype(np.int16)
    return samples
