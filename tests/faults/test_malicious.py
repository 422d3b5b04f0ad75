"""Texts that mean harm, in the real window: shown as they are, run by nobody, and no cause to wait."""

from __future__ import annotations

import ctypes
import dataclasses
import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from random import Random
from typing import Any, TypeVar, cast

import pytest
import shiboken6
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication, QImage
from PySide6.QtGui import Qt as GuiQt
from PySide6.QtWidgets import (
    QAbstractButton,
    QApplication,
    QComboBox,
    QLabel,
    QLineEdit,
    QMessageBox,
    QPlainTextEdit,
    QTextEdit,
    QWidget,
)
from pytestqt.qtbot import QtBot

from app.core.scribe import ProcessingError, TemplateResult, TemplateStatus, Utterance
from app.core.views import AppView, Phase
from app.protocol.reading import read_session
from app.ui.application import appearance_of, create_application
from app.ui.window import MainWindow
from tests.faults.desk import FaultDesk
from tests.faults.test_credentials import contacts
from tests.protocol.scripted import RawServer, answer
from tests.rig.answers import Kind, Scribe, reply
from tests.ui.desk import Desk
from tests.ui.samples import DIALOGS, LEVEL, NOW, STATES, session, view

_T = TypeVar("_T")
STALL_SECONDS = 0.1
SHARED = 2.0
"""A machine with many tests at work takes so much longer for the same."""
DOSES = "Take <50 mg, > 5 & < 10 mg, for <a few days>; <b>not more</b> &lt;x&gt; &amp; a<b"
INVISIBLE = "\u202eDEVLOVER\u202c \u2066iso\u2069 \x1b[31mred\x1b[0m \x07\x00 \x7f \x9b1m zero\u2060width \ufeff"
KEPT = frozenset({"id", "reason", "sound", "stage", "refusal", "settings", "allowed", "recovery_code", "session_id"})
"""What the app itself writes, and never a service or a device."""


@pytest.fixture
def window(qtbot: QtBot, qapp: QApplication) -> Iterator[Desk]:
    """The real window."""
    appearance = appearance_of(create_application([]))
    assert appearance is not None
    appearance.choose("light", 1.0)
    made = MainWindow(lambda _: None, lambda: LEVEL, lambda: NOW)
    made.resize(1366, 768)
    made.show()
    qtbot.waitExposed(made)
    yield Desk(made)
    shiboken6.delete(made)


# Texts from outside, everywhere -----------------------------------------------------------------------------------


def poisoned(value: _T, text: str) -> _T:
    """The same view with this text wherever a service, a device or a person has a say."""
    return cast(_T, _poisoned(value, text))


def _poisoned(value: Any, text: str) -> Any:
    if isinstance(value, Enum) or value in ("", None):
        return value
    if isinstance(value, str):
        return text
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = [field.name for field in dataclasses.fields(value) if field.name not in KEPT]
        return dataclasses.replace(value, **{name: _poisoned(getattr(value, name), text) for name in fields})
    if isinstance(value, tuple | list):
        return type(value)(_poisoned(item, text) for item in value)
    if isinstance(value, dict):
        return {f"{key} {text}": _poisoned(item, text) for key, item in value.items()}
    return value


def texts_on(widget: QWidget) -> Iterator[tuple[QWidget, str]]:
    """Every text that a window holds, shown or not."""
    for each in (widget, *widget.findChildren(QWidget)):
        yield each, each.toolTip()
        for action in each.actions():
            yield each, action.text()
        if isinstance(each, QLabel | QAbstractButton | QLineEdit):
            yield each, each.text()
        elif isinstance(each, QTextEdit | QPlainTextEdit):
            yield each, each.toPlainText()
        elif isinstance(each, QComboBox):
            yield from ((each, each.itemText(index)) for index in range(each.count()))


def assert_plain(widget: QWidget) -> None:
    """Nothing on it is taken for markup, and nothing that cannot be seen changes what is seen."""
    for label in widget.findChildren(QLabel):
        is_plain = label.textFormat() is Qt.TextFormat.PlainText or not GuiQt.mightBeRichText(label.text())
        assert is_plain, label.objectName()
    for question in widget.findChildren(QMessageBox):
        assert question.textFormat() is Qt.TextFormat.PlainText
    for part in widget.findChildren(QWidget):
        assert not GuiQt.mightBeRichText(part.toolTip()), part.objectName()
    for each, text in texts_on(widget):
        trouble = [c for c in text if c in INVISIBLE and not c.isprintable()]
        assert not trouble, f"{type(each).__name__} {each.objectName()!a:.40} holds {trouble!r} in {text!a:.60}"


# What is opened and asked for -------------------------------------------------------------------------------------


