"""What is heard after the app's death comes into the visit at its next start: all of it, once."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from app.audio.survivor import FORM, LIVE, LOCK, PURPOSE
from app.core.events import ChunkSealed, Resume, SessionId, Stop
from app.core.views import Phase
from app.engine.aftermath import bring_in
from app.store.sealed import SealedLog
from app.store.spool import Spool
from tests.audio.listener import breaks
from tests.audio.test_capture_child import Sound, sound
from tests.faults.apps import App, Apps, await_end, delivered, end_visit, is_alive
from tests.faults.desk import RATE_HZ, heard
from tests.faults.dying import RealDesk
from tests.rig.answers import Scribe
from tests.store.spools import KEY, begin, reopen

__all__ = ["sound"]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks and kills processes")

_BLOCK = 1_600
_AT = 1_700_000_000.0
"""Long before now: whatever is journalled is younger than all that was heard."""
_PATIENCE_SECONDS = 20.0


# With real processes ------------------------------------------------------------------------------------------------


@pytest.fixture
def scribe() -> Iterator[Scribe]:
    with Scribe() as scribe:
        yield scribe


@pytest.fixture
def apps(tmp_path: Path, sound: Sound, scribe: Scribe) -> Iterator[Apps]:
    with Apps(tmp_path, scribe.url) as apps:
        yield apps


@pytest.fixture
def start(tmp_path: Path, scribe: Scribe) -> Iterator[Callable[[], RealDesk]]:
    """Starts the app on the computer where another one has died."""
    desks: list[RealDesk] = []

    def start() -> RealDesk:
        desks.append(RealDesk(tmp_path / "home", scribe.url))
        desks[-1].switch_on()
        return desks[-1]

    yield start
    for desk in desks:
        desk.switch_off()


def _live(app: App, session_id: SessionId) -> Path:
    return app.home / "sessions" / session_id / f"after-death{LIVE}"


def _record(apps: Apps, home: Path, seconds: float = 0.6, **order: object) -> tuple[App, SessionId]:
    app = apps.start("record", home, **order)
    session_id = app.session()
    app.news.until("kept")
    app.news.for_seconds(seconds)
    return app, session_id


@pytest.mark.fault("P1", "P2")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSEGV])
def test_all_that_is_said_until_the_next_start_is_in_the_visit(
    apps: Apps, start: Callable[[], RealDesk], sound: Sound, scribe: Scribe, tmp_path: Path, *, how: int
) -> None:
    app, session_id = _record(apps, tmp_path / "home")
    died_at = app.kill(how)
    (microphone,) = sound.pids()
    _reaches(_live(app, session_id), died_at - app.began_at + 1.0)
    assert is_alive(microphone)
    restarted_at = time.time()
    desk = start()
    view = end_visit(desk, session_id)
    assert not is_alive(microphone)
    samples = delivered(scribe, session_id)
    assert samples[0] == 0
    ended_at = app.began_at + len(samples) / RATE_HZ
    assert ended_at > died_at + 0.9
    assert ended_at > restarted_at - 0.3
    (gap,) = view.gaps
    assert gap.began_at == pytest.approx(ended_at, abs=0.1)
    assert {p.name for p in desk.folder(session_id).iterdir()}.isdisjoint(
        f"after-death{ending}" for ending in ("", LIVE, LOCK, ".stop")
    )


def _reaches(path: Path, seconds: float) -> None:
    """Wait until so much sound is in a file."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not path.exists() or path.stat().st_size < seconds * RATE_HZ * 2:
        assert time.monotonic() < deadline, "nothing is heard"
        os.sched_yield()


