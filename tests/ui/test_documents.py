"""Notes and transcripts are shown as they were written, and never as markup."""

from __future__ import annotations

from dataclasses import replace

import pytest
from PySide6.QtCore import Qt, QUrl
from PySide6.QtGui import QGuiApplication, QTextTable
from PySide6.QtWidgets import QLabel, QPushButton
from pytestqt.qtbot import QtBot

from app.core.document import document
from app.core.scribe import TemplateResult, TemplateStatus, Utterance
from app.core.transcript import Mark
from app.core.views import Gap, Phase
from app.ui.document_view import DocumentView
from app.ui.document_writer import Talk
from app.ui.phrases import gap_on_the_clock
from tests.ui.desk import Desk
from tests.ui.samples import MEDICATIONS, NOTES, NOW, SOAP, session, view

HOSTILE = 'Give <50 mg & <img src="file:///etc/passwd"> <b>now</b> <script>x</script>'


@pytest.fixture
def reader(qtbot: QtBot) -> DocumentView:
    made = DocumentView("note-text-x", "Note")
    qtbot.addWidget(made)
    made.resize(700, 400)
    made.show()
    return made


@pytest.mark.parametrize("data", [HOSTILE, {"plan": HOSTILE}, [HOSTILE, "two"], [{"dose": HOSTILE, "drug": "A"}]])
def test_angle_brackets_are_text(reader: DocumentView, data: object) -> None:
    reader.show_document(document(data))
    assert "<50 mg" in reader.toPlainText()
    assert "<script>x</script>" in reader.toPlainText()
    assert "￼" not in reader.toPlainText()


def test_a_transcript_is_text_too(reader: DocumentView) -> None:
    reader.show_document(Talk((Utterance(HOSTILE, 12.0),)))
    assert f"00:12\t{HOSTILE}" in reader.toPlainText()


@pytest.mark.parametrize("state", ["ready", "recording", "finishing-notes", "result-partial"])
def test_no_label_takes_a_name_or_an_error_for_markup(desk: Desk, state: str) -> None:
    desk.show(state)
    labels = desk.window.findChildren(QLabel)
    assert labels
    assert [each.text() for each in labels if each.textFormat() is not Qt.TextFormat.PlainText] == []


def test_nothing_is_loaded_and_no_link_is_followed(reader: DocumentView) -> None:
    assert reader.loadResource(2, QUrl("file:///etc/passwd")) is None
    assert not reader.openLinks()
    assert not reader.openExternalLinks()


def test_a_list_of_medications_is_a_table(reader: DocumentView) -> None:
    reader.show_document(document(MEDICATIONS))
    (table,) = [each for each in reader.document().rootFrame().childFrames() if isinstance(each, QTextTable)]
    assert table.rows() == 3
    cell = table.cellAt(2, 1)
    assert cell.firstCursorPosition().block().text() == "<50 mg"


def test_headings_and_lists_are_told_apart_for_a_screen_reader(reader: DocumentView) -> None:
    reader.show_document(document(SOAP))
    block, headings, bullets = reader.document().begin(), 0, 0
    while block.isValid():
        headings += block.blockFormat().headingLevel() > 0
        bullets += block.textList() is not None
        block = block.next()
    assert headings == 4
    assert bullets == 6


def test_a_document_is_not_built_again_when_it_is_the_same(reader: DocumentView) -> None:
    reader.show_document(document(SOAP))
    before = reader.document().revision()
    reader.show_document(document(SOAP))
    assert reader.document().revision() == before


def test_it_begins_at_its_beginning(reader: DocumentView) -> None:
    reader.show_document(document({f"part {n}": "word " * 40 for n in range(30)}))
    assert reader.verticalScrollBar().value() == 0
    assert reader.verticalScrollBar().maximum() > 0


def test_each_note_has_its_tab_and_its_text(desk: Desk) -> None:
    desk.show("result")
    assert "<50 mg of atenolol" in desk.find(DocumentView, "note-text-soap").toPlainText()
    desk.find(QPushButton, "tab-medications").click()
    assert desk.find(DocumentView, "note-text-medications").isVisible()
    assert "three times a day" in desk.find(DocumentView, "note-text-medications").toPlainText()
    desk.find(QPushButton, "tab-transcript").click()
    assert "dry cough" in desk.find(DocumentView, "transcript-text").toPlainText()


def test_copying_takes_the_tab_that_is_looked_at(desk: Desk) -> None:
    desk.show("result")
    desk.find(QPushButton, "tab-medications").click()
    desk.find(QPushButton, "copy-note").click()
    assert "Paracetamol" in QGuiApplication.clipboard().text()
    desk.find(QPushButton, "tab-transcript").click()
    desk.find(QPushButton, "copy-note").click()
    assert QGuiApplication.clipboard().text().startswith("Good morning.")


def test_what_is_missing_is_said_in_what_is_copied(desk: Desk) -> None:
    desk.show("result-partial")
    desk.find(QPushButton, "copy-note").click()
    assert "04:10\u201304:40" in QGuiApplication.clipboard().text().splitlines()[0]


def test_a_failed_note_says_why_and_the_others_are_there(desk: Desk) -> None:
    desk.show("result-partial")
    assert "failed" in desk.find(QPushButton, "tab-referral_letter").text()
    assert "Medications" in desk.find(QPushButton, "tab-medications").text()
    desk.find(QPushButton, "tab-referral_letter").click()
    assert not desk.find(QPushButton, "copy-note").isEnabled()
    desk.find(QPushButton, "make-again-referral_letter").click()
    assert "MakeNote" in repr(desk.posted[-1])