@dataclasses.dataclass
class Bait:
    """An address and a picture that nothing on the screen may touch."""

    server: RawServer
    picture: Path
    _inotify: int

    @property
    def texts(self) -> dict[str, str]:
        url = f"http://127.0.0.1:{self.server.port}"
        file = self.picture.as_uri()
        tags = (
            f'<h1>T</h1><img src="{file}"><img src="{url}/a.png"><script>fetch("{url}/b")</script>'
            f'<a href="{url}/c">l</a>'
            f'<style>@import url({url}/d); body {{ background: url({file}) }}</style><iframe src="{url}/e"></iframe>'
            f'<table background="{file}"><tr><td>x</td></tr></table><object data="{file}"></object>'
        )
        markdown = (
            f"# T\n\n![x]({file}) ![x]({url}/f) [l]({url}/g) <{url}/h>\n\n```\n<!--\n```\n---\n* <img src={file}>"
        )
        return {
            "html": tags,
            "markdown": markdown,
            "doses": DOSES,
            "invisible": INVISIBLE,
            "file": file,
            "qrc": "qrc:/x",
        }

    def is_untouched(self) -> bool:
        try:
            return not os.read(self._inotify, 4096) and not self.server.heads
        except BlockingIOError:
            return not self.server.heads


@pytest.fixture
def bait(tmp_path: Path) -> Iterator[Bait]:
    if sys.platform != "linux":
        pytest.skip("Linux tells who opens a file")
    picture = tmp_path / "bait.png"
    image = QImage(200, 200, QImage.Format.Format_RGB32)
    image.fill(Qt.GlobalColor.magenta)
    image.save(str(picture))
    libc = ctypes.CDLL(None, use_errno=True)
    inotify = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
    opened, read = 0x20, 0x1
    assert libc.inotify_add_watch(inotify, os.fsencode(picture), opened | read) >= 0
    with RawServer(lambda line: line.sendall(answer(b"x"))) as server:
        yield Bait(server, picture, inotify)
    os.close(inotify)


@contextmanager
def unheard() -> Iterator[None]:
    """Nobody is connected to and no name looked up meanwhile."""
    with contacts() as seen:
        yield
    assert seen == []


def test_the_bait_is_noticed(bait: Bait) -> None:
    assert bait.is_untouched()
    assert not QImage(str(bait.picture)).isNull()
    assert not bait.is_untouched()


@pytest.mark.fault("X1", "X9")
@pytest.mark.parametrize("state", STATES)
def test_no_page_takes_a_text_for_more_than_a_text(state: str, window: Desk, bait: Bait) -> None:
    what, selected = STATES[state]
    for text in ("\n".join(bait.texts.values()), bait.texts["html"], bait.texts["file"]):
        with unheard():
            window.window.render(poisoned(what, text))
            window.window.select(selected)
            QApplication.processEvents()
            picture = window.window.grab().toImage()
        assert_plain(window.window)
        assert not holds_magenta(picture)
    assert bait.is_untouched()


@pytest.mark.fault("X1", "X9")
@pytest.mark.qt_log_ignore("propagateSizeHints")
@pytest.mark.parametrize("name", DIALOGS)
def test_no_dialog_takes_a_text_for_more_than_a_text(name: str, window: Desk, bait: Bait) -> None:
    before, opening, after = DIALOGS[name]
    text = "\n".join(bait.texts.values())
    with unheard():
        window.window.render(poisoned(before, text))
        getattr(window.window.dialogs, opening)()
        window.window.render(poisoned(after, text))
        QApplication.processEvents()
    assert_plain(window.window)
    assert bait.is_untouched()


def holds_magenta(image: QImage) -> bool:
    places = ((x, y) for x in range(0, image.width(), 8) for y in range(0, image.height(), 8))
    return any(image.pixelColor(x, y).name() == "#ff00ff" for x, y in places)


# Every character is there -----------------------------------------------------------------------------------------


def result(text: str) -> AppView:
    """A finished visit in which the service says this everywhere."""
    notes = (
        TemplateResult("soap", TemplateStatus.SUCCESS, "SOAP", {"plan": text, "more": [text, {"a": text}]}),
        TemplateResult(
            "rx", TemplateStatus.SUCCESS, "Rx", [{"name": text, "dose": text}, {"name": "b", "dose": "c"}]
        ),
        TemplateResult("plain", TemplateStatus.SUCCESS, "Plain", text),
        TemplateResult("failed", TemplateStatus.FAILED, "Failed", error=text, warnings=(text,)),
    )
    return view(
        session(
            Phase.PARTIAL,
            notes=notes,
            transcript=text,
            utterances=(Utterance(text, 1.0, 2.0),),
            transcript_by=text,
            processing_errors=(ProcessingError("x", text),),
            service_name=text,
        )
    )


