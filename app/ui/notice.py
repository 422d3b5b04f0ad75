"""What a banner says, as a value, and the few decisions that notices of a session and of the app share. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from app.core.problems import ProblemKind
from app.core.views import AppView, MicrophoneInfo
from app.ui.phrases import length, tr

ALARM = "alarm"


@dataclass(frozen=True)
class Notice:
    """One banner's content. ``actions`` names its buttons: intents of the session, or what the window can do."""

    tone: str
    """``info``, ``warn``, ``danger``, or ``alarm`` when words are being lost this moment."""
    what: str
    more: str = ""
    detail: str = ""
    actions: frozenset[str] = frozenset()
    is_line: bool = False
    """Its buttons stand behind it: what can wait takes little room from what is being done."""


DISK = frozenset({ProblemKind.DISK_FULL, ProblemKind.DISK_FAILED})
GRAVE = DISK | {ProblemKind.PROCESSING_FAILED}
"""Trouble that is told in the colour of danger."""


def pinned_microphone(view: AppView) -> MicrophoneInfo | None:
    """The microphone that was chosen by name, there or not; None when the system's is followed."""
    settings = view.settings
    return MicrophoneInfo(settings.microphone, settings.microphone_host_api) if settings.microphone else None


def is_there(view: AppView, wanted: MicrophoneInfo) -> bool:
    """Whether a microphone is among those found. Where no host API was kept, the name decides."""
    return any(found.name == wanted.name and wanted.host_api in ("", found.host_api) for found in view.microphones)


def with_room(what: str, view: AppView) -> str:
    """The words, and how much recording the disk has room for."""
    if view.storage.free_seconds is None:
        return what
    room = tr("There is room for {length} of recording.").format(length=length(view.storage.free_seconds))
    return f"{what} {room}"