@pytest.mark.fault("P2")
def test_the_next_take_has_the_microphone_and_follows_what_was_heard_meanwhile(
    apps: Apps, start: Callable[[], RealDesk], sound: Sound, scribe: Scribe, tmp_path: Path
) -> None:
    app, session_id = _record(apps, tmp_path / "home")
    app.kill()
    desk = start()
    first = desk.session(session_id, lambda s: s.phase is Phase.PAUSED).recorded_seconds
    (orphan,) = sound.pids()
    desk.intend(session_id, Resume(time.time()))
    desk.session(session_id, lambda s: s.is_capturing)
    assert not is_alive(orphan)
    _reaches(desk.folder(session_id) / "audio", first + 0.5)
    desk.intend(session_id, Stop(time.time()))
    desk.completed(session_id)
    (kept,) = scribe.sessions.values()
    samples = heard(kept)
    second = samples[round(first * RATE_HZ) :]
    assert breaks(samples[: round(first * RATE_HZ)]) == breaks(second) == 0
    assert (samples[0], second[0]) == (0, 0)
    assert len(second) > 0.4 * RATE_HZ


@pytest.mark.fault("P2")
def test_nobody_comes_and_it_ends_alone(
    apps: Apps, start: Callable[[], RealDesk], sound: Sound, scribe: Scribe, tmp_path: Path
) -> None:
    app, session_id = _record(apps, tmp_path / "home", will_seconds=1.0)
    died_at = app.kill()
    (microphone,) = sound.pids()
    await_end(microphone)
    assert 0.9 < time.time() - died_at < 3.0
    end_visit(start(), session_id)
    samples = delivered(scribe, session_id)
    assert 0.9 < app.began_at + len(samples) / RATE_HZ - died_at < 3.0


