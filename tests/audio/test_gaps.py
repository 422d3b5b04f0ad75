"""Gaps: what is missing is told, with its length and its place; what only came late is not."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.audio.gaps import ClockGaps, Gap, ZeroRuns
from app.audio.signal import Samples
from app.audio.source import Stamp
from tests.audio.stand_ins import RATE_HZ, noise

_BLOCK_SECONDS = 0.1
_EPOCH = 1_000_000.0


class Device:
    """A microphone's blocks by a clock of its own; each may be lost, or handed over late."""

    def __init__(self, drift: float = 0.0, jitter: float = 0.05) -> None:
        self.gaps: list[Gap] = []
        self.sample = 0
        self._drift = drift
        self._random = np.random.default_rng(5)
        self._jitter = jitter
        self._time = 500.0
        self._asleep = 0.0
        self._judge = ClockGaps()

    def runs(self, seconds: float, late: float = 0.0, has_lost: bool = False) -> None:
        """Hear and hand over; with ``late``, all of it that much after the first of it was due."""
        held_until = self._time + late
        for _ in range(round(seconds / _BLOCK_SECONDS)):
            self._time += _BLOCK_SECONDS * (1 + self._drift)
            heard_at = max(self._time + self._random.uniform(0, self._jitter), held_until)
            self._push(Stamp(heard_at, heard_at + _EPOCH, self._asleep, has_lost))
            has_lost = False

    def loses(self, seconds: float, asleep: float = 0.0) -> None:
        self._time += seconds
        self._asleep += asleep

    def ends(self) -> list[Gap]:
        if gap := self._judge.finish():
            self.gaps.append(gap)
        return self.gaps

    def _push(self, stamp: Stamp) -> None:
        if gap := self._judge.push(_BLOCK_SECONDS, stamp, self.sample):
            self.gaps.append(gap)
        self.sample += round(_BLOCK_SECONDS * RATE_HZ)


@given(lost=st.floats(0.4, 30.0), before=st.floats(0.2, 20.0), after=st.floats(0.1, 20.0))
def test_what_is_missing_is_told_with_its_length_and_place(lost: float, before: float, after: float) -> None:
    device = Device()
    device.runs(before)
    at_sample, at = device.sample, 500.0 + before + _EPOCH
    device.loses(lost)
    device.runs(after)
    (gap,) = device.ends()
    assert (gap.first_sample, gap.reason) == (at_sample, "lost")
    assert gap.seconds == pytest.approx(lost, abs=0.06)
    assert gap.began_at == pytest.approx(at, abs=0.16)


def test_a_gap_is_told_soon_and_once() -> None:
    device = Device()
    device.runs(5.0)
    device.loses(2.0)
    device.runs(1.3)
    assert len(device.gaps) == 1
    device.runs(60.0)
    assert len(device.ends()) == 1


@pytest.mark.parametrize("drift", [-0.001, 0.001])
@pytest.mark.fault("A10")
def test_an_hour_with_a_drifting_device_has_no_gap(drift: float) -> None:
    device = Device(drift)
    device.runs(3_600.0)
    assert device.ends() == []


@pytest.mark.parametrize("drift", [-0.001, 0.0, 0.001])
def test_a_gap_late_in_an_hour_has_its_true_length_all_the_same(drift: float) -> None:
    device = Device(drift)
    device.runs(3_000.0)
    device.loses(1.0)
    device.runs(600.0)
    (gap,) = device.ends()
    assert gap.seconds == pytest.approx(1.0, abs=0.06)


@pytest.mark.parametrize("late", [0.5, 2.0, 40.0])
def test_what_comes_late_but_whole_is_no_gap(late: float) -> None:
    device = Device()
    device.runs(5.0)
    device.runs(late, late=late)
    device.runs(10.0)
    assert device.ends() == []


def test_each_of_several_gaps_is_told() -> None:
    device = Device()
    for _ in range(5):
        device.runs(3.0)
        device.loses(0.8)
    device.runs(3.0)
    assert [gap.seconds for gap in device.ends()] == pytest.approx([0.8] * 5, abs=0.06)


