"""Opens the window's dialogs, one of each at most, and hands them each snapshot while they are open.

Main thread. A dialog's module is imported when it is first opened, so that the window is there at once.
"""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtWidgets import QDialog, QWidget

from app.core.views import AppView, Level, SessionView, Wish


class Dialogs:
    """What can be opened over a window."""

    def __init__(
        self,
        parent: QWidget,
        post: Callable[[Wish], None],
        level: Callable[[], Level],
        clock: Callable[[], float],
    ) -> None:
        self._parent = parent
        self._post = post
        self._level = level
        self._clock = clock
        self._view = AppView()
        self._open: dict[str, Callable[[AppView], None]] = {}

    def render(self, view: AppView) -> None:
        """Show this snapshot in whatever is open."""
        self._view = view
        for follow in list(self._open.values()):
            follow(view)

    def set_passphrase(self) -> None:
        """Have a passphrase set."""
        from app.ui.key_dialogs import PassphraseDialog

        if "passphrase" not in self._open:
            made = PassphraseDialog(self._parent, self._post, self._view)
            self._show("passphrase", made, made.follow)

    def unlock(self) -> None:
        """Have the key unlocked."""
        from app.ui.key_dialogs import UnlockDialog

        if "unlock" not in self._open:
            made = UnlockDialog(self._parent, self._post, self._view, self._clock)
            self._show("unlock", made, made.follow)

    def show_recovery_code(self) -> None:
        """Have the recovery code noted."""
        from app.ui.key_dialogs import RecoveryCodeDialog

        if "recovery" not in self._open:
            made = RecoveryCodeDialog(self._parent, self._post, self._view)
            self._show("recovery", made, made.follow)

    def begin_new_store(self) -> None:
        """Ask whether to go on with a new key."""
        from app.ui.key_dialogs import ask_begin_new_store

        ask_begin_new_store(self._parent, self._post)

    def test_microphone(self) -> None:
        """Have the microphone heard."""
        from app.ui.microphone_test import MicrophoneTestDialog

        if "test" not in self._open:
            made = MicrophoneTestDialog(self._parent, self._post, self._level)
            self._show("test", made, made.follow)

    def look_at_stored(self) -> None:
        """Show what is stored here."""
        from app.ui.stored_dialog import StoredDialog

        if "stored" not in self._open:
            made = StoredDialog(self._parent, self._post, self._view, self._clock)
            self._show("stored", made, made.follow)

    def show_queue(self) -> None:
        """Show what waits to be sent."""
        from app.ui.queue_dialog import QueueDialog

        if "queue" not in self._open:
            made = QueueDialog(self._parent, self._post, self._view)
            self._show("queue", made, made.follow)

    def show_diagnostics(self) -> None:
        """Show what helps to find a fault."""
        from app.ui.diagnostics_dialog import DiagnosticsDialog

        if "diagnostics" not in self._open:
            made = DiagnosticsDialog(self._parent, self._post)
            self._show("diagnostics", made, made.follow)

    def change_patient(self, session: SessionView) -> None:
        """Have another patient typed for this visit."""
        from app.ui.patient_dialog import PatientDialog

        if "patient" not in self._open:
            made = PatientDialog(self._parent, self._post, session, self._clock)
            self._show("patient", made, made.follow)

    def _show(self, name: str, dialog: QDialog, follow: Callable[[AppView], None]) -> None:
        from app.ui.question import grow

        def follow_and_grow(view: AppView) -> None:
            follow(view)
            grow(dialog)

        self._open[name] = follow_and_grow
        dialog.finished.connect(lambda _result: self._open.pop(name, None))
        dialog.open()
        grow(dialog)
