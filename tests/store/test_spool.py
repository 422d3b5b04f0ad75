"""The spool: what was appended comes back to the sample, whatever happened to the process or the disk."""

from __future__ import annotations

import base64
import os
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from app.core.events import ChunkSealed, Patient, Pause, Start, Visit
from app.store import chunks as chunks_module
from app.store import spool as spool_module
from app.store.keys import Keys, KeysLocked
from app.store.spool import Spool, SpoolDamaged, SpoolErased, SpoolInUse
from tests.store.journalled import VISIT
from tests.store.small_disk import largest_file, needs_small_disk
from tests.store.spools import KEY, begin, damage, pcm, reopen

ROOT = Path(__file__).resolve().parents[2]


def test_a_session_is_as_it_was_when_it_is_opened_again(tmp_path: Path) -> None:
    spool = begin(tmp_path / "s")
    for event in VISIT:
        spool.note(event)
    spool.seal(0, 0, 160, b"chunk 0")
    spool.close()
    again = reopen(tmp_path / "s")
    assert again.events == list(VISIT)
    assert again.recover().chunks == (ChunkSealed(0, 0, 160, 7),)
    assert again.chunk(0) == b"chunk 0"
    again.close()


def test_a_chunk_is_the_same_bytes_each_time_and_a_missing_one_is_an_os_error(tmp_path: Path) -> None:
    spool = begin(tmp_path / "s")
    data = bytes(range(256)) * 10
    spool.seal(7, 0, 1, data)
    spool.seal(77, 1, 1, b"another")
    assert spool.chunk(7) == spool.chunk(7) == data
    assert spool.chunk(77) == b"another"
    with pytest.raises(FileNotFoundError):
        spool.chunk(8)
    spool.close()


def test_the_tail_is_exactly_the_samples_that_are_in_no_chunk(tmp_path: Path) -> None:
    spool = begin(tmp_path / "s")
    for first in range(0, 1000, 100):
        spool.append(pcm(first, 100), 1_000.0)
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


# Damage -----------------------------------------------------------------------------------------------------------


def recorded(folder: Path, *firsts: int, count: int = 50) -> bytes:
    """A session that was captured in pieces that begin at these samples; its audio log."""
    spool = begin(folder)
    for first in firsts:
        spool.append(pcm(first, count), 1_000.0)
    spool.close()
    return (folder / "audio").read_bytes()


