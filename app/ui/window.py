"""The main window: which session is looked at, which page shows it, and the keys.

It renders snapshots and posts wishes, and waits for nothing. Main thread. Pages are made when they are first
needed, and their modules imported then, so that the window is there at once: each of Qt's classes that is named
for the first time costs time, those with many enumerations most of all.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from PySide6.QtCore import Qt
from PySide6.QtGui import (
    QAction,
    QActionGroup,
    QCloseEvent,
    QKeyEvent,
    QKeySequence,
    QResizeEvent,
)
from PySide6.QtWidgets import (
    QApplication,
    QHBoxLayout,
    QMainWindow,
    QMenu,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from app.core.events import Intent, SessionId, Stop
from app.core.views import AppView, ChangeSettings, ForSession, Level, Phase, SessionView, Wish
from app.ui import theme
from app.ui.application import appearance_of
from app.ui.banner import Banner, notice_for_app, notice_for_session
from app.ui.controls import identify, restyle
from app.ui.icons import icon
from app.ui.phrases import state_of
from app.ui.ready_page import ReadyPage
from app.ui.session_list import SessionList
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
    """The doctor's window. ``post`` takes wishes, ``level`` is pulled while a meter can be seen."""

    def __init__(
        self, post: Callable[[Wish], None], level: Callable[[], Level], clock: Callable[[], float] = time.time
    ) -> None:
        super().__init__()
        self._post = post
        self._level = level
        self._clock = clock
        self._view = AppView()
        self._selected: SessionId | None = None
        self._may_close = False
        self._announced = ""
        self._side_wish: bool | None = None
        self.setWindowTitle("ScribeDesk")
        self._recording: RecordingPage | None = None
        self._finishing: FinishingPage | None = None
        self._result: ResultPage | None = None
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
        self._app_banner = Banner("app-banner")
        self._banner = Banner("banner", self._send, self._clock)
        self._ready = ReadyPage(self._post, self._level)
        self._pages = QStackedWidget()
        self._pages.addWidget(self._ready)
        banners = QVBoxLayout()
        banners.setContentsMargins(theme.px(32), theme.px(12), theme.px(32), 0)
        banners.setSpacing(theme.px(8))
        banners.addWidget(self._app_banner)
        banners.addWidget(self._banner)
        centre = QVBoxLayout()
        centre.setSpacing(0)
        centre.addLayout(banners)
        centre.addWidget(self._pages, 1)
        body = QWidget()
        row = QHBoxLayout(body)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(0)
        row.addWidget(self._side)
        row.addLayout(centre, 1)
        self.setCentralWidget(body)
        self._status = StatusLine()
        self.statusBar().setSizeGripEnabled(False)
        self.statusBar().addWidget(self._status, 1)

    def _make_menus(self) -> None:
        session = self.menuBar().addMenu(self.tr("&Session"))
        self._add(session, self.tr("&New session"), "F8", self.new_session, "plus")
        self._do_record = self._add(session, self.tr("&Record"), "Ctrl+R", self._record, "record")
        self._do_pause = self._add(session, self.tr("&Pause or resume"), "F9", self._toggle_pause, "pause")
        self._do_stop = self._add(session, self.tr("S&top and make notes"), "Ctrl+E", self._stop, "stop")
        self._do_copy = self._add(session, self.tr("&Copy note"), "Ctrl+Shift+C", self._copy, "copy")
        session.addSeparator()
        self._add(session, self.tr("&Quit"), "Ctrl+Q", self.close)
        shown = self.menuBar().addMenu(self.tr("&View"))
        self._add(shown, self.tr("Session &list"), "Ctrl+B", self._toggle_side, "sidebar")
        self._make_theme_menu(shown.addMenu(self.tr("&Theme")))
        helping = self.menuBar().addMenu(self.tr("&Help"))
        self._do_practise = self._add(
            helping, self.tr("Practise with a &sample consultation"), "", self._practise, "practise"
        )
        self._add(helping, self.tr("&About ScribeDesk"), "", self._about, "info")

    def _add(self, menu: QMenu, text: str, keys: str, do: Callable[[], object], picture: str = "") -> QAction:
        made = QAction(text, self)
        if keys:
            made.setShortcut(QKeySequence(keys))
        if picture:
            made.setIcon(icon(picture))
        made.triggered.connect(lambda _checked=False: do())
        menu.addAction(made)
        return made

    def _make_theme_menu(self, menu: QMenu) -> None:
        self._themes = QActionGroup(self)
        for choice, text in (
            ("system", self.tr("As the &system")),
            ("light", self.tr("&Light")),
            ("dark", self.tr("&Dark")),
            ("contrast", self.tr("&High contrast")),
        ):
            made = self._add(menu, text, "", partial(self._choose_theme, choice))
            made.setCheckable(True)
            made.setData(choice)
            self._themes.addAction(made)

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

    def _show_page(self) -> None:
        session = self._session()
        # A session says by itself that the service is away; once is enough.
        concerns_all = session is None or self._view.problem is not None
        self._app_banner.render(notice_for_app(self._view, self._clock()) if concerns_all else None)
        self._banner.render(notice_for_session(session, self._clock()) if session is not None else None)
        self._announce(session)
        before = self._pages.currentWidget()
        if session is None:
            page: _Page = self._ready
        elif session.phase.is_live:
            page = recording = self._recording_page()
            recording.render(session)
        elif session.phase.is_finishing:
            page = finishing = self._finishing_page()
            finishing.render(session)
        else:
            page = result = self._result_page()
            result.render(self._view, session)
        self._ready.render(self._view)
        self._pages.setCurrentWidget(page)
        self._show_actions(session)
        if page is not before:
            self._focus(page)

    def _announce(self, session: SessionView | None) -> None:
        """Tell a screen reader when the state of what is looked at changes."""
        word = state_of(session).word if session is not None else ""
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
        self._do_record.setEnabled(session is None and self._ready.can_record())
        self._do_practise.setEnabled(self._view.live is None)
        self._do_pause.setEnabled(bool(allowed & {"Pause", "Resume"}))
        self._do_stop.setEnabled("Stop" in allowed)
        self._do_copy.setEnabled(session is not None and session.phase.is_final)

    def _show_theme(self) -> None:
        choice = self._view.settings.theme
        appearance = appearance_of(QApplication.instance())
        if appearance is not None:
            appearance.choose(choice)
        for action in self._themes.actions():
            action.setChecked(action.data() == choice)

    def _recording_page(self) -> RecordingPage:
        if self._recording is None:
            from app.ui.recording_page import RecordingPage

            self._recording = RecordingPage(self._send, self._level, self._clock)
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

    def _choose_theme(self, choice: str) -> None:
        self._post(ChangeSettings(replace(self._view.settings, theme=choice)))

    # Questions -----------------------------------------------------------------------------------------------------

    def _ask_discard(self) -> None:
        shown = self._pages.currentWidget()
        page = next((each for each in (self._recording, self._finishing, self._result) if each is shown), None)
        if page is not None:
            self._ask(
                self.tr("Discard this recording?"),
                self.tr("The audio on this computer is thrown away, and no notes are made of it."),
                ("confirm-discard", self.tr("&Discard"), "danger"),
                page.discard,
            )

    def _ask_close(self, live: SessionId) -> None:
        self._ask(
            self.tr("A visit is being recorded."),
            self.tr("Stop it and close? The recording is kept, and finishes by itself."),
            ("stop-and-keep", self.tr("&Stop and keep"), "primary"),
            lambda: self._stop_and_close(live),
        )

    def _ask(self, what: str, more: str, yes: tuple[str, str, str], do: Callable[[], None]) -> None:
        """Ask without blocking; Cancel is the default and what Escape means."""
        from PySide6.QtWidgets import QMessageBox

        asked = QMessageBox(self)
        identify(asked, "question")
        asked.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        asked.setIcon(QMessageBox.Icon.NoIcon)
        asked.setTextFormat(Qt.TextFormat.PlainText)
        asked.setWindowTitle("ScribeDesk")
        asked.setText(what)
        asked.setInformativeText(more)
        identifier, text, kind = yes
        accept = asked.addButton(text, QMessageBox.ButtonRole.DestructiveRole)
        identify(accept, identifier)
        restyle(accept, "kind", kind)
        cancel = asked.addButton(self.tr("&Cancel"), QMessageBox.ButtonRole.RejectRole)
        identify(cancel, "cancel")
        asked.setDefaultButton(cancel)
        asked.setEscapeButton(cancel)
        accept.clicked.connect(lambda _checked=False: do())
        asked.open()

    def _stop_and_close(self, live: SessionId) -> None:
        self._post(ForSession(live, Stop(self._clock())))
        self._may_close = True
        self.close()

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
        """Qt's hook: a visit that is going on is never dropped silently."""
        if self._view.live is not None and not self._may_close:
            event.ignore()
            self._ask_close(self._view.live)
        else:
            event.accept()

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
        for banner in (self._banner, self._app_banner):
            banner.set_roomy(self.height() >= theme.px(_DETAILS_NEED_PX))

    def _toggle_side(self) -> None:
        self._side_wish = self._side.isHidden()
        self._show_side()

    def _show_side(self) -> None:
        has_room = self.width() >= theme.px(_SIDE_NEEDS_PX)
        self._side.setVisible(has_room if self._side_wish is None else self._side_wish)
