"""What a doctor does with the window, and what it asks of the engine."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLineEdit, QPushButton
from pytestqt.qtbot import QtBot

from app.core.views import RecordVisit
from tests.ui.desk import Desk

LEFT = Qt.MouseButton.LeftButton


def test_record_posts_the_visit_as_it_is_filled_in(desk: Desk, qtbot: QtBot) -> None:
    desk.show("ready")
    qtbot.keyClicks(desk.find(QLineEdit, "patient-label"), "M.K.")
    qtbot.mouseClick(desk.find(QPushButton, "record"), LEFT)
    (wish,) = desk.wishes(RecordVisit)
    assert isinstance(wish, RecordVisit)
    assert wish.visit.patient.label == "M.K."
    assert wish.visit.templates == ("soap", "medications")
    assert not desk.find(QPushButton, "record").isEnabled()