def test_a_little_that_the_driver_says_it_lost_is_told_too() -> None:
    device = Device(jitter=0.01)
    device.runs(5.0)
    device.loses(0.15)
    device.runs(5.0, has_lost=True)
    (gap,) = device.ends()
    assert gap.seconds == pytest.approx(0.15, abs=0.02)


def test_a_driver_that_cries_wolf_makes_no_gap() -> None:
    device = Device()
    for _ in range(20):
        device.runs(5.0, has_lost=True)
    assert device.ends() == []


@pytest.mark.fault("W1")
def test_a_gap_in_which_the_computer_slept_says_so() -> None:
    device = Device()
    device.runs(5.0)
    device.loses(30.0, asleep=29.5)
    device.runs(5.0)
    device.loses(1.0)
    device.runs(5.0)
    assert [gap.reason for gap in device.ends()] == ["asleep", "lost"]


# Exact zeros --------------------------------------------------------------------------------------------------


def _runs_in(samples: Samples, block: int, runs: ZeroRuns | None = None) -> Iterator[Gap]:
    runs = runs or ZeroRuns()
    for first in range(0, len(samples), block):
        piece = samples[first : first + block]
        yield from runs.push(piece, 1_000 + first, _EPOCH + (first + len(piece)) / RATE_HZ)
    yield from runs.finish()


def _sound(seconds: float) -> Samples:
    sound = noise(seconds)
    return np.where(sound == 0, 1, sound).astype(np.int16)


def _zeros(seconds: float) -> Samples:
    return np.zeros(round(seconds * RATE_HZ), np.int16)


@pytest.mark.parametrize("block", [100, 1_600, 1 << 20])
def test_runs_of_zeros_are_found_whatever_the_blocks(block: int) -> None:
    samples = np.concatenate(
        (_zeros(0.5), _sound(1.0), _zeros(0.2), _sound(1.0), _zeros(4.0), _sound(0.1), _zeros(0.4))
    )
    gaps = list(_runs_in(samples, block))
    assert [(gap.first_sample - 1_000) / RATE_HZ for gap in gaps] == pytest.approx([0.0, 2.7, 6.8], abs=1e-3)
    assert [gap.seconds for gap in gaps] == pytest.approx([0.5, 4.0, 0.4], abs=1e-3)
    assert [gap.began_at - _EPOCH for gap in gaps] == pytest.approx([0.0, 2.7, 6.8], abs=1e-3)
    assert {gap.reason for gap in gaps} == {"silent"}


@pytest.mark.parametrize(
    ("parts", "marked"),
    [
        ((_zeros(0.9), _sound(1.0)), []),
        ((_zeros(1.1), _sound(1.0)), [0.0]),
        ((_zeros(0.5), _sound(0.1), _zeros(0.5), _sound(1.0)), [0.6]),
        ((_sound(0.1), _zeros(0.5), _sound(1.0)), [0.1]),
        ((_zeros(0.9),), []),
    ],
)
@pytest.mark.parametrize("block", [1_600, 1 << 20])
def test_only_short_zeros_at_the_very_beginning_of_a_visit_are_no_fault(
    parts: tuple[Samples, ...], marked: list[float], block: int
) -> None:
    gaps = _runs_in(np.concatenate(parts), block, ZeroRuns(begins_visit=True))
    assert [(gap.first_sample - 1_000) / RATE_HZ for gap in gaps] == pytest.approx(marked, abs=1e-3)


def test_zeros_that_last_are_known_while_they_last() -> None:
    runs = ZeroRuns()
    list(runs.push(np.concatenate((_sound(1.0), _zeros(2.0))), 0, 0.0))
    list(runs.push(_zeros(1.5), 0, 0.0))
    assert runs.seconds == pytest.approx(3.5)
    list(runs.push(_sound(0.1), 0, 0.0))
    assert runs.seconds == 0.0


def test_a_microphone_that_puts_zeros_in_every_pause_makes_no_marks_of_them_after_a_while() -> None:
    sentences = [part for _ in range(60) for part in (_sound(1.0), _zeros(0.7))]
    gaps = list(_runs_in(np.concatenate((*sentences, _sound(1.0), _zeros(5.0), _sound(1.0))), 1_600))
    assert len(gaps) <= 22
    assert gaps[-1].seconds == pytest.approx(5.0)
