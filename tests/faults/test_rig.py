"""The rig itself: what a test of a fault relies on."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest

from tests.rig.canary import bytes_canary, scan, sound_canary, text_canary

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
