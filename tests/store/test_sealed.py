"""What is sealed comes back as it was or not at all, and damage costs the record that it is in."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from app.store.sealed import WHOLE_OVERHEAD, SealedLog, open_whole, seal_whole
from tests.store.spools import damage

KEY, OTHER = b"k" * 32, b"o" * 32
BODIES = [b"first", b"", b"the third one", b"4"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    log = SealedLog(tmp_path / "log", KEY, "audio")
    for body in BODIES:
        log.append(body)
    log.close()
    return tmp_path / "log"


def read(path: Path, key: bytes = KEY, purpose: str = "audio") -> list[tuple[int, bytes]]:
    return [(record.sequence, record.body) for record in SealedLog(path, key, purpose).records()]


def ends(path: Path) -> list[int]:
    return [record.ends_at for record in SealedLog(path, KEY, "audio").records()]


WHOLE = list(enumerate(BODIES))


def test_records_come_back_in_order_and_one_may_be_added_when_it_is_opened_again(path: Path) -> None:
    assert read(path) == WHOLE
    log = SealedLog(path, KEY, "audio")
    log.append(b"later")
    assert [record.body for record in log.records()] == [*BODIES, b"later"]
    log.close()
    assert read(path) == [*WHOLE, (4, b"later")]


def test_nothing_is_on_the_disk_before_the_first_record(tmp_path: Path) -> None:
    log = SealedLog(tmp_path / "log", KEY, "audio")
    assert list(log.records()) == []
    log.close()
    assert list(tmp_path.iterdir()) == []


def test_a_log_cut_anywhere_gives_its_whole_records_and_goes_on_behind_them(path: Path) -> None:
    written, borders = path.read_bytes(), ends(path)
    for cut in range(len(written) + 1):
        path.write_bytes(written[:cut])
        whole = sum(end <= cut for end in borders)
        assert read(path) == WHOLE[:whole]
        log = SealedLog(path, KEY, "audio")
        log.append(b"next")
        log.close()
        assert read(path) == [*WHOLE[:whole], (whole, b"next")]
        assert path.stat().st_size == ([0, *borders][whole]) + 36 + len(b"next") + 8


@pytest.mark.parametrize("flip", [0x01, 0x80, 0xFF])
def test_a_rotten_byte_costs_the_record_that_it_is_in(path: Path, flip: int) -> None:
    written, borders = path.read_bytes(), ends(path)
    for position in range(len(written)):
        damage(path, position, flip)
        rotten = sum(end <= position for end in borders)
        assert read(path) == WHOLE[:rotten] + WHOLE[rotten + 1 :]
        path.write_bytes(written)


def test_records_in_another_order_or_twice_are_never_given_out_so(path: Path) -> None:
    written, borders = path.read_bytes(), [0, *ends(path)]
    pieces = [written[start:end] for start, end in itertools.pairwise(borders)]
    for order in itertools.product(range(4), repeat=4):
        path.write_bytes(b"".join(pieces[each] for each in order))
        got = [sequence for sequence, _ in read(path)]
        assert got == sorted(set(got))
        assert all(body == BODIES[sequence] for sequence, body in read(path))


def test_with_another_key_or_as_something_else_there_is_nothing_to_read(path: Path) -> None:
    assert read(path, key=OTHER) == []
    assert read(path, purpose="journal") == []


def test_a_log_of_one_kind_cannot_be_told_from_another_by_what_it_holds(path: Path) -> None:
    written = path.read_bytes()
    assert b"first" not in written
    assert b"third" not in written


def test_a_damaged_stretch_larger_than_what_is_looked_at_at_once_is_passed_over(tmp_path: Path) -> None:
    log = SealedLog(tmp_path / "log", KEY, "audio")
    for body in (b"before", b"x" * 2_500_000, b"after"):
        log.append(body)
    log.close()
    damage(tmp_path / "log", 2_000_000)
    assert read(tmp_path / "log") == [(0, b"before"), (2, b"after")]


def test_a_whole_file_opens_as_what_it_was_sealed_as_only() -> None:
    sealed = seal_whole(KEY, "chunk", "3", b"content")
    assert len(sealed) == len(b"content") + WHOLE_OVERHEAD
    assert open_whole(KEY, "chunk", "3", sealed) == b"content"
    for key, purpose, name in [
        (OTHER, "chunk", "3"),
        (KEY, "note", "3"),
        (KEY, "chunk", "4"),
        (KEY, "chun", "k\x003"),
    ]:
        with pytest.raises(ValueError, match="damaged"):
            open_whole(key, purpose, name, sealed)


def test_a_whole_file_with_any_byte_changed_or_missing_does_not_open() -> None:
    sealed = seal_whole(KEY, "chunk", "3", b"content")
    for position in range(len(sealed)):
        changed = bytearray(sealed)
        changed[position] ^= 1
        for damaged in (bytes(changed), sealed[:position]):
            with pytest.raises(ValueError, match="damaged"):
                open_whole(KEY, "chunk", "3", damaged)
