"""Another patient for a visit: the wrong one was typed or chosen. Main thread."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtWidgets import QDialog, QLineEdit, QWidget

from app.core.events import ChangePatient, Patient
from app.core.views import AppView, ForSession, SessionView, Wish
from app.ui.controls import Choice, button, identify, label, on_click
from app.ui.phrases import sexes
from app.ui.question import answers, furnish


class PatientDialog(QDialog):
    """The four fields as they are, to be put right."""

    def __init__(
        self, parent: QWidget, post: Callable[[Wish], None], session: SessionView, clock: Callable[[], float]
    ) -> None:
        super().__init__(parent)
        self._post = post
        self._session = session
        self._clock = clock
        patient = session.visit.patient
        column = furnish(self, "patient-dialog", self.tr("Change patient"))
        column.addWidget(
            label(self.tr("The visit is kept under these from now on. What the service was told is not changed."),
                  wrap=True)
        )  # fmt: skip
        self._label = self._field("changed-label", self.tr("Label or initials"), patient.label)
        self._id = self._field("changed-id", self.tr("Number"), patient.id)
        self._age = self._field("changed-age", self.tr("Age"), patient.age)
        self._sex = Choice("changed-sex", self.tr("Sex"))
        self._sex.offer(sexes(), patient.sex)
        for field in (self._label, self._id, self._age, self._sex):
            column.addWidget(field)
        change = button(self.tr("C&hange patient"), "confirm-patient", "primary")
        change.setDefault(True)
        cancel = button(self.tr("&Cancel"), "cancel")
        column.addLayout(answers(cancel, change))
        on_click(change, self._change)
        on_click(cancel, self.reject)

    def _field(self, identifier: str, name: str, text: str) -> QLineEdit:
        made = QLineEdit(text)
        identify(made, identifier, name)
        made.setPlaceholderText(name)
        return made

    def follow(self, view: AppView) -> None:
        """A visit that is gone needs no patient."""
        if view.session(self._session.id) is None:
            self.reject()

    def _change(self) -> None:
        patient = Patient(
            self._label.text().strip(),
            self._id.text().strip(),
            self._age.text().strip(),
            str(self._sex.currentData() or ""),
        )
        if patient != self._session.visit.patient:
            self._post(ForSession(self._session.id, ChangePatient(patient, self._clock())))
        self.accept()
