"""The test of a microphone: what was said is judged and heard again."""

from __future__ import annotations

import queue
import threading
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from app.audio import microphone
from app.audio.check import MicrophoneCheck, Play
from app.audio.files import decode
from app.audio.microphone import ChildMicrophone
from app.audio.signal import Samples
from app.audio.source import Source, SourceFailed
from app.core.problems import Problem, ProblemKind
from app.core.views import MicrophoneTest
from tests.audio.stand_ins import CAPTURE, JOIN_SECONDS, RATE_HZ, ScriptedSource, blocks_of, noise
from tests.rig.pulse import PulseRig, is_available

_SPOKEN = decode((Path(__file__).parents[2] / "resources" / "sample" / "consultation.flac").read_bytes())


class Check:
    """A test under way, and what it plays."""

    def __init__(self, source: Source, play: Play | None = None, seconds: float = 10.0) -> None:
        self.played: list[Samples] = []
        self._views: queue.SimpleQueue[MicrophoneTest] = queue.SimpleQueue()
        self.check = MicrophoneCheck(
            source, play or (lambda samples, _: self.played.append(samples)), self._views.put, seconds
        )
        self.check.start()

    def awaits(self, *stages: str) -> MicrophoneTest:
        while True:
            view = self._views.get(timeout=JOIN_SECONDS)
            if view.stage in stages:
                return view

    def ends(self) -> MicrophoneTest:
        view = self.awaits("done", "failed")
        assert self.check.join(JOIN_SECONDS)
        return view


def test_what_was_said_is_played_and_in_order() -> None:
    check = Check(ScriptedSource(blocks_of(_SPOKEN[: 12 * RATE_HZ], 1_600)))
    view = check.ends()
    assert (view.stage, view.seconds, view.notice) == ("done", 10.0, "")
    assert view.peak_dbfs == pytest.approx(-2.3, abs=3.0)
    np.testing.assert_array_equal(np.concatenate(check.played), _SPOKEN[: 10 * RATE_HZ])


@pytest.mark.parametrize(
    ("samples", "notice"),
    [
        (np.zeros(10 * RATE_HZ, np.int16), "no-sound"),
        (noise(10.0, 0.001), "no-speech"),
        ((_SPOKEN // 128)[: 10 * RATE_HZ], "too-quiet"),
        (np.clip(_SPOKEN.astype(np.int32) * 8, -32_768, 32_767).astype(np.int16)[: 10 * RATE_HZ], "clipping"),
    ],
    ids=["no-sound", "no-speech", "too-quiet", "clipping"],
)
def test_what_is_wrong_is_told(samples: Samples, notice: str) -> None:
    assert Check(ScriptedSource(blocks_of(samples, 1_600))).ends().notice == notice


def test_less_than_ten_seconds_are_enough() -> None:
    check = Check(ScriptedSource(blocks_of(_SPOKEN[: 2 * RATE_HZ], 1_600)))
    while check.awaits("recording").seconds < 2.0:
        pass
    check.check.play_now()
    assert check.awaits("playing").seconds == 2.0
    assert check.ends().stage == "done"


def test_a_test_that_is_broken_off_plays_nothing() -> None:
    source = ScriptedSource(blocks_of(_SPOKEN[:RATE_HZ], 1_600))
    check = Check(source)
    check.awaits("recording")
    check.check.end()
    check.ends()
    assert check.played == []
    assert source.close_count == 1


def test_a_microphone_that_fails_is_told_with_its_reason() -> None:
    problem = Problem(ProblemKind.MICROPHONE_BUSY, "taken")
    check = Check(ScriptedSource([SourceFailed(problem)]))
    view = check.ends()
    assert (view.stage, view.problem) == ("failed", problem)


@pytest.mark.desktop
@pytest.mark.skipif(not is_available(), reason="needs PulseAudio")
def test_a_second_is_recorded_and_played_by_the_sound_system(monkeypatch: pytest.MonkeyPatch) -> None:
    with PulseRig() as rig:
        for name, value in rig.environment.items():
            monkeypatch.setenv(name, value)
        check = Check(ChildMicrophone(CAPTURE), partial(microphone.play, CAPTURE), seconds=1.0)
        check.awaits("playing")
        began = time.monotonic()
        assert check.ends() == MicrophoneTest("done", 1.0, -120.0, "no-sound")
        assert 0.9 < time.monotonic() - began < 8.0


def test_without_a_sound_system_nothing_is_played(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PULSE_SERVER", f"unix:{tmp_path}/none")
    with pytest.raises(SourceFailed):
        microphone.play(CAPTURE, _SPOKEN[:RATE_HZ], threading.Event())
