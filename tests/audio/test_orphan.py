"""A capture process whose app dies records on for a while, and the next app takes that over."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from app.audio.orphan import end_orphan, orphan_blocks, orphan_samples
from app.audio.signal import Samples
from app.audio.survivor import FORM
from app.store.sealed import SealedLog
from tests.audio.listener import KEY, breaks
from tests.audio.stand_ins import RATE_HZ
from tests.audio.surviving_worker import PURPOSE
from tests.audio.test_capture_child import Sound, sound

__all__ = ["sound"]

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="kills processes by signals")


@contextmanager
def _app(path: Path, seconds: float = 60.0) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "tests.audio.listener", str(path), str(seconds)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as app:
        assert app.stdout
        assert app.stdout.readline() == "ready\n"
        yield app
        app.kill()


def _records(path: Path) -> list[bytes]:
    return [record.body for record in SealedLog(path, KEY, PURPOSE).records()]


def _recorded(path: Path, after: float = 0.0) -> Samples:
    heard = orphan_samples(_records(path), after)
    return np.concatenate([np.empty(0, np.int16), *(samples for _, samples in heard)])


def _wait(seconds: float) -> None:
    with pytest.raises(subprocess.TimeoutExpired):
        subprocess.run(["sleep", "60"], check=False, timeout=seconds)


@pytest.mark.fault("P2")
@pytest.mark.parametrize("stops_first", [False, True], ids=["killed", "stopped, then killed"])
def test_what_is_heard_around_the_app_s_death_is_whole(sound: Sound, tmp_path: Path, stops_first: bool) -> None:
    path = tmp_path / "orphan"
    with _app(path) as app:
        _wait(1.0)
        if stops_first:
            app.send_signal(signal.SIGSTOP)
            _wait(3.0)
        app.kill()
        died_at = time.time()
        _wait(1.5)
        assert end_orphan(path)
        ended_at = time.time()
    sound.await_silence()
    whole = _recorded(path)
    assert breaks(whole) == 0
    assert len(whole) / RATE_HZ > ended_at - died_at + (3.5 if stops_first else 0.5)
    kept_at = [at for _, at, _ in orphan_blocks(_records(path))][10]
    tail = _recorded(path, after=kept_at)
    assert len(whole) * 0.5 < len(tail) < len(whole)
    np.testing.assert_array_equal(tail, whole[-len(tail) :])


@pytest.mark.fault("P2")
def test_it_ends_by_itself_after_its_time(sound: Sound, tmp_path: Path) -> None:
    path = tmp_path / "orphan"
    with _app(path, seconds=1.0) as app:
        app.kill()
        sound.await_silence()
    assert end_orphan(path)
    assert 1.0 < len(_recorded(path)) / RATE_HZ < 4.0


def test_nothing_is_left_of_a_visit_that_was_ended(sound: Sound, tmp_path: Path) -> None:
    path = tmp_path / "orphan"
    with _app(path) as app:
        app.communicate("\n", timeout=10.0)
    sound.await_silence()
    assert end_orphan(path)
    assert list(tmp_path.glob("orphan*")) == []


def test_a_file_that_nobody_writes_any_more_is_taken_over(tmp_path: Path) -> None:
    live = tmp_path / "orphan.live"
    live.write_bytes(b"")
    assert not end_orphan(tmp_path / "orphan", timeout_seconds=0.1)
    assert [path.name for path in tmp_path.iterdir()] == ["orphan"]


def test_what_the_app_had_already_is_left_out() -> None:
    numbers = np.arange(8_000, dtype=np.int16)
    records = [
        FORM.pack(RATE_HZ, 1, 100.0 + end / RATE_HZ) + numbers[end - 1_600 : end].tobytes()
        for end in range(1_600, 8_001, 1_600)
    ]
    samples = np.concatenate([samples for _, samples in orphan_samples(records, 100.0 + 3_200 / RATE_HZ)])
    np.testing.assert_array_equal(samples, numbers[3_200:])