@pytest.mark.fault("X2")
@pytest.mark.parametrize(
    "text", [DOSES, "<script>alert(1)</script>", "a &amp; b &#60;c&#62; <!-- d -->", "<", "1<2>3"]
)
def test_every_character_of_a_note_can_be_seen_and_copied(text: str, window: Desk) -> None:
    window.window.render(result(text))
    window.window.select(session(Phase.PARTIAL).id)
    QApplication.processEvents()
    for key in ("soap", "rx", "plain"):
        assert text in window.find(QTextEdit, f"note-text-{key}").toPlainText(), key
        window.find(QAbstractButton, f"tab-{key}").click()
        window.find(QAbstractButton, "copy-note").click()
        assert text in QGuiApplication.clipboard().text()
    assert text in window.find(QTextEdit, "transcript-text").toPlainText()
    for name in ("made-by-transcript", "state-word"):
        assert text in window.find(QLabel, name).text()
    labels = [each.text() for each in window.window.findChildren(QLabel)]
    assert any(text in each and each.count(text) == 2 for each in labels), "reason and warning of the failed note"


@pytest.mark.fault("X2")
def test_every_character_of_a_running_transcript_can_be_seen(window: Desk) -> None:
    for text in (DOSES, f"{DOSES}\n{DOSES} <50", "<img src=x> <50"):
        window.window.render(view(session(Phase.RECORDING, transcript=text)))
        window.window.select(session(Phase.RECORDING).id)
        assert window.find(QPlainTextEdit, "live-transcript").toPlainText() == text


@pytest.mark.fault("X2")
def test_whatever_is_written_is_shown_letter_for_letter(window: Desk) -> None:
    window.window.select(session(Phase.PARTIAL).id)
    for seed in range(60):
        chance = Random(seed)
        pieces = [
            "<",
            ">",
            "&",
            "50 mg",
            "a few days",
            "&lt;",
            "/",
            "b",
            "img src=",
            "#",
            "*",
            "_",
            "`",
            "|",
            '"',
            " ",
            "é",
            "तीन",
        ]
        text = "x" + "".join(chance.choice(pieces) for _ in range(30)) + "x"
        window.window.render(
            view(session(Phase.PARTIAL, notes=(TemplateResult("n", TemplateStatus.SUCCESS, data=[text, "z"]),)))
        )
        seen = window.find(QTextEdit, "note-text-n").toPlainText()
        assert letters(text) in letters(seen), f"seed {seed}: {text!r} became {seen!r}"


def letters(text: str) -> str:
    """Without blanks, which may become line ends, and without what Markdown takes for emphasis and headings."""
    return "".join(c for c in text if not c.isspace() and c not in "*_`#")


@pytest.mark.fault("X9")
def test_what_cannot_be_seen_is_shown_escaped(window: Desk) -> None:
    window.window.render(result(INVISIBLE))
    window.window.select(session(Phase.PARTIAL).id)
    QApplication.processEvents()
    for key in ("note-text-plain", "transcript-text"):
        seen = window.find(QTextEdit, key).toPlainText()
        for code in ("\\u202e", "\\u2066", "\\x1b", "\\x00", "\\x9b", "\\u2060", "\\ufeff"):
            assert code in seen
    assert_plain(window.window)


# No cause to wait -------------------------------------------------------------------------------------------------

LONG: dict[str, str] = {
    "one line of a megabyte": "a" * 1_000_000,
    "one line of a megabyte of words": "word " * 200_000,
    "a megabyte of wide letters": "क" * 400_000,
    "many lines": "a line of a note\n" * 5000,
    "line ends alone": "\n" * 5000,
    "control characters alone": "\x1b[31m" * 20_000,
    "joined letters": "a\u0301" * 100_000,
}


def slowest(do: Callable[[], object]) -> float:
    """How long the window's own thread is at work at most between two looks at its events."""
    worst = 0.0
    begun = time.thread_time()
    do()
    for _ in range(20):
        worst = max(worst, time.thread_time() - begun)
        begun = time.thread_time()
        QApplication.processEvents()
    return max(worst, time.thread_time() - begun)


