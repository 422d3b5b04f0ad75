"""Takes that follow one another: no two at once, none of another form that does harm, none that grows without end."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import soxr

from app.audio.signal import Block
from app.core.events import SessionId, Stop
from app.core.views import MicrophoneInfo
from tests.engine.stand_ins import USB, Microphone
from tests.faults.desk import RATE_HZ, FaultDesk, assert_delivered_as_one, heard, speech
from tests.rig.answers import Scribe
from tests.rig.counter import counter_signal, missing_from, read_counters

ROOT = Path(__file__).resolve().parents[2]
HEADSET = MicrophoneInfo("Headset", "PulseAudio")
LONG_SECONDS = 4 * 3600
STEADY_BYTES = 20_000_000


@pytest.fixture
def on(desk: FaultDesk, scribe: Scribe) -> FaultDesk:
    """A computer that is on and knows what the service offers; chunks are short."""
    scribe.discovery["capabilities"]["max_chunk_duration_seconds"] = 2
    desk.switch_on()
    desk.await_service()
    return desk


def named(name: str) -> Microphone:
    microphone = Microphone()
    microphone.name = name
    return microphone


@pytest.mark.fault("A1", "A3")
@pytest.mark.parametrize("seed", range(2))
def test_timer_and_watch_open_one_microphone_between_them_whatever_comes_first(
    on: FaultDesk, scribe: Scribe, seed: int
) -> None:
    chance = random.Random(seed)
    visit = on.begin()
    microphone, default = on._microphones[visit], USB.name
    for number in range(12):
        say(on, visit, microphone, number)
        await_live(on, visit, default)
        has_other_default = chance.random() < 0.5
        if has_other_default:
            default = HEADSET.name if default == USB.name else USB.name
        on.next_microphones.append(named(default))
        on.listing = partial(both, default)
        steps = [on.devices.change] * chance.randrange(1, 4)
        if not has_other_default or chance.random() < 0.5:
            steps.insert(chance.randrange(len(steps) + 1), microphone.fail)
        for step in steps:
            step()
            if step == microphone.fail and chance.random() < 0.5:
                await_gaps(on, visit, number + 1)
        microphone = on.microphone()
    say(on, visit, microphone, 12)
    on.let_pass(30)
    assert on.has_opened_no_more()
    on.stop(visit)
    on.completed(visit)
    assert_delivered_as_one(on, scribe, visit)
    # The desk's own fixture sees to it that no microphone was opened while another one was open.


def say(desk: FaultDesk, visit: SessionId, microphone: Microphone, number: int) -> None:
    desk.said[visit].append(speech(0.5, seed=number))
    microphone.speak(desk.said[visit][-1])
    microphone.await_kept()


def await_live(desk: FaultDesk, visit: SessionId, name: str) -> None:
    desk.session(visit, lambda s: s.is_capturing and s.microphone == name)


def await_gaps(desk: FaultDesk, visit: SessionId, count: int) -> None:
    desk.session(visit, lambda s: len(s.gaps) == count)


def both(default: str) -> tuple[MicrophoneInfo, ...]:
    return tuple(MicrophoneInfo(m.name, m.host_api, m.name == default) for m in (USB, HEADSET))


class Stereo(Microphone):
    """A microphone of another rate, with two channels."""

    def open(self) -> int:
        super().open()
        return 44_100

    def read(self, timeout_seconds: float) -> Block | None:
        block = super().read(timeout_seconds)
        return None if block is None else np.hstack((block, block)).astype(np.int16)


@pytest.mark.fault("A13", "A9")
def test_a_microphone_that_comes_back_with_another_rate_and_more_channels_goes_on_where_it_was(
    on: FaultDesk, scribe: Scribe
) -> None:
    signal = counter_signal(8.0)
    on.next_microphones += [first := named("Headset"), then := Stereo(), last := named("Headset")]
    visit = on.begin()
    first.speak(signal[: 3 * RATE_HZ])
    first.await_kept()
    first.fail()
    assert on.microphone() is then
    then.speak(soxr.resample(signal[3 * RATE_HZ : 6 * RATE_HZ], RATE_HZ, 44_100))
    then.await_kept()
    then.fail()
    assert on.microphone() is last
    last.speak(signal[6 * RATE_HZ :])
    last.await_kept()
    on.stop(visit)
    view = on.completed(visit)
    sound = heard(*scribe.sessions.values())
    readings = read_counters(sound)
    assert len(sound) == pytest.approx(8 * RATE_HZ, abs=RATE_HZ // 100)
    assert len(readings) >= 398, "every number is there"
    assert not missing_from(readings)
    assert [gap.reason for gap in view.gaps] == ["microphone", "microphone"]
    assert [gap.position_seconds for gap in view.gaps] == pytest.approx([3.0, 6.0], abs=0.05)


@pytest.mark.fault("A15")
def test_a_second_app_on_the_same_store_leaves_a_visit_that_goes_on_alone(
    on: FaultDesk, scribe: Scribe, second: FaultDesk
) -> None:
    visit = on.begin()
    on.speak(visit, 2)
    second.switch_on()
    second.await_service()
    assert second.newest.session(visit) is None, "it cannot be recorded into, ended or thrown away from there"
    other = second.visit(2)
    on.speak(visit, 2)
    on.stop(visit)
    assert on.completed(visit).gaps == ()
    second.completed(other)
    assert_delivered_as_one(on, scribe, visit)
    assert_delivered_as_one(second, scribe, other)


@pytest.fixture
def second(home: Path, scribe: Scribe) -> Iterator[FaultDesk]:
    desk = FaultDesk(home, scribe.url)
    yield desk
    desk.switch_off()


@pytest.mark.fault("A15")
def test_start_stop_start_gives_each_visit_its_own_sound(on: FaultDesk, scribe: Scribe) -> None:
    visits = []
    for seed in range(3):
        visit = on.begin()
        on.speak(visit, 0.5 + seed)
        on.intend(visit, Stop(on.wall_clock()))
        visits.append(visit)
        on.session(visit, lambda s: not s.phase.is_live)
    for visit in visits:
        on.completed(visit)
        assert_delivered_as_one(on, scribe, visit)


@pytest.mark.slow
@pytest.mark.fault("A14")
@pytest.mark.timeout(400)
@pytest.mark.skipif(sys.platform != "linux", reason="reads memory from /proc")
def test_four_hours_take_no_more_memory_than_ten_minutes(capsys: pytest.CaptureFixture[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:  # A gigabyte, which is not to stay as other tests' files do.
        home = Path(folder, "home")
        home.mkdir(mode=0o700)
        done = subprocess.run(
            [sys.executable, "-m", "tests.faults.long_visit", str(home), str(LONG_SECONDS)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            check=True,
            timeout=380,
        )
    told = [json.loads(line) for line in done.stdout.splitlines()]
    held = [value for word, value in told if word == "rss"]
    (view,) = (value for word, value in told if word == "view")
    with capsys.disabled():
        print(f"    {min(held) / 1e6:.1f} to {max(held) / 1e6:.1f} MB", view)  # noqa: T201
    assert max(held) - min(held) <= STEADY_BYTES
    assert view["recorded_seconds"] == LONG_SECONDS
    assert view["is_whole"]
    assert view["ended_after"] == pytest.approx(LONG_SECONDS + 47.0, abs=1.0)
    for gap, (position, seconds, began) in zip(
        view["gaps"], [(3600.0, 5.0, 3600.0), (12_600.0, 42.0, 12_605.0)], strict=True
    ):
        assert gap[0] == "lost"
        assert gap[1:] == pytest.approx([position, seconds, began], abs=0.3)
