"""Ten seconds to hear oneself: recorded, played back, and judged in words. Nothing of it is kept. Main thread."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtWidgets import QDialog, QProgressBar, QWidget

from app.core.views import AppView, Level, MicrophoneTest, TestMicrophone, Wish
from app.ui.controls import button, identify, label, on_click, set_visible_text
from app.ui.level_meter import LevelMeter
from app.ui.phrases import problem_words, tr
from app.ui.question import answers, furnish

_SECONDS = 10.0
_QUIET_DBFS, _CLIPPED_DBFS = -36.0, -0.5


def verdict_of(test: MicrophoneTest) -> str:
    """What a person should make of a test that is over."""
    if test.stage == "failed":
        words = problem_words(test.problem) if test.problem is not None else None
        then = tr("Choose another microphone, or try once more.")
        return f"{words.what} {then}" if words else then
    if test.notice == "no-sound":
        return tr("No sound arrives: look whether the microphone is muted, or choose another.")
    if test.notice == "no-speech":
        return tr("No speech was heard: is this the right microphone?")
    if test.notice == "too-quiet" or test.peak_dbfs < _QUIET_DBFS:
        return tr("Very quiet: put the microphone nearer, or turn it up.")
    if test.notice == "clipping" or test.peak_dbfs >= _CLIPPED_DBFS:
        return tr("Too loud: the sound is distorted. Move the microphone away a little, or turn it down.")
    return tr("Good. If you heard yourself clearly, all is well.")


class MicrophoneTestDialog(QDialog):
    """The test from its start to its verdict."""

    def __init__(self, parent: QWidget, post: Callable[[Wish], None], level: Callable[[], Level]) -> None:
        super().__init__(parent)
        self._post = post
        self._has_begun = False
        column = furnish(self, "microphone-test", self.tr("Microphone test"))
        self._what = label(self.tr("Opening the microphone…"), "strong", wrap=True)
        identify(self._what, "test-stage")
        self._bar = QProgressBar()
        self._bar.setTextVisible(False)
        self._bar.setRange(0, 100)
        self._meter = LevelMeter(level)
        self._verdict = label(wrap=True)
        identify(self._verdict, "test-verdict")
        column.addWidget(self._what)
        column.addWidget(self._bar)
        column.addWidget(self._meter)
        column.addWidget(self._verdict)
        column.addWidget(label(self.tr("Nothing of this is kept."), "small"))
        self._again = button(self.tr("Once &more"), "test-again", "", "refresh")
        self._close = button(self.tr("&Close"), "close", "primary")
        self._close.setDefault(True)
        column.addLayout(answers(self._again, self._close))
        on_click(self._again, self._begin)
        on_click(self._close, self.accept)
        self.finished.connect(lambda _result: post(TestMicrophone(is_on=False)))
        self._begin()

    def _begin(self) -> None:
        self._has_begun = False
        self._again.setEnabled(False)
        self._what.setText(self.tr("Opening the microphone…"))
        set_visible_text(self._verdict, "")
        self._bar.setValue(0)
        self._post(TestMicrophone())

    def follow(self, view: AppView) -> None:
        """Show how far the test is."""
        test = view.microphone_test
        # What is left of the test before says nothing about this one.
        if test is None or (not self._has_begun and test.stage == "done"):
            return
        self._has_begun = True
        is_over = test.stage in ("done", "failed")
        self._what.setText(
            {
                "recording": self.tr("Speak as you will with a patient."),
                "playing": self.tr("This is what was heard."),
                "done": self.tr("The test is over."),
            }.get(test.stage, self.tr("The test did not work."))
        )
        part = {"done": 1.0, "failed": 0.0}.get(test.stage, min(test.seconds / _SECONDS, 1.0))
        self._bar.setValue(round(part * 100))
        self._meter.set_active(test.stage == "recording")
        self._again.setEnabled(is_over)
        set_visible_text(self._verdict, verdict_of(test) if is_over else "")
