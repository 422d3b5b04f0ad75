"""The journal gives back what was put in, and of a damaged file everything before the damage."""

from __future__ import annotations

import typing
import zlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.core.events import Event, Pause, RequestFailed, StatusRead
from app.core.scribe import ServiceStatus, SessionResult
from app.store.journal import Journal, decode, encode
from tests.store.journalled import VISIT, values

_EVENTS = list(VISIT[2:])
_LINES = [encode(event) for event in _EVENTS]
_WRITTEN = b"".join(_LINES)
_AFTER = Pause(2_000.0)


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


def test_whatever_a_service_said_can_be_kept() -> None:
    said = {"huge": 10**250, "half a character": "\ud800", "all of them": "".join(map(chr, range(0x2030)))}
    event = StatusRead(SessionResult(ServiceStatus.COMPLETED, raw=said))
    line = encode(event)
    assert line.count(b"\n") == 1
    assert decode(line) == event


def test_what_a_newer_version_wrote_is_not_guessed_at() -> None:
    content = b'{"type":"PatientTeleported","event":{}}'
    assert decode(b"%08x %s\n" % (zlib.crc32(content), content)) is None


def test_events_are_there_again_when_the_journal_is_opened_again(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    journal = Journal(path)
    assert journal.events == []
    for event in VISIT:
        journal.append(event)
    journal.close()
    again = Journal(path)
    assert again.events == list(VISIT)
    again.close()


def test_a_torn_tail_costs_the_torn_line_alone_and_writing_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    for cut in range(len(_WRITTEN) + 1):
        path.write_bytes(_WRITTEN[:cut])
        whole = _WRITTEN[:cut].count(b"\n")
        journal = Journal(path)
        assert journal.events == _EVENTS[:whole]
        journal.append(_AFTER)
        journal.close()
        assert path.read_bytes() == b"".join(_LINES[:whole]) + encode(_AFTER)
    assert list(tmp_path.iterdir()) == [path]


def test_a_rotten_byte_costs_nothing_before_it_and_what_follows_is_kept_beside(tmp_path: Path) -> None:
    path, beside = tmp_path / "journal", tmp_path / "journal.unreadable"
    for position in range(0, len(_WRITTEN), 3):
        rotten = bytearray(_WRITTEN)
        rotten[position] ^= 0x10
        path.write_bytes(rotten)
        intact = _WRITTEN[:position].count(b"\n")
        journal = Journal(path)
        journal.close()
        assert journal.events == _EVENTS[:intact]
        if intact < len(_EVENTS) - 1:
            assert beside.read_bytes() == rotten
            beside.unlink()
