"""A real microphone, as far as a machine without one can have it: PortAudio on a sound server of our own."""

from __future__ import annotations

import queue
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import soundfile

from app.audio.microphone import ChildMicrophone, MicrophoneWatch, list_microphones
from app.core.events import CaptureEnded, CaptureLost, CaptureStarted
from app.core.problems import ProblemKind
from app.core.views import MicrophoneInfo
from tests.audio.stand_ins import CAPTURE, RATE_HZ, MemorySpool, Take, talk
from tests.rig.pulse import PulseRig, is_available

pytestmark = [pytest.mark.desktop, pytest.mark.skipif(not is_available(), reason="needs PulseAudio")]


@pytest.fixture(scope="module")
def server() -> Iterator[PulseRig]:
    with PulseRig() as started:
        yield started


@pytest.fixture
def rig(server: PulseRig, monkeypatch: pytest.MonkeyPatch) -> PulseRig:
    """A server that is shared: who freezes it thaws it."""
    _listen_to(server, monkeypatch)
    return server


def _listen_to(rig: PulseRig, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in rig.environment.items():
        monkeypatch.setenv(name, value)


@contextmanager
def _frozen(rig: PulseRig) -> Iterator[None]:
    rig.freeze()
    try:
        yield
    finally:
        rig.freeze(False)


@pytest.fixture
def no_sound_system(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PULSE_SERVER", f"unix:{tmp_path}/none")


def _recording() -> tuple[Take, MemorySpool]:
    spool = MemorySpool()
    take = Take(ChildMicrophone(CAPTURE), spool)
    take.capture.start()
    assert isinstance(take.await_fact(CaptureStarted, CaptureLost), CaptureStarted)
    return take, spool


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


def test_a_sound_server_that_hangs_holds_nobody_up_and_is_used_again_when_it_goes_on(rig: PulseRig) -> None:
    take, spool = _recording()
    with _frozen(rig):
        began = time.monotonic()
        lost = take.await_end()
        assert time.monotonic() - began < 2.0
    assert isinstance(lost, CaptureLost)
    assert lost.problem.kind is ProblemKind.MICROPHONE_LOST
    assert len(spool.decoded) == len(spool.pcm) > 0
    began = time.monotonic()
    again, _ = _recording()
    assert time.monotonic() - began < 2.5
    again.capture.end()
    assert isinstance(again.await_end(), CaptureEnded)


def test_stop_while_the_sound_server_hangs_ends_the_take_at_once(rig: PulseRig) -> None:
    microphone = ChildMicrophone(CAPTURE)
    microphone.open()
    assert microphone.read(3.0) is not None
    with _frozen(rig):
        began = time.monotonic()
        microphone.end()
        assert time.monotonic() - began < 0.2
        while microphone.read(1.0) is not None:
            pass
        assert time.monotonic() - began < 1.0
        began = time.monotonic()
        microphone.close()
        assert time.monotonic() - began < 0.2


def test_a_sound_server_that_dies_is_noticed_each_time_and_what_was_said_is_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with PulseRig() as rig:
        _listen_to(rig, monkeypatch)
        for death in range(5):
            if death:
                rig.start()
            take, spool = _recording()
            began = time.monotonic()
            rig.kill()
            lost = take.await_end()
            assert time.monotonic() - began < 1.5
            assert isinstance(lost, CaptureLost)
            assert lost.problem.kind is ProblemKind.MICROPHONE_LOST
            assert len(spool.decoded) == len(spool.pcm) > 0


def test_the_system_s_default_is_listed_and_records_under_its_own_name(rig: PulseRig) -> None:
    offered = list_microphones(CAPTURE)
    default = next(microphone for microphone in offered if microphone.is_default)
    take, _ = _recording()
    started = take.facts[0]
    assert isinstance(started, CaptureStarted)
    assert started.microphone == default.name
    assert started.at == pytest.approx(time.time(), abs=5.0)
    assert list_microphones(CAPTURE) == offered
    take.capture.end()
    take.await_end()
    by_name = Take(ChildMicrophone(CAPTURE, default.name, default.host_api), MemorySpool())
    by_name.capture.start()
    assert isinstance(by_name.await_fact(CaptureStarted, CaptureLost), CaptureStarted)
    by_name.capture.end()
    by_name.await_end()


def test_a_microphone_that_is_not_there_is_replaced_by_the_default_and_the_name_says_so(rig: PulseRig) -> None:
    microphone = ChildMicrophone(CAPTURE, "Desk", "PulseAudio")
    microphone.open()
    assert microphone.name == "Microphone"
    assert microphone.is_substitute
    microphone.close()


def test_one_of_two_microphones_is_chosen_by_name(rig: PulseRig) -> None:
    rig.plug("headset")
    try:
        offered = list_microphones(CAPTURE)
        assert [(m.name, m.is_default) for m in offered] == [("Microphone", True), ("Headset", False)]
        microphone = ChildMicrophone(CAPTURE, offered[1].name, offered[1].host_api)
        microphone.open()
        assert microphone.name == "Headset"
        assert not microphone.is_substitute
        microphone.close()
    finally:
        rig.unplug("headset")


@pytest.mark.fault("A7")
@pytest.mark.usefixtures("no_sound_system")
def test_microphones_are_told_as_they_come_and_go(monkeypatch: pytest.MonkeyPatch) -> None:
    told: queue.SimpleQueue[tuple[MicrophoneInfo, ...]] = queue.SimpleQueue()
    rig = PulseRig()
    _listen_to(rig, monkeypatch)
    watch = MicrophoneWatch(CAPTURE, told.put)
    watch.start()
    assert told.get(timeout=10.0) == ()
    with rig:
        _await_names(told, "Microphone")
        rig.plug("headset")
        _await_names(told, "Microphone", "Headset")
        rig.set_default("headset")
        while not any(m.name == "Headset" and m.is_default for m in told.get(timeout=5.0)):
            pass
        rig.unplug("headset")
        _await_names(told, "Microphone")
        rig.freeze()
        assert told.get(timeout=10.0) == ()
        rig.freeze(False)
        _await_names(told, "Microphone")
    assert told.get(timeout=5.0) == ()
    watch.close()


def _await_names(told: queue.SimpleQueue[tuple[MicrophoneInfo, ...]], *names: str) -> None:
    while [microphone.name for microphone in told.get(timeout=10.0)] != list(names):
        pass


@pytest.mark.usefixtures("no_sound_system")
def test_without_a_sound_system_there_is_no_microphone_and_no_crash() -> None:
    assert list_microphones(CAPTURE) == ()
    take = Take(ChildMicrophone(CAPTURE), MemorySpool())
    take.capture.start()
    lost = take.await_end()
    assert isinstance(lost, CaptureLost)
    assert lost.problem.kind is ProblemKind.NO_MICROPHONE
    assert lost.problem.detail


@pytest.mark.usefixtures("no_sound_system")
def test_a_microphone_that_comes_back_is_found_again(server: PulseRig, monkeypatch: pytest.MonkeyPatch) -> None:
    assert list_microphones(CAPTURE) == ()
    _listen_to(server, monkeypatch)
    assert list_microphones(CAPTURE)
    take, _ = _recording()
    take.capture.end()
    assert isinstance(take.await_end(), CaptureEnded)
