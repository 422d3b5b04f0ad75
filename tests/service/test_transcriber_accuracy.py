"""Clear readings are understood, in voices and about matters that the language model was not made from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from make_sample import read_aloud
from measure_transcriber import READINGS, error_rate, heard, through_opus

from app.service.sphinx_worker import RESOURCES, open_decoder

BEGINNING_CHARACTERS = 300


@pytest.fixture(scope="module")
def decoder() -> Any:
    return open_decoder()


@pytest.mark.parametrize(
    ("name", "voice"),
    [("back_pain", "slt"), ("dictated_letter", "rms"), ("blood_pressure_review", "awb")],
)
def test_an_unseen_reading_is_understood(decoder: Any, name: str, voice: str) -> None:
    script = _beginning({path.stem: path for path in READINGS}[name])
    samples = through_opus(read_aloud(script, {"Doctor": voice, "Patient": voice}))
    assert error_rate(script, heard(decoder, samples)) <= 0.20


def test_drugs_and_doses_are_heard(decoder: Any) -> None:
    script = (
        "Doctor: I will give you telmisartan forty milligrams once a day, and cetirizine ten milligrams at night."
    )
    said = heard(decoder, read_aloud(script, {"Doctor": "rms"}))
    assert "telmisartan forty milligrams" in said
    assert "cetirizine ten milligrams at night" in said


def test_each_clinical_word_can_be_said(decoder: Any) -> None:
    lines = (RESOURCES / "clinical.dict").read_text(encoding="utf-8").splitlines()
    words = [line.split()[0] for line in lines if not line.startswith("#")]
    assert len(words) == len(set(words)) > 700
    assert [word for word in words if decoder.lookup_word(word) is None] == []


def _beginning(path: Path) -> str:
    script = path.read_text(encoding="utf-8")
    return script[: script.index("\n", BEGINNING_CHARACTERS)]
