"""Whatever was said: a note has only words and figures of the transcript, and says where they are."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from app.service.notes import TEMPLATES, RuleNoteMaker
from app.service.ports import NoteContent, Transcript, Utterance

NUMBERS = {
    "one": "1", "two": "2", "five": "5", "ten": "10", "eighteen": "18", "thirty": "30", "forty two": "42",
    "eighty eight": "88", "ninety seven": "97", "one hundred and thirty": "130", "one hundred sixty": "160",
    "five hundred": "500", "one thousand": "1000", "two point five": "2.5", "thirty eight point five": "38.5",
    "zero point one two five": "0.125", "650": "650", "7.5": "7.5", "one oh two": "102",
}  # fmt: skip
DRUGS = ["paracetamol", "amoxicillin", "metformin", "warfarin", "insulin glargine", "co-amoxiclav"]
SAID = [
    "take {drug} {n} milligrams twice a day for {n} days", "i am allergic to {drug}", "stop the {drug}",
    "do you take {drug}", "no", "yes", "any fever", "no chest pain", "your blood pressure is {n} over {n}",
    "pulse is {n} and temperature is {n}", "no sorry {n} milligrams", "oxygen saturation {n} percent",
    "increase {drug} from {n} to {n} milligrams", "i have had a cough for {n} weeks", "i think you have bronchitis",
    "my mother takes {drug}", "start {drug} no sorry {drug} {n} milligrams", "your weight is", "{n} kilograms",
    "how long have you had it", "about {n} months", "come back in {n} days", "Doctor: Any pain? Patient: No, none.",
    "Patient: I take {drug} {n} mg daily. I don't smoke.", "and {n} tablets of {drug} at night", "and",
    "milligrams of",
]  # fmt: skip


@dataclass(frozen=True)
class Visit:
    transcript: Transcript
    allowed: frozenset[str]
    """All words that were said, and the figures for the numbers among them."""


@st.composite
def visits(draw: st.DrawFn) -> Visit:
    lines, allowed = [], set[str]()
    for pattern in draw(st.lists(st.sampled_from(SAID), max_size=8)):
        line = pattern
        while "{" in line:
            spoken = draw(st.sampled_from(sorted(NUMBERS)))
            drug = draw(st.sampled_from(DRUGS))
            at_number = line.find("{n}") >= 0 and (line.find("{n}") < line.find("{drug}") or "{drug}" not in line)
            line = line.replace("{n}", spoken, 1) if at_number else line.replace("{drug}", drug, 1)
            allowed |= {NUMBERS[spoken]} if at_number else set()
        lines.append(line)
    allowed |= set(words_of(" ".join(lines)))
    return Visit(heard(lines), frozenset(allowed))


def heard(lines: list[str]) -> Transcript:
    return Transcript(tuple(Utterance(line, index * 3.0, index * 3.0 + 2.5) for index, line in enumerate(lines)))


def words_of(text: str) -> list[str]:
    return re.findall(r"\d+(?:\.\d+)?|[a-z][a-z'-]*", text.lower())


def texts_of(data: Any) -> list[str]:
    if isinstance(data, dict):
        return [str(value) for name, value in data.items() if name not in {"action", "check", "unit"}]
    return [text for entry in data for text in texts_of(entry)] if isinstance(data, list) else [str(data)]


def assert_sources_are_true(note: NoteContent, transcript: Transcript) -> None:
    for source in note.sources:
        said = transcript.utterances[source.utterance]
        assert (source.start_seconds, source.end_seconds) == (said.start_seconds, said.end_seconds)
        place = note.data
        for step in source.at.split("/")[1:]:
            place = place[int(step)] if isinstance(place, list) else place[step]
        assert source.statement in place


@settings(deadline=None, max_examples=150)
@given(visits())
def test_words_and_figures_are_the_speakers(visit: Visit) -> None:
    maker = RuleNoteMaker()
    units = {"mg", "BP", "blood", "pressure", "pulse", "temperature", "oxygen", "saturation", "weight"}
    for template in ("soap", "medications", "vitals"):
        note = maker.make(template, visit.transcript)
        for text in texts_of(note.data):
            assert set(words_of(text)) - visit.allowed - units == set(), (text, visit.transcript.text)
        assert_sources_are_true(note, visit.transcript)


@settings(deadline=None, max_examples=150)
@given(visits())
def test_a_statement_quotes_only_the_utterances_it_names(visit: Visit) -> None:
    note = RuleNoteMaker().make("soap", visit.transcript)
    by_statement: dict[str, set[int]] = {}
    for source in note.sources:
        by_statement.setdefault(source.statement, set()).add(source.utterance)
    lines = [line for text in note.data.values() for line in text.split("\n")]
    assert set(lines) == set(by_statement)
    for line, places in by_statement.items():
        said = set(words_of(" ".join(visit.transcript.utterances[place].text for place in sorted(places))))
        assert {word for word in words_of(line) if word[0].isalpha()} <= said


@settings(deadline=None, max_examples=150)
@given(st.lists(st.text(max_size=60), max_size=6), st.sampled_from([template.id for template in TEMPLATES]))
def test_no_text_can_break_it(lines: list[str], template: str) -> None:
    transcript = heard(lines)
    assert_sources_are_true(RuleNoteMaker().make(template, transcript), transcript)
