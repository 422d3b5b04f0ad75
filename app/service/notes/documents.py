"""The notes on offer, put together from statements, vital signs and medications with their sources.

A section of which nothing was said is left out. Pure; any thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from app.service.notes.medications import Medication, medications
from app.service.notes.reading import read
from app.service.notes.statements import SECTIONS, Section, Statement, sentences, statements
from app.service.notes.vitals import Reading, vitals
from app.service.notes.vocabulary import vocabulary
from app.service.ports import NoteContent, Source, Template, Transcript

TEMPLATES = (
    Template("soap", "SOAP note", "Subjective, objective, assessment and plan."),
    Template("medications", "Medications", "Drugs with dose, route, frequency and duration."),
    Template("vitals", "Vital signs", "Measured values with their units."),
    Template("hpi", "History of present illness", "What the patient told."),
    Template("referral_letter", "Referral letter", "A letter to a colleague."),
    Template("discharge_summary", "Discharge summary", "Findings, diagnosis, medications and advice."),
    Template("transcript", "Transcript", "All that was heard."),
)
"""The templates that the local service offers, whoever makes them."""

_BLANK = "______________________"


class _Findings:
    """What the rules find in a transcript, each when it is asked for."""

    def __init__(self, transcript: Transcript) -> None:
        self.transcript = transcript
        self._words = vocabulary()
        self._heard = sentences(read(transcript, self._words), self._words)

    @cached_property
    def statements(self) -> list[Statement]:
        return statements(self._heard, self._words)

    @cached_property
    def medications(self) -> list[Medication]:
        return medications(self._heard, self._words)

    @cached_property
    def vitals(self) -> list[Reading]:
        return vitals(self._heard, self._words)

    def section(self, *names: Section) -> list[Statement]:
        return [statement for statement in self.statements if statement.section in names]

    def source(self, at: str, statement: str, utterances: Iterable[int]) -> list[Source]:
        places = ((index, self.transcript.utterances[index]) for index in utterances)
        return [Source(at, statement, index, said.start_seconds, said.end_seconds) for index, said in places]


def make(template_id: str, transcript: Transcript) -> NoteContent | None:
    """The note, or None when there is no such template."""
    maker = _MAKERS.get(template_id)
    return maker(_Findings(transcript)) if maker else None


# Data


def _soap(found: _Findings) -> NoteContent:
    data = {name: "\n".join(s.text for s in found.section(name)) for name in SECTIONS}
    sources = [source for s in found.statements for source in found.source(f"/{s.section}", s.text, s.utterances)]
    return NoteContent({name: text for name, text in data.items() if text}, tuple(sources))


def _medications(found: _Findings) -> NoteContent:
    sources = [
        source
        for index, medication in enumerate(found.medications)
        for name, part in medication.parts.items()
        for source in found.source(f"/{index}/{name}", part.text, part.utterances)
    ]
    return NoteContent([medication.data() for medication in found.medications], tuple(sources))


def _vitals(found: _Findings) -> NoteContent:
    sources = [
        source
        for index, reading in enumerate(found.vitals)
        for source in found.source(f"/{index}/value", reading.value, reading.utterances)
    ]
    return NoteContent([reading.data() for reading in found.vitals], tuple(sources))


# Documents


@dataclass
class _Document:
    """A Markdown text under way. Its sources point at the whole text; their statement is the line."""

    found: _Findings
    lines: list[str] = field(default_factory=list)
    sources: list[Source] = field(default_factory=list)

    def heading(self, *lines: str) -> None:
        self.lines += [*lines]

    def section(self, title: str, items: Sequence[tuple[str, tuple[int, ...]]]) -> None:
        if not items:
            return
        self.lines += ["", f"## {title}", ""]
        for text, utterances in items:
            self.lines.append(f"- {text}")
            self.sources += self.found.source("", text, utterances)

    def content(self) -> NoteContent:
        return NoteContent("\n".join(self.lines).strip() + "\n" if self.sources else "", tuple(self.sources))


def _lines(found: Iterable[Statement]) -> list[tuple[str, tuple[int, ...]]]:
    return [(statement.text, statement.utterances) for statement in found]


def _vital_lines(found: _Findings) -> list[tuple[str, tuple[int, ...]]]:
    return [(_vital_line(reading), reading.utterances) for reading in found.vitals]


def _vital_line(reading: Reading) -> str:
    space = "" if reading.unit in {"", "%", "/min"} else " "
    check = f" ({reading.check})" if reading.check else ""
    return f"{reading.name.capitalize()}: {reading.value}{space}{reading.unit}{check}"


def _medication_lines(found: _Findings) -> list[tuple[str, tuple[int, ...]]]:
    return [
        (_medication_line(m), tuple(dict.fromkeys(u for part in m.parts.values() for u in part.utterances)))
        for m in found.medications
    ]


def _medication_line(medication: Medication) -> str:
    details = [medication[name] for name in ("route", "frequency", "duration", "instructions")]
    line = ", ".join([f"{medication['name'].capitalize()} {medication['dosage']}".strip(), *filter(None, details)])
    line = f"{medication['action'].capitalize()}: {line}" if medication["action"] else line
    heard = f"heard as “{medication['heard_as']}”" if medication["heard_as"] else ""
    remarks = "; ".join(filter(None, (heard, medication["check"])))
    return f"{line} ({remarks})" if remarks else line


def _hpi(found: _Findings) -> NoteContent:
    document = _Document(found)
    document.heading("# History of present illness")
    document.lines.append("")
    for text, utterances in _lines(found.section("subjective")):
        document.lines.append(f"- {text}")
        document.sources += found.source("", text, utterances)
    return document.content()


def _referral_letter(found: _Findings) -> NoteContent:
    document = _Document(found)
    document.heading("# Referral letter", "", f"Patient: {_BLANK}", "", f"To: {_BLANK}", "", f"Date: {_BLANK}")
    document.section("History", _lines(found.section("subjective")))
    document.section("Examination", _lines(found.section("objective")))
    document.section("Vital signs", _vital_lines(found))
    document.section("Assessment", _lines(found.section("assessment")))
    document.section("Medications", _medication_lines(found))
    document.section("Plan", _lines(found.section("plan")))
    return document.content()


def _discharge_summary(found: _Findings) -> NoteContent:
    document = _Document(found)
    document.heading("# Discharge summary", "", f"Patient: {_BLANK}", "", f"Date: {_BLANK}")
    document.section("Presenting history", _lines(found.section("subjective")))
    document.section("Findings", _lines(found.section("objective")))
    document.section("Vital signs", _vital_lines(found))
    document.section("Diagnosis", _lines(found.section("assessment")))
    document.section("Medications", _medication_lines(found))
    document.section("Advice and follow-up", _lines(found.section("plan")))
    return document.content()


def _transcript(found: _Findings) -> NoteContent:
    said = [(index, u.text.strip()) for index, u in enumerate(found.transcript.utterances) if u.text.strip()]
    sources = [source for index, text in said for source in found.source("", text, (index,))]
    return NoteContent("\n\n".join(text for _, text in said), tuple(sources))


_MAKERS: dict[str, Callable[[_Findings], NoteContent]] = {
    "soap": _soap,
    "medications": _medications,
    "vitals": _vitals,
    "hpi": _hpi,
    "referral_letter": _referral_letter,
    "discharge_summary": _discharge_summary,
    "transcript": _transcript,
}
