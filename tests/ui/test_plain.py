"""Whatever a service, a file or a device writes is shown as what it is, and never stops the window."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PySide6.QtWidgets import QApplication, QLabel
from pytestqt.qtbot import QtBot

from app.core.document import document
from app.core.events import Patient, Visit
from app.core.scribe import Utterance
from app.core.views import Phase
from app.ui.controls import identify, label
from app.ui.document_view import DocumentView
from app.ui.document_writer import Talk
from app.ui.live_transcript import LiveTranscript
from app.ui.phrases import session_title
from app.ui.plain import LONGEST_LINE, LONGEST_TEXT, shown, shown_name
from tests.ui.desk import Desk
from tests.ui.samples import session, view

NASTY = "a\x1b[31mred\u202egnp.exe\u2066x\x00\ud800 ok"
ESCAPED = "a\\x1b[31mred\\u202egnp.exe\\u2066x\\x00\\ud800 ok"
_MOST_SECONDS = 1.0
"""Tenths of a second here; minutes without the cutting."""


@pytest.mark.fault("X9")
def test_control_characters_and_turned_writing_are_shown_escaped() -> None:
    assert shown(NASTY) == ESCAPED


@pytest.mark.parametrize("text", ["लक्ष्मी क्‍ष", "ডাক্তার র‍্যাব", "naïve 38.5 °C", "line\nline\tcell", "👩‍⚕️"])
def test_what_people_write_is_left_alone(text: str) -> None:
    assert shown(text) == text


@given(st.text())
def test_what_is_shown_can_be_shown(text: str) -> None:
    told = shown(text)
    told.encode()
    assert "\r" not in told
    assert not set(told) & set("\x00\x1b\u202e\ufffc")
    assert shown(told) == told


def test_lines_are_cut_between_words_and_nothing_is_lost() -> None:
    text = "word " * 30_000
    lines = shown(text).split("\n")
    assert max(map(len, lines)) <= LONGEST_LINE
    assert "".join(lines) == text
    assert all(line.endswith(" ") for line in lines)


def test_what_is_left_out_is_counted() -> None:
    assert shown("x" * (LONGEST_TEXT + 7)).endswith("[+ 7]")


def test_a_name_is_one_line_of_a_fair_length() -> None:
    assert shown_name(" a\n b\tc ") == "a b c"
    assert len(shown_name("x" * 5000)) < 400
    assert session_title(session(Phase.COMPLETED, visit=Visit(Patient("M\u202eK\n")))) == "M\\u202eK"


def test_a_remark_is_not_a_page_long_and_a_name_not_even_for_a_screen_reader(qtbot: QtBot) -> None:
    made = label("x" * 100_000)
    qtbot.addWidget(made)
    assert len(made.text()) < 3000
    assert made.text().endswith("…")
    identify(made, "x", "y" * 100_000 + "\n")
    assert len(made.accessibleName()) < 400


@pytest.mark.fault("X9")
def test_every_kind_of_text_on_the_screen_is_escaped(qtbot: QtBot, desk: Desk) -> None:
    reader = DocumentView("note-text-x", "Note")
    qtbot.addWidget(reader)
    for data in (NASTY, [NASTY, "two"], {"plan": NASTY}, [{"dose": NASTY, "drug": "A"}]):
        reader.show_document(document(data))
        assert ESCAPED in reader.toPlainText()
    reader.show_document(Talk((Utterance(NASTY, 12.0),)))
    assert ESCAPED in reader.toPlainText()
    assert label(NASTY).text() == ESCAPED
    desk.window.render(view(session(Phase.RECORDING, NASTY, microphone=NASTY, transcript=NASTY)))
    told = [each.text() for each in desk.window.findChildren(QLabel)]
    assert any(ESCAPED in text for text in told)
    assert not any("\u202e" in text or "\x1b" in text for text in told)
    assert ESCAPED in desk.find(LiveTranscript, "live-transcript").toPlainText()


@pytest.mark.fault("S16")
def test_a_transcript_without_end_is_shown_as_far_as_it_is_sensible(qtbot: QtBot) -> None:
    reader = DocumentView("transcript-text", "Transcript")
    qtbot.addWidget(reader)
    reader.show()
    reader.show_document(Talk((Utterance("word " * 1000),) * 3000))
    qtbot.waitUntil(lambda: reader.toPlainText().endswith("Copying takes all of it.]"), timeout=30_000)
    assert len(reader.toPlainText()) < LONGEST_TEXT * 1.1


@pytest.mark.fault("S16")
@pytest.mark.parametrize("text", ["x" * 1_000_000, "word " * 400_000], ids=["one word", "one line"])
def test_a_line_of_a_megabyte_does_not_stop_the_window(qtbot: QtBot, dressed: QApplication, text: str) -> None:
    for made in (DocumentView("note-text-x", "Note"), LiveTranscript()):
        qtbot.addWidget(made)
        made.resize(700, 400)
        made.show()
        began = time.monotonic()
        if isinstance(made, DocumentView):
            made.show_document(document({"plan": text}))
        else:
            made.show_text(text)
        dressed.processEvents()
        assert time.monotonic() - began < _MOST_SECONDS
