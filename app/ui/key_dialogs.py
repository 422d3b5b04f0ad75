"""What a doctor does about the key to the visits on this computer: a passphrase, the recovery code, unlocking.

Nothing typed here is kept or shown longer than the dialog is open. Main thread.
"""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import Qt
from PySide6.QtGui import QFontDatabase, QGuiApplication
from PySide6.QtWidgets import QCheckBox, QDialog, QLineEdit, QWidget

from app.core.views import (
    AppView,
    BeginNewStore,
    KeyState,
    RecoveryCodeNoted,
    SetPassphrase,
    UnlockWith,
    Wish,
)
from app.ui import theme
from app.ui.controls import button, identify, label, on_click, set_visible_text
from app.ui.phrases import length, tr
from app.ui.question import Answer, answers, ask, furnish, grow

LEAST_LENGTH = 8
_GOOD_LENGTH, _STRONG_LENGTH = 12, 18
_OPEN = (KeyState.PROTECTED, KeyState.PASSPHRASE)

Post = Callable[[Wish], None]


def strength(passphrase: str) -> str:
    """What to think of a passphrase, by its length."""
    if len(passphrase) < LEAST_LENGTH:
        return tr("At least {n} characters. Several words are easy to keep in mind.").format(n=LEAST_LENGTH)
    if len(passphrase) < _GOOD_LENGTH:
        return tr("Weak: longer is better.")
    return tr("Good.") if len(passphrase) < _STRONG_LENGTH else tr("Strong.")


def _secret_field(identifier: str, name: str) -> QLineEdit:
    made = QLineEdit()
    identify(made, identifier, name)
    made.setEchoMode(QLineEdit.EchoMode.Password)
    made.setPlaceholderText(name)
    return made


class PassphraseDialog(QDialog):
    """Set a passphrase, typed twice; or take it away where the keychain has the key too."""

    def __init__(self, parent: QWidget, post: Post, view: AppView) -> None:
        super().__init__(parent)
        self._post = post
        column = furnish(self, "passphrase-dialog", self.tr("Set a passphrase"))
        column.addWidget(label(_what_it_is_for(view), wrap=True))
        self._first = _secret_field("passphrase", self.tr("Passphrase"))
        self._second = _secret_field("passphrase-again", self.tr("The same once more"))
        self._hint = label(strength(""), "muted", wrap=True)
        identify(self._hint, "passphrase-hint")
        for part in (self._first, self._second, self._hint):
            column.addWidget(part)
        column.addWidget(label(self.tr("Nobody can tell it to you if you forget it."), "muted", wrap=True))
        self._keep = button(self.tr("&Set passphrase"), "keep-passphrase", "primary")
        self._keep.setEnabled(False)
        self._keep.setDefault(True)
        cancel = button(self.tr("&Cancel"), "cancel")
        remove = button(self.tr("&Remove passphrase"), "remove-passphrase", "danger")
        remove.setVisible(view.keys.has_passphrase and view.keys.state is KeyState.PROTECTED)
        column.addLayout(answers(cancel, self._keep, apart=remove))
        for field in (self._first, self._second):
            field.textChanged.connect(self._check)
        on_click(self._keep, lambda: self._end(self._first.text()))
        on_click(remove, lambda: self._end(""))
        on_click(cancel, self.reject)

    def follow(self, view: AppView) -> None:
        """Nothing here changes with a snapshot."""

    def _check(self) -> None:
        first, second = self._first.text(), self._second.text()
        is_same = first == second
        self._keep.setEnabled(is_same and len(first) >= LEAST_LENGTH)
        self._hint.setText(self.tr("The two differ.") if second and not is_same else strength(first))

    def _end(self, passphrase: str) -> None:
        self._post(SetPassphrase(passphrase))
        self.accept()


def _what_it_is_for(view: AppView) -> str:
    if view.keys.state is KeyState.PROTECTED:
        return tr("A second way to the visits on this computer, should the system's keychain be lost.")
    return tr("With it, visits on this computer can be read after the next start. You are asked for it then.")


