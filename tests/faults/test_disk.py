"""Disks that are full, slow, read-only, gone or rotten: no word that was kept is lost, and it is said in time."""

from __future__ import annotations

import errno
import os
import random
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from app.audio.signal import Samples
from app.core.events import Resume, Stop
from app.core.problems import ProblemKind
from app.core.storage import CRITICAL_BYTES
from app.core.views import KeyState, Phase
from app.engine.world import World
from app.store import durable
from app.store.keys import Keys
from app.store.library import Library
from app.store.logs import CRASH_NAME
from app.store.migrations import STEPS
from app.store.places import Places
from app.store.space import folder_refusal, free_bytes
from tests.engine.stand_ins import Desk
from tests.faults.conftest import Watch
from tests.faults.desk import PATIENT, TOKEN, FaultDesk, speech
from tests.faults.marks import needs_root
from tests.rig.answers import Kind, Scribe, error
from tests.rig.canary import bytes_canary, scan, sound_canary, text_canary
from tests.rig.volume import Volume, hold, let_go
from tests.store.spools import damage

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


# Disks that fail ----------------------------------------------------------------------------------------------------


class FailingDisk:
    """An app whose disk can be made to fail."""

    def __init__(self, home: Path, pipes: Path) -> None:
        self._pipes = pipes
        command = ["fiu-run", "-x", "-f", str(pipes), sys.executable, "-m", "tests.faults.at_the_desk", str(home)]
        self._app = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __enter__(self) -> FailingDisk:
        assert self.answer() == "begins"
        assert self.answer() == "recording"
        return self

    def __exit__(self, *_: object) -> None:
        self._app.kill()
        self._app.communicate()

    def answer(self) -> str:
        assert self._app.stdout
        return self._app.stdout.readline().strip()

    def ask(self, word: str) -> str:
        assert self._app.stdin
        print(word, file=self._app.stdin, flush=True)
        return self.answer()

    def fail(self, what: str) -> None:
        """Have a call of the system fail with EIO, half of the time."""
        self._control(f"enable_random name={what},failinfo={errno.EIO},probability=0.5")

    def mend(self, what: str) -> None:
        self._control(f"disable name={what}")

    def _control(self, command: str) -> None:
        pid = str(self._app.pid)
        subprocess.run(
            ["fiu-ctrl", "-f", str(self._pipes), "-c", command, pid], check=True, capture_output=True, timeout=20
        )


@pytest.mark.skipif(not shutil.which("fiu-run"), reason="needs fiu-utils")
@pytest.mark.fault("D3")
def test_a_disk_that_fails_is_told_and_nothing_is_taken_for_written_that_is_not(home: Path, tmp_path: Path) -> None:
    what = "posix/io/sync/fdatasync"
    with FailingDisk(home, tmp_path / "pipes") as app:
        assert app.ask("speak") == "spoken"
        app.fail(what)
        for _ in range(4):
            assert app.ask("speak") == "spoken"
        assert app.ask("trouble") == "disk_waiting EIO"
        app.mend(what)
        for _ in range(2):
            assert app.ask("speak") == "spoken"
        assert app.ask("stop") == "whole 0 gaps None"


# What is torn or rotten ---------------------------------------------------------------------------------------------


class Store:
    """What a crash left: a visit of some seconds that was not sent, and one that was."""

    def __init__(self, home: Path, spoken: Samples) -> None:
        self.home = home
        self.spoken = spoken
        desk = Desk(home)
        desk.switch_on()
        self.sent, microphone = desk.record()
        microphone.speak(speech(1.0))
        desk.intend(self.sent, Stop(0.0))
        desk.completed(self.sent)
        desk.server.held.add("create")
        self.visit, microphone = desk.record()
        microphone.speak(spoken)
        microphone.await_kept()
        self._crashed = home.with_name("crashed")
        shutil.copytree(home, self._crashed, ignore=shutil.ignore_patterns("lock"))
        desk.server.let_go()
        desk.switch_off()

    @property
    def audio(self) -> Path:
        return self.home / "sessions" / self.visit / "audio"

    @property
    def library(self) -> Path:
        (path,) = self.home.glob("library-*.db")
        return path

    def restore(self) -> None:
        """As it was right after the crash."""
        shutil.rmtree(self.home)
        shutil.copytree(self._crashed, self.home)

    def send_what_is_left(self) -> Samples:
        """Start the app on it, end the visit, and see what the service is given."""
        desk = Desk(self.home)
        desk.switch_on()
        back = desk.session(self.visit, lambda s: s.phase is Phase.PAUSED)
        assert back.is_recovered
        desk.completed(self.sent)
        desk.intend(self.visit, Stop(0.0))
        desk.completed(self.visit)
        desk.switch_off()
        return desk.heard(self.visit)


