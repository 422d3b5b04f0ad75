"""A real microphone, as far as a machine without one can have it: PortAudio on a sound server of our own."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import soundfile

from app.audio.microphone import MicrophoneSource, list_microphones
from app.core.events import CaptureEnded, CaptureLost, CaptureStarted
from app.core.problems import ProblemKind
from tests.audio.stand_ins import RATE_HZ, MemorySpool, Take, talk
from tests.rig.pulse import PulseRig, is_available

pytestmark = [pytest.mark.desktop, pytest.mark.skipif(not is_available(), reason="needs PulseAudio")]


@pytest.fixture
def rig(monkeypatch: pytest.MonkeyPatch) -> Iterator[PulseRig]:
    with PulseRig() as started:
        for name, value in started.environment.items():
            monkeypatch.setenv(name, value)
        yield started


@pytest.fixture
def no_sound_system(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PULSE_SERVER", f"unix:{tmp_path}/none")


def _recording() -> tuple[Take, MemorySpool]:
    spool = MemorySpool()
    take = Take(MicrophoneSource(), spool)
    take.capture.start()
    assert isinstance(take.await_fact(CaptureStarted, CaptureLost), CaptureStarted)
    return take, spool


@contextmanager
def _recorder() -> Iterator[subprocess.Popen[str]]:
    recorder = subprocess.Popen(
        [sys.executable, "-m", "tests.audio.record"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with recorder:
        try:
            assert recorder.stdout is not None
            assert recorder.stdout.readline().startswith("CaptureStarted")
            yield recorder
        finally:
            recorder.kill()


def _last_words(recorder: subprocess.Popen[str]) -> str:
    assert recorder.stdout is not None
    return recorder.stdout.read().splitlines()[-1]


def test_what_is_said_is_recorded_whole_and_as_loud(rig: PulseRig, tmp_path: Path) -> None:
    said = np.convolve(talk(3.0).samples, np.ones(8) / 8, "same").astype(np.int16)
    soundfile.write(tmp_path / "said.wav", said, RATE_HZ)
    take, spool = _recording()
    rig.play(tmp_path / "said.wav").wait(30.0)
    take.capture.end()
    assert isinstance(take.await_end(), CaptureEnded)
    heard = spool.decoded.astype(float)
    loud = np.flatnonzero(np.abs(heard) > 600)
    heard = heard[loud[0] : loud[-1]]
    spoken = said[np.flatnonzero(np.abs(said) > 600)[0] : np.flatnonzero(np.abs(said) > 600)[-1]].astype(float)
    assert len(heard) == pytest.approx(len(spoken), abs=0.05 * RATE_HZ)
    assert np.sqrt(np.mean(heard**2)) == pytest.approx(np.sqrt(np.mean(spoken**2)), rel=0.05)


def test_stop_is_quick(rig: PulseRig) -> None:
    take, _ = _recording()
    began = time.monotonic()
    take.capture.end()
    assert isinstance(take.await_end(), CaptureEnded)
    assert time.monotonic() - began < 1.0


def test_a_sound_server_that_dies_is_noticed_and_what_was_said_is_kept(rig: PulseRig) -> None:
    with _recorder() as recorder:
        began = time.monotonic()
        rig.kill()
        assert _last_words(recorder) == "CaptureLost microphone_lost kept"
    assert time.monotonic() - began < 5.0


def test_a_sound_server_that_hangs_holds_nobody_up(rig: PulseRig) -> None:
    with _recorder() as recorder:
        began = time.monotonic()
        rig.freeze()
        assert _last_words(recorder) == "CaptureLost microphone_lost kept"
    assert time.monotonic() - began < 5.0


def test_stop_while_the_sound_server_hangs_ends_the_take(rig: PulseRig) -> None:
    with _recorder() as recorder:
        rig.freeze()
        assert recorder.stdin is not None
        recorder.stdin.write("\n")
        recorder.stdin.flush()
        assert _last_words(recorder) == "CaptureEnded - kept"


def test_the_system_s_default_is_listed_and_records_under_its_own_name(rig: PulseRig) -> None:
    offered = list_microphones()
    default = next(microphone for microphone in offered if microphone.is_default)
    take, _ = _recording()
    assert take.facts[0] == CaptureStarted(1, default.name, 1_000.0)
    assert list_microphones() == offered
    take.capture.end()
    take.await_end()
    by_name = Take(MicrophoneSource(default.name, default.host_api), MemorySpool())
    by_name.capture.start()
    assert isinstance(by_name.await_fact(CaptureStarted, CaptureLost), CaptureStarted)
    by_name.capture.end()
    by_name.await_end()


def test_a_microphone_that_is_not_there_is_told_by_name(rig: PulseRig) -> None:
    take = Take(MicrophoneSource("Headset"), MemorySpool())
    take.capture.start()
    lost = take.await_end()
    assert isinstance(lost, CaptureLost)
    assert lost.problem.kind is ProblemKind.NO_MICROPHONE
    assert lost.problem.detail == "Headset is not connected"


@pytest.mark.usefixtures("no_sound_system")
def test_without_a_sound_system_there_is_no_microphone_and_no_crash() -> None:
    assert list_microphones() == ()
    take = Take(MicrophoneSource(), MemorySpool())
    take.capture.start()
    lost = take.await_end()
    assert isinstance(lost, CaptureLost)
    assert lost.problem.kind is ProblemKind.NO_MICROPHONE
    assert lost.problem.detail


def test_a_microphone_that_comes_back_is_found_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PULSE_SERVER", f"unix:{tmp_path}/none")
    assert list_microphones() == ()
    with PulseRig() as rig:
        for name, value in rig.environment.items():
            monkeypatch.setenv(name, value)
        assert list_microphones()
        take, _ = _recording()
        take.capture.end()
        assert isinstance(take.await_end(), CaptureEnded)
    assert not [thread for thread in threading.enumerate() if thread.name == "portaudio"]
