"""The spool: what was appended comes back to the sample, whatever happened to the process or the disk."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from app.core.events import ChunkSealed, Pause
from app.store.spool import Spool, SpoolInUse
from tests.store.journalled import VISIT
from tests.store.small_disk import largest_file, needs_small_disk

ROOT = Path(__file__).resolve().parents[2]


def pcm(first: int, count: int) -> bytes:
    """Samples that tell their own place."""
    return (np.arange(first, first + count) % 30_000).astype("<i2").tobytes()


def test_a_session_is_as_it_was_when_it_is_opened_again(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "s")
    for event in VISIT:
        spool.note(event)
    spool.seal(0, 0, 160, b"chunk 0")
    spool.close()
    again = Spool(tmp_path / "s")
    assert again.events == list(VISIT)
    assert again.recover().chunks == (ChunkSealed(0, 0, 160, 7),)
    again.close()


def test_a_chunk_is_the_same_bytes_each_time_and_a_missing_one_is_an_os_error(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "s")
    data = bytes(range(256)) * 10
    spool.seal(7, 0, 1, data)
    spool.seal(77, 1, 1, b"another")
    assert spool.chunk(7) == spool.chunk(7) == data
    assert spool.chunk(77) == b"another"
    with pytest.raises(FileNotFoundError):
        spool.chunk(8)
    spool.close()


def test_the_tail_is_exactly_the_samples_that_are_in_no_chunk(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "s")
    for first in range(0, 1000, 100):
        spool.append(pcm(first, 100))
    assert spool.recover().tail == pcm(0, 1000)
    spool.seal(0, 0, 350, b"x")
    spool.seal(1, 350, 50, b"y")
    before = spool.is_all_sealed
    recovered = spool.recover()
    assert (recovered.first_sample, recovered.tail) == (400, pcm(400, 600))
    spool.seal(2, 400, 600, b"z")
    assert (before, spool.is_all_sealed) == (False, True)
    assert spool.recover().tail == b""
    spool.close()


def test_a_torn_record_costs_itself_alone_and_recording_goes_on_behind_the_last_whole_one(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    spool = Spool(folder)
    for first in range(0, 24, 8):
        spool.append(pcm(first, 8))
    spool.close()
    written = (folder / "audio").read_bytes()
    record = len(written) // 3
    for cut in range(len(written) + 1):
        (folder / "audio").write_bytes(written[:cut])
        whole = cut // record * 8
        spool = Spool(folder)
        assert spool.recover().tail == pcm(0, whole)
        spool.append(pcm(whole, 5))
        spool.close()
        again = Spool(folder)
        assert again.recover().tail == pcm(0, whole + 5)
        again.close()


def test_a_rotten_record_is_not_taken_for_audio_and_later_takes_keep_their_place(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    spool = Spool(folder)
    spool.append(pcm(0, 50))
    spool.append(pcm(50, 50))
    spool.seal(0, 0, 100, b"sealed")
    spool.close()
    rotten = bytearray((folder / "audio").read_bytes())
    rotten[40] ^= 1
    (folder / "audio").write_bytes(rotten)
    spool = Spool(folder)
    assert spool.recover().tail == b""
    spool.append(pcm(100, 30))
    recovered = spool.recover()
    assert (recovered.first_sample, recovered.tail) == (100, pcm(100, 30))
    spool.close()


def test_what_rots_before_it_is_in_a_chunk_costs_nothing_that_came_before(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    spool = Spool(folder)
    spool.append(pcm(0, 50))
    spool.append(pcm(50, 50))
    spool.close()
    rotten = bytearray((folder / "audio").read_bytes())
    rotten[-1] ^= 1
    (folder / "audio").write_bytes(rotten)
    spool = Spool(folder)
    assert spool.recover().tail == pcm(0, 50)
    spool.close()


def test_rot_in_what_is_sealed_costs_nothing_of_what_is_not(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    spool = Spool(folder)
    spool.append(pcm(0, 50))
    spool.seal(0, 0, 50, b"sealed")
    spool.append(pcm(50, 50))
    spool.close()
    rotten = bytearray((folder / "audio").read_bytes())
    rotten[40] ^= 1
    (folder / "audio").write_bytes(rotten)
    spool = Spool(folder)
    assert spool.recover().tail == pcm(50, 50)
    spool.close()


def test_rot_in_the_middle_costs_its_record_and_moves_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    spool = Spool(folder)
    for first in (0, 50, 100):
        spool.append(pcm(first, 50))
    spool.close()
    rotten = bytearray((folder / "audio").read_bytes())
    rotten[len(rotten) // 2] ^= 1
    (folder / "audio").write_bytes(rotten)
    spool = Spool(folder)
    assert spool.recover().tail == pcm(0, 50) + bytes(100) + pcm(100, 50)
    spool.close()


def test_half_a_chunk_is_no_chunk(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    spool = Spool(folder)
    spool.append(pcm(0, 100))
    (folder / "chunks" / "000000_0_100.chunk.new").write_bytes(b"hal")
    recovered = spool.recover()
    assert recovered.chunks == ()
    assert recovered.tail == pcm(0, 100)
    spool.close()


@needs_small_disk
def test_a_full_disk_is_told_and_costs_only_what_was_refused(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "s")
    spool.append(pcm(0, 300))
    with largest_file(1000):
        with pytest.raises(OSError, match="large"):
            spool.append(pcm(300, 300))
        with pytest.raises(OSError, match="large"):
            spool.seal(0, 0, 300, b"x" * 2000)
    assert spool.recover().chunks == ()
    spool.append(pcm(300, 10))
    assert spool.recover().tail == pcm(0, 310)
    spool.close()


def test_one_session_has_one_owner(tmp_path: Path) -> None:
    first = Spool(tmp_path / "s")
    with pytest.raises(SpoolInUse):
        Spool(tmp_path / "s")
    first.close()
    Spool(tmp_path / "s").close()


def test_a_process_holds_its_session_until_it_dies_however_it_dies(tmp_path: Path) -> None:
    holds = f"from pathlib import Path; from app.store.spool import Spool; s = Spool(Path({str(tmp_path / 's')!r}))"
    command = [sys.executable, "-c", f"{holds}; print('held', flush=True); input()"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == b"held"
        with pytest.raises(SpoolInUse):
            Spool(tmp_path / "s")
        process.kill()
    Spool(tmp_path / "s").close()


def test_when_it_was_last_written_is_known_even_before_the_first_sample(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "s")
    assert spool.last_written_at == 0.0
    spool.note(Pause(1.0))
    spool.close()
    again = Spool(tmp_path / "s")
    assert again.last_written_at == (tmp_path / "s" / "journal").stat().st_mtime
    again.close()


def test_an_erased_session_leaves_nothing(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "s")
    spool.append(pcm(0, 10))
    spool.seal(0, 0, 10, b"x")
    spool.erase()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="Windows keeps a user's folders to the user by itself")
def test_nobody_else_can_look_into_a_session(tmp_path: Path) -> None:
    Spool(tmp_path / "s").close()
    for folder in (tmp_path / "s", tmp_path / "s" / "chunks"):
        assert folder.stat().st_mode & 0o777 == 0o700
