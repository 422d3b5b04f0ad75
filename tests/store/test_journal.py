"""The journal gives back what was put in, and of a damaged file all that can be read."""

from __future__ import annotations

import typing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.core.events import Event, Pause, RequestFailed, StatusRead
from app.core.scribe import ServiceStatus, SessionResult
from app.store.journal import Journal, decode, encode
from app.store.sealed import SealedLog
from tests.store.journalled import VISIT, values
from tests.store.spools import damage

KEY = b"k" * 32
_EVENTS = list(VISIT[2:])
_AFTER = Pause(2_000.0)
_NEWER = b"\0" * 8 + b'{"type":"PatientTeleported","event":{}}'


def write(path: Path, *events: Event, at: float = 1_000.0) -> None:
    journal = Journal(path, KEY, wall_clock=lambda: at)
    for event in events:
        journal.append(event)
    journal.close()


def read(path: Path) -> list[Event]:
    journal = Journal(path, KEY)
    journal.close()
    return journal.events


def ends(path: Path) -> list[int]:
    return [record.ends_at for record in SealedLog(path, KEY, "journal").records()]


@pytest.mark.parametrize("kind", typing.get_args(Event), ids=lambda kind: kind.__name__)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_every_event_comes_back_as_it_was(kind: type[Event], data: st.DataObject) -> None:
    event = data.draw(values(kind))
    assert decode(encode(event)) == event


@pytest.mark.parametrize("request_kind", typing.get_args(typing.get_type_hints(RequestFailed)["request"]))
@given(data=st.data())
@settings(max_examples=10, deadline=None)
def test_a_failed_request_comes_back_with_the_request_that_it_was(request_kind: type, data: st.DataObject) -> None:
    failed = RequestFailed(data.draw(values(request_kind)), data.draw(values(RequestFailed)).problem)
    assert decode(encode(failed)) == failed


def test_whatever_a_service_said_can_be_kept(tmp_path: Path) -> None:
    said = {"huge": 10**250, "half a character": "\ud800", "all of them": "".join(map(chr, range(0x2030)))}
    event = StatusRead(SessionResult(ServiceStatus.COMPLETED, raw=said))
    write(tmp_path / "journal", event, _AFTER)
    assert read(tmp_path / "journal") == [event, _AFTER]


def test_events_are_there_again_when_the_journal_is_opened_again(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    assert read(path) == []
    write(path, *VISIT)
    write(path, _AFTER)
    assert read(path) == [*VISIT, _AFTER]


def test_it_is_known_when_the_last_one_was_written(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    write(path, *VISIT, at=5_000.0)
    write(path, _AFTER, at=6_000.0)
    journal = Journal(path, KEY)
    journal.close()
    assert journal.last_written_at == 6_000.0


def test_a_torn_tail_costs_the_torn_event_alone_and_writing_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    write(path, *_EVENTS)
    written, borders = path.read_bytes(), ends(path)
    for cut in range(0, len(written) + 1, 3):
        path.write_bytes(written[:cut])
        whole = sum(end <= cut for end in borders)
        assert read(path) == _EVENTS[:whole]
        write(path, _AFTER)
        assert read(path) == [*_EVENTS[:whole], _AFTER]
    assert list(tmp_path.iterdir()) == [path]


def test_a_rotten_event_costs_itself_and_what_follows_is_still_known(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    write(path, *_EVENTS)
    written, borders = path.read_bytes(), ends(path)
    for position in range(0, borders[-2], 5):
        damage(path, position)
        rotten = sum(end <= position for end in borders)
        assert read(path) == _EVENTS[:rotten] + _EVENTS[rotten + 1 :]
        path.write_bytes(written)
    assert list(tmp_path.iterdir()) == [path]


def test_a_rotten_last_event_is_kept_beside_before_it_is_cut_off(tmp_path: Path) -> None:
    path, beside = tmp_path / "journal", tmp_path / "journal.unreadable"
    write(path, *_EVENTS)
    damage(path, -1)
    rotten = path.read_bytes()
    assert read(path) == _EVENTS[:-1]
    assert beside.read_bytes() == rotten
    write(path, _AFTER)
    assert read(path) == [*_EVENTS[:-1], _AFTER]


def test_what_a_newer_version_wrote_is_not_guessed_at_and_kept_beside(tmp_path: Path) -> None:
    path, beside = tmp_path / "journal", tmp_path / "journal.unreadable"
    write(path, *_EVENTS)
    log = SealedLog(path, KEY, "journal")
    log.append(_NEWER)
    log.close()
    write(path, _AFTER)
    assert read(path) == [*_EVENTS, _AFTER]
    assert [record.body for record in SealedLog(beside, KEY, "journal").records()][-1] == _NEWER


def test_no_word_of_it_can_be_read_on_the_disk(tmp_path: Path) -> None:
    write(tmp_path / "journal", *VISIT)
    written = (tmp_path / "journal").read_bytes()
    for word in (b"USB", b"audio/wav", b"ChunkSealed", b"{", b"HTTP"):
        assert word not in written or len(word) == 1


def test_it_cannot_be_read_with_another_key(tmp_path: Path) -> None:
    write(tmp_path / "journal", *VISIT)
    journal = Journal(tmp_path / "journal", b"o" * 32)
    journal.close()
    assert journal.events == []
    assert (tmp_path / "journal.unreadable").exists()