@pytest.fixture
def store(home: Path) -> Store:
    return Store(home, speech(5.0))


@pytest.mark.fault("D6")
def test_a_torn_last_record_costs_itself_alone(store: Store) -> None:
    size = store.audio.stat().st_size
    record = size // 20
    for cut in (1, 2, record // 2, record - 1, record, record + 1):
        store.restore()
        with store.audio.open("r+b") as file:
            file.truncate(size - cut)
        lost = -(-cut // record)
        np.testing.assert_array_equal(store.send_what_is_left(), store.spoken[: -lost * SECOND // 4])


@pytest.mark.fault("D7")
def test_rot_in_the_recording_costs_the_record_that_it_is_in(store: Store) -> None:
    record = store.audio.stat().st_size // 20
    for place in np.random.default_rng(1).integers(0, 20 * record, 4):
        store.restore()
        damage(store.audio, int(place))
        left = store.send_what_is_left().copy()
        which = slice(place // record * SECOND // 4, (place // record + 1) * SECOND // 4)
        expected = store.spoken.copy()
        expected[which] = 0
        np.testing.assert_array_equal(left, expected[: len(left)])
        assert len(left) in (len(expected), len(expected) - SECOND // 4)


@pytest.mark.fault("D7", "D8")
@pytest.mark.parametrize("place", [0, 20, -5000])
def test_a_library_that_has_rotted_is_set_aside_and_the_app_records(store: Store, place: int) -> None:
    store.restore()
    with closing(Library.open(store.library, library_key(store))) as library:
        assert library.problem is None
    damage(store.library, place)
    rotten = store.library.read_bytes()
    desk = Desk(store.home)
    desk.switch_on()
    told = desk.views.until(lambda v: v.problem).problem
    assert told
    assert told.kind is ProblemKind.LIBRARY_SET_ASIDE
    desk.completed(store.sent)
    desk.session(store.visit, lambda s: s.phase is Phase.PAUSED)
    desk.intend(store.visit, Stop(0.0))
    desk.completed(store.visit)
    visit, microphone = desk.record()
    microphone.speak(speech(2.0))
    desk.intend(visit, Stop(0.0))
    desk.completed(visit)
    desk.switch_off()
    (aside,) = (p for p in store.home.glob("library-*.unreadable-*") if not p.name.endswith(("-wal", "-shm")))
    assert aside.read_bytes() == rotten


@pytest.mark.fault("D9")
def test_a_newer_apps_library_is_left_untouched_and_the_app_records(store: Store) -> None:
    store.restore()
    with closing(
        Library.open(store.library, library_key(store), steps=(*STEPS, ("CREATE TABLE newer (x)",)))
    ) as newer:
        assert newer.problem is None
    before = {path.name: path.read_bytes() for path in store.home.glob("library-*")}
    desk = Desk(store.home)
    desk.switch_on()
    told = desk.views.until(lambda v: v.problem).problem
    assert told
    assert told.kind is ProblemKind.LIBRARY_NEWER
    desk.session(store.visit, lambda s: s.phase is Phase.PAUSED)
    desk.intend(store.visit, Stop(0.0))
    desk.completed(store.visit)
    desk.switch_off()
    assert {path.name: path.read_bytes() for path in store.home.glob("library-*.db")} == {
        name: data for name, data in before.items() if name.endswith(".db")
    }


def library_key(store: Store) -> bytes:
    """What the app opens its library with."""
    keys = Keys(Places(store.home).keys)
    keys.take(keys.ask(Desk(store.home).keystore)())
    key = keys.derive("library")
    assert key
    return key


@pytest.mark.fault("D10")
def test_a_kill_while_the_library_is_made_leaves_one_that_can_be_used(tmp_path: Path) -> None:
    kill_at_the_first_start(tmp_path, 3, random.Random(1))


@pytest.mark.slow
@pytest.mark.fault("D10")
def test_many_kills_while_the_library_is_made_leave_ones_that_can_be_used(tmp_path: Path) -> None:
    assert kill_at_the_first_start(tmp_path, 20, random.Random(2)) == {True, False}


def kill_at_the_first_start(folder: Path, times: int, chance: random.Random) -> set[bool]:
    """Kill the app at its first start, some moments after it began, and use it; whether there was a library then."""
    had_library = set()
    for number in range(times):
        home = folder / str(number)
        home.mkdir()
        command = [sys.executable, "-m", "tests.faults.at_the_desk", str(home)]
        with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as app:
            assert app.stdout
            assert os.read(app.stdout.fileno(), 100).startswith(b"begins")
            select.select([app.stdout], [], [], chance.uniform(0.0, 0.2))
            app.kill()
        had_library.add(any(home.glob("library-*.db")))
        use(home)
    return had_library


def use(home: Path) -> None:
    """Make a visit, and look at the next start whether it was kept."""
    desk = Desk(home)
    desk.switch_on()
    desk.views.until(lambda v: v.keys.state is KeyState.PROTECTED)
    found = desk.views.until(lambda v: v.microphones_listed).live
    if found:
        desk.intend(found, Stop(0.0))
        desk.session(found, lambda s: s.phase.is_final)
    visit, microphone = desk.record()
    microphone.speak(speech(1.0))
    desk.intend(visit, Stop(0.0))
    assert desk.completed(visit).problem is None
    desk.switch_off()
    shutil.rmtree(home / "sessions" / visit)  # What the library has is enough.
    desk.switch_on()
    desk.completed(visit)
    assert desk.views.until(lambda _: True).problem is None
    desk.switch_off()


# What could be left in clear ----------------------------------------------------------------------------------------


@pytest.mark.fault("D12")
def test_nothing_of_a_visit_lies_in_clear_neither_while_it_is_recorded_nor_after(
    desk: FaultDesk, scribe: Scribe, no_plain_text: Watch
) -> None:
    scribe.transcript = "Palpitations after marzipan since Whitsun."
    desk.switch_on()
    desk.await_service()
    visit = desk.begin()
    desk.speak(visit, 25.0)
    no_plain_text.canaries += [
        text_canary(PATIENT.label),
        text_canary(PATIENT.id),
        text_canary(scribe.transcript),
        text_canary("marzipan"),
        text_canary("Note soap."),
        text_canary(TOKEN),
        sound_canary("the visit", desk.said[visit][0]),
    ]
    assert scan(no_plain_text.folders, no_plain_text.canaries) == []
    desk.stop(visit)
    desk.until_phase(visit, Phase.COMPLETED)
    (chunk, *_) = scribe.only.chunks.values()
    no_plain_text.canaries.append(bytes_canary("a chunk", chunk[2000:2200]))


@pytest.mark.fault("D12")
def test_a_crash_leaves_nothing_in_clear(
    home: Path, temp: Path, tmp_path: Path, scribe: Scribe, no_plain_text: Watch
) -> None:
    token = "a-token-for-crash-tests-only"
    scribe.tokens = {token}
    spoken = speech(30.0)
    recording = tmp_path / "visit.wav"
    soundfile.write(recording, spoken, SECOND)
    environment = {
        **os.environ,
        "SCRIBEDESK_HOME": str(home),
        "SCRIBEDESK_PASSPHRASE": "correct horse battery",
        "TMPDIR": str(temp),
        "DBUS_SESSION_BUS_ADDRESS": "unix:path=/nonexistent",
    }
    app = [sys.executable, "-m", "app"]
    subprocess.run(
        [*app, "token", scribe.url], cwd=ROOT, env=environment, input=token, text=True, check=True, timeout=60
    )
    scribe.always(Kind.END, answer=error(503, "busy"))
    with subprocess.Popen(
        [*app, "send", str(recording), "--service", scribe.url],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as running:
        scribe.until(lambda: scribe.asked_for(Kind.END))
        running.send_signal(signal.SIGSEGV)
    assert running.returncode == -signal.SIGSEGV
    assert "Segmentation fault" in (home / "logs" / CRASH_NAME).read_text()
    no_plain_text.canaries += [
        text_canary(token),
        text_canary("correct horse battery"),
        text_canary(str(recording)),
        sound_canary("the visit", spoken),
    ]
