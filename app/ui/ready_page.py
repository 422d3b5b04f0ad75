"""The page before Record: who, how, which notes, which microphone, and one big button.

Main thread. Habits are kept in the settings; the patient never is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from PySide6.QtCore import Qt
from PySide6.QtGui import QHideEvent, QIcon, QShowEvent
from PySide6.QtWidgets import (
    QButtonGroup,
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLineEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from app.core.events import Patient, Visit
from app.core.settings import Settings
from app.core.views import (
    AppView,
    ChangeSettings,
    Level,
    ListMicrophones,
    Practise,
    RecordVisit,
    ServiceState,
    WatchLevel,
    Wish,
)
from app.ui import theme
from app.ui.chips import Chips
from app.ui.controls import Choice, FlowRow, button, card, identify, label, on_click, set_visible_text
from app.ui.icons import icon
from app.ui.level_meter import LevelMeter
from app.ui.microphone_choice import chosen, offers, with_choice
from app.ui.phrases import language_name, sexes, template_name
from app.ui.scrolling import Scrolled

_PRACTICE_PACE = 4.0
"""The sample is played faster than it was spoken, so that the note is there within a minute."""
_LANGUAGES = ("en", "hi", "ta", "te", "bn", "mr", "gu", "kn", "ml", "pa")
"""Offered while the service names none."""


class ReadyPage(QFrame):
    """What is chosen before Record."""

    def __init__(
        self, post: Callable[[Wish], None], level: Callable[[], Level], test_microphone: Callable[[], None]
    ) -> None:
        super().__init__()
        self.setObjectName("page")
        self._post = post
        self._view = AppView()
        self._posted: list[Settings] = []
        self._shown: Settings | None = None
        self._meter = LevelMeter(level)
        self._make_fields()
        self._make_buttons(test_microphone)
        self._lay_out()

    # Building ------------------------------------------------------------------------------------------------------

    def _make_fields(self) -> None:
        self._label = self._field(
            "patient-label", self.tr("Patient: label or initials"), self.tr("Label or initials")
        )
        self._id = self._field("patient-id", self.tr("Patient: number"), self.tr("Number"))
        self._age = self._field("patient-age", self.tr("Patient: age"), self.tr("Age"))
        self._sex = Choice("patient-sex", self.tr("Patient: sex"))
        self._sex.offer(sexes(), "")
        self._modes = QButtonGroup(self)
        self._consultation = self._mode("consultation", self.tr("&Consultation"))
        self._dictation = self._mode("dictation", self.tr("&Dictation"))
        self._templates = Chips("template")
        self._templates.changed.connect(self._keep_habits)
        self._languages = Chips("language", needs_one=True)
        self._languages.changed.connect(self._keep_habits)
        self._output = Choice("output-language", self.tr("Notes are written in"))
        self._model = Choice("model", self.tr("Model"))
        self._microphone = Choice("microphone", self.tr("Microphone"))
        self._microphone.setMinimumContentsLength(22)
        for choice in (self._output, self._model):
            choice.activated.connect(lambda _at: self._keep_habits())
        self._microphone.activated.connect(lambda _at: self._keep_microphone())

    def _field(self, identifier: str, name: str, hint: str) -> QLineEdit:
        made = QLineEdit()
        identify(made, identifier, name)
        made.setPlaceholderText(hint)
        made.returnPressed.connect(self._record_or_nothing)
        return made

    def _mode(self, mode: str, text: str) -> QPushButton:
        made = button(text, f"mode-{mode}", "chip")
        made.setCheckable(True)
        made.toggled.connect(lambda is_on: made.setIcon(icon("check", "accent") if is_on else QIcon()))
        self._modes.addButton(made)
        on_click(made, self._keep_habits)
        return made

    def _make_buttons(self, test_microphone: Callable[[], None]) -> None:
        self._record = button(self.tr("&Record"), "record", "record", "record")
        self._record.setToolTip(self.tr("Begin recording (Space or Ctrl+R)"))
        on_click(self._record, self.record)
        self._practise = button(self.tr("&Practise with a sample consultation"), "practise", "quiet", "practise")
        on_click(self._practise, self.practise)
        self._refresh = button(self.tr("&Look again"), "refresh-microphones", "quiet", "refresh")
        on_click(self._refresh, lambda: self._post(ListMicrophones()))
        self._test = button(self.tr("&Test"), "test-microphone")
        self._test.setToolTip(self.tr("Speak for ten seconds and hear yourself"))
        on_click(self._test, test_microphone)
        self._hint = label(role="muted", wrap=True)
        self._notes_hint = label(role="small", wrap=True)

    def _lay_out(self) -> None:
        content = QWidget()
        column = QVBoxLayout(content)
        column.setContentsMargins(theme.px(32), theme.px(20), theme.px(32), theme.px(16))
        column.setSpacing(theme.px(16))
        column.addWidget(label(self.tr("New session"), "title"))
        column.addWidget(self._visit_card())
        column.addWidget(self._microphone_card())
        column.addStretch(1)
        page = QVBoxLayout(self)
        page.setContentsMargins(0, 0, 0, 0)
        page.setSpacing(0)
        page.addWidget(Scrolled(content), 1)
        page.addWidget(self._footer())

    def _visit_card(self) -> QFrame:
        frame, column = card()
        grid = QGridLayout()
        grid.setHorizontalSpacing(theme.px(16))
        grid.setVerticalSpacing(theme.px(14))
        grid.setColumnStretch(1, 1)
        modes = FlowRow()
        for each in (self._consultation, self._dictation):
            modes.flow.addWidget(each)
        self._model_row = _leftmost(self._model)
        self._model_caption = label(self.tr("Model"), "muted")
        notes = QWidget()
        notes_column = QVBoxLayout(notes)
        notes_column.setContentsMargins(0, 0, 0, 0)
        notes_column.setSpacing(theme.px(4))
        notes_column.addWidget(self._templates)
        notes_column.addWidget(self._notes_hint)
        rows = (
            (label(self.tr("Patient"), "muted"), self._patient_row()),
            (label(self.tr("Visit"), "muted"), modes),
            (label(self.tr("Notes"), "muted"), notes),
            (label(self.tr("Spoken"), "muted"), self._languages),
            (label(self.tr("Written in"), "muted"), _leftmost(self._output)),
            (self._model_caption, self._model_row),
        )
        for at, (caption, content) in enumerate(rows):
            caption.setMinimumHeight(theme.px(36))
            grid.addWidget(caption, at, 0, Qt.AlignmentFlag.AlignTop)
            grid.addWidget(content, at, 1)
        column.addLayout(grid)
        return frame

    def _patient_row(self) -> QWidget:
        made = QWidget()
        row = QHBoxLayout(made)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(theme.px(8))
        for field, stretch in ((self._label, 5), (self._id, 3), (self._age, 1), (self._sex, 2)):
            row.addWidget(field, stretch)
        row.addWidget(label(self.tr("optional"), "small"))
        self._age.setMinimumWidth(theme.px(56))
        return made

    def _microphone_card(self) -> QFrame:
        frame, column = card()
        row = QHBoxLayout()
        row.setSpacing(theme.px(12))
        caption = label(self.tr("Microphone"), "muted")
        row.addWidget(caption)
        row.addWidget(self._microphone, 1)
        row.addWidget(self._test)
        row.addWidget(self._refresh)
        column.addLayout(row)
        column.addWidget(self._meter)
        return frame

    def _footer(self) -> QFrame:
        made = QFrame()
        made.setObjectName("footer")
        row = QHBoxLayout(made)
        row.setContentsMargins(theme.px(32), theme.px(14), theme.px(32), theme.px(14))
        row.setSpacing(theme.px(20))
        self._record.setMinimumWidth(theme.px(220))
        row.addWidget(self._record)
        row.addWidget(self._hint, 1)
        row.addWidget(self._practise)
        return made

    # What is chosen ------------------------------------------------------------------------------------------------

    def visit(self) -> Visit:
        """The visit as it is filled in now."""
        return Visit(
            patient=Patient(
                self._label.text().strip(),
                self._id.text().strip(),
                self._age.text().strip(),
                str(self._sex.currentData() or ""),
            ),
            mode="dictation" if self._dictation.isChecked() else "consultation",
            templates=self._templates.chosen(),
            languages=self._languages.chosen(),
            output_language=str(self._output.currentData() or "en"),
            model=str(self._model.currentData() or ""),
        )

    def record(self) -> None:
        """Record this visit."""
        self._begin(RecordVisit(self.visit()))

    def practise(self) -> None:
        """Record the sample instead of a microphone."""
        visit = self.visit()
        if not visit.patient.label:
            visit = replace(visit, patient=replace(visit.patient, label=self.tr("Sample consultation")))
        self._begin(Practise(visit, _PRACTICE_PACE))

    def _begin(self, wish: Wish) -> None:
        # Until the next snapshot, so that a second click cannot ask twice. The page holds the keyboard meanwhile:
        # left to itself it would go on to some other button.
        self.setFocus()
        self._record.setEnabled(False)
        self._practise.setEnabled(False)
        self._post(wish)

    def _record_or_nothing(self) -> None:
        if self._record.isEnabled():
            self.record()

    def can_record(self) -> bool:
        """Whether Record may be pressed."""
        return self._record.isEnabled()

    def clear_patient(self) -> None:
        """Forget the patient: the next one is somebody else."""
        for field in (self._label, self._id, self._age):
            field.clear()
        self._sex.setCurrentIndex(0)

    def focus(self) -> None:
        """Put the keyboard where it is needed next: Record, so that Space starts."""
        (self._record if self._record.isEnabled() else self._label).setFocus()

    def _keep_habits(self) -> None:
        visit = self.visit()
        self._show_notes_hint()
        wanted = replace(
            self._shown or self._view.settings,
            mode=visit.mode,
            templates=visit.templates,
            languages=visit.languages,
            output_language=visit.output_language,
            model=visit.model,
        )
        self._keep(wanted)

    def _keep_microphone(self) -> None:
        self._keep(with_choice(self._shown or self._view.settings, str(self._microphone.currentData() or "")))

    def _keep(self, wanted: Settings) -> None:
        if wanted != self._shown:
            self._shown = wanted
            self._posted.append(wanted)
            self._post(ChangeSettings(wanted))

    # Showing -------------------------------------------------------------------------------------------------------

    def render(self, view: AppView) -> None:  # type: ignore[override]
        """Show what can be chosen and what is chosen."""
        self._view = view
        settings = self._settings_to_show(view.settings)
        self._show_choices(view, settings)
        self._show_microphones(view, settings)
        is_free = view.live is None
        has_microphone = bool(view.microphones) or not view.microphones_listed
        can_keep = not view.storage.refusal
        can_record = is_free and has_microphone and can_keep
        if self._record.hasFocus() and not can_record:
            # Left to itself the keyboard would go on to some note's chip, and a stray Space would switch that.
            self._label.setFocus()
        self._record.setEnabled(can_record)
        self._practise.setEnabled(is_free and can_keep)
        self._test.setEnabled(is_free and bool(view.microphones))
        self._hint.setText(self._hint_text(is_free=is_free, has_microphone=has_microphone, can_keep=can_keep))
        self._show_notes_hint()
        if self.hasFocus():
            self.focus()

    def _settings_to_show(self, arrived: Settings) -> Settings:
        """The settings, unless newer ones of our own are still on their way to the engine."""
        if arrived in self._posted:
            del self._posted[: self._posted.index(arrived) + 1]
        if not self._posted or self._shown is None:
            self._shown = arrived
        return self._shown

    def _show_choices(self, view: AppView, settings: Settings) -> None:
        (self._dictation if settings.mode == "dictation" else self._consultation).setChecked(True)
        offered = [info.id for info in view.service.templates] or list(settings.templates)
        self._templates.offer([(key, template_name(view, key)) for key in offered], settings.templates)
        codes = _languages(view, settings)
        self._languages.offer([(code, language_name(code)) for code in codes], settings.languages or codes[:1])
        written = dict.fromkeys((*codes, settings.output_language))
        self._output.offer([(code, language_name(code)) for code in written], settings.output_language)
        models = [(model.id, model.name or model.id) for model in view.service.discovery.models]
        self._model.offer(models, settings.model or (models[0][0] if models else ""))
        for part in (self._model_row, self._model_caption):
            part.setVisible(len(models) > 1)

    def _show_microphones(self, view: AppView, settings: Settings) -> None:
        if view.microphones:
            entries = offers(replace(view, settings=settings))
        elif view.microphones_listed:
            entries = [("", self.tr("No microphone found"))]
        else:
            entries = [("", self.tr("Looking for microphones…"))]
        self._microphone.offer(entries, chosen(replace(view, settings=settings)) if view.microphones else "")
        self._microphone.setEnabled(bool(view.microphones))
        self._meter.set_active(bool(view.microphones) and view.live is None)

    def _hint_text(self, *, is_free: bool, has_microphone: bool, can_keep: bool) -> str:
        if not is_free:
            return self.tr("A visit is being recorded. Stop it before you begin the next one.")
        if not can_keep:
            return self.tr("Recording is off: the message at the top says why, and what to do.")
        if not has_microphone:
            return self.tr("Recording needs a microphone.")
        return self.tr("Press Space to begin.")

    def _show_notes_hint(self) -> None:
        most = self._view.service.max_templates
        count = len(self._templates.chosen())
        text = ""
        if count == 0:
            text = self.tr("No note is chosen: you get the transcript alone.")
        elif count > most:
            text = self.tr("The first {n} are made at once, the others after the end.").format(n=most)
        set_visible_text(self._notes_hint, text)

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802
        """Qt's hook: the level is worth having while it can be seen."""
        super().showEvent(event)
        self._post(WatchLevel(is_on=True))

    def hideEvent(self, event: QHideEvent) -> None:  # noqa: N802
        """Qt's hook."""
        super().hideEvent(event)
        self._post(WatchLevel(is_on=False))


def _languages(view: AppView, settings: Settings) -> tuple[str, ...]:
    # Until the service has said what it takes, only what is chosen: chips that come and go would disturb.
    usual = () if view.service.state is ServiceState.STARTING else _LANGUAGES
    offered = view.service.discovery.languages or usual
    return tuple(dict.fromkeys((*offered, *settings.languages)))


def _leftmost(content: QWidget) -> QWidget:
    """The widget at its own width, at the left of its row."""
    made = QWidget()
    row = QHBoxLayout(made)
    row.setContentsMargins(0, 0, 0, 0)
    row.addWidget(content)
    row.addStretch(1)
    content.setMinimumWidth(theme.px(180))
    return made
