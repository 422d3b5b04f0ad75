"""The sample consultation: sound and script belong together, and the script holds what a note must find."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import soundfile
from make_sample import turns
from text_to_num import alpha2digit

SAMPLE = Path(__file__).resolve().parents[1] / "resources" / "sample"
SCRIPT = (SAMPLE / "consultation.txt").read_text(encoding="utf-8")
EXPECTED = json.loads((SAMPLE / "expected.json").read_text(encoding="utf-8"))


def test_it_is_two_to_three_minutes_at_the_rate_the_service_works_with() -> None:
    with soundfile.SoundFile(SAMPLE / "consultation.flac") as sound:
        assert (sound.samplerate, sound.channels) == (16_000, 1)
        assert 120 <= sound.frames / sound.samplerate <= 180


def test_two_people_take_turns_in_words_that_can_be_read_aloud() -> None:
    said = list(turns(SCRIPT))
    assert len(said) == len(SCRIPT.splitlines())
    assert {speaker for speaker, _ in said} == {"Doctor", "Patient"}
    assert not any(character.isdigit() for character in SCRIPT)


@pytest.mark.parametrize("medication", EXPECTED["medications"], ids=lambda each: each["name"])
def test_each_expected_medication_was_said_with_its_dose(medication: dict[str, str]) -> None:
    figures = alpha2digit(SCRIPT.replace(" hundred and ", " hundred "), "en").lower()
    amount = medication["dose"].split()[0]
    sentences = [s for s in figures.split(". ") if medication["name"] in s]
    spoken = {"2": ("2 puffs", "two puffs")}.get(amount, (f"{amount} milligrams",))
    assert any(form in sentence for sentence in sentences for form in spoken)


def test_what_was_not_prescribed_was_said_too() -> None:
    assert all(name in SCRIPT for name in EXPECTED["not_prescribed"])
