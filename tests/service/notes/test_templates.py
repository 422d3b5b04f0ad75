"""Each template on offer, its shape on the wire, and what it leaves blank."""

from __future__ import annotations

import pytest

from app.service.notes import TEMPLATES, RuleNoteMaker
from app.service.ports import TemplateUnknown, Transcript, Utterance

SAID = (
    "i have had a cough for five days",
    "your blood pressure is one thirty over eighty five",
    "i think you have a chest infection",
    "start amoxicillin five hundred milligrams",
    "three times a day for seven days",
    "come back in one week",
)
VISIT = Transcript(tuple(Utterance(text, i * 4.0, i * 4.0 + 3.0) for i, text in enumerate(SAID)))


def test_unknown_template_is_refused() -> None:
    with pytest.raises(TemplateUnknown):
        RuleNoteMaker().make("horoscope", VISIT)


def test_all_templates_on_offer_can_be_made() -> None:
    maker = RuleNoteMaker()
    assert [t.id for t in maker.templates()] == [
        "soap", "medications", "vitals", "hpi", "referral_letter", "discharge_summary", "transcript",
    ]  # fmt: skip
    assert all(maker.make(template.id, VISIT).sources for template in TEMPLATES)


def test_soap_is_four_texts() -> None:
    assert RuleNoteMaker().make("soap", VISIT).data == {
        "subjective": "I have had a cough for 5 days.",
        "objective": "Your blood pressure is 130 over 85.",
        "assessment": "I think you have a chest infection.",
        "plan": "Start amoxicillin 500 milligrams 3 times a day for 7 days.\nCome back in 1 week.",
    }


def test_each_detail_of_a_medication_leads_to_where_it_was_said() -> None:
    note = RuleNoteMaker().make("medications", VISIT)
    places = {source.at: (source.utterance, source.start_seconds) for source in note.sources}
    assert places["/0/dosage"] == (3, 12.0)
    assert places["/0/frequency"] == (4, 16.0)


def test_letter_leaves_the_patient_blank_and_unsaid_sections_out() -> None:
    letter = RuleNoteMaker().make("referral_letter", VISIT).data
    assert "Patient: ____" in letter
    assert "## Assessment\n\n- I think you have a chest infection." in letter
    assert "- Start: Amoxicillin 500 mg, 3 times a day, for 7 days" in letter
    assert "- Blood pressure: 130/85 mmHg" in letter
    short = RuleNoteMaker().make("discharge_summary", Transcript(VISIT.utterances[:1])).data
    assert [line for line in short.splitlines() if line.startswith("#")] == [
        "# Discharge summary",
        "## Presenting history",
    ]


@pytest.mark.parametrize("template", [template.id for template in TEMPLATES])
def test_silence_makes_an_empty_note(template: str) -> None:
    note = RuleNoteMaker().make(template, Transcript(()))
    assert not note.data
    assert note.sources == ()


def test_transcript_has_all_that_was_said() -> None:
    assert RuleNoteMaker().make("transcript", VISIT).data.split("\n\n") == list(SAID)
