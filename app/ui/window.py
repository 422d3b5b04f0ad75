"""The main window: which session is looked at, which page shows it, and the keys.

It renders snapshots and posts wishes, and waits for nothing. Main thread. Pages and dialogs are made when they are
first needed, and their modules imported then, so that the window is there at once: each of Qt's classes that is named
for the first time costs time, those with many enumerations most of all.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

from PySide6.QtCore import Qt
from PySide6.QtGui import QCloseEvent, QKeyEvent, QResizeEvent
from PySide6.QtWidgets import QApplication, QHBoxLayout, QMainWindow, QStackedWidget, QVBoxLayout, QWidget

from app.core.events import Intent, SessionId
from app.core.views import (
    AppView,
    ChangeSettings,
    ForSession,
    KeyState,
    Level,
    Phase,
    SessionView,
    Wish,
)
from app.ui import theme
from app.ui.application import appearance_of
from app.ui.closing import Closing
from app.ui.controls import identify
from app.ui.dialogs import Dialogs
from app.ui.menus import Menus
from app.ui.notice_board import NoticeBoard
from app.ui.phrases import state_of
from app.ui.ready_page import ReadyPage
from app.ui.session_list import SessionList
from app.ui.standing import waiting_sessions
from app.ui.status_line import StatusLine

if TYPE_CHECKING:
    from app.ui.finishing_page import FinishingPage
    from app.ui.recording_page import RecordingPage
    from app.ui.result_page import ResultPage

_Page: TypeAlias = "ReadyPage | RecordingPage | FinishingPage | ResultPage"
_SIDE_NEEDS_PX = 900
"""Narrower than this the list of sessions gives its room to the page."""

_DETAILS_NEED_PX = 560


class MainWindow(QMainWindow):
    """The doctor's window. ``post`` takes wishes, ``level`` is pulled while a meter can be seen.

    ``alarm`` makes the sound that calls when words are being lost.
    """

    def __init__(
        self,
        post: Callable[[Wish], None],
        level: Callable[[], Level],
        clock: Callable[[], float] = time.time,
        alarm: Callable[[], None] = QApplication.beep,
    ) -> None:
        super().__init__()
        self._post = post
        self._level = level
        self._clock = clock
        self._alarm = alarm
        self._view = AppView()
        self._selected: SessionId | None = None
        self._announced = ""
        self._side_wish: bool | None = None
        self.setWindowTitle("ScribeDesk")
        self._recording: RecordingPage | None = None
        self._finishing: FinishingPage | None = None
        self._result: ResultPage | None = None
        self.dialogs = Dialogs(self, post, level, clock)
        self.closing = Closing(self, post, clock)
        self._make_parts()
        self._make_menus()
        self.setMinimumSize(560, 360)
        self.resize(1240, 740)
        self.render(self._view)
        self._ready.focus()

    # Building ------------------------------------------------------------------------------------------------------

    def _make_parts(self) -> None:
        self._side = SessionList(self.new_session, self._clock)
        self._side.session_chosen.connect(lambda chosen: self.select(SessionId(chosen)))
        self._notices = NoticeBoard(self._post, self.dialogs, self._clock, self._alarm)
        self._notices.live_asked.connect(lambda: self.select(self._view.live))
        self._notices.microphone_asked.connect(self._choose_microphone)
        self._notices.time_passed.connect(lambda: self.render(self._view))
        self._ready = ReadyPage(self._post, self._level, self.dialogs.test_microphone)
        self._pages = QStackedWidget()
        self._pages.addWidget(self._ready)
        centre = QVBoxLayout()
        centre.setSpacing(0)
        centre.addWidget(self._notices)
        centre.addWidget(self._pages, 1)
        body = QWidget()
        row = QHBoxLayout(body)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(0)
        row.addWidget(self._side)
        row.addLayout(centre, 1)
        self.setCentralWidget(body)
        self._status = StatusLine()
        self._status.details_asked.connect(self.dialogs.show_queue)
        self.statusBar().setSizeGripEnabled(False)
        self.statusBar().addWidget(self._status, 1)

    def _make_menus(self) -> None:
        dialogs = self.dialogs
        self._menus = Menus(
            self,
            {
                "new": self.new_session,
                "record": self._record,
                "pause": self._toggle_pause,
                "stop": self._stop,
                "copy": self._copy,
                "patient": self._change_patient,
                "undo": self._notices.have_back,
                "quit": self.close,
                "list": self._toggle_side,
                "stored": dialogs.look_at_stored,
                "queue": dialogs.show_queue,
                "passphrase": dialogs.set_passphrase,
                "unlock": dialogs.unlock,
                "practise": self._practise,
                "test": dialogs.test_microphone,
                "diagnostics": dialogs.show_diagnostics,
                "about": self._about,
            },
            self._choose_theme,
        )

    # Showing -------------------------------------------------------------------------------------------------------

    def render(self, view: AppView) -> None:  # type: ignore[override]
        """Show this snapshot."""
        if view.live is not None and view.live != self._view.live:
            self._selected = view.live
            self._ready.clear_patient()
        self._view = view
        self._show_theme()
        self._side.render(view, self._selected)
        self._status.render(view)
        self.dialogs.render(view)
        self._show_page()

    def select(self, session_id: SessionId | None) -> None:
        """Look at this session; None is the page for a new one."""
        self._selected = session_id
        self._side.render(self._view, session_id)
        self._show_page()

    def new_session(self) -> None:
        """Turn to the next patient."""
        self.select(None)
        self._ready.focus()

    def come_to_front(self) -> None:
        """Be seen: somebody has started the app once more."""
        self._notices.say_fetched()
        if self.isMinimized():
            self.showNormal()
        self.show()
        self.raise_()
        self.activateWindow()
        # Where a window may not put itself in front, its place among the windows is marked at least.
        QApplication.alert(self)
        self._show_page()

    def _show_page(self) -> None:
        session = self._session()
        self._notices.render(self._view, self._selected, session)
        self._announce(session)
        before = self._pages.currentWidget()
        page = self._page_for(session)
        self._ready.render(self._view)
        self._pages.setCurrentWidget(page)
        self._show_actions(session)
        if page is not before:
            self._focus(page)

    def _page_for(self, session: SessionView | None) -> _Page:
        if session is None:
            return self._ready
        if session.phase.is_live:
            recording = self._recording_page()
            recording.render(self._view, session)
            return recording
        if session.phase.is_finishing:
            finishing = self._finishing_page()
            finishing.render(session)
            return finishing
        result = self._result_page()
        result.render(self._view, session)
        return result

    def _announce(self, session: SessionView | None) -> None:
        """Tell a screen reader when the state of what is looked at changes."""
        word = self._notices.alarm or (state_of(session).word if session is not None else "")
        if word and word != self._announced:
            from PySide6.QtGui import QAccessible, QAccessibleAnnouncementEvent

            QAccessible.updateAccessibility(QAccessibleAnnouncementEvent(self, word))
        self._announced = word

    def _focus(self, page: _Page) -> None:
        # Whoever walks through the list with the keyboard stays in it.
        if not self._side.has_list_focus():
            page.focus()

    def _session(self) -> SessionView | None:
        session = self._view.session(self._selected)
        if session is None or session.phase in (Phase.DISCARDED, Phase.IDLE):
            return None
        return session

    def _show_actions(self, session: SessionView | None) -> None:
        allowed = session.allowed if session is not None else frozenset()
        keys = self._view.keys.state
        self._menus.enable(
            record=session is None and self._ready.can_record(),
            practise=self._view.live is None,
            test=self._view.live is None and bool(self._view.microphones),
            pause=bool(allowed & {"Pause", "Resume"}),
            stop="Stop" in allowed,
            copy=session is not None and session.phase.is_final,
            patient="ChangePatient" in allowed,
            undo=self._notices.can_have_back(),
            queue=bool(waiting_sessions(self._view)),
            passphrase=keys in (KeyState.PROTECTED, KeyState.PASSPHRASE, KeyState.SESSION_ONLY),
            unlock=keys in (KeyState.LOCKED, KeyState.MISSING),
        )

    def _show_theme(self) -> None:
        choice = self._view.settings.theme
        appearance = appearance_of(QApplication.instance())
        if appearance is not None:
            appearance.choose(choice)
        self._menus.show_theme(choice)

    def _recording_page(self) -> RecordingPage:
        if self._recording is None:
            from app.ui.recording_page import RecordingPage

            self._recording = RecordingPage(self._send, self._post, self._level, self._clock)
            self._recording.discard_asked.connect(self._ask_discard)
            self._pages.addWidget(self._recording)
        return self._recording

    def _finishing_page(self) -> FinishingPage:
        if self._finishing is None:
            from app.ui.finishing_page import FinishingPage

            self._finishing = FinishingPage(self._send, self._clock)
            self._finishing.next_asked.connect(self.new_session)
            self._finishing.discard_asked.connect(self._ask_discard)
            self._pages.addWidget(self._finishing)
        return self._finishing

    def _result_page(self) -> ResultPage:
        if self._result is None:
            from app.ui.result_page import ResultPage

            self._result = ResultPage(self._send, self._ask_discard, self._clock)
            self._pages.addWidget(self._result)
        return self._result

    # Wishes --------------------------------------------------------------------------------------------------------

    def _send(self, intent: Intent) -> None:
        if self._selected is not None:
            self._post(ForSession(self._selected, intent))

    def _record(self) -> None:
        if self._pages.currentWidget() is self._ready and self._ready.can_record():
            self._ready.record()

    def _practise(self) -> None:
        self.select(None)
        self._ready.practise()

    def _toggle_pause(self) -> None:
        if self._recording is not None and self._pages.currentWidget() is self._recording:
            self._recording.toggle_pause()

    def _stop(self) -> None:
        if self._recording is not None and self._pages.currentWidget() is self._recording:
            self._recording.stop()

    def _copy(self) -> None:
        if self._result is not None and self._pages.currentWidget() is self._result:
            self._result.copy()

    def _change_patient(self) -> None:
        session = self._session()
        if session is not None:
            self.dialogs.change_patient(session)

    def _choose_microphone(self) -> None:
        if self._recording is not None and self._pages.currentWidget() is self._recording:
            self._recording.choose_microphone()

    def _choose_theme(self, choice: str) -> None:
        self._post(ChangeSettings(replace(self._view.settings, theme=choice)))

    # Questions -----------------------------------------------------------------------------------------------------

    def _ask_discard(self) -> None:
        from app.ui.question import Answer, ask

        shown = self._pages.currentWidget()
        page = next((each for each in (self._recording, self._finishing, self._result) if each is shown), None)
        if page is not None:
            ask(
                self,
                self.tr("Discard this recording?"),
                self.tr("The audio on this computer is thrown away, and no notes are made of it. "
                        "You can have it back for 30 seconds."),
                Answer(self.tr("&Discard"), "confirm-discard", "danger"),
                page.discard,
            )  # fmt: skip

    def _about(self) -> None:
        from PySide6.QtWidgets import QMessageBox

        asked = QMessageBox(self)
        identify(asked, "about")
        asked.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        asked.setTextFormat(Qt.TextFormat.PlainText)
        asked.setIconPixmap(QApplication.windowIcon().pixmap(64, 64))
        asked.setText("ScribeDesk")
        asked.setInformativeText(self.tr("Records a consultation, sends it to a scribe service and shows the notes."))
        identify(asked.addButton(QMessageBox.StandardButton.Close), "close")
        asked.open()

    # Qt's hooks ----------------------------------------------------------------------------------------------------

    def closeEvent(self, event: QCloseEvent) -> None:  # noqa: N802
        """Qt's hook: what is at stake is never dropped silently."""
        if self.closing.may_close(self._view):
            event.accept()
        else:
            event.ignore()

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802
        """Qt's hook: Space reaches the window when nothing that has the focus wants it."""
        if event.key() == Qt.Key.Key_Space and not event.isAutoRepeat():
            if self._pages.currentWidget() is self._ready:
                self._record()
            else:
                self._toggle_pause()
        else:
            super().keyPressEvent(event)

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802
        """Qt's hook."""
        super().resizeEvent(event)
        self._show_side()
        self._notices.set_roomy(self.height() >= theme.px(_DETAILS_NEED_PX))

    def _toggle_side(self) -> None:
        self._side_wish = self._side.isHidden()
        self._show_side()

    def _show_side(self) -> None:
        has_room = self.width() >= theme.px(_SIDE_NEEDS_PX)
        self._side.setVisible(has_room if self._side_wish is None else self._side_wish)
