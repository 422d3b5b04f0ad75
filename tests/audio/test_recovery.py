"""A visit through the faults of a sound system: what is missing from the recording is what was marked, and no more.

A sound that counts is played into the microphones; the takes follow one another as the engine would have them.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import soundfile

from app.audio.capture import Capture
from app.audio.level import LevelTap
from app.audio.microphone import ChildMicrophone, MicrophoneWatch
from app.core.events import CaptureEnded, CaptureLost, CaptureStarted, Fact, GapFound, SoundNoticed
from app.core.views import MicrophoneInfo
from tests.audio.stand_ins import CAPTURE, RATE_HZ, MemorySpool
from tests.rig.counter import Missing, counter_signal, missing_from, read_counters
from tests.rig.pulse import PulseRig, is_available

pytestmark = [
    pytest.mark.desktop,
    pytest.mark.slow,
    pytest.mark.skipif(not is_available(), reason="needs PulseAudio"),
]

_DEADLINE_SECONDS = 20.0
_AGAIN_SECONDS = 0.25


@dataclass
class Visit:
    """Takes of one microphone, opened again and again until the visit is stopped."""

    name: str = ""
    spool: MemorySpool = field(default_factory=MemorySpool)
    facts: list[tuple[float, Fact]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._is_over = threading.Event()
        self._told = threading.Condition()
        self._capture: Capture | None = None
        self._thread = threading.Thread(target=self._run, name="visit")
        self._thread.start()

    def _run(self) -> None:
        for take in itertools.count():
            microphone = ChildMicrophone(CAPTURE, self.name)
            self._capture = Capture(
                microphone,
                take=take,
                first_chunk=len(self.spool.sealed),
                first_sample=len(self.spool.pcm),
                media_type="audio/wav",
                max_chunk_seconds=20.0,
                spool=self.spool,
                post=self._on_fact,
                tap=LevelTap(),
                clock=time.time,
            )
            self._capture.start()
            if self._is_over.is_set():
                self._capture.end()
            self._capture.join(_DEADLINE_SECONDS)
            if self._is_over.wait(_AGAIN_SECONDS):
                return

    def _on_fact(self, fact: Fact) -> None:
        with self._told:
            self.facts.append((time.time(), fact))
            self._told.notify_all()

    def awaits(self, kind: type[Fact], is_it: Callable[[Fact], bool] = lambda _: True, since: float = 0.0) -> float:
        """When such a fact was told, at ``since`` or later."""

        def told() -> list[float]:
            return [at for at, fact in self.facts if at >= since and isinstance(fact, kind) and is_it(fact)]

        with self._told:
            assert self._told.wait_for(lambda: bool(told()), _DEADLINE_SECONDS), self.facts
            return told()[0]

    def hears(self, seconds: float) -> None:
        """Go on for so long."""
        enough = len(self.spool.pcm) + seconds * RATE_HZ
        deadline = time.monotonic() + _DEADLINE_SECONDS
        while len(self.spool.pcm) < enough:
            assert time.monotonic() < deadline, "nothing is heard"
            self._is_over.wait(0.05)

    def stop(self) -> float:
        """Stop; how long the answer takes."""
        began = time.monotonic()
        self._is_over.set()
        assert self._capture
        self._capture.end()
        answered = time.monotonic() - began
        self._thread.join(_DEADLINE_SECONDS)
        return answered

    @property
    def missing(self) -> list[Missing]:
        return missing_from(read_counters(self.spool.pcm), 0.3)

    @property
    def marked_seconds(self) -> list[float]:
        """Of the gaps between takes, and of those within."""
        marks: list[float] = []
        lost_at = 0.0
        for _, fact in self.facts:
            match fact:
                case CaptureLost():
                    lost_at = lost_at or fact.at
                case CaptureStarted():
                    marks += [fact.at - lost_at] if lost_at else []
                    lost_at = 0.0
                case GapFound():
                    marks.append(fact.seconds)
                case _:
                    pass
        return [seconds for seconds in marks if seconds > 0.3]


@pytest.fixture
def rig(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[PulseRig]:
    with PulseRig() as rig:
        for name, value in rig.environment.items():
            monkeypatch.setenv(name, value)
        _count(rig, tmp_path)
        yield rig


def _count(rig: PulseRig, folder: Path) -> None:
    path = folder / "counter.wav"
    soundfile.write(path, counter_signal(60.0), RATE_HZ)
    for microphone in ("microphone", "headset"):
        rig.play(path, microphone)


def _report(capsys: pytest.CaptureFixture[str], **figures: object) -> None:
    with capsys.disabled():
        print("   ", {name: round(f, 3) if isinstance(f, float) else f for name, f in figures.items()})  # noqa: T201


@pytest.mark.fault("A1")
def test_a_microphone_that_is_unplugged_and_plugged_in_again(
    rig: PulseRig, capsys: pytest.CaptureFixture[str]
) -> None:
    visit = Visit()
    visit.hears(3.0)
    unplugged_at = time.time()
    rig.unplug()
    noticed = visit.awaits(CaptureLost, since=unplugged_at) - unplugged_at
    visit._is_over.wait(2.0)
    plugged_at = time.time()
    rig.plug("microphone")
    again = visit.awaits(CaptureStarted, since=plugged_at) - plugged_at
    visit.hears(2.0)
    stop = visit.stop()
    missing, marked = visit.missing, visit.marked_seconds
    _report(capsys, noticed=noticed, again=again, stop=stop, missing=missing, marked=marked)
    assert noticed < 1.2
    assert again < 2.5
    assert stop < 0.2
    assert marked == pytest.approx([m.seconds for m in missing], abs=0.1)


@pytest.mark.fault("A2")
def test_another_microphone_takes_over_and_is_named(rig: PulseRig, capsys: pytest.CaptureFixture[str]) -> None:
    rig.plug("headset")
    visit = Visit("Microphone")
    visit.hears(3.0)
    unplugged_at = time.time()
    rig.unplug()
    noticed = visit.awaits(CaptureLost, since=unplugged_at) - unplugged_at
    again = visit.awaits(CaptureStarted, lambda f: getattr(f, "microphone", "") == "Headset") - unplugged_at
    visit.hears(2.0)
    stop = visit.stop()
    missing, marked = visit.missing, visit.marked_seconds
    _report(capsys, noticed=noticed, again=again, stop=stop, missing=missing, marked=marked)
    assert noticed < 1.2
    assert again < 2.5
    assert marked == pytest.approx([m.seconds for m in missing], abs=0.1)


@pytest.mark.fault("A3")
@pytest.mark.parametrize("pinned", ["", "Microphone"], ids=["follows the system", "pinned"])
def test_the_default_changes(rig: PulseRig, capsys: pytest.CaptureFixture[str], pinned: str) -> None:
    seen: list[tuple[float, tuple[MicrophoneInfo, ...]]] = []
    watch = MicrophoneWatch(CAPTURE, lambda microphones: seen.append((time.time(), microphones)))
    watch.start()
    rig.plug("headset")
    visit = Visit(pinned)
    visit.hears(3.0)
    changed_at = time.time()
    rig.set_default("headset")
    visit.hears(3.0)
    rig.set_default("microphone")
    rig.set_default("headset")
    visit.hears(3.0)
    stop = visit.stop()
    watch.close()
    noticed = next(at for at, now in seen if MicrophoneInfo("Headset", "PulseAudio", True) in now) - changed_at
    missing, marked = visit.missing, visit.marked_seconds
    names = [fact.microphone for _, fact in visit.facts if isinstance(fact, CaptureStarted)]
    _report(capsys, noticed=noticed, stop=stop, missing=missing, marked=marked, names=names)
    assert noticed < 0.5
    assert names[-1] == (pinned or "Headset")
    assert marked == pytest.approx([m.seconds for m in missing], abs=0.1)


@pytest.mark.fault("A4")
def test_a_sound_server_that_is_killed_and_comes_back(
    rig: PulseRig, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    visit = Visit()
    visit.hears(3.0)
    killed_at = time.time()
    rig.kill()
    noticed = visit.awaits(CaptureLost, since=killed_at) - killed_at
    rig.start()
    back_at = time.time()
    again = visit.awaits(CaptureStarted, since=killed_at) - back_at
    visit.hears(2.0)
    stop = visit.stop()
    marked = visit.marked_seconds[0]  # nobody speaks after that, which is marked too
    _report(capsys, noticed=noticed, again=again, stop=stop, marked=marked)
    assert noticed < 1.2
    assert again < 2.5
    assert stop < 0.2
    assert marked == pytest.approx(back_at + again - killed_at, abs=0.3)


@pytest.mark.fault("A5")
def test_a_sound_server_that_hangs_for_ten_seconds(rig: PulseRig, capsys: pytest.CaptureFixture[str]) -> None:
    visit = Visit()
    visit.hears(3.0)
    frozen_at = time.time()
    rig.freeze()
    noticed = visit.awaits(CaptureLost, since=frozen_at) - frozen_at
    visit._is_over.wait(10.0 - noticed)
    rig.freeze(False)
    thawed_at = time.time()
    again = visit.awaits(CaptureStarted, since=thawed_at) - thawed_at
    visit.hears(2.0)
    rig.freeze()
    stop = visit.stop()
    rig.freeze(False)
    missing, marked = visit.missing, visit.marked_seconds
    _report(capsys, noticed=noticed, again=again, stop=stop, missing=missing, marked=marked)
    assert noticed < 1.3
    assert again < 2.5
    assert stop < 0.2


@pytest.mark.fault("A5")
def test_a_sound_server_that_hangs_for_a_moment(rig: PulseRig, capsys: pytest.CaptureFixture[str]) -> None:
    visit = Visit()
    visit.hears(3.0)
    rig.freeze()
    visit._is_over.wait(0.7)
    rig.freeze(False)
    visit.hears(4.0)
    visit.stop()
    missing, marked = visit.missing, visit.marked_seconds
    _report(capsys, missing=missing, marked=marked)
    assert sum(marked) == pytest.approx(sum(m.seconds for m in missing), abs=0.3) or len(marked) >= len(missing)


@pytest.mark.fault("A6")
def test_a_microphone_that_is_muted(rig: PulseRig, capsys: pytest.CaptureFixture[str]) -> None:
    visit = Visit()
    visit.hears(3.0)
    muted_at = time.time()
    rig.mute()
    noticed = visit.awaits(SoundNoticed, lambda f: getattr(f, "notice", "") == "no-sound") - muted_at
    visit.hears(1.0)
    rig.mute(False)
    over = visit.awaits(GapFound, lambda f: getattr(f, "reason", "") == "silent") - muted_at
    visit.hears(1.0)
    stop = visit.stop()
    silent = max(np.diff([reading.sample for reading in read_counters(visit.spool.pcm)])) / RATE_HZ
    _report(capsys, noticed=noticed, over=over, stop=stop, silent=float(silent), marked=visit.marked_seconds)
    assert noticed < 3.5
    assert [s for s in visit.marked_seconds if s > 1.0] == pytest.approx([float(silent)], abs=0.1)
    assert isinstance(visit.facts[-1][1], CaptureEnded)
