"""Cuts: gapless, never too long, in pauses where there are any, and soon enough known."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.audio.chunker import Chunker, Piece
from app.audio.signal import Samples
from tests.audio.stand_ins import RATE_HZ, Talk, noise, talk, tone

_TALK = talk(30.0)
_SOUNDS = {
    "talk": _TALK.samples,
    "talk without pauses": talk(30.0, pause_every=10_000).samples,
    "talk in a loud room": talk(30.0, room=0.03).samples,
    "noise": noise(30.0),
    "tone": tone(30.0),
    "silence": np.zeros(30 * RATE_HZ, np.int16),
    "silence, then talk": np.concatenate((np.zeros(15 * RATE_HZ, np.int16), _TALK.samples)),
}


def _chunks(pieces: Iterable[Piece]) -> list[Samples]:
    chunks: list[list[Samples]] = [[]]
    for piece in pieces:
        chunks[-1].append(piece.samples)
        if piece.ends_chunk:
            chunks.append([])
    assert not chunks.pop(), "the last piece ends no chunk"
    return [np.concatenate(parts) for parts in chunks]


def _cut(samples: Samples, sizes: Iterable[int], max_chunk_seconds: float = 20.0) -> list[Samples]:
    chunker = Chunker(max_chunk_seconds)
    pieces: list[Piece] = []
    first = 0
    for size in sizes:
        pieces += chunker.push(samples[first : first + size])
        first += size
    return _chunks([*pieces, *chunker.push(samples[first:]), *chunker.finish()])


def _positions(chunks: list[Samples]) -> list[int]:
    return [int(position) for position in np.cumsum([len(chunk) for chunk in chunks])[:-1]]


@cache
def _usual_positions(sound: str) -> list[int]:
    return _positions(_cut(_SOUNDS[sound], [4_000] * 300))


@given(sizes=st.lists(st.integers(0, 60_000), max_size=30), sound=st.sampled_from(sorted(_SOUNDS)))
@settings(max_examples=12, deadline=None)
def test_chunks_joined_are_what_came_in_and_blocks_do_not_matter(sizes: list[int], sound: str) -> None:
    samples = _SOUNDS[sound]
    chunks = _cut(samples, sizes)
    np.testing.assert_array_equal(np.concatenate(chunks), samples)
    assert _positions(chunks) == _usual_positions(sound)


@pytest.mark.parametrize("sound", sorted(_SOUNDS))
@pytest.mark.parametrize("limit", [1.5, 5.0, 13.0, 20.0, 300.0])
def test_no_chunk_is_longer_than_the_service_takes(sound: str, limit: float) -> None:
    chunks = _cut(_SOUNDS[sound], [4_000] * 500, limit)
    assert max(len(chunk) for chunk in chunks) < min(limit, 20.0) * RATE_HZ


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("room", [0.0, 0.002, 0.02], ids=["gate", "quiet room", "fan"])
def test_cuts_fall_in_pauses(seed: int, room: float) -> None:
    spoken = talk(60.0, seed, room=room)
    chunks = _cut(spoken.samples, [1_600] * 1_000)
    assert all(spoken.is_in_pause(cut) for cut in _positions(chunks))
    assert all(8 * RATE_HZ - 2_400 <= len(chunk) <= 13 * RATE_HZ for chunk in chunks[:-1])


def test_a_sentence_longer_than_wanted_is_waited_for() -> None:
    sentence = talk(14.0, pause_every=10_000).samples
    spoken = np.concatenate((sentence, noise(0.6, 0.002), sentence))
    first = len(_cut(spoken, [4_000] * 200)[0])
    assert len(sentence) < first < len(sentence) + 0.6 * RATE_HZ


def test_a_change_of_loudness_moves_the_line() -> None:
    loud = talk(60.0, seed=5)
    samples = (loud.samples * np.where(np.arange(len(loud.samples)) < 30 * RATE_HZ, 1.0, 0.1)).astype(np.int16)
    spoken = Talk(samples, loud.pauses)
    assert all(spoken.is_in_pause(cut) for cut in _positions(_cut(samples, [4_000] * 400)))


def test_silence_is_cut_as_soon_as_it_may_be() -> None:
    chunks = _cut(_SOUNDS["silence"], [4_000] * 300)
    assert all(7.5 * RATE_HZ < len(chunk) <= 8 * RATE_HZ for chunk in chunks[:-1])


@pytest.mark.parametrize("sound", sorted(_SOUNDS))
def test_little_is_held_back_at_stop(sound: str) -> None:
    chunker, given_out, held = Chunker(20.0), 0, []
    for first in range(0, len(_SOUNDS[sound]), 1_600):
        given_out += sum(len(piece.samples) for piece in chunker.push(_SOUNDS[sound][first : first + 1_600]))
        held.append(first + 1_600 - given_out)
    assert np.median(held) < 0.4 * RATE_HZ
    assert max(held) < 4.2 * RATE_HZ


def test_nothing_in_nothing_out() -> None:
    assert Chunker(20.0).finish() == []
