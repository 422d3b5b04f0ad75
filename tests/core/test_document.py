"""A note of any shape is shown whole: every character, in order, with the place that it came from."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.core.document import (
    Bullets,
    Document,
    Heading,
    Line,
    Paragraph,
    Table,
    document,
    humanised,
    markdown,
    plain_text,
)


def test_an_object_of_texts_becomes_sections() -> None:
    shown = document(
        {"chief_complaint": "Cough for <a few days>.", "objective": "", "plan": "Rest.\n\n- Fluids\n- Sleep"}
    )
    assert shown.blocks == (
        Heading(1, "Chief complaint", "/chief_complaint"),
        Paragraph("Cough for <a few days>.", "/chief_complaint"),
        Heading(1, "Plan", "/plan"),
        Paragraph("Rest.", "/plan"),
        Bullets((Line("Fluids", "/plan"), Line("Sleep", "/plan"))),
    )
    assert plain_text(shown) == "Chief complaint\nCough for <a few days>.\n\nPlan\nRest.\n\n- Fluids\n- Sleep"


def test_a_list_of_objects_becomes_a_table_whose_cells_know_their_place() -> None:
    shown = document(
        [
            {"name": "Amlodipine", "dosage": "<50 mg", "frequency": None},
            {"name": "Metformin", "dosage": 500, "notes": ["with food", "evening"]},
        ]
    )
    (table,) = shown.blocks
    assert isinstance(table, Table)
    assert table.columns == ("Name", "Dosage", "Notes")
    assert table.rows[0][1] == Line("<50 mg", "/0/dosage")
    assert [cell.text for cell in table.rows[1]] == ["Metformin", "500", "with food; evening"]
    assert plain_text(shown) == (
        "- Name: Amlodipine; Dosage: <50 mg\n- Name: Metformin; Dosage: 500; Notes: with food; evening"
    )
    assert markdown(shown).splitlines()[:3] == [
        "| Name | Dosage | Notes |",
        "| --- | --- | --- |",
        r"| Amlodipine | \<50 mg |  |",
    ]


def test_a_list_of_texts_becomes_bullets() -> None:
    shown = document({"plan": ["Rest", "Fluids\nplenty", None, 3]})
    assert shown.blocks[1] == Bullets(
        (Line("Rest", "/plan/0"), Line("Fluids\nplenty", "/plan/1"), Line("3", "/plan/3"))
    )
    assert plain_text(shown) == "Plan\n- Rest\n- Fluids\n  plenty\n- 3"


def test_short_values_stand_behind_their_names() -> None:
    shown = document({"blood_pressure": "120/80 mmHg", "pulse": 72, "spo2": 98.5, "smoker": False})
    assert plain_text(shown) == "- Blood pressure: 120/80 mmHg\n- Pulse: 72\n- SpO2: 98.5\n- Smoker: No"


def test_markdown_is_read_as_far_as_it_is_plain() -> None:
    text = (
        "# Letter\n\nDear **Dr Rao**,\nthank you.\n\n1. First\n2. Second\n\n* a\n  - b\n\n**Plan:**\nRest\n\n"
        "| Drug | Dose |\n|---|:-:|\n| A \\| B | 5 mg |\n| C |\n"
    )
    shown = document(text)
    assert shown.blocks == (
        Heading(1, "Letter"),
        Paragraph("Dear Dr Rao,\nthank you."),
        Paragraph("1. First\n2. Second"),
        Bullets((Line("a"), Line("b", depth=1))),
        Heading(2, "Plan:"),
        Paragraph("Rest"),
        Table(("Drug", "Dose"), ((Line("A | B"), Line("5 mg")), (Line("C"), Line("")))),
    )
    assert plain_text(shown).startswith(
        "Letter\nDear Dr Rao,\nthank you.\n\n1. First\n2. Second\n\n- a\n  - b\n\nPlan:\nRest"
    )


@pytest.mark.parametrize(
    "text",
    [
        "<50 mg",
        "<a few days>",
        "[1]",
        '["x"]',
        "{}",
        "{not json}",
        '{"a": 1, "a": 2}',
        "+ leukocytes",
        "#3 molar",
        "-5 D sphere",
        "5 ** 2 * 3",
        "p*value_of_x",
        "a | b",
        "<img src=file:///etc/passwd><script>x</script>",
        "&lt; &amp;",
        "\u202eabc\x1b[31m",
        "  kept  inside",
    ],
)
def test_text_that_only_looks_like_markup_is_kept_to_the_letter(text: str) -> None:
    assert plain_text(document(text)) == text
    assert plain_text(document({"plan": text + " and so on, at some length, to the end."})).startswith(
        f"Plan\n{text}"
    )


def test_json_text_is_laid_out_like_json_and_numbers_stay_as_written() -> None:
    data = {"dose": "0.50 mg", "drugs": [{"name": "A"}]}
    assert document(json.dumps(data)) == document(data)
    assert plain_text(document('{"dose": 0.50, "n": 1e-7}')) == "- Dose: 0.50\n- N: 1e-7"


@pytest.mark.parametrize("data", [None, "", " \n", [], {}, {"a": None, "b": [], "c": {"d": ""}}, [None, {}]])
def test_nothing_said_is_nothing_shown(data: Any) -> None:
    assert plain_text(document(data)) in ("", "C")
    assert markdown(Document()) == ""


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("chief_complaint", "Chief complaint"),
        ("chiefComplaint", "Chief complaint"),
        ("follow-up", "Follow up"),
        ("hpi", "HPI"),
        ("icd_code", "ICD code"),
        ("spO2", "SpO2"),
        ("ROS", "ROS"),
        ("Chief Complaint (CC)", "Chief Complaint (CC)"),
        ("दवा", "दवा"),
        ("", ""),
    ],
)
def test_names_become_words(key: str, words: str) -> None:
    assert humanised(key) == words


def test_markdown_written_reads_as_the_same_characters() -> None:
    text = "<b> & *x* _y_ `z` [l](u) | \\ ~~\n1) one\n2. two\n= x\n+ y, #1"
    assert markdown(document({"plan": [text]})) == (
        "# Plan\n\n"
        r"- \<b\> \& \*x\* \_y\_ \`z\` \[l\](u) \| \\ \~\~" + "\\\n"
        r"  1\) one" + "\\\n"
        r"  2\. two" + "\\\n"
        r"  \= x" + "\\\n"
        r"  \+ y, #1"
    )


def test_depth_and_size_are_bounded_without_losing_text() -> None:
    deep: Any = "the innermost"
    for _ in range(50_000):
        deep = [deep]
    assert "the innermost" in plain_text(document(deep))
    deep = "the innermost"
    for n in range(500):
        deep = {f"k{n}": deep, f"n{n}": f"text {n}"}
    text = plain_text(document(deep))
    assert all(f"text {n}" in text for n in range(500))
    wide = [{f"column_{n}": f"value {n}"} for n in range(2000)]
    shown = document(wide)
    assert not any(isinstance(block, Table) for block in shown.blocks)
    text = plain_text(shown)
    assert all(f"value {n}" in text for n in range(2000))


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "line", [" " * 1_000_000 + "|x", "- " * 300_000, "**a" * 200_000, "|" * 200_000, "#" * 1_000_000]
)
def test_a_hostile_line_takes_no_long_time(line: str) -> None:
    assert len(plain_text(document(f"| a |\n{line}\n{line}"))) >= 100


# Any shape at all -----------------------------------------------------------------------------------------------

_MARKUP = re.compile(r"[\s#*|\\\u2022-]+")
_ALPHABET = "aZ9é<>&_`~'\"/:;.,+=()!?$% \u0915\u094d\u0937\u202e\ufffd"
_letters = st.text(_ALPHABET, min_size=1, max_size=12).filter(str.strip)
_texts = st.lists(_letters, min_size=1, max_size=4).flatmap(
    lambda words: st.sampled_from(["\n", " ", "\n\n", "\n- ", "\n# "]).map(lambda glue: glue.join(words))
)
_data = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | _texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_letters, inner, max_size=4),
    max_leaves=10,
)


def leaves(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for item in value.values():
            yield from leaves(item)
    elif isinstance(value, list):
        for item in value:
            yield from leaves(item)
    elif isinstance(value, bool):
        yield "Yes" if value else "No"
    elif value is not None:
        yield str(value)


def bare(text: str) -> str:
    return _MARKUP.sub("", text)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(_data)
def test_every_text_appears(data: Any) -> None:
    shown = document(data)
    plain, marked = bare(plain_text(shown)), bare(markdown(shown).replace("<br>", ""))
    for leaf in leaves(data):
        assert bare(leaf) in plain
        assert bare(leaf) in marked


@settings(max_examples=100, deadline=None)
@given(st.lists(_letters, max_size=8, unique=True), st.sampled_from(["sections", "bullets", "lines"]))
def test_order_is_kept(texts: list[str], shape: str) -> None:
    numbered = [f"{n}:{text}:{n}" for n, text in enumerate(texts)]
    data = {"sections": {f"key_{n}": text for n, text in enumerate(numbered)}, "bullets": numbered}.get(
        shape, "\n".join(numbered)
    )
    plain = plain_text(document(data))
    places = [plain.index(text) for text in numbered]
    assert places == sorted(places)


@settings(max_examples=100, deadline=None)
@given(_data)
def test_every_place_leads_into_the_data(data: Any) -> None:
    for at in places(document(data)):
        value = data
        for step in at.split("/")[1:]:
            key = step.replace("~1", "/").replace("~0", "~")
            value = value[int(key)] if isinstance(value, list) else value.get(key)
            if value is None:
                break


def places(shown: Document) -> Iterator[str]:
    for block in shown.blocks:
        if isinstance(block, Bullets):
            yield from (item.at for item in block.items)
        elif isinstance(block, Table):
            yield from (cell.at for row in block.rows for cell in row)
        else:
            yield block.at
