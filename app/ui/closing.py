"""What is at stake when the window is closed, and the question about it.

Main thread. When the system logs off nobody is asked, and nothing is stopped, since a log-off may be called off: what
is recorded is on the disk already, and the rest is sealed when the app is ended.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from PySide6.QtCore import QObject, QTimer
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QWidget

from app.core.events import Stop
from app.core.views import AppView, ForSession, KeyState, Phase, Wish
from app.ui.phrases import length, tr
from app.ui.standing import visits

_LOG_OFF_MS = 60_000
"""A log-off that has not ended the app by then was called off."""


@dataclass(frozen=True)
class Stake:
    """What a person should know before the window goes."""

    what: str
    more: str
    is_live: bool = False
    is_paused: bool = False


def stake(view: AppView) -> Stake | None:
    """What is at stake now; None when nothing is."""
    unsent = unsent_text(view)
    if view.live is not None:
        more = tr("Stop it and close? The recording is kept on this computer, and its notes are made.")
        live = view.session(view.live)
        is_paused = live is not None and live.phase is Phase.PAUSED
        what = tr("A visit is paused, not finished.") if is_paused else tr("A visit is being recorded.")
        return Stake(what, " ".join(filter(None, (more, unsent))), is_live=True, is_paused=is_paused)
    if not unsent:
        return None
    return Stake(tr("Not all visits are with the service yet."), unsent)


def unsent_text(view: AppView) -> str:
    """What the service does not have yet, and when it goes out: ``2 visits, 14 min, go out at the next start.``"""
    unsent = [s for s in view.sessions if s.is_unsent and (s.phase.is_finishing or s.phase.is_live)]
    if not unsent:
        return ""
    seconds = sum(s.seconds_to_upload for s in unsent)
    count = visits(len(unsent))
    if view.keys.state is KeyState.SESSION_ONLY:
        return tr(
            "{visits}, {length}, can be sent only while ScribeDesk is open: the key to them is in memory alone. "
            "Set a passphrase, or leave it open until they are sent."
        ).format(visits=count, length=length(seconds))
    if seconds <= 0:
        return tr("{visits}: finished at the next start. Nothing is lost.").format(visits=count)
    if len(unsent) == 1:
        text = tr("{visits}, {length}, goes out at the next start. Nothing is lost.")
    else:
        text = tr("{visits}, {length}, go out at the next start. Nothing is lost.")
    return text.format(visits=count, length=length(seconds))


class Closing(QObject):
    """Whether the window may close now; asks when something is at stake."""

    def __init__(self, window: QWidget, post: Callable[[Wish], None], clock: Callable[[], float]) -> None:
        super().__init__(window)
        self._window = window
        self._post = post
        self._clock = clock
        self._is_settled = False
        app = QGuiApplication.instance()
        if isinstance(app, QGuiApplication):
            app.commitDataRequest.connect(self._on_log_off)

    def may_close(self, view: AppView) -> bool:
        """Whether nothing is left to ask. If not, the question is on the screen now."""
        at_stake = stake(view)
        if self._is_settled or at_stake is None:
            return True
        self._ask(at_stake, view)
        return False

    def settle(self) -> None:
        """Ask nothing from now on: the system wants the app to end."""
        self._is_settled = True

    def _ask(self, at_stake: Stake, view: AppView) -> None:
        # Here and not above: the window should not wait for a dialog that is seldom needed.
        from app.ui.question import Answer, ask

        if at_stake.is_live:
            stay = self.tr("&Leave it open") if at_stake.is_paused else self.tr("&Keep recording")
            yes = Answer(self.tr("&Stop and close"), "stop-and-keep", "primary")
            no = Answer(stay, "cancel")
        else:
            yes = Answer(self.tr("&Close"), "close-anyway", "primary")
            no = Answer(self.tr("&Leave it open"), "cancel")
        ask(self._window, at_stake.what, at_stake.more, yes, lambda: self._end(view), no=no)

    def _end(self, view: AppView) -> None:
        if view.live is not None:
            self._post(ForSession(view.live, Stop(self._clock())))
        self.settle()
        self._window.close()

    def _on_log_off(self) -> None:
        self.settle()
        QTimer.singleShot(_LOG_OFF_MS, self, self._forget_log_off)

    def _forget_log_off(self) -> None:
        self._is_settled = False
