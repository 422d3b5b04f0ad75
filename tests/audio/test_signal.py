"""Whatever a device gives becomes 16 kHz mono without a seam."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.audio.signal import Block, Conditioner, Samples
from tests.audio.stand_ins import RATE_HZ, noise, tone


def _conditioned(block: Block, rate_hz: int, size: int) -> Samples:
    conditioner = Conditioner(rate_hz)
    parts = [conditioner.push(block[first : first + size]) for first in range(0, len(block), size)]
    return np.concatenate([*parts, conditioner.flush()])


@pytest.mark.parametrize("channels", [1, 2, 6])
@pytest.mark.parametrize("rate_hz", [8_000, 11_025, 22_050, 44_100, 48_000, 96_000])
def test_any_rate_and_channel_count_keeps_length_and_sound(rate_hz: int, channels: int) -> None:
    played = np.repeat(tone(2.0, 440.0, 0.5, rate_hz)[:, None], channels, axis=1)
    heard = _conditioned(played, rate_hz, rate_hz // 50)
    assert len(heard) == pytest.approx(2.0 * RATE_HZ, abs=2)
    middle = slice(RATE_HZ // 2, -RATE_HZ // 2)
    np.testing.assert_allclose(heard[middle], tone(2.0)[: len(heard)][middle], atol=200)


@given(size=st.integers(1, 5_000))
@settings(max_examples=20, deadline=None)
def test_blocks_leave_no_seam(size: int) -> None:
    played = noise(0.5, 0.2)[:, None]
    np.testing.assert_allclose(_conditioned(played, 48_000, size), _conditioned(played, 48_000, 10**6), atol=1)


@pytest.mark.parametrize("as_float", [False, True])
def test_16_khz_mono_passes_untouched(as_float: bool) -> None:
    extremes = np.array([-32_768, -1, 0, 1, 32_767], np.int16)
    samples = np.concatenate((extremes, noise(1.0)))
    block = (samples / 32_768.0).astype(np.float32) if as_float else samples
    np.testing.assert_array_equal(_conditioned(block[:, None], RATE_HZ, 333), samples)


def test_too_loud_is_clipped_not_wrapped() -> None:
    loud = np.array([[2.0], [-2.0]], np.float32)
    assert _conditioned(loud, RATE_HZ, 2).tolist() == [32_767, -32_768]


@pytest.mark.parametrize("channel", [0, 1, 2])
def test_a_voice_in_one_channel_is_heard_whichever_it_is(channel: int) -> None:
    voice = noise(0.5, 0.2)
    played = np.zeros((len(voice), 3), np.int16)
    played[:, channel] = voice
    np.testing.assert_allclose(_conditioned(played, RATE_HZ, 500), voice / 3, atol=1)
