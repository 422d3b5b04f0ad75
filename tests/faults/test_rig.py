"""The rig itself: what a test of a fault relies on."""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path
from urllib.parse import quote

import httpx
import numpy as np
import pytest

from tests.rig.answers import Kind, Scribe, page, reply
from tests.rig.canary import bytes_canary, scan, sound_canary, text_canary
from tests.rig.fault_proxy import FaultProxy, Mode

NAME = "Ramanathan-Zwölfer 7781"
NOISE = np.random.default_rng(5).integers(-20_000, 20_000, 4000, dtype=np.int16)


@pytest.mark.parametrize(
    "hidden",
    [
        NAME.encode(),
        NAME.encode("utf-16-le"),
        NAME.encode("utf-16-be"),
        NAME.encode().hex().encode(),
        json.dumps({"patient": NAME}).encode(),
        quote(f"a patient named {NAME}").encode(),
        *(base64.b64encode(b"x" * n + NAME.encode() + b"behind") for n in range(3)),
        *(base64.urlsafe_b64encode(b"??>" + b"x" * n + NAME.encode()) for n in range(3)),
    ],
)
def test_a_name_is_found_in_every_guise(tmp_path: Path, hidden: bytes) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "file").write_bytes(b"before" + hidden + b"after")
    (tmp_path / "innocent").write_bytes(b"Ramanathan 7781" * 100)
    assert {hit.path.name for hit in scan([tmp_path], [text_canary(NAME)])} == {"file"}


def test_a_name_is_found_in_a_files_name(tmp_path: Path) -> None:
    (tmp_path / f"{NAME}.txt").touch()
    assert scan([tmp_path], [text_canary(NAME)])


def test_sound_is_found_as_samples_as_floats_and_as_base64(tmp_path: Path) -> None:
    piece = NOISE[1000:2000]
    for name, data in {
        "pcm": piece.tobytes(),
        "floats": (piece / np.float32(32768)).astype("<f4").tobytes(),
        "base64": base64.b64encode(b"x" + piece.tobytes()),
    }.items():
        (tmp_path / name).write_bytes(data)
    (tmp_path / "silence").write_bytes(bytes(100_000))
    (tmp_path / "other").write_bytes(np.random.default_rng(6).bytes(100_000))
    hits = scan([tmp_path], [sound_canary("noise", NOISE)])
    assert {hit.path.name for hit in hits} == {"pcm", "floats", "base64"}


def test_a_piece_of_an_encoded_chunk_is_found(tmp_path: Path) -> None:
    chunk = np.random.default_rng(7).bytes(5000)
    (tmp_path / "spool").write_bytes(b"head" + chunk)
    assert scan([tmp_path], [bytes_canary("chunk", chunk[2000:2032])])


def created(url: str, scribe: Scribe) -> str:
    body = json.dumps({"session_id": "ses_0123456789abcdefghij", "templates": ["soap"]})
    httpx.post(f"{url}/sessions", content=body).raise_for_status()
    return f"{url}/sessions/{scribe.only.id}"


def test_the_service_remembers_what_it_was_given(scribe: Scribe) -> None:
    session = created(scribe.url, scribe)
    assert httpx.get(session).status_code == 202
    for index in (1, 0, 1):
        httpx.post(f"{session}/audio/audio_{index}.wav", content=b"%d" % index)
    assert httpx.post(f"{session}/end", json={"audio_files_sent": 2}).status_code == 202
    assert scribe.only.uploads == [(1, b"1"), (0, b"0"), (1, b"1")]
    assert list(scribe.only.chunks.values()) == [b"0", b"1"]
    assert not scribe.only.repeats_differ
    assert httpx.get(session).json()["status"] == "completed"
    assert httpx.post(f"{session}/audio/audio_2.wav", content=b"2").status_code == 400


def test_the_service_says_what_is_put_into_its_mouth_and_then_does_as_it_should(scribe: Scribe) -> None:
    session = created(scribe.url, scribe)
    scribe.say(Kind.STATUS, reply(429, retry_after="7"), page())
    first, second, third = (httpx.get(session) for _ in range(3))
    assert (first.status_code, first.headers["retry-after"]) == (429, "7")
    assert second.text.startswith("<!DOCTYPE html>")
    assert third.json()["status"] == "open"


@pytest.mark.parametrize(
    ("mode", "does_arrive", "is_answered"),
    [
        (Mode.PASS, True, True),
        (Mode.RESET, False, False),
        (Mode.CUT_UP, False, False),
        (Mode.CUT_DOWN, True, False),
        (Mode.LOST, True, False),
        (Mode.LATE, True, True),
        (Mode.SLOW, True, True),
        (Mode.BLACK_HOLE, False, False),
        (Mode.DRIP, True, False),
    ],
)
def test_the_proxy_treats_a_request_as_it_is_told(
    scribe: Scribe, proxy: FaultProxy, mode: Mode, does_arrive: bool, is_answered: bool
) -> None:
    session = created(proxy.url, scribe)
    rule = proxy.treat(mode, lambda line: line.endswith("audio_0.wav"), times=1)
    with httpx.Client(timeout=0.8) as client:
        began = time.monotonic()
        if mode is Mode.DRIP:
            rule.seconds = 1.0  # Longer than the client waits for a byte.
        try:
            client.post(f"{session}/audio/audio_0.wav", content=bytes(3000))
            assert is_answered
        except httpx.HTTPError:
            assert not is_answered
        assert (mode in (Mode.LATE, Mode.SLOW)) == (time.monotonic() - began > 0.3) or not is_answered
        assert rule.suffered == 1
        assert bool(scribe.only.uploads) == does_arrive
        assert client.post(f"{session}/audio/audio_0.wav", content=bytes(3000)).status_code == 200, "only once"


def test_the_proxy_goes_down_and_comes_back(scribe: Scribe, proxy: FaultProxy) -> None:
    session = created(proxy.url, scribe)
    proxy.go_down()
    with pytest.raises(httpx.ConnectError):
        httpx.get(session)
    proxy.come_back()
    assert httpx.get(session).status_code == 202
