"""The capture process and its app, each of which may be stopped, busy, killed or stuck."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.audio.capture import Patience
from app.audio.capture_child import now
from app.audio.microphone import ChildMicrophone, list_microphones
from app.audio.signal import Block, Samples
from app.audio.source import SourceFailed
from app.core.events import CaptureEnded, CaptureLost, CaptureStarted, GapFound
from app.core.problems import ProblemKind
from app.core.views import MicrophoneInfo
from tests.audio.listener import breaks
from tests.audio.stand_ins import CAPTURE, RATE_HZ, MemorySpool, Take

_HERE = Path(__file__).parent
_SECONDS_TO_GO = 3.0

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="stops and watches processes by signals")


class Sound:
    """The stand-in PortAudio of every capture process that is started from now on."""

    def __init__(self, directory: Path) -> None:
        self._file = directory / "trouble.json"
        self._pids = directory / "pids"
        self.has()

    @property
    def environment(self) -> dict[str, str]:
        paths = [str(_HERE / "stand_in_portaudio"), str(_HERE.parents[1])]
        no_server = f"unix:{self._file.parent}/no-server"
        return {"PYTHONPATH": os.pathsep.join(paths), "STAND_IN_SOUND": str(self._file), "PULSE_SERVER": no_server}

    def has(self, **trouble: Any) -> None:
        self._file.write_text(json.dumps(trouble), encoding="utf-8")

    def pids(self) -> list[int]:
        return [int(line) for line in self._pids.read_text().split()] if self._pids.exists() else []

    def await_silence(self) -> None:
        """Every capture process is gone."""
        deadline = time.monotonic() + _SECONDS_TO_GO
        while alive := [pid for pid in self.pids() if _is_alive(pid)]:
            assert time.monotonic() < deadline, f"left running: {alive}"
            os.sched_yield()


def _is_alive(pid: int) -> bool:
    with suppress(ProcessLookupError, FileNotFoundError):
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


@pytest.fixture
def sound(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Sound]:
    sound = Sound(tmp_path)
    for name, value in sound.environment.items():
        monkeypatch.setenv(name, value)
    yield sound
    sound.await_silence()


@pytest.fixture
def microphone(sound: Sound) -> Iterator[ChildMicrophone]:
    microphone = ChildMicrophone(CAPTURE)
    yield microphone
    microphone.close()


@pytest.fixture
def app(sound: Sound) -> Iterator[subprocess.Popen[str]]:
    """An app that listens, in a process of its own."""
    command = [sys.executable, "-m", "tests.audio.listener"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as app:
        assert app.stdout
        assert app.stdout.readline() == "ready\n"
        yield app
        app.kill()


def _read_until(microphone: ChildMicrophone, is_enough: Callable[[], bool]) -> list[Block]:
    blocks: list[Block] = []
    while not is_enough():
        block = microphone.read(1.0)
        assert block is not None
        blocks.append(block)
    return blocks


def _rest_of(microphone: ChildMicrophone) -> Iterator[Block]:
    while (block := microphone.read(1.0)) is not None:
        yield block


def _samples(blocks: list[Block]) -> Samples:
    return np.concatenate([block[:, 0] for block in blocks]).astype(np.int16)


def test_every_sample_until_the_end_is_heard_once_and_in_order(microphone: ChildMicrophone) -> None:
    assert microphone.open() == RATE_HZ
    assert microphone.name == "Numbers"
    first = microphone.read(3.0)
    assert first is not None
    first_at = microphone.stamp.heard_at
    blocks = _read_until(microphone, lambda: microphone.stamp.heard_at > first_at + 0.5)
    ended_at = now()
    microphone.end()
    assert now() - ended_at < 0.2
    blocks.extend(_rest_of(microphone))
    assert first[0, 0] == 0
    assert breaks(_samples([first, *blocks])) == 0
    assert microphone.stamp.heard_at >= ended_at
    assert len(_samples(blocks)) == pytest.approx(
        (microphone.stamp.heard_at - first_at) * RATE_HZ, abs=0.05 * RATE_HZ
    )
    assert not microphone.stamp.has_lost


def test_nothing_is_lost_while_the_app_s_interpreter_is_busy_for_two_seconds(microphone: ChildMicrophone) -> None:
    microphone.open()
    first = microphone.read(3.0)
    assert first is not None
    first_at = microphone.stamp.heard_at
    ctypes.PyDLL(None).usleep(2_000_000)  # unlike CDLL, this one keeps the interpreter's lock
    free_at = now()
    blocks = _read_until(microphone, lambda: microphone.stamp.heard_at > free_at)
    assert free_at - first_at > 1.9
    assert breaks(_samples([first, *blocks])) == 0
    assert len(_samples(blocks)) == pytest.approx(
        (microphone.stamp.heard_at - first_at) * RATE_HZ, abs=0.05 * RATE_HZ
    )
    assert not microphone.stamp.has_lost


def test_nothing_is_lost_while_the_app_is_stopped(app: subprocess.Popen[str]) -> None:
    # More than the pipe holds, and more than a take waits for a block.
    began = time.monotonic()
    app.send_signal(signal.SIGSTOP)
    with pytest.raises(subprocess.TimeoutExpired):
        app.wait(2.5)
    app.send_signal(signal.SIGCONT)
    stopped_seconds = time.monotonic() - began
    told, _ = app.communicate("\n", timeout=10.0)
    heard_seconds, break_count = told.split()
    assert float(heard_seconds) >= stopped_seconds
    assert break_count == "0"


def test_a_log_off_leaves_the_last_words_to_the_app(sound: Sound) -> None:
    take = _recording()
    os.kill(sound.pids()[-1], signal.SIGTERM)
    os.kill(sound.pids()[-1], signal.SIGINT)
    take.capture.end()
    assert isinstance(take.await_end(), CaptureEnded)


def test_the_capture_process_ends_with_the_app(sound: Sound, app: subprocess.Popen[str]) -> None:
    assert _is_alive(sound.pids()[0])
    app.kill()
    app.wait()
    sound.await_silence()


def test_the_capture_process_ends_with_the_app_even_when_portaudio_hangs(sound: Sound) -> None:
    sound.has(hangs_at="start")
    with subprocess.Popen([sys.executable, "-m", "tests.audio.listener"], stdin=subprocess.PIPE) as app:
        _await(lambda: bool(sound.pids()))
        app.kill()
    sound.await_silence()


def _await(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10.0
    while not is_so():
        assert time.monotonic() < deadline
        os.sched_yield()


def test_a_capture_process_that_dies_ends_the_take_and_the_next_one_begins(sound: Sound) -> None:
    take = _recording()
    began = time.monotonic()
    os.kill(sound.pids()[-1], signal.SIGKILL)
    lost = take.await_end()
    assert isinstance(lost, CaptureLost)
    assert lost.problem.kind is ProblemKind.MICROPHONE_LOST
    again = _recording()
    assert time.monotonic() - began < 2.0
    again.capture.end()
    assert isinstance(again.await_end(), CaptureEnded)


def test_a_capture_process_that_freezes_is_lost_after_a_second(sound: Sound) -> None:
    take = _recording()
    os.kill(sound.pids()[-1], signal.SIGSTOP)
    began = time.monotonic()
    lost = take.await_end()
    assert time.monotonic() - began < 2.0
    assert isinstance(lost, CaptureLost)
    assert lost.problem.kind is ProblemKind.MICROPHONE_LOST


def test_stop_is_answered_even_by_a_frozen_capture_process(sound: Sound) -> None:
    take = _recording()
    os.kill(sound.pids()[-1], signal.SIGSTOP)
    began = time.monotonic()
    take.capture.end()
    assert time.monotonic() - began < 0.2
    assert isinstance(take.await_end(), CaptureEnded)
    assert time.monotonic() - began < 2.0


def _recording() -> Take:
    take = Take(ChildMicrophone(CAPTURE), MemorySpool())
    take.capture.start()
    assert isinstance(take.await_fact(CaptureStarted, CaptureLost), CaptureStarted)
    return take


@pytest.mark.fault("W1")
def test_what_is_missed_while_the_computer_sleeps_is_a_gap_that_says_so(sound: Sound) -> None:
    spool = MemorySpool()
    take = Take(ChildMicrophone(CAPTURE), spool, patience=Patience(between_seconds=10.0))
    take.capture.start()
    take.await_fact(CaptureStarted)
    _await(lambda: len(spool.appended) > 1)
    os.kill(sound.pids()[-1], signal.SIGSTOP)
    _sleep(3.0)
    os.kill(sound.pids()[-1], signal.SIGCONT)
    gap = take.await_fact(GapFound)
    take.capture.end()
    take.await_end()
    (at,) = np.flatnonzero(~np.isin(np.diff(spool.pcm.astype(np.int32)), (1, 1 - 0x8000)))
    missing = (int(spool.pcm[at + 1]) - int(spool.pcm[at]) - 1) % 0x8000
    assert isinstance(gap, GapFound)
    assert gap.reason == "asleep"
    assert gap.first_sample == at + 1
    assert gap.seconds == pytest.approx(3.0, abs=0.6)
    assert (gap.seconds * RATE_HZ - missing + 800) % 0x8000 < 1_600  # the numbers begin anew every 2 s


def _sleep(seconds: float) -> None:
    """Let a process stand still for so long: nothing can be waited for."""
    with pytest.raises(subprocess.TimeoutExpired):
        subprocess.run(["sleep", "60"], check=False, timeout=seconds)


def test_a_stream_that_ends_by_itself_gives_all_it_had(sound: Sound, microphone: ChildMicrophone) -> None:
    sound.has(ends_after_frames=4_000)
    microphone.open()
    blocks: list[Block] = []
    with pytest.raises(SourceFailed) as failed:
        blocks.extend(_rest_of(microphone))
    assert failed.value.problem.kind is ProblemKind.MICROPHONE_LOST
    assert len(_samples(blocks)) >= 4_000


def test_a_crash_at_the_start_is_no_microphone(sound: Sound, microphone: ChildMicrophone) -> None:
    sound.has(crashes=True)
    with pytest.raises(SourceFailed) as failed:
        microphone.open()
    assert failed.value.problem.kind is ProblemKind.NO_MICROPHONE
    assert failed.value.problem.detail == "the capture process died"


@pytest.mark.parametrize(
    ("refusal", "kind"),
    [
        pytest.param([-9985], ProblemKind.MICROPHONE_BUSY, marks=pytest.mark.fault("A12"), id="another has it"),
        pytest.param([-9999, [0, -2_147_024_891, "denied"]], ProblemKind.MICROPHONE_FORBIDDEN, id="Windows"),
        pytest.param([-9986, [0, 0x6E6F7065, "nope"]], ProblemKind.MICROPHONE_FORBIDDEN, id="macOS"),
        pytest.param([-9996], ProblemKind.NO_MICROPHONE, id="something else"),
    ],
)
@pytest.mark.fault("A8")
def test_why_a_microphone_refuses_is_told(
    sound: Sound, microphone: ChildMicrophone, refusal: list[object], kind: ProblemKind
) -> None:
    sound.has(refuses=refusal)
    with pytest.raises(SourceFailed) as failed:
        microphone.open()
    assert failed.value.problem.kind is kind
    assert failed.value.problem.detail


def test_stop_is_answered_while_the_device_hangs_at_its_start(sound: Sound) -> None:
    sound.has(hangs_at="start")
    take = Take(ChildMicrophone(CAPTURE), MemorySpool())
    take.capture.start()
    _await(lambda: bool(sound.pids()))
    began = time.monotonic()
    take.capture.end()
    assert time.monotonic() - began < 0.2
    lost = take.await_end()
    assert time.monotonic() - began < 2.0
    assert isinstance(lost, CaptureLost)
    assert lost.problem.kind is ProblemKind.NO_MICROPHONE
    assert lost.problem.detail == "the sound system does not answer"


def test_a_capture_process_that_cannot_be_started_is_no_microphone(tmp_path: Path) -> None:
    missing = [str(tmp_path / "missing")]
    assert list_microphones(missing) == ()
    with pytest.raises(SourceFailed) as failed:
        ChildMicrophone(missing).open()
    assert failed.value.problem.kind is ProblemKind.NO_MICROPHONE


def test_a_sound_system_that_hangs_has_no_microphones_until_it_answers(sound: Sound) -> None:
    sound.has(hangs_at="list")
    began = time.monotonic()
    assert list_microphones(CAPTURE) == ()
    assert time.monotonic() - began < 4.0
    sound.has()
    assert list_microphones(CAPTURE) == (MicrophoneInfo("Numbers", "Stand-in", is_default=True),)


def test_portaudio_s_devices_are_looked_at_anew_where_there_is_no_server(sound: Sound) -> None:
    code = "import app.audio.capture_child as c, sys\nfor _ in sys.stdin: print(c._of_portaudio(), flush=True)"
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdin
        assert child.stdout
        for has_none in (False, True, False):
            sound.has(has_no_microphone=has_none)
            child.stdin.write("look\n")
            child.stdin.flush()
            assert ("Numbers" in child.stdout.readline()) != has_none
        child.stdin.close()


@pytest.mark.fault("A9")
@pytest.mark.parametrize("rate_hz", [8_000, 44_100, 48_000, 96_000])
def test_a_device_without_our_rate_is_heard_with_its_own_and_as_long(sound: Sound, rate_hz: int) -> None:
    sound.has(rates=[float(rate_hz)], own_rate=float(rate_hz))
    spool = MemorySpool()
    take = Take(ChildMicrophone(CAPTURE), spool)
    take.capture.start()
    began = take.await_fact(CaptureStarted)
    _await(lambda: len(spool.appended) > 3)
    take.capture.end()
    take.await_end()
    assert isinstance(began, CaptureStarted)
    assert len(spool.pcm) / RATE_HZ == pytest.approx(spool.times[-1] - began.at, abs=0.06)


def test_what_the_driver_lost_is_told_with_the_block(sound: Sound, microphone: ChildMicrophone) -> None:
    sound.has(overflows=True)
    microphone.open()
    assert microphone.read(3.0) is not None
    assert microphone.stamp.has_lost


def test_a_queue_without_end_is_cut_and_says_so(sound: Sound, microphone: ChildMicrophone) -> None:
    sound.has(flood_blocks=60)  # 60 MB at once
    microphone.open()
    flood = 0
    while (block := microphone.read(3.0)) is not None and len(block) == 500_000:
        assert not microphone.stamp.has_lost
        flood += 1
    assert 48 <= flood < 60
    _read_until(microphone, lambda: microphone.stamp.has_lost)


def test_the_capture_process_loads_nothing_heavy() -> None:
    heavy = "('numpy', 'PySide6', 'app.core.events')"
    code = f"import app.__main__, app.audio.capture_child, sys; print([m for m in {heavy} if m in sys.modules])"
    made = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert made.stdout.strip() == "[]"
