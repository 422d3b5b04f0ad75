"""Files are replaced whole or not at all, and a log that a full disk tore goes on behind its last whole piece."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from app.store import durable
from app.store.durable import AppendLog, destroy, write_whole
from tests.store.small_disk import largest_file, needs_small_disk
from tests.store.syncs import watched_syncs


def test_a_file_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_whole(path, b"old")
    write_whole(path, b"new")
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


@needs_small_disk
def test_a_full_disk_leaves_the_old_file_and_nothing_half_done(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_whole(path, b"old")
    with largest_file(1000), pytest.raises(OSError, match="large"):
        write_whole(path, b"x" * 5000)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@needs_small_disk
def test_a_piece_that_did_not_fit_is_gone_before_the_next_one(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = AppendLog(path, keep_bytes=0)
    log.append(b"a" * 600)
    with largest_file(1000):
        with pytest.raises(OSError, match="large"):
            log.append(b"b" * 600)
        assert path.stat().st_size == 1000  # Torn, as a crash would leave it.
        with pytest.raises(OSError, match="large"):
            log.append(b"c" * 600)
        log.append(b"d" * 100)
    log.append(b"e" * 600)
    log.close()
    assert path.read_bytes() == b"a" * 600 + b"d" * 100 + b"e" * 600


@needs_small_disk
def test_a_log_whose_volume_vanishes_goes_on_when_it_is_back_and_never_on_another(tmp_path: Path) -> None:
    path, away = tmp_path / "log", tmp_path / "away"
    log = AppendLog(path, keep_bytes=0)
    log.append(b"a" * 600)
    with largest_file(1000), pytest.raises(OSError, match="large"):
        log.append(b"b" * 600)
    path.rename(away)
    with pytest.raises(FileNotFoundError):
        log.append(b"c")
    path.write_bytes(b"another")
    with pytest.raises(OSError, match="not the file"):
        log.append(b"c")
    away.replace(path)
    log.append(b"c" * 600)
    log.close()
    assert path.read_bytes() == b"a" * 600 + b"c" * 600


def test_opening_cuts_off_what_is_not_to_be_kept(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"whole|torn")
    log = AppendLog(path, keep_bytes=6)
    log.append(b"next")
    log.close()
    assert path.read_bytes() == b"whole|next"


def test_what_was_written_has_been_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced = watched_syncs(monkeypatch)
    log = AppendLog(tmp_path / "log", keep_bytes=0)
    for size in (10, 20):
        log.append(b"x" * 10)
        assert synced[(tmp_path / "log").stat().st_ino] == size
    log.close()
    synced.clear()
    write_whole(tmp_path / "file", b"whole")
    assert synced[(tmp_path / "file").stat().st_ino] == len(b"whole")
    if os.name != "nt":
        assert tmp_path.stat().st_ino in synced


class Held(type(Path())):  # type: ignore[misc]
    """A path that somebody else holds for some tries, as an antivirus does on Windows."""

    tries = 0

    @classmethod
    def refuse(cls) -> None:
        cls.tries -= 1
        if cls.tries >= 0:
            raise PermissionError(13, "in use")

    def open(self, *args: Any, **kwargs: Any) -> Any:
        self.refuse()
        return super().open(*args, **kwargs)

    def replace(self, target: Any) -> Any:
        self.refuse()
        return super().replace(target)


def test_a_file_that_is_held_for_a_moment_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(durable, "HELD_SECONDS", 10.0)
    path = Held(tmp_path / "file")
    Held.tries = 3
    write_whole(path, b"whole")
    assert (tmp_path / "file").read_bytes() == b"whole"
    Held.tries = 3
    log = AppendLog(Held(tmp_path / "log"), keep_bytes=0)
    log.append(b"piece")
    log.close()
    assert (tmp_path / "log").read_bytes() == b"piece"


def test_a_file_that_stays_held_is_given_up_on_and_the_old_one_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"old")
    monkeypatch.setattr(durable, "HELD_SECONDS", 0.05)
    Held.tries = 1_000_000
    with pytest.raises(PermissionError):
        write_whole(Held(tmp_path / "file"), b"new")
    assert [each.read_bytes() for each in tmp_path.iterdir()] == [b"old"]


def test_a_destroyed_file_holds_nothing_of_what_it_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced = watched_syncs(monkeypatch)
    path = tmp_path / "key"
    path.write_bytes(b"secret" * 10)
    inode = path.stat().st_ino
    destroy(path)
    assert path.stat().st_ino == inode
    assert path.stat().st_size == synced[inode] == 60
    assert b"secret" not in path.read_bytes()
