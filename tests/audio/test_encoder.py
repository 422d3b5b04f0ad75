"""Chunk files: each decodes on its own to what went in, and the service's spelling is kept."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.audio.encoder import Encoder, choose_media_type, extension
from app.audio.files import decode
from tests.audio.stand_ins import noise, talk

_SPOKEN = talk(4.0).samples


def _encoded(media_type: str, sample_count: int, block: int) -> bytes:
    encoder = Encoder(media_type)
    for first in range(0, sample_count, block):
        encoder.write(_SPOKEN[first : min(first + block, sample_count)])
    assert encoder.sample_count == sample_count
    return encoder.finish()


@given(count=st.integers(1, 60_000), block=st.integers(200, 30_000))
@settings(max_examples=20, deadline=None)
@pytest.mark.parametrize("media_type", ["audio/wav", "audio/flac"])
def test_lossless_files_hold_every_sample(media_type: str, count: int, block: int) -> None:
    np.testing.assert_array_equal(decode(_encoded(media_type, count, block)), _SPOKEN[:count])


@given(count=st.integers(1, 60_000), block=st.integers(200, 30_000))
@settings(max_examples=10, deadline=None)
def test_opus_has_the_exact_length(count: int, block: int) -> None:
    assert len(decode(_encoded("audio/ogg", count, block))) == count


def test_opus_sounds_the_same_at_a_tenth_of_the_size() -> None:
    smooth = np.convolve(noise(8.0, 0.3), np.ones(8) / 8, "same").astype(np.int16)
    encoder = Encoder("audio/ogg")
    encoder.write(smooth)
    data = encoder.finish()
    assert np.corrcoef(smooth, decode(data))[0, 1] > 0.8
    assert len(data) < 8 * 4_000


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        (["audio/wav", "audio/ogg"], "audio/ogg"),
        (["audio/webm;codecs=opus", "audio/ogg; codecs=opus", "audio/wav"], "audio/ogg; codecs=opus"),
        (["Audio/OGG;codecs=OPUS"], "Audio/OGG;codecs=OPUS"),
        (["audio/ogg;codecs=vorbis", "audio/wav"], "audio/wav"),
        (["audio/flac", "audio/WAV"], "audio/WAV"),
        (["audio/webm;codecs=opus", "audio/flac"], "audio/flac"),
        (["audio/webm;codecs=opus", "audio/mpeg"], "audio/wav"),
        ([], "audio/wav"),
    ],
)
def test_the_service_s_spelling_is_kept(offered: list[str], chosen: str) -> None:
    assert choose_media_type(offered) == chosen


@pytest.mark.parametrize(
    ("media_type", "ending"), [("audio/ogg;codecs=opus", "ogg"), ("audio/wav", "wav"), ("audio/flac", "flac")]
)
def test_file_names_end_as_their_type(media_type: str, ending: str) -> None:
    assert extension(media_type) == ending
