"""Notices: a doctor is told when nobody can be heard, and left alone when people only pause."""

from __future__ import annotations

import time
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from app.audio.attention import Attention
from app.audio.files import decode
from app.audio.gaps import ZeroRuns
from app.audio.signal import Samples
from tests.audio.stand_ins import RATE_HZ, noise

_SAMPLE = Path(__file__).parents[2] / "resources" / "sample" / "consultation.flac"
_PIECE = RATE_HZ // 4


class Listener:
    """What is told, and when in the take."""

    def __init__(self, is_start: bool = True) -> None:
        self.told: list[tuple[float, str]] = []
        self.seconds = 0.0
        self._attention = Attention(is_start=is_start)
        self._zeros = ZeroRuns()

    def hears(self, samples: Samples) -> Listener:
        for first in range(0, len(samples), _PIECE):
            piece = samples[first : first + _PIECE]
            list(self._zeros.push(piece, 0, 0.0))
            self.seconds += len(piece) / RATE_HZ
            notice = self._attention.push(piece, self._zeros.seconds, self._zeros.is_gated)
            if notice is not None:
                self.told.append((self.seconds, notice))
        return self

    @property
    def alerts(self) -> list[str]:
        return [notice for _, notice in self.told if notice]


@cache
def _speech(dbfs: float = -24.0) -> Samples:
    """The sample consultation at that loudness."""
    spoken = decode(_SAMPLE.read_bytes()).astype(np.float64)
    loud = spoken[np.abs(spoken) > 300]
    louder: Samples = np.rint(spoken * 10 ** (dbfs / 20) * 32_768 / np.sqrt(np.mean(loud**2))).astype(np.int16)
    return louder


def _at(dbfs: float, seconds: float, seed: int = 7) -> Samples:
    return noise(seconds, 10 ** (dbfs / 20), seed)


def _in_room(samples: Samples, dbfs: float) -> Samples:
    room = _at(dbfs, len(samples) / RATE_HZ + 1)[: len(samples)].astype(np.int32)
    heard: Samples = np.clip(samples + room, -32_768, 32_767).astype(np.int16)
    return heard


def _hour_of_talk(room_dbfs: float, seed: int) -> list[Samples]:
    """An hour in a room: talk of 5 to 40 s, near or farther away, with a pause of 20 s after each."""
    random = np.random.default_rng(seed)
    parts: list[Samples] = []
    seconds = 0.0
    while seconds < 3_600:
        talk = _speech(float(random.choice([-18.0, -24.0, -30.0, -36.0])))
        begin = int(random.integers(0, len(talk) - 41 * RATE_HZ))
        spoken = talk[begin : begin + int(random.uniform(5, 40) * RATE_HZ)]
        pause = np.zeros(20 * RATE_HZ, np.int16)
        parts += [_in_room(spoken, room_dbfs), _in_room(pause, room_dbfs)]
        seconds += len(spoken) / RATE_HZ + 20.0
    return parts


@pytest.mark.parametrize(
    "room_dbfs",
    [
        pytest.param(-40.0, id="fan", marks=pytest.mark.slow),
        pytest.param(-60.0, id="quiet", marks=pytest.mark.slow),
        pytest.param(-88.0, id="noise taken away"),
    ],
)
def test_an_hour_of_talk_with_long_pauses_has_one_false_alert_at_most(room_dbfs: float) -> None:
    listener = Listener()
    for part in _hour_of_talk(room_dbfs, 11):
        listener.hears(part)
    assert listener.seconds > 3_600
    assert len(listener.alerts) <= 1, listener.told


@pytest.mark.fault("A6")
def test_exact_zeros_are_told_after_three_seconds_and_their_end_too() -> None:
    listener = Listener()
    listener.hears(_in_room(_speech()[: 10 * RATE_HZ], -60)).hears(np.zeros(5 * RATE_HZ, np.int16))
    listener.hears(_in_room(_speech()[: 10 * RATE_HZ], -60))
    assert [notice for _, notice in listener.told] == ["no-sound", ""]
    assert listener.told[0][0] == pytest.approx(13.0, abs=0.5)
    assert listener.told[1][0] == pytest.approx(15.0, abs=0.5)


@pytest.mark.fault("A6")
def test_next_to_nothing_is_told_after_fifteen_seconds() -> None:
    listener = Listener().hears(_in_room(_speech()[: 10 * RATE_HZ], -60)).hears(_at(-86, 16.0))
    assert [notice for _, notice in listener.told] == ["too-quiet"]
    assert listener.told[0][0] == pytest.approx(25.0, abs=0.6)


def test_speech_from_far_away_is_too_quiet_until_it_comes_nearer() -> None:
    far = _in_room(_speech(-58.0)[: 30 * RATE_HZ], -75)
    listener = Listener().hears(far).hears(_in_room(_speech()[: 10 * RATE_HZ], -75))
    assert [notice for _, notice in listener.told] == ["too-quiet", ""]
    assert listener.told[0][0] < 25.0


def test_a_visit_in_which_nobody_speaks_is_noticed_after_half_a_minute() -> None:
    listener = Listener().hears(_at(-55, 31.0))
    assert [notice for _, notice in listener.told] == ["no-speech"]
    assert listener.told[0][0] == pytest.approx(30.0, abs=0.6)
    listener.hears(_in_room(_speech()[: 5 * RATE_HZ], -55))
    assert listener.told[-1][1] == ""


def test_a_take_after_a_pause_may_begin_in_silence() -> None:
    assert Listener(is_start=False).hears(_at(-55, 60.0)).told == []


@pytest.mark.fault("H2")
def test_a_forgotten_stop_is_noticed_after_five_minutes() -> None:
    listener = Listener().hears(_in_room(_speech()[: 20 * RATE_HZ], -55)).hears(_at(-55, 302.0))
    assert [notice for _, notice in listener.told] == ["long-silence"]


def test_speech_that_is_cut_off_at_full_size_is_clipping_and_a_knock_is_not() -> None:
    knock = _in_room(_speech()[: 10 * RATE_HZ], -60)
    knock[5 * RATE_HZ : 5 * RATE_HZ + 800] = 32_767
    assert Listener().hears(knock).told == []
    shouted = np.clip(_speech(-3.0)[: 20 * RATE_HZ].astype(np.int32) * 2, -32_768, 32_767).astype(np.int16)
    listener = Listener().hears(shouted).hears(_in_room(_speech()[: 15 * RATE_HZ], -60))
    assert [notice for _, notice in listener.told] == ["clipping", ""]


def test_it_costs_next_to_nothing() -> None:
    minute = _in_room(_speech()[: 60 * RATE_HZ], -60)
    began = time.process_time()
    Listener().hears(minute)
    assert (time.process_time() - began) / 60.0 < 0.01
