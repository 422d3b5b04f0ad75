"""The top of a page: the bar that has a visit back, and the banners; and the sound that calls when words are lost.

Main thread. What is said is decided elsewhere; here it is decided which of it is shown over which page, and when.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from PySide6.QtCore import QTimer, Signal
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QApplication, QVBoxLayout, QWidget

from app.core.events import CheckAgain, Intent, Resume, SendAgain, SessionId, Stop, TryNow, UndoDiscard
from app.core.problems import Problem, ProblemKind
from app.core.views import AppView, AskKeystoreAgain, ChangeSettings, ForSession, KeyState, SessionView, Wish
from app.ui import theme
from app.ui.app_notices import notice_for_app, notice_for_keys
from app.ui.banner import Action, Banner
from app.ui.dialogs import Dialogs
from app.ui.notice import ALARM, Notice
from app.ui.session_notices import notice_for_session
from app.ui.undo_bar import UndoBar, undoable

_KEYCHAIN_SECONDS = 2.0
"""A keychain that answers within this was not waited for."""
_FRONT_SECONDS = 6.0
"""How long it is said that the window was open already."""
_CHANGED_SECONDS = 20.0
"""How long it is said that another microphone has taken over."""


class NoticeBoard(QWidget):
    """All that is said above the pages. ``sound`` calls; ``time_passed`` each second while something counts down."""

    live_asked = Signal()
    microphone_asked = Signal()
    time_passed = Signal()

    def __init__(
        self,
        post: Callable[[Wish], None],
        dialogs: Dialogs,
        clock: Callable[[], float],
        sound: Callable[[], None],
    ) -> None:
        super().__init__()
        self._post = post
        self._dialogs = dialogs
        self._clock = clock
        self._sound = sound
        self._view = AppView()
        self._session: SessionView | None = None
        self._waiting_since: float | None = None
        self._fetched_at: float | None = None
        self._heard: tuple[SessionId, str] | None = None
        """The live visit and the microphone that it was heard through last."""
        self._changed_at: float | None = None
        self.alarm = ""
        """What is wrong this moment, in words, wherever the doctor looks."""
        self._second = QTimer(self, interval=1000)
        self._second.timeout.connect(self.time_passed)
        self._undo = UndoBar(self._have_back)
        self._app_banner = Banner("app-banner", self._app_actions())
        self._keys_banner = Banner("keys-banner", self._keys_actions())
        self._banner = Banner("banner", self._session_actions())
        column = QVBoxLayout(self)
        column.setContentsMargins(theme.px(32), theme.px(12), theme.px(32), 0)
        column.setSpacing(theme.px(8))
        for each in (self._undo, self._app_banner, self._keys_banner, self._banner):
            column.addWidget(each)

    # What the buttons do -------------------------------------------------------------------------------------------

    def _session_actions(self) -> dict[str, Action]:
        now, send = self._clock, self._send
        stop = self.tr("Stop and &make notes")
        return {
            "Resume": Action(self.tr("Resume recordin&g"), "banner-resume", lambda: send(Resume(now()))),
            "Finish": Action(self.tr("&Finish"), "banner-finish", lambda: send(Stop(now()))),
            "Stop": Action(stop, "banner-stop", lambda: send(Stop(now()))),
            "TryNow": Action(self.tr("Tr&y now"), "try-now", lambda: send(TryNow())),
            "CheckAgain": Action(self.tr("Ch&eck again"), "check-again", lambda: send(CheckAgain())),
            "SendAgain": Action(self.tr("Send as a new sess&ion"), "send-again", lambda: send(SendAgain(now()))),
            "ChooseMicrophone": Action(
                self.tr("Choose another &microphone…"), "choose-microphone", self.microphone_asked.emit
            ),
            "UsePinned": Action(self.tr("&Use it again"), "use-pinned", self._use_pinned),
        }

    def _app_actions(self) -> dict[str, Action]:
        return {
            "ShowLive": Action(self.tr("Sho&w the visit"), "show-live", self.live_asked.emit),
            "LookAtStored": Action(self.tr("&What is stored here…"), "look-at-stored", self._dialogs.look_at_stored),
        }

    def _keys_actions(self) -> dict[str, Action]:
        dialogs = self._dialogs
        return {
            "Unlock": Action(self.tr("&Enter passphrase or code…"), "unlock", dialogs.unlock),
            "AskKeystoreAgain": Action(
                self.tr("Try a&gain"), "ask-keystore-again", lambda: self._post(AskKeystoreAgain())
            ),
            "SetPassphrase": Action(self.tr("Set &a passphrase…"), "set-passphrase", dialogs.set_passphrase),
            "ShowRecoveryCode": Action(self.tr("Show the c&ode…"), "show-recovery-code", dialogs.show_recovery_code),
            "BeginNewStore": Action(self.tr("&Begin with a new key…"), "begin-new-store", dialogs.begin_new_store),
        }

    def _send(self, intent: Intent) -> None:
        if self._session is not None:
            self._post(ForSession(self._session.id, intent))

    def _use_pinned(self) -> None:
        # The settings name it already; asking for them once more is what has it opened again.
        self._post(ChangeSettings(self._view.settings))

    def _have_back(self, session_id: SessionId) -> None:
        self._post(ForSession(session_id, UndoDiscard(self._clock())))

    def have_back(self) -> None:
        """Have the discarded visit back that the bar shows."""
        self._undo.press()

    def can_have_back(self) -> bool:
        """Whether there is one."""
        return self._undo.can_press()

    # Showing -------------------------------------------------------------------------------------------------------

    def render(self, view: AppView, selected: SessionId | None, session: SessionView | None) -> None:  # type: ignore[override]
        """Say what has to be said while this session is looked at, or none."""
        now = self._clock()
        self._mark_change(view, now)
        session = self._with_news(session)
        self._view, self._session = view, session
        discarded = undoable(view, selected, now)
        self._undo.show_session(discarded, now)
        self._banner.render(notice_for_session(view, session, now) if session is not None else None)
        keys = self._keys_notice(now)
        told = self._app_notice(keys, now)
        # What can wait is not said beside what cannot: the page needs its room.
        self._keys_banner.render(keys if told is None or keys is None or keys.tone != "info" else None)
        self._app_banner.render(told)
        self._call(now)
        passing = (discarded, self._waiting_since, self._fetched_at, self._changed_at)
        is_counting = any(each is not None for each in passing)
        self._keep_time(is_on=is_counting or (view.keys.next_try_at or 0.0) > now)

    def set_roomy(self, is_roomy: bool) -> None:
        """Whether there is room for details."""
        for banner in (self._banner, self._app_banner, self._keys_banner):
            banner.set_roomy(is_roomy)

    def say_fetched(self) -> None:
        """Somebody has started the app once more, and is to see that this is it."""
        self._fetched_at = self._clock()

    def _keep_time(self, *, is_on: bool) -> None:
        if is_on and not self._second.isActive():
            self._second.start()
        elif not is_on:
            self._second.stop()

    def _mark_change(self, view: AppView, now: float) -> None:
        """Notice when a visit that goes on is heard through another microphone: no problem any more, but news."""
        live = view.session(view.live)
        if live is None:
            self._heard = self._changed_at = None
        elif live.is_capturing and live.microphone:
            heard = (live.id, live.microphone)
            if self._heard is not None and self._heard[0] == live.id and self._heard != heard:
                self._changed_at = now
            self._heard = heard
        if self._changed_at is not None and now - self._changed_at > _CHANGED_SECONDS:
            self._changed_at = None

    def _with_news(self, session: SessionView | None) -> SessionView | None:
        """The session, with the change of its microphone told where nothing graver is."""
        if session is None or self._changed_at is None or self._heard is None or session.id != self._heard[0]:
            return session
        if session.problem is not None and not session.problem.is_transient:
            return session
        return replace(session, problem=Problem(ProblemKind.MICROPHONE_CHANGED), trouble_since=None)

    def _app_notice(self, keys: Notice | None, now: float) -> Notice | None:
        alarm = self._alarm_notice(now)
        if alarm is not None and (self._session is None or self._session.id != self._view.live):
            return replace(alarm, actions=frozenset({"ShowLive"}))
        if self._was_fetched(now):
            return Notice("info", self.tr("ScribeDesk was open already: this is its window."))
        # A session says by itself that the service is away; once is enough. So does the key of itself.
        problem = self._view.problem
        if self._session is not None and problem is None:
            return None
        is_told = keys is not None and problem is not None and problem.kind is ProblemKind.KEYS_LOCKED
        return notice_for_app(replace(self._view, problem=None) if is_told else self._view, now)

    def _was_fetched(self, now: float) -> bool:
        # Elsewhere the window is in front by now, which says the same.
        is_told = QGuiApplication.platformName().startswith("wayland")
        if self._fetched_at is None or not is_told or now - self._fetched_at > _FRONT_SECONDS:
            self._fetched_at = None
        return self._fetched_at is not None

    def _keys_notice(self, now: float) -> Notice | None:
        if self._view.keys.state is not KeyState.WAITING:
            self._waiting_since = None
        elif self._waiting_since is None:
            self._waiting_since = now
        if self._session is not None:
            return None
        if self._waiting_since is not None and now - self._waiting_since < _KEYCHAIN_SECONDS:
            return None
        return notice_for_keys(self._view)

    def _alarm_notice(self, now: float) -> Notice | None:
        live = self._view.session(self._view.live)
        notice = notice_for_session(self._view, live, now) if live is not None else None
        return notice if notice is not None and notice.tone == ALARM else None

    def _call(self, now: float) -> None:
        """Call once for each trouble, whatever is looked at."""
        notice = self._alarm_notice(now)
        what = notice.what if notice is not None else ""
        if what and what != self.alarm:
            self._sound()
            QApplication.alert(self.window())
        self.alarm = what