class UnlockDialog(QDialog):
    """Try a passphrase or the recovery code, until it is right."""

    def __init__(self, parent: QWidget, post: Post, view: AppView, clock: Callable[[], float]) -> None:
        super().__init__(parent)
        self._post = post
        self._clock = clock
        self._view = view
        self._is_trying = False
        column = furnish(self, "unlock-dialog", self.tr("Unlock the visits on this computer"))
        column.addWidget(
            label(self.tr("Enter your passphrase, or the recovery code that you noted. Recording needs neither."),
                  wrap=True)
        )  # fmt: skip
        self._secret = _secret_field("unlock-secret", self.tr("Passphrase or recovery code"))
        self._told = label(role="strong", wrap=True)
        identify(self._told, "unlock-told")
        self._unlock = button(self.tr("&Unlock"), "try-secret", "primary")
        self._unlock.setDefault(True)
        cancel = button(self.tr("&Cancel"), "cancel")
        column.addWidget(self._secret)
        column.addWidget(self._told)
        column.addLayout(answers(cancel, self._unlock))
        self._secret.textChanged.connect(lambda _text: self._show())
        on_click(self._unlock, self._try)
        on_click(cancel, self.reject)
        self._show()

    def follow(self, view: AppView) -> None:
        """Show what became of the last try; close when it was right."""
        if view.keys != self._view.keys:
            self._is_trying = False
        self._view = view
        if view.keys.state in _OPEN:
            self.accept()
        else:
            self._show()

    def _try(self) -> None:
        self._is_trying = True
        self._post(UnlockWith(self._secret.text()))
        self._secret.clear()
        self._show()

    def _show(self) -> None:
        wait = max(0.0, (self._view.keys.next_try_at or 0.0) - self._clock())
        told = self.tr("Trying…") if self._is_trying else ""
        if not self._is_trying and self._view.keys.was_refused:
            told = self.tr("That is not the right one. Nothing is lost by trying.")
        if not self._is_trying and wait > 0:
            told = f"{told} {self.tr('You can try again in {time}.').format(time=length(max(1.0, wait)))}".strip()
        set_visible_text(self._told, told)
        self._unlock.setEnabled(bool(self._secret.text()) and wait <= 0)
        grow(self)


class RecoveryCodeDialog(QDialog):
    """Show the recovery code, once, until it is noted."""

    def __init__(self, parent: QWidget, post: Post, view: AppView) -> None:
        super().__init__(parent)
        self._post = post
        column = furnish(self, "recovery-dialog", self.tr("Note the recovery code"), 560)
        column.addWidget(label(_why_note_it(view), wrap=True))
        self._code = label(view.keys.recovery_code, "heading", wrap=True)
        identify(self._code, "recovery-code", self.tr("Recovery code"))
        self._code.setFont(QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont))
        self._code.setTextInteractionFlags(
            Qt.TextInteractionFlag.TextSelectableByMouse | Qt.TextInteractionFlag.TextSelectableByKeyboard
        )
        self._code.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self._code.setMargin(theme.px(12))
        copy = button(self.tr("Cop&y code"), "copy-code", "", "copy")
        self._noted = QCheckBox(self.tr("I have &noted it"))
        identify(self._noted, "code-noted")
        done = button(self.tr("&Done"), "code-done", "primary")
        done.setEnabled(False)
        later = button(self.tr("&Later"), "cancel")
        column.addWidget(self._code)
        column.addWidget(copy, 0, Qt.AlignmentFlag.AlignLeft)
        column.addWidget(self._noted)
        column.addLayout(answers(later, done))
        self._noted.toggled.connect(done.setEnabled)
        on_click(copy, lambda: QGuiApplication.clipboard().setText(self._code.text()))
        on_click(done, self._end)
        on_click(later, self.reject)

    def follow(self, view: AppView) -> None:
        """The code has been noted elsewhere: nothing is left to show."""
        if not view.keys.recovery_code:
            self.reject()

    def _end(self) -> None:
        self._post(RecoveryCodeNoted())
        self.accept()


def _why_note_it(view: AppView) -> str:
    is_chosen = view.keys.state is KeyState.PASSPHRASE
    lost = tr("the passphrase is forgotten") if is_chosen else tr("the system's keychain is lost")
    why = tr(
        "If {lost}, this code alone opens the visits on this computer. Write it down and keep it where only you find "
        "it, not in the computer. It is shown once."
    )
    return why.format(lost=lost)


def ask_begin_new_store(parent: QWidget, post: Post) -> QWidget:
    """Explain what a new key means, and ask."""
    return ask(
        parent,
        tr("Keep new visits under a new key?"),
        tr("The older visits stay on this computer as they are, sealed. They can be read again only with the "
           "recovery code of the old key. New visits are kept beside them and can be read at once."),
        Answer(tr("&Begin with a new key"), "confirm-new-store", "primary"),
        lambda: post(BeginNewStore()),
    )  # fmt: skip
