"""Trouble is told in words, with just the buttons that would work."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QLabel, QPushButton

from app.core.events import CheckAgain, Intent, SendAgain, TryNow
from app.core.problems import Problem, ProblemKind
from app.core.views import ForSession, Phase
from app.ui.banner import Banner
from app.ui.session_notices import notice_for_session
from tests.ui.desk import Desk
from tests.ui.samples import NOW, session, view


def told(desk: Desk, identifier: str = "banner") -> str:
    banner = desk.find(Banner, identifier)
    return " ".join(each.text() for each in banner.findChildren(QLabel) if each.isVisible())


@pytest.mark.parametrize("kind", list(ProblemKind))
def test_each_problem_is_told_whole(desk: Desk, kind: ProblemKind) -> None:
    problem = Problem(kind, "HTTP 503")
    desk.window.render(view(session(Phase.PAUSED, problem=problem)))
    text = told(desk)
    for part in (problem.words.what, problem.words.safe, problem.words.do, "HTTP 503"):
        assert part in text


@pytest.mark.parametrize("kind", list(ProblemKind))
def test_trouble_of_no_session_is_told_too(desk: Desk, kind: ProblemKind) -> None:
    problem = Problem(kind)
    desk.window.render(view(problem=problem))
    assert problem.words.what in told(desk, "app-banner")


INTENTS: tuple[tuple[str, str, Intent], ...] = (
    ("TryNow", "try-now", TryNow()),
    ("CheckAgain", "check-again", CheckAgain()),
    ("SendAgain", "send-again", SendAgain(NOW)),
)


@pytest.mark.parametrize(("name", "identifier", "intent"), INTENTS)
def test_a_button_is_there_exactly_when_it_is_allowed(desk: Desk, name: str, identifier: str, intent: Intent) -> None:
    failed = session(Phase.FAILED, problem=Problem(ProblemKind.PROCESSING_FAILED), allowed=frozenset({name}))
    desk.window.render(view(failed))
    desk.window.select(failed.id)
    shown = [key for _name, key, _intent in INTENTS if desk.is_shown(key)]
    assert shown == [identifier]
    QTest.mouseClick(desk.find(QPushButton, identifier), Qt.MouseButton.LeftButton)
    assert desk.posted[-1] == ForSession(failed.id, intent)


def test_missing_minutes_are_named(desk: Desk) -> None:
    desk.show("result-partial")
    assert "04:10\u201304:40" in told(desk)
    assert "05:01\u201305:12" in told(desk)


def test_no_microphone_is_explained_and_practice_is_still_possible(desk: Desk) -> None:
    desk.show("ready-no-microphone")
    assert "No microphone" in told(desk, "app-banner")
    assert not desk.find(QPushButton, "record").isEnabled()
    assert desk.find(QPushButton, "practise").isEnabled()


def test_nothing_is_said_when_all_is_well() -> None:
    for phase in (Phase.RECORDING, Phase.PAUSED, Phase.DRAINING, Phase.PROCESSING, Phase.COMPLETED):
        assert notice_for_session(view(), session(phase), NOW) is None


def test_a_failed_and_an_expired_session_are_told_even_without_a_problem() -> None:
    for phase in (Phase.FAILED, Phase.EXPIRED, Phase.PARTIAL):
        notice = notice_for_session(view(), session(phase), NOW)
        assert notice is not None
        assert notice.what


def test_an_outage_of_a_few_seconds_is_no_event() -> None:
    away = session(Phase.RECORDING, problem=Problem(ProblemKind.UNREACHABLE), trouble_since=NOW)
    assert notice_for_session(view(), away, NOW + 14.0) is None
    told = notice_for_session(view(), away, NOW + 15.0)
    assert told is not None
    assert "safe on this computer" in told.more


def test_trouble_that_needs_a_person_is_told_at_once() -> None:
    refused = session(Phase.RECORDING, problem=Problem(ProblemKind.NOT_SIGNED_IN))
    assert notice_for_session(view(), refused, NOW) is not None
