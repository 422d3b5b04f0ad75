"""Disks that are full, slow, read-only, gone or rotten: no word that was kept is lost, and it is said in time."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from app.core.events import Resume, Stop
from app.core.problems import ProblemKind
from app.core.storage import CRITICAL_BYTES
from app.core.views import KeyState, Phase
from app.engine.world import World
from app.store import durable
from app.store.space import folder_refusal, free_bytes
from tests.engine.stand_ins import Desk
from tests.faults.desk import speech
from tests.faults.marks import needs_root
from tests.rig.volume import Volume, hold, let_go

ROOT = Path(__file__).resolve().parents[2]
SECOND = 16_000
MEGABYTE = 1024 * 1024


class DiskDesk(Desk):
    """A computer that looks at the disk for itself."""

    def _world(self) -> World:
        return replace(super()._world(), free_bytes=free_bytes, folder_refusal=folder_refusal)


@contextmanager
def volume_and_desk(home: Path, size_bytes: int) -> Iterator[tuple[Volume, DiskDesk]]:
    with Volume(home, size_bytes) as volume:
        desk = DiskDesk(home)
        try:
            yield volume, desk
        finally:
            desk.switch_off()


@needs_root
@pytest.mark.fault("D1")
def test_a_disk_that_is_nearly_full_is_told_before_the_visit_and_a_roomy_one_is_not(home: Path) -> None:
    with volume_and_desk(home, 200 * MEGABYTE) as (volume, desk):
        desk.switch_on()
        told = desk.views.until(lambda v: v.storage.free_seconds is not None).storage
        assert told.is_low
        assert told.free_seconds == pytest.approx(volume.free_bytes / 65_280, rel=0.3)
        assert desk.views.until(lambda v: v.storage.is_critical).live is None
    roomy = Desk(home)
    roomy.free_bytes = 10 * CRITICAL_BYTES
    roomy.switch_on()
    assert not roomy.views.until(lambda v: v.storage.free_seconds is not None).storage.is_low
    roomy.switch_off()


@needs_root
@pytest.mark.fault("D1")
def test_the_reserve_takes_the_last_words_when_the_disk_is_full_during_a_visit(home: Path) -> None:
    spoken = speech(20.0)
    with volume_and_desk(home, 100 * MEGABYTE) as (volume, desk):
        desk.switch_on()
        desk.views.until(lambda v: v.storage.free_seconds is not None)
        assert (home / "reserve").stat().st_size == 32 * MEGABYTE
        visit, microphone = desk.record()
        microphone.speak(spoken[: 6 * SECOND])
        microphone.await_kept()
        volume.fill()
        microphone.speak(spoken[6 * SECOND :])
        desk.intend(visit, Stop(0.0))
        done = desk.completed(visit)
        assert not (home / "reserve").exists()
        assert done.problem is None
        np.testing.assert_array_equal(desk.heard(visit), spoken)


@needs_root
@pytest.mark.fault("D1", "D2")
def test_a_full_disk_is_told_and_the_visit_goes_on_when_there_is_room_again(home: Path) -> None:
    spoken = speech(24.0)
    with volume_and_desk(home, 6 * MEGABYTE) as (volume, desk):  # Too small for a reserve.
        desk.switch_on()
        visit, microphone = desk.record()
        microphone.speak(spoken[: 8 * SECOND])
        microphone.await_kept()
        volume.fill(leave_bytes=20_000)  # A record and a half: the next but one is cut short by the kernel.
        microphone.speak(spoken[8 * SECOND : 14 * SECOND])
        waiting = desk.session(visit, lambda s: s.problem and s.problem.kind is ProblemKind.DISK_WAITING)
        assert waiting.phase is Phase.RECORDING
        assert waiting.is_capturing
        volume.empty()
        microphone.speak(spoken[14 * SECOND :])
        desk.intend(visit, Stop(0.0))
        done = desk.completed(visit)
        assert (done.problem, done.gaps) == (None, ())
        np.testing.assert_array_equal(desk.heard(visit), spoken)


@needs_root
@pytest.mark.fault("D1")
def test_a_visit_that_the_full_disk_stopped_goes_on_behind_what_was_kept(home: Path) -> None:
    spoken = speech(16.0)
    with volume_and_desk(home, 6 * MEGABYTE) as (volume, desk):
        desk.switch_on()
        visit, microphone = desk.record()
        microphone.speak(spoken[: 8 * SECOND])
        microphone.await_kept()
        volume.fill()
        desk.intend(visit, Stop(0.0))  # The last chunk does not fit.
        stopped = desk.session(visit, lambda s: s.phase is Phase.PAUSED and s.problem)
        assert stopped.problem
        assert stopped.problem.kind is ProblemKind.DISK_FULL
        volume.empty()
        desk.intend(visit, Resume(0.0))
        again = desk.microphone()
        again.speak(spoken[8 * SECOND :])
        again.await_kept()
        desk.intend(visit, Stop(0.0))
        desk.completed(visit)
        np.testing.assert_array_equal(desk.heard(visit), spoken)


@needs_root
@pytest.mark.fault("D2")
def test_what_a_full_disk_cut_short_is_whole_or_absent_after_a_crash(home: Path, tmp_path: Path) -> None:
    spoken = speech(12.0)
    with volume_and_desk(home, 6 * MEGABYTE) as (volume, desk):
        desk.server.held.add("create")
        desk.switch_on()
        visit, microphone = desk.record()
        microphone.speak(spoken[: 3 * SECOND])
        microphone.await_kept()
        volume.fill(leave_bytes=20_000)
        microphone.speak(spoken[3 * SECOND :])
        desk.session(visit, lambda s: s.problem and s.problem.kind is ProblemKind.DISK_WAITING)
        after = tmp_path / "after"
        shutil.copytree(home, after, ignore=lambda _, names: [n for n in names if n in ("somebody's", "lock")])
        shutil.copytree(desk.keystore._folder, after.with_name("after.keystore"))
        volume.empty()
    crashed = Desk(after)
    crashed.switch_on()
    back = crashed.session(visit, lambda s: s.phase is Phase.PAUSED)
    assert back.is_recovered
    crashed.intend(visit, Stop(0.0))
    crashed.completed(visit)
    kept = crashed.heard(visit)
    crashed.switch_off()
    assert len(kept) >= 3 * SECOND
    assert len(kept) % (SECOND // 4) == 0
    np.testing.assert_array_equal(kept, spoken[: len(kept)])


# Places that cannot be written --------------------------------------------------------------------------------------


@needs_root
@pytest.mark.fault("D4")
def test_a_folder_that_cannot_be_written_is_told_before_anybody_sits_down(home: Path) -> None:
    with volume_and_desk(home, 6 * MEGABYTE) as (volume, desk):
        volume.write_protect()
        desk.switch_on()
        told = desk.views.until(lambda v: v.storage.refusal)
        assert told.storage.refusal == "read-only"
        assert told.storage.folder == str(home)
        desk.views.until(lambda v: v.problem and v.problem.kind is ProblemKind.FOLDER_UNSAFE)


@needs_root
@pytest.mark.fault("D1", "D4")
def test_a_disk_that_was_full_at_the_first_start_is_used_once_there_is_room(home: Path) -> None:
    with volume_and_desk(home, 6 * MEGABYTE) as (volume, desk):
        volume.fill()
        desk.switch_on()
        told = desk.views.until(lambda v: v.problem).problem
        assert told
        assert told.detail == "ENOSPC"
        volume.empty()
        desk.let_pass(15.0)
        desk.views.until(lambda v: v.keys.state is KeyState.PROTECTED)
        visit, microphone = desk.record()
        microphone.speak(speech(2.0))
        desk.intend(visit, Stop(0.0))
        desk.completed(visit)
        assert desk.views.until(lambda v: v.problem is None)


@needs_root
@pytest.mark.fault("D4")
def test_another_users_folder_is_told_before_anybody_sits_down(home: Path) -> None:
    os.chown(home, 65534, 65534)
    home.chmod(0o755)
    program = "import sys; from tests.faults.test_disk import tell_refusal; tell_refusal(sys.argv[1])"
    as_any_other_user = ("setpriv", "--bounding-set=-dac_override,-dac_read_search")
    told = subprocess.run(
        [*as_any_other_user, sys.executable, "-c", program, str(home)],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert told.stdout == "read-only\n", told.stderr


def tell_refusal(folder: str) -> None:
    """What the app says of a folder at its start; for a process of another user."""
    desk = DiskDesk(Path(folder))
    desk.switch_on()
    sys.stdout.write(desk.views.until(lambda v: v.storage.refusal).storage.refusal + "\n")
    desk.switch_off()


@needs_root
@pytest.mark.fault("D5")
def test_a_volume_that_vanishes_during_a_visit_and_comes_back_costs_nothing(home: Path) -> None:
    spoken = speech(50.0)
    with volume_and_desk(home, 20 * MEGABYTE) as (volume, desk):
        desk.switch_on()
        visit, microphone = desk.record()
        microphone.speak(spoken[: 8 * SECOND])
        microphone.await_kept()
        volume.take_away()
        microphone.speak(spoken[8 * SECOND : 42 * SECOND])  # Long enough for a chunk to be due.
        waiting = desk.session(visit, lambda s: s.problem)
        assert waiting.problem
        assert waiting.problem.kind is ProblemKind.DISK_WAITING
        assert waiting.is_capturing
        volume.bring_back()
        microphone.speak(spoken[42 * SECOND :])
        desk.intend(visit, Stop(0.0))
        done = desk.completed(visit)
        assert (done.problem, done.gaps) == (None, ())
        np.testing.assert_array_equal(desk.heard(visit), spoken)


@needs_root
@pytest.mark.fault("D11")
def test_a_folder_that_somebody_holds_for_a_moment_is_waited_for(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(durable, "HELD_SECONDS", 20.0)
    spoken = speech(30.0)
    with volume_and_desk(home, 20 * MEGABYTE) as (_, desk):
        desk.switch_on()
        visit, microphone = desk.record()
        microphone.speak(spoken[: 25 * SECOND])
        desk.session(visit, lambda s: s.chunks_sealed)
        microphone.await_kept()
        (chunks,) = desk.folder(visit).glob("cut-*")
        hold(chunks)
        microphone.speak(spoken[25 * SECOND :])
        desk.intend(visit, Stop(0.0))
        desk.session(visit, lambda s: s.phase is Phase.DRAINING)
        let_go(chunks)
        done = desk.completed(visit)
        assert (done.problem, done.gaps) == (None, ())
        np.testing.assert_array_equal(desk.heard(visit), spoken)