def test_a_torn_record_costs_itself_alone_and_recording_goes_on_behind_the_last_whole_one(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    written = recorded(folder, 0, 8, 16, count=8)
    record = len(written) // 3
    for cut in range(len(written) + 1):
        (folder / "audio").write_bytes(written[:cut])
        whole = cut // record * 8
        spool = reopen(folder)
        assert spool.recover().tail == pcm(0, whole)
        spool.append(pcm(whole, 5), 1_000.0)
        spool.close()
        again = reopen(folder)
        assert again.recover().tail == pcm(0, whole + 5)
        again.close()


def test_any_rotten_byte_costs_its_record_and_moves_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    written = recorded(folder, 0, 8, 16, count=8)
    for position in range(len(written)):
        damage(folder / "audio", position)
        spool = reopen(folder)
        rotten = position // (len(written) // 3)
        held = [pcm(first, 8) for first in (0, 8, 16)]
        held[rotten] = bytes(16) if rotten < 2 else b""
        assert spool.recover().tail == b"".join(held)
        spool.close()
        (folder / "audio").write_bytes(written)


def test_a_rotten_record_is_not_taken_for_audio_and_later_takes_keep_their_place(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    recorded(folder, 0, 50)
    spool = reopen(folder)
    spool.seal(0, 0, 100, b"sealed")
    spool.close()
    damage(folder / "audio", -1)
    spool = reopen(folder)
    assert spool.recover().tail == b""
    spool.append(pcm(100, 30), 1_000.0)
    recovered = spool.recover()
    assert (recovered.first_sample, recovered.tail) == (100, pcm(100, 30))
    spool.close()


def test_rot_in_what_is_sealed_costs_nothing_of_what_is_not(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    recorded(folder, 0, 50)
    spool = reopen(folder)
    spool.seal(0, 0, 50, b"sealed")
    spool.close()
    damage(folder / "audio", 40)
    spool = reopen(folder)
    assert spool.recover().tail == pcm(50, 50)
    spool.close()


def test_records_put_in_another_order_are_not_played_in_it(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    written = recorded(folder, 0, 50, 100)
    a, b, c = (written[at : at + len(written) // 3] for at in range(0, len(written), len(written) // 3))
    (folder / "audio").write_bytes(a + c + b)
    spool = reopen(folder)
    assert spool.recover().tail == pcm(0, 50) + bytes(100) + pcm(100, 50)
    spool.close()


def test_a_log_of_another_session_is_no_audio_of_this_one(tmp_path: Path) -> None:
    keys = Keys(tmp_path / "keys.json")
    for name in ("mine", "other"):
        spool = Spool.create(tmp_path / name, keys.new_session_key(name))
        spool.append(pcm(0, 50), 1_000.0)
        spool.seal(0, 0, 50, name.encode())
        spool.close()
    for path in ("audio", "cut-000000/000000_0_50.chunk"):
        shutil.copyfile(tmp_path / "other" / path, tmp_path / "mine" / path)
    spool = Spool.open(tmp_path / "mine", keys.open_envelope)
    assert list(spool.samples()) == []
    with pytest.raises(OSError, match="damaged"):
        spool.chunk(0)
    spool.close()


def test_a_damaged_or_misplaced_chunk_is_never_given_out(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    spool = begin(folder)
    spool.seal(0, 0, 50, b"first")
    spool.seal(1, 50, 50, b"second")
    first, second = sorted((folder / "cut-000000").iterdir())
    kept = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(kept)
    for index in (0, 1):
        with pytest.raises(OSError, match="damaged"):
            spool.chunk(index)
    second.write_bytes(b"")
    assert len(spool.recover().chunks) == 2
    spool.close()


def test_half_a_chunk_is_no_chunk(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    spool = begin(folder)
    spool.append(pcm(0, 100), 1_000.0)
    spool.seal(0, 0, 10, b"x")
    (folder / "cut-000000" / "000001_10_90.chunk.new").write_bytes(b"hal")
    recovered = spool.recover()
    assert [chunk.index for chunk in recovered.chunks] == [0]
    assert recovered.tail == pcm(10, 90)
    spool.close()


@needs_small_disk
def test_a_full_disk_is_told_and_costs_only_what_was_refused(tmp_path: Path) -> None:
    spool = begin(tmp_path / "s")
    spool.append(pcm(0, 300), 1_000.0)
    with largest_file(1000):
        with pytest.raises(OSError, match="large"):
            spool.append(pcm(300, 300), 1_000.0)
        with pytest.raises(OSError, match="large"):
            spool.seal(0, 0, 300, b"x" * 2000)
    assert spool.recover().chunks == ()
    spool.append(pcm(300, 10), 1_000.0)
    assert spool.recover().tail == pcm(0, 310)
    spool.close()


WRITER = """
import os, sys
from pathlib import Path
from tests.store.spools import begin, pcm

def write(folder):
    spool = begin(folder)
    for index in range(100_000):
        spool.append(pcm(index * 400, 400), 1_000.0 + index)
        print(index, flush=True)
        if index % 5 == 4:
            spool.seal(index // 5, (index - 4) * 400, 2_000, bytes(4_000))

begin(Path(sys.argv[1])).erase()  # What is imported late is there now.
for folder in sys.stdin:  # A copy of this process for each run: starting Python takes longer than a run does.
    if (child := os.fork()) == 0:
        write(Path(folder.strip()))
    print("began", child, flush=True)
    os.waitpid(child, 0)
    print("died", flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot copy a process")
def test_a_kill_at_any_moment_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    chance = random.Random(7)
    command = [sys.executable, "-c", WRITER, str(tmp_path / "first")]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        for run in range(30):
            acknowledged = written_until_killed(process, tmp_path / f"s{run}", chance.randrange(60))
            look_at_what_is_left(tmp_path / f"s{run}", acknowledged)
        process.communicate()


def written_until_killed(process: subprocess.Popen[str], folder: Path, lines: int) -> int:
    """Samples that are on the disk, as the writer has said until it was killed after so many lines."""
    assert process.stdin
    assert process.stdout
    print(folder, file=process.stdin, flush=True)
    told = [process.stdout.readline().split()]
    while len(told) < lines or not any(line[0] == "began" for line in told):
        told.append(process.stdout.readline().split())
    os.kill(next(int(line[1]) for line in told if line[0] == "began"), signal.SIGKILL)
    while told[-1] != ["died"]:
        told.append(process.stdout.readline().split())
    return 400 * sum(len(line) == 1 for line in told[:-1])


def look_at_what_is_left(folder: Path, acknowledged: int) -> None:
    if not (folder / "audio").exists():
        assert acknowledged == 0
        return
    spool = reopen(folder)
    recovered = spool.recover()
    came = recovered.first_sample + len(recovered.tail) // 2
    assert came >= acknowledged
    assert recovered.tail == pcm(recovered.first_sample, came - recovered.first_sample)
    assert [chunk.first_sample for chunk in recovered.chunks] == [i * 2_000 for i in range(len(recovered.chunks))]
    spool.append(pcm(came, 10), 1.0)
    assert spool.recover().tail[-20:] == pcm(came, 10)
    spool.close()


# Cutting again ----------------------------------------------------------------------------------------------------


def cut(folder: Path, *, size: int = 25) -> tuple[Spool, tuple[ChunkSealed, ...]]:
    """A session with one chunk of a hundred samples, and with smaller ones made, which do not count yet."""
    recorded(folder, 0, 50)
    spool = reopen(folder)
    spool.seal(0, 0, 100, b"one large chunk")
    return spool, tuple(ChunkSealed(i, i * size, size, 2) for i in range(100 // size))


def test_chunks_that_are_cut_again_count_all_at_once(tmp_path: Path) -> None:
    spool, smaller = cut(tmp_path / "s")
    cutting = spool.cut_again()
    for chunk in smaller:
        cutting.seal(chunk.index, chunk.first_sample, chunk.sample_count, b"%02d" % chunk.index)
        assert len(spool.recover().chunks) == 1
        assert spool.chunk(0) == b"one large chunk"
    assert cutting.commit() == smaller
    assert spool.recover().chunks == smaller
    assert [spool.chunk(i) for i in range(4)] == [b"00", b"01", b"02", b"03"]
    assert spool.is_all_sealed
    spool.append(pcm(100, 10), 1.0)
    spool.seal(4, 100, 10, b"the next")
    spool.close()
    again = reopen(tmp_path / "s")
    assert len(again.recover().chunks) == 5
    assert again.chunk(4) == b"the next"
    again.close()
    assert [each.name for each in (tmp_path / "s").glob("cut*")] == ["cut-000001"]


def test_a_crash_before_the_new_chunks_count_leaves_the_old_ones(tmp_path: Path) -> None:
    spool, smaller = cut(tmp_path / "s")
    spool.cut_again().seal(0, 0, 25, b"new")
    spool.close()
    again = reopen(tmp_path / "s")
    assert again.chunk(0) == b"one large chunk"
    cutting = again.cut_again()
    for chunk in smaller:
        cutting.seal(chunk.index, chunk.first_sample, chunk.sample_count, b"xx")
    assert cutting.commit() == smaller == again.recover().chunks
    again.close()


def test_a_crash_before_the_old_chunks_are_gone_leaves_the_new_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool, smaller = cut(tmp_path / "s", size=50)
    cutting = spool.cut_again()
    for chunk in smaller:
        cutting.seal(chunk.index, chunk.first_sample, chunk.sample_count, b"xx")
    with monkeypatch.context() as patched:
        patched.setattr(chunks_module, "remove_tree", lambda _: None)
        cutting.commit()
    spool.close()
    again = reopen(tmp_path / "s")
    assert again.recover().chunks == smaller
    again.close()
    assert [each.name for each in (tmp_path / "s").glob("cut*")] == ["cut-000001"]


def test_a_cutting_that_is_given_up_leaves_no_trace(tmp_path: Path) -> None:
    spool, _ = cut(tmp_path / "s")
    cutting = spool.cut_again()
    cutting.seal(0, 0, 25, b"new")
    cutting.abandon()
    assert spool.chunk(0) == b"one large chunk"
    assert not list((tmp_path / "s").glob("*.new"))
    spool.close()


def test_all_samples_are_there_for_cutting_again(tmp_path: Path) -> None:
    spool, _ = cut(tmp_path / "s")
    assert list(spool.samples()) == [(0, pcm(0, 50)), (50, pcm(50, 50))]
    spool.close()


# Owners and times -------------------------------------------------------------------------------------------------


def test_one_session_has_one_owner(tmp_path: Path) -> None:
    first = begin(tmp_path / "s")
    with pytest.raises(SpoolInUse):
        reopen(tmp_path / "s")
    first.close()
    reopen(tmp_path / "s").close()


def test_a_process_holds_its_session_until_it_dies_however_it_dies(tmp_path: Path) -> None:
    holds = "import sys; from pathlib import Path; from tests.store.spools import begin; s = begin(Path(sys.argv[1]))"
    command = [sys.executable, "-c", f"{holds}; print('held', flush=True); input()", str(tmp_path / "s")]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == b"held"
        with pytest.raises(SpoolInUse):
            reopen(tmp_path / "s")
        process.kill()
    reopen(tmp_path / "s").close()


def test_a_session_is_begun_once(tmp_path: Path) -> None:
    begin(tmp_path / "s").close()
    with pytest.raises(FileExistsError):
        begin(tmp_path / "s")
    with pytest.raises(FileNotFoundError):
        reopen(tmp_path / "other")
    assert not (tmp_path / "other").exists()
    reopen(tmp_path / "s").close()


def test_when_it_was_last_written_is_told_by_what_was_written_not_by_the_file(tmp_path: Path) -> None:
    spool = Spool.create(tmp_path / "s", KEY, wall_clock=lambda: 5_000.0)
    assert spool.last_written_at == 0.0
    spool.note(Pause(1.0))
    spool.close()
    again = reopen(tmp_path / "s")
    assert again.last_written_at == 5_000.0
    again.append(pcm(0, 10), 5_001.5)
    again.append(pcm(10, 10), 5_002.5)
    assert again.last_written_at == 5_000.0
    again.close()
    third = reopen(tmp_path / "s")
    assert third.last_written_at == 5_002.5
    third.close()


# Keys -------------------------------------------------------------------------------------------------------------


def test_a_session_whose_key_is_locked_away_is_let_alone(tmp_path: Path) -> None:
    here, elsewhere = Keys(tmp_path / "keys.json"), Keys(tmp_path / "elsewhere.json")
    Spool.create(tmp_path / "s", here.new_session_key("s")).close()
    with pytest.raises(KeysLocked):
        Spool.open(tmp_path / "s", elsewhere.open_envelope)
    Spool.open(tmp_path / "s", here.open_envelope).close()


def test_a_session_under_another_name_or_with_a_damaged_key_is_told_of_and_let_alone(tmp_path: Path) -> None:
    keys = Keys(tmp_path / "keys.json")
    spool = Spool.create(tmp_path / "s", keys.new_session_key("s"))
    spool.note(Pause(1.0))
    spool.close()
    (tmp_path / "s").rename(tmp_path / "t")
    with pytest.raises(SpoolDamaged):
        Spool.open(tmp_path / "t", keys.open_envelope)
    (tmp_path / "t").rename(tmp_path / "s")
    envelope = (tmp_path / "s" / "key").read_bytes()
    for position in range(len(envelope)):
        damage(tmp_path / "s" / "key", position)
        with pytest.raises((SpoolDamaged, KeysLocked)):
            Spool.open(tmp_path / "s", keys.open_envelope)
        (tmp_path / "s" / "key").write_bytes(envelope)
    (tmp_path / "s" / "key").unlink()
    with pytest.raises(SpoolDamaged, match="gone") as caught:
        Spool.open(tmp_path / "s", keys.open_envelope)
    assert not isinstance(caught.value, SpoolErased)
    assert (tmp_path / "s" / "journal").exists()


def test_nothing_that_was_said_or_typed_can_be_read_on_the_disk(tmp_path: Path) -> None:
    label, sound = "Mrs Kavitha Canary", pcm(1, 4_000)
    spool = begin(tmp_path / "s")
    spool.note(Start(Visit(Patient(label)), "local", "audio/wav", 20.0, 1_000.0))
    spool.append(sound, 1_000.0)
    spool.seal(0, 0, 4_000, b"RIFF" + sound)
    cutting = spool.cut_again()
    cutting.seal(0, 0, 4_000, b"RIFF" + sound)
    cutting.commit()
    spool.close()
    words = [
        label.encode(),
        label.encode("utf-16-le"),
        base64.b64encode(label.encode())[:-4],
        sound[100:120],
        b"RIFF",
    ]
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) >= 4
    for path in files:
        assert not any(word in path.read_bytes() for word in words), path.name
        assert label not in str(path)


# The end ----------------------------------------------------------------------------------------------------------


def erasable(folder: Path) -> Spool:
    spool = begin(folder)
    spool.note(Pause(1.0))
    spool.append(pcm(0, 10), 1_000.0)
    spool.seal(0, 0, 10, b"x")
    return spool


def test_an_erased_session_leaves_nothing(tmp_path: Path) -> None:
    erasable(tmp_path / "s").erase()
    assert list(tmp_path.iterdir()) == []


def test_the_key_is_destroyed_before_anything_else_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = erasable(tmp_path / "s")
    seen: list[Path] = []

    def power_cut(_path: Path) -> None:
        seen.extend(path for path in (tmp_path / "s").rglob("*") if path.is_file())
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(spool_module, "remove_tree", power_cut)
        patched.setattr(
            spool_module, "patiently", lambda act: act() if "unlink" not in repr(act) else power_cut(Path())
        )
        with pytest.raises(KeyboardInterrupt):
            spool.erase()
    names = {path.name for path in seen}
    assert "000000_0_10.chunk" in names
    assert "key" not in names
    assert not any(KEY.envelope in path.read_bytes() for path in seen)
    spool.close()
    with pytest.raises(SpoolErased):  # The next start ends what was begun.
        reopen(tmp_path / "s")
    assert list(tmp_path.iterdir()) == []


def test_a_crash_before_the_key_is_destroyed_is_made_good_too(tmp_path: Path) -> None:
    erasable(tmp_path / "s").close()
    (tmp_path / "s" / "key").rename(tmp_path / "s" / "key.erased")
    with pytest.raises(SpoolErased):
        reopen(tmp_path / "s")
    assert list(tmp_path.iterdir()) == []


def test_a_session_that_had_no_key_yet_is_removed(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    with pytest.raises(SpoolErased):
        reopen(tmp_path / "s")
    assert list(tmp_path.iterdir()) == []


def test_only_the_audio_may_be_erased(tmp_path: Path) -> None:
    spool = erasable(tmp_path / "s")
    before = spool.audio_bytes
    spool.erase_audio()
    assert (before > 20, spool.audio_bytes) == (True, 0)
    recovered = spool.recover()
    assert (recovered.chunks, recovered.tail, list(spool.samples())) == ((), b"", [])
    spool.note(Pause(2.0))
    spool.close()
    again = reopen(tmp_path / "s")
    assert again.events == [Pause(1.0), Pause(2.0)]
    again.erase_audio()
    again.close()
    assert {path.name for path in (tmp_path / "s").iterdir()} - {"lock"} == {"key", "journal"}


@pytest.mark.skipif(sys.platform == "win32", reason="Windows keeps a user's folders to the user by itself")
def test_nobody_else_can_look_into_a_session(tmp_path: Path) -> None:
    spool = begin(tmp_path / "sessions" / "s")
    spool.seal(0, 0, 10, b"x")
    spool.close()
    for folder in ("sessions", "sessions/s", "sessions/s/cut-000000"):
        assert (tmp_path / folder).stat().st_mode & 0o777 == 0o700