def test_two_results_of_one_template_have_a_tab_each(desk: Desk) -> None:
    twice = (NOTES[0], replace(NOTES[0], data="Second"))
    desk.window.render(view(session(Phase.COMPLETED, notes=twice)))
    desk.window.select(session(Phase.COMPLETED).id)
    desk.find(QPushButton, "tab-soap-2").click()
    assert desk.find(DocumentView, "note-text-soap-2").toPlainText() == "Second"


def test_the_tab_that_is_read_stays_when_another_note_arrives(desk: Desk) -> None:
    desk.show("result")
    desk.find(QPushButton, "tab-transcript").click()
    later = TemplateResult("vitals", TemplateStatus.PROCESSING)
    desk.window.render(view(session(Phase.COMPLETED, notes=(*NOTES, later))))
    assert desk.find(QPushButton, "tab-transcript").isChecked()
    assert "being written" in desk.find(QPushButton, "tab-vitals").text()


def test_a_pause_is_shown_among_the_lines(qtbot: QtBot) -> None:
    reader = DocumentView("transcript-text", "Transcript")
    qtbot.addWidget(reader)
    reader.show_document(Talk((Utterance("before", 0.0), Mark(10.0, 65.0, "paused"), Utterance("after", 12.0))))
    before, pause, after = reader.toPlainText().splitlines()
    assert "before" in before
    assert "00:10" in pause
    assert "Paused for 1 min" in pause
    assert "after" in after


def test_a_pause_is_in_what_is_copied(desk: Desk) -> None:
    gap = Gap(10.0, 65.0, "paused", NOW)
    paused = session(Phase.COMPLETED, gaps=(gap,))
    desk.window.render(view(paused))
    desk.window.select(paused.id)
    desk.find(QPushButton, "tab-transcript").click()
    desk.find(QPushButton, "copy-note").click()
    assert f"[00:10 Paused for 1 min ({gap_on_the_clock(gap)})]" in QGuiApplication.clipboard().text()


def test_what_was_not_recorded_is_in_what_is_copied_of_a_note(desk: Desk) -> None:
    desk.show("result-gaps")
    desk.find(QPushButton, "copy-note").click()
    first = QGuiApplication.clipboard().text().splitlines()[0]
    assert "03:10 Microphone away for 4 s" in first
    assert "03:30\u201304:00 Microphone silent" in first


def test_a_table_fits_its_page_at_any_width(qtbot: QtBot) -> None:
    reader = DocumentView("note-text-medications", "Medications")
    qtbot.addWidget(reader)
    reader.show_document(document(MEDICATIONS))
    reader.show()
    for width in range(700, 1300, 7):
        reader.resize(width, 400)
        assert reader.horizontalScrollBar().maximum() == 0, width


def test_a_table_with_a_page_in_a_cell_is_a_list_that_lacks_nothing(reader: DocumentView, qtbot: QtBot) -> None:
    advice = "word " * 900
    reader.show_document(document([{"drug": "A", "advice": advice}, {"drug": "", "advice": "B <5"}]))
    qtbot.waitUntil(lambda: "Advice: B <5" in reader.toPlainText())
    assert not [each for each in reader.document().rootFrame().childFrames() if isinstance(each, QTextTable)]
    assert f"Drug: A\nAdvice: {advice}\nAdvice: B <5" in reader.toPlainText()


def test_a_long_table_is_several_and_no_row_is_left_out(reader: DocumentView, qtbot: QtBot) -> None:
    reader.show_document(document([{"drug": f"drug {n}", "dose": "<50 mg"} for n in range(400)]))
    qtbot.waitUntil(lambda: "drug 399\n" in reader.toPlainText())
    text = reader.toPlainText()
    assert all(f"drug {n}\n" in text for n in range(400))
    assert text.count("Dose") > 1


def test_what_is_long_is_there_at_once_as_far_as_it_is_seen_and_soon_whole(
    reader: DocumentView, qtbot: QtBot
) -> None:
    reader.show_document(document("\n".join(f"line {n} of the note" for n in range(8000))))
    assert "line 0 of" in reader.toPlainText()
    qtbot.waitUntil(lambda: "line 7999 of" in reader.toPlainText())
    assert reader.verticalScrollBar().value() == 0


def test_the_place_that_is_read_is_kept_when_the_colours_change(reader: DocumentView, qtbot: QtBot) -> None:
    reader.show_document(document("\n\n".join(f"line {n} of the note" for n in range(3000))))
    qtbot.waitUntil(lambda: "line 2999 of" in reader.toPlainText())
    bar = reader.verticalScrollBar()
    bar.setValue(bar.maximum() // 2)
    place = bar.value()
    palette = reader.palette()
    palette.setColor(palette.ColorRole.Text, Qt.GlobalColor.red)
    reader.setPalette(palette)
    qtbot.waitUntil(lambda: "line 2999 of" in reader.toPlainText() and bar.value() == place)


def test_what_nobody_looks_at_is_written_when_it_is_looked_at(qtbot: QtBot) -> None:
    reader = DocumentView("note-text-x", "Note")
    qtbot.addWidget(reader)
    reader.show_document(document("\n\n".join(f"line {n} of the note" for n in range(3000))))
    assert "line 2999 of" not in reader.toPlainText()
    reader.show()
    qtbot.waitUntil(lambda: "line 2999 of" in reader.toPlainText())
