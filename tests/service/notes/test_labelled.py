"""The rules against small transcripts with labels: nothing missed, nothing invented."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from app.service.notes import RuleNoteMaker
from app.service.ports import Transcript, Utterance

LABELLED = Path(__file__).parents[2] / "data" / "notes" / "visits.toml"
CASES: list[dict[str, Any]] = tomllib.loads(LABELLED.read_text(encoding="utf-8"))["case"]
SECTIONS = ("subjective", "objective", "assessment", "plan")


def heard(lines: list[str]) -> Transcript:
    """A transcript with an utterance every three seconds."""
    return Transcript(tuple(Utterance(line, index * 3.0, index * 3.0 + 2.5) for index, line in enumerate(lines)))


def note(case: dict[str, Any], template: str) -> Any:
    return RuleNoteMaker().make(template, heard(case["said"])).data


def vital_line(vital: dict[str, str]) -> str:
    mark = " !" if vital.get("check", "").startswith("outside") else ""
    return " ".join(filter(None, (vital["name"], vital["value"], vital.get("unit", "")))) + mark


def without_remarks(medication: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in medication.items() if name != "check"}


@pytest.mark.parametrize("case", [case for case in CASES if "vitals" in case], ids=lambda case: case["name"])
def test_vitals(case: dict[str, Any]) -> None:
    assert [vital_line(vital) for vital in note(case, "vitals")] == case["vitals"]


@pytest.mark.parametrize("case", [case for case in CASES if "medications" in case], ids=lambda case: case["name"])
def test_medications(case: dict[str, Any]) -> None:
    assert [without_remarks(found) for found in note(case, "medications")] == case["medications"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_statements_are_in_their_sections(case: dict[str, Any]) -> None:
    soap = note(case, "soap")
    for section in SECTIONS:
        lines = soap.get(section, "").split("\n")
        assert [line for line in case.get(section, []) if line not in lines] == []
    everything = "\n" + "\n".join(soap.values())
    assert [text for text in case.get("absent", []) if text in everything] == []
    assert not (case.get("empty") and soap)
