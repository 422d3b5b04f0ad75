"""The life of a session over HTTP: what the protocol's pages say, in order, out of order, and abused."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.service.peer import Peer, error_code, serving, wav


@pytest.fixture
def peer(tmp_path: Path) -> Iterator[Peer]:
    with serving(tmp_path / "data") as running:
        yield running


def test_twenty_five_chunks_in_random_order_come_out_by_number(peer: Peer) -> None:
    session = peer.client.create()
    numbers = list(range(25))
    random.Random(5).shuffle(numbers)
    for number in numbers:
        assert peer.client.upload(session, number).status_code == 200

    ended = peer.client.end(session, 25)

    assert ended.status_code == 202
    names = [f"audio_{number}.wav" for number in range(25)]
    assert ended.json() == {
        "session_id": session,
        "status": "processing",
        "message": "Session ended. Processing started.",
        "audio_files_received": 25,
        "audio_files": names,
    }
    result = peer.client.result(session)
    assert result.status_code == 200
    body = result.json()
    assert body["transcript"] == "\n".join(f"chunk {number}" for number in range(25))
    assert body["audio_files"] == names
    assert body["user_status"] == "commit"
    assert body["processing_errors"] == []
    assert body["transcript_by"] == "scripted"


def test_utterances_are_placed_after_the_audio_before_them(peer: Peer) -> None:
    session = peer.client.create()
    peer.client.upload(session, 0, wav(0, seconds=1.25))
    peer.client.upload(session, 1, wav(1, seconds=2))
    peer.client.end(session, 2)
    lines = peer.client.result(session).json()["utterances"]
    assert lines == [
        {"chunk": 0, "text": "chunk 0", "start_seconds": 0.0, "end_seconds": 1.25},
        {"chunk": 1, "text": "chunk 1", "start_seconds": 1.25, "end_seconds": 3.25},
    ]


def test_notes_come_with_their_sources_and_who_made_them(peer: Peer) -> None:
    session = peer.client.create(templates=["plain"])
    peer.client.upload(session, 0)
    peer.client.end(session, 1)
    entry = peer.client.result(session).json()["templates"]["plain"]
    assert (entry["status"], entry["data"], entry["made_by"]) == ("success", {"text": "chunk 0"}, "scripted rules")
    assert entry["sources"] == [
        {"at": "/text", "statement": "chunk 0", "utterance": 0, "start_seconds": 0.0, "end_seconds": 0.5}
    ]


def test_chunks_are_transcribed_before_the_end(peer: Peer) -> None:
    session = peer.client.create()
    for number in range(3):
        peer.client.upload(session, number)
    answer = _once_heard(peer, session, 3)
    assert (answer.status_code, answer.json()["status"]) == (202, "recording")
    assert answer.json()["transcript"] == "chunk 0\nchunk 1\nchunk 2"


def test_the_transcript_so_far_stops_at_a_hole_until_it_is_filled(peer: Peer) -> None:
    session = peer.client.create()
    for number in (0, 2):
        peer.client.upload(session, number)
    assert _once_heard(peer, session, 2).json()["transcript"] == "chunk 0"
    peer.client.upload(session, 1)
    assert _once_heard(peer, session, 3).json()["transcript"] == "chunk 0\nchunk 1\nchunk 2"


def _once_heard(peer: Peer, session: str, count: int) -> httpx.Response:
    for _ in range(2000):
        answer = peer.client.get(f"/sessions/{session}")
        if answer.json()["audio_files_processed"] == count:
            return answer
    raise AssertionError("the chunks are not transcribed")


def test_a_hole_makes_the_result_partial_and_is_named(peer: Peer) -> None:
    session = peer.client.create()
    for number in (0, 1, 4, 6):
        peer.client.upload(session, number)
    assert peer.client.end(session, 9).json()["audio_files_received"] == 4
    result = peer.client.result(session)
    assert result.status_code == 206
    body = result.json()
    assert body["status"] == "partial"
    (error,) = body["processing_errors"]
    assert error["type"] == "missing_audio"
    assert error["missing"] == [2, 3, 5, 7, 8]
    assert "2-3, 5, 7-8" in error["message"]
    assert body["transcript"] == "chunk 0\nchunk 1\nchunk 4\nchunk 6"
    assert body["templates"]["plain"]["status"] == "success"


def test_more_received_than_announced_is_partial_too(peer: Peer) -> None:
    session = peer.client.create()
    peer.client.upload(session, 0)
    peer.client.upload(session, 1)
    peer.client.end(session, 1)
    result = peer.client.result(session)
    assert result.status_code == 206
    assert [error["type"] for error in result.json()["processing_errors"]] == ["count_mismatch"]


def test_a_hole_is_named_even_beyond_what_was_announced(peer: Peer) -> None:
    session = peer.client.create()
    for number in (0, 3):
        peer.client.upload(session, number)
    peer.client.end(session, 2)
    (error,) = peer.client.result(session).json()["processing_errors"]
    assert (error["type"], error["missing"]) == ("missing_audio", [1, 2])


def test_nothing_sent_is_completed_without_a_word(peer: Peer) -> None:
    session = peer.client.create()
    assert peer.client.end(session, 0).json()["audio_files"] == []
    result = peer.client.result(session)
    assert (result.status_code, result.json()["transcript"]) == (200, "")
    assert result.json()["templates"]["plain"]["error"]["code"] == "insufficient_audio"


def test_nothing_received_of_what_was_sent_is_partial(peer: Peer) -> None:
    session = peer.client.create()
    peer.client.end(session, 2)
    result = peer.client.result(session)
    assert result.status_code == 206
    assert result.json()["processing_errors"][0]["type"] == "no_audio_received"
    assert result.json()["processing_errors"][0]["missing"] == [0, 1]


def test_the_same_chunk_twice_is_kept_and_said_once(peer: Peer) -> None:
    session = peer.client.create()
    first = peer.client.upload(session, 0)
    again = peer.client.upload(session, 0)
    assert (again.status_code, again.json()) == (first.status_code, first.json())
    peer.client.end(session, 1)
    assert peer.client.result(session).json()["transcript"] == "chunk 0"
    assert peer.transcriber.heard == [0]


def test_other_bytes_under_a_taken_number_are_refused(peer: Peer) -> None:
    session = peer.client.create()
    peer.client.upload(session, 0, wav(0))
    refused = peer.client.upload(session, 0, wav(7))
    assert (refused.status_code, error_code(refused)) == (409, "audio_conflict")
    peer.client.end(session, 1)
    assert peer.client.result(session).json()["transcript"] == "chunk 0"


def test_a_number_padded_with_zeros_is_the_same_number(peer: Peer) -> None:
    session = peer.client.create()
    peer.client.upload(session, 3, wav(3))
    assert peer.client.upload(session, 3, wav(4), name="audio_003.wav").status_code == 409


def test_ended_twice(peer: Peer) -> None:
    session = peer.client.create()
    peer.client.end(session, 0)
    again = peer.client.end(session, 0)
    assert (again.status_code, error_code(again)) == (400, "session_already_ended")


def test_upload_after_the_end_changes_nothing(peer: Peer) -> None:
    session = peer.client.create()
    peer.client.upload(session, 0)
    peer.client.end(session, 1)
    late = peer.client.upload(session, 1)
    assert (late.status_code, error_code(late)) == (400, "session_ended")
    body = peer.client.result(session).json()
    assert (body["audio_files"], body["transcript"]) == (["audio_0.wav"], "chunk 0")


def test_unknown_session(peer: Peer) -> None:
    for answer in (
        peer.client.end("ses_unknown", 1),
        peer.client.upload("ses_unknown", 0),
        peer.client.get("/sessions/ses_unknown"),
        peer.client.post("/sessions/ses_unknown/process/template/plain"),
    ):
        assert (answer.status_code, error_code(answer)) == (404, "session_not_found")


@pytest.mark.parametrize("sent", [True, 1.0, 1.5, "1", None, -1, [1], {}, 10**30], ids=repr)
def test_a_count_that_is_none(peer: Peer, sent: Any) -> None:
    session = peer.client.create()
    answer = peer.client.end(session, sent)
    assert (answer.status_code, error_code(answer)) == (400, "invalid_request")
    assert peer.client.get(f"/sessions/{session}").json()["status"] == "created"


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"3", b"null", b"{", b"\xff\xfe", b'{"audio_files_sent":NaN}'])
def test_an_end_without_a_count(peer: Peer, body: bytes) -> None:
    session = peer.client.create()
    answer = peer.client.post(f"/sessions/{session}/end", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    assert error_code(answer) in ("invalid_request", "missing_required_field")


def test_the_callers_own_id_is_used_and_taken_once(peer: Peer) -> None:
    own = "ses_0123456789abcdefghij"
    assert peer.client.create(session_id=own) == own
    again = peer.client.post("/sessions", json={"session_id": own})
    assert (again.status_code, error_code(again)) == (409, "session_exists")


def test_create_answers_what_the_protocol_lists(peer: Peer) -> None:
    body = peer.client.post("/sessions", json={"templates": []}).json()
    assert set(body) == {"session_id", "status", "created_at", "expires_at", "upload_url"}
    assert body["upload_url"].endswith(f"/voice/v1/sessions/{body['session_id']}/audio")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"session_id": "../../etc"}, "invalid_request"),
        ({"session_id": "ses_a\x00b"}, "invalid_request"),
        ({"session_id": "ses_" + "a" * 300}, "invalid_request"),
        ({"session_id": 5}, "invalid_request"),
        ({"templates": ["a", "b", "c"]}, "invalid_template"),
        ({"templates": "plain"}, "invalid_template"),
        ({"templates": ["../x"]}, "invalid_template"),
        ({"upload_type": "stream"}, "invalid_request"),
        ({"additional_data": {"x": "y" * 5000}}, "invalid_request"),
        ([], "invalid_request"),
    ],
)
def test_create_refuses(peer: Peer, body: Any, code: str) -> None:
    answer = peer.client.post("/sessions", json=body)
    assert (answer.status_code, error_code(answer)) == (400, code)


@pytest.mark.parametrize("value", [b"NaN", b"1e999", b'"\\ud800"', b"[" * 5000 + b"]" * 5000])
def test_free_data_that_cannot_go_back_out(peer: Peer, value: bytes) -> None:
    body = b'{"additional_data":{"x":' + value + b"}}"
    answer = peer.client.post("/sessions", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400


def test_errors_never_repeat_what_was_sent(peer: Peer) -> None:
    answer = peer.client.post("/sessions", json={"session_mode": "Mrs Example has asthma"})
    assert answer.status_code == 400
    assert "asthma" not in answer.text


@pytest.mark.parametrize(
    "name",
    [
        "audio.wav", "_0.webm", "audio_0", "audio_0.wav.exe", "audio_-1.wav", "audio_0.WAV", "a b_0.wav", "CON",
        "audio_0.wav%0A", "..%5C..%5Cx_0.wav", "a:b_0.wav", "%00_0.wav", "audio_\u0663.wav", "a" * 300 + "_0.wav",
        "audio_99999999999999999999.wav",
    ],
)  # fmt: skip
def test_hostile_names_are_refused(peer: Peer, name: str, tmp_path: Path) -> None:
    session = peer.client.create()
    answer = peer.client.upload(session, 0, name=name)
    assert (answer.status_code, error_code(answer)) == (400, "invalid_request")
    assert peer.client.get(f"/sessions/{session}").json()["audio_files_received"] == 0


@pytest.mark.fault("L2", "X8")
def test_names_that_climb_reach_no_file(peer: Peer, tmp_path: Path) -> None:
    session = peer.client.create()
    for name in ("..%2F..%2Fx_0.wav", "%2Fetc%2Fx_0.wav"):
        assert peer.client.upload(session, 0, name=name).status_code == 404
    peer.client.upload(session, 0, name="audio_0.wav")
    stored = [path for path in tmp_path.rglob("*") if path.suffix == ".sealed"]
    assert len(stored) == 1
    assert "audio" not in stored[0].name
    assert session not in str(stored[0])


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "invalid_audio_format"),
        (b"not audio at all", "invalid_audio_format"),
        (wav(0)[:30], "invalid_audio_format"),
        (wav(0, seconds=0), "invalid_audio_format"),
        (wav(0, seconds=20.6), "chunk_too_large"),
    ],
    ids=["empty", "text", "cut", "silent", "long"],
)
def test_audio_that_is_none(peer: Peer, data: bytes, code: str) -> None:
    session = peer.client.create()
    answer = peer.client.upload(session, 0, data)
    assert (answer.status_code, error_code(answer)) == (400, code)


def test_content_type_is_compared_character_for_character(peer: Peer) -> None:
    session = peer.client.create()
    for content_type in ("audio/x-wav", "audio/wav; codecs=1", "Audio/wav", "multipart/form-data", ""):
        answer = peer.client.post(
            f"/sessions/{session}/audio/audio_0.wav", content=wav(0), headers={"Content-Type": content_type}
        )
        assert (answer.status_code, error_code(answer)) == (415, "invalid_audio_format")


def test_content_and_type_and_name_must_agree(peer: Peer) -> None:
    session = peer.client.create()
    for name, content_type in (("audio_0.ogg", "audio/ogg"), ("audio_0.ogg", "audio/wav")):
        answer = peer.client.post(
            f"/sessions/{session}/audio/{name}", content=wav(0), headers={"Content-Type": content_type}
        )
        assert (answer.status_code, error_code(answer)) == (400, "invalid_audio_format")


def test_audio_at_another_rate_is_brought_to_speech_rate(peer: Peer) -> None:
    session = peer.client.create()
    peer.client.upload(session, 0, wav(0, seconds=2, rate_hz=48_000))
    peer.client.end(session, 1)
    (line,) = peer.client.result(session).json()["utterances"]
    assert line["end_seconds"] == pytest.approx(2.0, abs=0.01)


def test_an_unknown_template_fails_and_the_others_come(peer: Peer) -> None:
    session = peer.client.create(templates=["nobody_knows", "plain"])
    peer.client.upload(session, 0)
    peer.client.end(session, 1)
    result = peer.client.result(session)
    assert result.status_code == 206
    templates = result.json()["templates"]
    assert templates["nobody_knows"]["error"]["code"] == "template_not_found"
    assert templates["plain"]["status"] == "success"


def test_a_note_maker_that_fails_costs_one_note(peer: Peer) -> None:
    session = peer.client.create(templates=["broken", "plain"])
    peer.client.upload(session, 0)
    peer.client.end(session, 1)
    templates = peer.client.result(session).json()["templates"]
    assert templates["broken"]["error"]["code"] == "extraction_failed"
    assert "patient text" not in str(templates)
    assert templates["plain"]["status"] == "success"


def test_another_note_after_the_end(peer: Peer) -> None:
    session = peer.client.create(templates=[])
    early = peer.client.post(f"/sessions/{session}/process/template/plain")
    assert early.status_code == 400
    peer.client.upload(session, 0)
    peer.client.end(session, 1)
    assert peer.client.result(session).json()["templates"] == {}

    asked = peer.client.post(f"/sessions/{session}/process/template/plain")

    assert asked.status_code == 202
    result = peer.client.result(session, asked.json()["document_id"])
    assert result.status_code == 200
    assert result.json()["templates"]["plain"]["data"] == {"text": "chunk 0"}
    unknown = peer.client.post(f"/sessions/{session}/process/template/nobody_knows")
    assert (unknown.status_code, error_code(unknown)) == (404, "template_not_found")


def test_a_language_that_is_not_understood_is_said(peer: Peer) -> None:
    session = peer.client.create(language_hint=["hi", "en"])
    peer.client.upload(session, 0)
    peer.client.end(session, 1)
    result = peer.client.result(session)
    assert result.status_code == 206
    assert [error["type"] for error in result.json()["processing_errors"]] == ["language_unsupported"]


def test_an_expired_session_shows_what_it_has_and_takes_no_more(tmp_path: Path) -> None:
    with serving(tmp_path / "data", session_seconds=0.0) as peer:
        session = peer.client.create()
        answer = peer.client.get(f"/sessions/{session}")
        assert answer.status_code == 410
        assert {"expired_at", "message", "transcript", "templates"} <= set(answer.json())
        assert peer.client.upload(session, 0).status_code == 410
        assert peer.client.end(session, 0).status_code == 410


def test_discovery_and_templates(peer: Peer) -> None:
    for path in ("/.well-known/medscribealliance", "http://127.0.0.1:7000/.well-known/medscribealliance"):
        answer = peer.client.get(path, headers={"Authorization": ""})
        assert answer.status_code == 200
        assert "max-age" in answer.headers["cache-control"]
        body = answer.json()
        assert body["endpoints"]["base_url"] == "http://127.0.0.1:7000/voice/v1"
        assert body["capabilities"]["audio_formats"] == ["audio/ogg", "audio/wav", "audio/flac"]
        assert body["capabilities"]["max_chunk_duration_seconds"] == 20
    names = [template["id"] for template in peer.client.get("/templates").json()["templates"]]
    assert names == ["plain", "broken"]