@pytest.mark.fault("P2")
def test_a_microphone_that_gives_nothing_any_more_holds_nobody_for_ever(
    apps: Apps, start: Callable[[], RealDesk], sound: Sound, scribe: Scribe, tmp_path: Path
) -> None:
    sound.has(falls_silent_after_frames=RATE_HZ // 2)
    app = apps.start("record", tmp_path / "home", will_seconds=0.5)
    session_id = app.session()
    app.news.until("kept")
    (microphone,) = sound.pids()
    app.kill()
    await_end(microphone, 3.0)
    end_visit(start(), session_id)
    assert len(delivered(scribe, session_id)) == pytest.approx(RATE_HZ // 2, abs=RATE_HZ // 10)


@pytest.mark.fault("P2")
def test_a_capture_process_that_hangs_is_ended_and_costs_nothing_that_was_kept(
    apps: Apps, start: Callable[[], RealDesk], sound: Sound, scribe: Scribe, tmp_path: Path
) -> None:
    app, session_id = _record(apps, tmp_path / "home")
    (microphone,) = sound.pids()
    app.kill()
    _reaches(_live(app, session_id), time.time() - app.began_at + 0.5)
    os.kill(microphone, signal.SIGSTOP)
    desk = start()
    end_visit(desk, session_id)
    assert not is_alive(microphone)
    assert len(delivered(scribe, session_id)) >= app.kept[0] + 0.2 * RATE_HZ


# Piece by piece -----------------------------------------------------------------------------------------------------


def _numbers(first: int, count: int) -> bytes:
    return (np.arange(first, first + count) % 30_000).astype("<i2").tobytes()


def _leave(folder: Path, blocks: range) -> Path:
    """What a capture process leaves: blocks of a tenth of a second, each heard when it was over."""
    path = folder / "after-death"
    log = SealedLog(path, KEY.key, PURPOSE)
    for block in blocks:
        at = _AT + (block + 1) / 10
        log.append(FORM.pack(RATE_HZ, 1, at) + _numbers(block * _BLOCK, _BLOCK))
    log.close()
    return path


def _kept(folder: Path, blocks: int) -> Spool:
    """A spool to which the app had added so many blocks, and which was opened again."""
    spool = begin(folder)
    for block in range(blocks):
        spool.append(_numbers(block * _BLOCK, _BLOCK), _AT + (block + 1) / 10)
    spool.close()
    return reopen(folder)


def _in(spool: Spool) -> bytes:
    return b"".join(pcm for _, pcm in spool.samples())


@pytest.mark.fault("P2")
def test_what_the_app_had_kept_is_not_doubled_and_nothing_behind_it_left_out(tmp_path: Path) -> None:
    spool = _kept(tmp_path / "s", 7)
    path = _leave(tmp_path / "s", range(3, 30))
    assert bring_in(spool, path, np.inf) == _AT + 3.0
    assert _in(spool) == _numbers(0, 30 * _BLOCK)
    assert not path.exists()
    spool.close()


@pytest.mark.fault("P2")
def test_a_file_that_ends_with_what_the_app_had_kept_adds_nothing(tmp_path: Path) -> None:
    spool = _kept(tmp_path / "s", 7)
    bring_in(spool, _leave(tmp_path / "s", range(4)), np.inf)
    assert _in(spool) == _numbers(0, 7 * _BLOCK)
    spool.close()


@pytest.mark.fault("P2")
def test_what_the_journal_was_told_last_leaves_nothing_out(tmp_path: Path) -> None:
    spool = begin(tmp_path / "s")
    spool.append(_numbers(0, _BLOCK), _AT + 0.1)
    spool.note(ChunkSealed(0, 0, _BLOCK, 1))
    spool.note(Resume(_AT + 0.2))
    spool.close()
    again = reopen(tmp_path / "s")
    assert again.last_written_at > _AT + 3600.0
    bring_in(again, _leave(tmp_path / "s", range(12)), np.inf)
    assert _in(again) == _numbers(0, 12 * _BLOCK)
    again.close()


@pytest.mark.fault("P2", "C1")
def test_a_clock_that_was_set_back_leaves_nothing_out(tmp_path: Path) -> None:
    spool = _kept(tmp_path / "s", 2)
    folder = tmp_path / "s"
    log = SealedLog(folder / "after-death", KEY.key, PURPOSE)
    for block in range(6):
        at = _AT + (block + 1) / 10 - (3600.0 if block >= 2 else 0.0)
        log.append(FORM.pack(RATE_HZ, 1, at) + _numbers(block * _BLOCK, _BLOCK))
    log.close()
    bring_in(spool, folder / "after-death", np.inf)
    assert _in(spool) == _numbers(0, 6 * _BLOCK)
    spool.close()


@pytest.mark.fault("P6")
@pytest.mark.parametrize("appends", [0, 1, 2, 3])
def test_a_crash_in_the_middle_of_it_doubles_nothing(tmp_path: Path, appends: int) -> None:
    spool = _kept(tmp_path / "s", 5)
    path = _leave(tmp_path / "s", range(35))
    left = path.read_bytes()
    bring_in(spool, path, np.inf)
    spool.close()
    # As if it had come so far: the file is still there, and the spool has some of it.
    records = list(SealedLog(tmp_path / "s" / "audio", KEY.key, "audio").records())
    with (tmp_path / "s" / "audio").open("r+b") as file:
        file.truncate(records[4 + appends].ends_at)
    path.write_bytes(left)
    again = reopen(tmp_path / "s")
    bring_in(again, path, np.inf)
    assert _in(again) == _numbers(0, 35 * _BLOCK)
    again.close()


@pytest.mark.fault("P2")
def test_of_a_torn_file_all_is_taken_but_the_torn_end(tmp_path: Path) -> None:
    whole = _leave(begin_folder(tmp_path / "whole"), range(8)).read_bytes()
    for cut in (1, 40, len(whole) // 8 - 1, len(whole) // 2, len(whole) - 1):
        folder = tmp_path / f"cut-{cut}"
        spool = _kept(folder, 1)
        (folder / f"after-death{LIVE}").write_bytes(whole[:-cut])
        bring_in(spool, folder / "after-death", np.inf)
        samples = np.frombuffer(_in(spool), "<i2")
        complete = (len(whole) - cut) // (len(whole) // 8)
        assert len(samples) == max(1, complete) * _BLOCK
        assert breaks(samples) == 0
        spool.close()


def begin_folder(folder: Path) -> Path:
    folder.mkdir()
    return folder


@pytest.mark.fault("P2")
def test_what_was_said_after_pause_is_nobodys(tmp_path: Path) -> None:
    spool = _kept(tmp_path / "s", 2)
    bring_in(spool, _leave(tmp_path / "s", range(20)), until=_AT + 0.55)
    samples = np.frombuffer(_in(spool), "<i2")
    assert len(samples) == pytest.approx(0.55 * RATE_HZ, abs=1)
    spool.close()