@pytest.mark.fault("S16")
@pytest.mark.parametrize("name", LONG)
def test_no_length_of_text_holds_the_window_up(name: str, window: Desk) -> None:
    text = LONG[name]
    window.window.render(result("short"))
    window.window.select(session(Phase.PARTIAL).id)
    QApplication.processEvents()
    shows: dict[str, Callable[[], object]] = {
        "live": lambda: live(window, text),
        "note": lambda: show(window, {"templates": {"soap": text}}),
        "transcript": lambda: show(window, {"transcript": text}),
        "names": lambda: show(window, {"transcript_by": text, "templates": {text: {"made_by": text, "data": 1}}}),
        "remarks": lambda: show(
            window, {"message": text, "templates": {"soap": {"error": text, "warnings": [text] * 100}}}
        ),
        "notes": lambda: show(window, {"templates": [{f"t{n}": {"name": text, "data": "x"}} for n in range(200)]}),
    }
    taken = {where: slowest(do) for where, do in shows.items()}
    for where in [where for where, seconds in taken.items() if seconds > STALL_SECONDS]:
        window.window.render(result("short"))  # Once more: it may have been another program's fault.
        QApplication.processEvents()
        taken[where] = min(taken[where], slowest(shows[where]))
    too_long = {where: round(seconds, 3) for where, seconds in taken.items() if seconds > STALL_SECONDS * SHARED}
    assert not too_long


@pytest.mark.fault("S16")
@pytest.mark.parametrize("name", LONG)
def test_no_length_of_a_tables_cell_holds_the_window_up(name: str, window: Desk) -> None:
    cells = {"a": LONG[name], "b": LONG[name]}
    taken = []
    for _ in range(2):  # It may have been another program's fault.
        window.window.render(result("short"))
        window.window.select(session(Phase.PARTIAL).id)
        QApplication.processEvents()
        taken.append(slowest(lambda: show(window, {"templates": {"soap": [cells, cells]}})))
    assert min(taken) <= STALL_SECONDS * SHARED


def live(window: Desk, text: str) -> None:
    window.window.render(view(session(Phase.RECORDING, number=2, transcript=text)))
    window.window.select(session(Phase.RECORDING, number=2).id)


def show(window: Desk, said: dict[str, Any]) -> None:
    """Show what the client makes of such an answer."""
    heard = read_session({"status": "completed", **said}, 206, "ses_1")
    changes: dict[str, Any] = {
        "notes": heard.templates,
        "transcript": heard.transcript,
        "utterances": heard.utterances,
    }
    window.window.render(view(session(Phase.PARTIAL, **changes, transcript_by=heard.transcript_by)))
    window.window.select(session(Phase.PARTIAL).id)


# Names from the service -------------------------------------------------------------------------------------------

PATHS = (
    "../../x",
    "..",
    "CON",
    "a:b",
    "/etc/passwd",
    "C:\\x",
    "x" * 300,
    "a\x00b",
    "nul.txt",
    "~/.ssh",
    "%2e%2e%2fx",
    ".",
)


@pytest.mark.fault("X8")
def test_what_a_service_calls_things_becomes_no_path(
    desk: FaultDesk, scribe: Scribe, home: Path, tmp_path: Path
) -> None:
    notes = {name: {"status": "success", "data": "Note.", "document_id": name, "name": name} for name in PATHS}
    told = {"status": "completed", "transcript": "x", "audio_files": PATHS, "templates": notes}
    scribe.discovery["service"]["name"] = PATHS[0]
    scribe.discovery["models"] = [{"id": name, "display_name": name} for name in PATHS]
    offered = {"templates": [{"id": name, "name": name} for name in PATHS]}
    scribe.always(Kind.TEMPLATES, answer=reply(200, offered))
    scribe.say(Kind.STATUS, *[reply(200, told)] * 3)
    desk.switch_on()
    outside = everything(tmp_path) - everything(home)
    session_id = desk.visit(2)
    desk.session(session_id, lambda s: s.phase.is_final)
    desk.switch_off()
    assert everything(tmp_path) - everything(home) == outside, "nothing is written beside the app's own folder"
    names = {path.name for path in everything(home)}
    assert not [name for name in names if not re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", name)]
    assert not names & {*PATHS, "x", "passwd", "nul"}
    assert {path.name for path in desk.places.sessions.iterdir()} <= {session_id}


@pytest.mark.fault("X8", "S15")
@pytest.mark.parametrize("name", [*PATHS[:3], *(pytest.param(name, marks=pytest.mark.slow) for name in PATHS[3:])])
def test_an_id_that_is_none_makes_no_session_and_costs_no_audio(
    name: str, desk: FaultDesk, scribe: Scribe, home: Path
) -> None:
    scribe.say(Kind.CREATE, reply(201, {"session_id": name, "upload_url": name}))
    desk.switch_on()
    session_id = desk.visit(2)
    desk.session(session_id, lambda s: s.phase.is_final or s.problem)
    desk.switch_off()
    assert {path.name for path in desk.places.sessions.iterdir()} == {session_id}
    assert not [path for path in everything(home) if path.stem == name]
    assert all(re.fullmatch(r"/[A-Za-z0-9_./%-]*(\?wait=\d+)?", asked.path) for asked in scribe.asked)
    assert not any(".." in asked.path for asked in scribe.asked)


def everything(folder: Path) -> set[Path]:
    return set(folder.rglob("*"))
