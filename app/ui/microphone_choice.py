"""Which microphone: *follow the system*, or one that is chosen by its name and where it is found.

Pure decisions, and the menu of a running visit. An index is never used: it changes with every plug. Main thread.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from PySide6.QtCore import QPoint
from PySide6.QtGui import QActionGroup
from PySide6.QtWidgets import QMenu, QWidget

from app.core.settings import Settings
from app.core.views import AppView, MicrophoneInfo
from app.ui.controls import caption
from app.ui.notice import is_there, pinned_microphone
from app.ui.phrases import tr
from app.ui.plain import shown_name

FOLLOW = ""
"""The key of *follow the system*."""


def key_of(microphone: MicrophoneInfo) -> str:
    """A microphone's identity as one text."""
    return f"{microphone.host_api}\n{microphone.name}"


def offers(view: AppView) -> list[tuple[str, str]]:
    """What can be chosen, as (key, text). A pinned microphone that is not there stays on the list, and says so."""
    default = next((shown_name(each.name) for each in view.microphones if each.is_default), "")
    follow = tr("Follow the system ({name})").format(name=default) if default else tr("Follow the system")
    names = Counter(each.name for each in view.microphones)
    entries = [(FOLLOW, follow)]
    for each in view.microphones:
        is_double = names[each.name] > 1
        entries.append((key_of(each), f"{each.name} ({each.host_api})" if is_double else each.name))
    pinned = pinned_microphone(view)
    if pinned is not None and not is_there(view, pinned):
        entries.append((key_of(pinned), tr("{name} (not there now)").format(name=pinned.name)))
    return entries


def chosen(view: AppView) -> str:
    """The key of what is chosen now."""
    pinned = pinned_microphone(view)
    if pinned is None:
        return FOLLOW
    found = (each for each in view.microphones if each.name == pinned.name)
    same = next((each for each in found if pinned.host_api in ("", each.host_api)), pinned)
    return key_of(same)


def with_choice(settings: Settings, key: str) -> Settings:
    """The settings with this choice."""
    host_api, _, name = key.partition("\n")
    return replace(settings, microphone=name, microphone_host_api=host_api)


def open_menu(parent: QWidget, where: QPoint, view: AppView, choose: Callable[[str], None]) -> QMenu:
    """Offer the microphones in a menu, without waiting for an answer."""
    menu = QMenu(parent)
    menu.setObjectName("microphone-menu")
    menu.aboutToHide.connect(menu.deleteLater)
    group = QActionGroup(menu)
    now = chosen(view)
    for key, text in offers(view):
        action = menu.addAction(caption(text))
        action.setCheckable(True)
        action.setChecked(key == now)
        action.setData(key)
        action.triggered.connect(lambda _checked=False, key=key: choose(key))
        group.addAction(action)
    menu.popup(where)
    return menu
