"""Nothing that the service keeps can be read without its key, and what a key does not open is set aside, not lost."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.service.database import Database, DatabaseProblem
from app.service.sealing import KEY_BYTES, KeyRefused, Seal, SealBroken, derive, key_name, read_key
from app.service.store import open_store
from tests.rig.canary import scan, sound_canary, text_canary
from tests.service.peer import KEY, TOKEN, noise, serving, wav_of
from tests.service.test_queue import Desk

OTHER_KEY = bytes(reversed(KEY))
PATIENT = "Oluwaseun Featherstonehaugh"
SAID = "crystalline bilateral hyperkeratosis"
SOUND = noise(8_000)
CANARIES = [text_canary(PATIENT), text_canary(SAID), text_canary(TOKEN), sound_canary("sound", SOUND)]


@pytest.mark.fault("D12")
def test_neither_during_nor_after_a_session_is_anything_in_clear_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    for variable in ("TMPDIR", "TEMP", "TMP", "SQLITE_TMPDIR"):
        monkeypatch.setenv(variable, str(temporary))
    monkeypatch.setattr("tempfile.tempdir", None)
    untouched = temporary.stat().st_mtime_ns
    with serving(tmp_path / "data", says=SAID) as peer:
        details = {"name": PATIENT, "notes": SAID * 20}
        session = peer.client.create(patient_details=details, additional_data={"token": TOKEN})
        peer.client.post(
            "/webhooks", json={"url": "http://127.0.0.1:9", "events": ["session.ended"], "secret": TOKEN}
        )
        for number in range(8):
            assert peer.client.upload(session, number, wav_of(SOUND)).status_code == 200
        assert scan([tmp_path], CANARIES) == []
        peer.client.end(session, 8)
        told = peer.client.result(session).json()
        assert SAID in told["transcript"]
        assert SAID in told["templates"]["plain"]["data"]["text"]
        assert told["patient_details"] == details
        assert scan([tmp_path], CANARIES) == []
    assert scan([tmp_path], CANARIES) == []
    assert temporary.stat().st_mtime_ns == untouched
    assert len(list(tmp_path.rglob("*.sealed"))) == 8


def test_the_scan_would_find_what_is_kept_in_clear(tmp_path: Path) -> None:
    (tmp_path / "audio").write_bytes(wav_of(SOUND))
    (tmp_path / "words").write_text(f"{PATIENT}: {SAID}; {TOKEN}", encoding="utf-16")
    assert {hit.canary for hit in scan([tmp_path], CANARIES)} == {canary.name for canary in CANARIES}


@pytest.mark.fault("D12")
@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_a_large_upload_is_in_no_file_while_it_comes_in(tmp_path: Path) -> None:
    """A temporary file that has no name leaves no trace in any folder; an open file is seen all the same."""
    kept = tmp_path / "data"
    with serving(kept) as peer:
        session = peer.client.create()
        before = files_of_this_process()
        seen: list[set[str]] = []

        async def body() -> AsyncIterator[bytes]:
            for _ in range(9):
                yield bytes(1024 * 1024)
                seen.append(files_of_this_process() - before)

        answer = peer.client.post(
            f"/sessions/{session}/audio/audio_0.wav", content=body(), headers={"Content-Type": "audio/wav"}
        )
        assert answer.status_code == 400
    assert len(seen) == 9
    assert {name for names in seen for name in names if not name.startswith(str(kept))} == set()


def files_of_this_process() -> set[str]:
    """Names of the regular files that this process holds open, those without a place in a folder, too."""
    names = set()
    for link in Path("/proc/self/fd").iterdir():
        try:
            name = str(link.readlink())
        except OSError:
            continue
        if name.startswith("/") and not name.startswith(("/dev/", "/proc/")):
            names.add(name)
    return names


# Keys -------------------------------------------------------------------------------------------------------------


def test_what_another_key_sealed_is_set_aside_whole_and_opens_with_its_own(tmp_path: Path) -> None:
    folder, safe = tmp_path / "data", tmp_path / "safe"
    with serving(tmp_path / "killed") as peer:
        session = peer.client.create()
        peer.client.upload(session, 0)
        shutil.copytree(tmp_path / "killed", folder)  # As a kill leaves it: all is in the write-ahead log.
    with serving(folder, key=OTHER_KEY) as peer:
        assert peer.client.get(f"/sessions/{session}").status_code == 404
        later = peer.client.create()
        assert peer.client.upload(later, 0).status_code == 200

    safe.mkdir()
    for path in folder.glob("*.sealed-*"):
        name, _, mark = path.name.partition(".sealed-")
        path.rename(safe / (name + mark.partition("Z")[2]))
    with serving(safe) as peer:
        assert peer.client.get(f"/sessions/{session}").json()["audio_files"] == ["audio_0.wav"]
        peer.client.end(session, 1)
        assert peer.client.result(session).json()["transcript"] == "chunk 0"
    with serving(folder, key=OTHER_KEY) as peer:
        assert peer.client.get(f"/sessions/{later}").json()["audio_files"] == ["audio_0.wav"]


def test_each_that_is_set_aside_has_a_name_to_itself(tmp_path: Path) -> None:
    for number in range(4):
        database, _ = open_store(tmp_path, bytes([number]) * KEY_BYTES)
        database.close()
    assert len(list(tmp_path.glob("service.db.sealed-*"))) == 3


@pytest.mark.fault("D7", "D8")
@pytest.mark.parametrize("offset", [0, 20, 100, 4096 + 17, 4096 * 5 + 2000, -1])
def test_a_damaged_database_is_set_aside_and_the_service_starts(tmp_path: Path, offset: int) -> None:
    desk = Desk(tmp_path)
    desk.session(chunks=2)
    desk.database.close()
    path = tmp_path / "service.db"
    content = bytearray(path.read_bytes())
    content[offset] ^= 1
    path.write_bytes(content)

    database, files = open_store(tmp_path, KEY)
    with database.reading() as records:
        assert records.unsettled_chunks() == []
    database.close()
    (aside,) = tmp_path.glob("service.db.sealed-*")
    assert aside.read_bytes() == content
    assert len(list(next(tmp_path.glob("audio.sealed-*")).rglob("*.sealed"))) == 2
    assert files.folders() == set()


def test_audio_whose_records_are_gone_is_set_aside(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.session(chunks=1)
    desk.database.close()
    (tmp_path / "service.db").unlink()
    database, files = open_store(tmp_path, KEY)
    database.close()
    assert files.folders() == set()
    assert len(list(tmp_path.glob("audio.sealed-*/*/*.sealed"))) == 1


def test_a_disk_that_does_not_give_the_database_is_no_reason_to_set_it_aside(tmp_path: Path) -> None:
    (tmp_path / "service.db").mkdir()
    with pytest.raises(DatabaseProblem, match="cannot be used"):
        open_store(tmp_path, KEY)
    assert (tmp_path / "service.db").is_dir()


def test_the_token_is_made_once_and_kept(tmp_path: Path) -> None:
    tokens = set()
    for _ in range(2):
        database = Database(tmp_path / "service.db", KEY)
        with database.writing() as records:
            tokens.add(records.token())
        database.close()
    (token,) = tokens
    assert len(token) >= 32
    assert scan([tmp_path], [text_canary(token)]) == []


@pytest.mark.fault("D7")
def test_audio_that_was_changed_or_moved_is_named_and_the_rest_is_heard(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    session = desk.session(chunks=4)
    files = [tmp_path / "audio" / session.folder / chunk.file for chunk in desk.look(session).chunks]
    content = bytearray(files[1].read_bytes())
    content[-1] ^= 1
    files[1].write_bytes(content)
    files[2].write_bytes(files[3].read_bytes())
    desk.intake.end(session.id, 4)
    desk.work()
    assert desk.transcriber.heard == [0, 3]
    problems = [chunk.problem for chunk in desk.look(session).chunks]
    assert problems == [None, "the stored audio could not be read", "the stored audio could not be read", None]
    desk.database.close()


def test_a_seal_opens_with_its_key_for_its_purpose_at_its_place_alone() -> None:
    sealed = Seal(KEY, "audio").seal(b"sound", "folder/1")
    assert Seal(KEY, "audio").open(sealed, "folder/1") == b"sound"
    assert Seal(KEY, "audio").seal(b"sound", "folder/1") != sealed
    wrong = [(OTHER_KEY, "audio", "folder/1"), (KEY, "token", "folder/1"), (KEY, "audio", "folder/2")]
    for key, purpose, place in wrong:
        with pytest.raises(SealBroken):
            Seal(key, purpose).open(sealed, place)
    for cut in range(len(sealed)):
        with pytest.raises(SealBroken):
            Seal(KEY, "audio").open(sealed[:cut], "folder/1")


def test_keys_for_different_purposes_tell_nothing_of_each_other() -> None:
    assert len({KEY, derive(KEY, "database"), derive(KEY, "audio"), derive(OTHER_KEY, "audio")}) == 4
    assert key_name(KEY) != key_name(OTHER_KEY)
    assert key_name(KEY) not in KEY.hex()


def handed_over(line: bytes) -> tuple[int, int]:
    reading, writing = os.pipe()
    os.write(writing, line)
    return reading, writing


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_the_key_is_read_and_what_follows_is_left(end: bytes) -> None:
    reading, writing = handed_over(KEY.hex().encode() + end + b"x")
    assert read_key(reading) == KEY
    assert os.read(reading, 10) == b"x"
    os.close(reading)
    os.close(writing)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"", "No key"),
        (b"\n", "No key"),
        (b"ab" * 31 + b"\n", "not a key"),
        (b"ab" * 33 + b"\n", "not a key"),
        (b"ab" * 31 + b"xy\n", "not a key"),
        (b" " + b"ab" * 31 + b"a\n", "not a key"),
        (b"\xff" * 64 + b"\n", "not a key"),
        (b"a" * 5000, "not a key"),
        (b"ab" * 20, "not a key"),
    ],
)
def test_what_is_no_key_is_refused_in_words_that_do_not_repeat_it(line: bytes, words: str) -> None:
    reading, writing = handed_over(line)
    os.close(writing)
    with pytest.raises(KeyRefused, match=words) as refused:
        read_key(reading)
    os.close(reading)
    assert "abab" not in str(refused.value)
