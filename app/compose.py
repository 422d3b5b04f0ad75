"""Puts the engine together with the real microphone, the real services and the real disk, for window and terminal."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from app.core.views import AppView
from app.engine.engine import Engine
from app.engine.local_service import Address
from app.engine.requests import ScribeService
from app.engine.world import World
from app.store.places import Places

if TYPE_CHECKING:
    from app.store.library import Library

TOKEN_VARIABLE = "SCRIBEDESK_TOKEN"  # noqa: S105 - the variable's name
PASSPHRASE_VARIABLE = "SCRIBEDESK_PASSPHRASE"  # noqa: S105 - the variable's name


def resources() -> Path:
    """The folder of things that come with the program, from source and when frozen."""
    return Path(getattr(sys, "_MEIPASS", Path(__file__).resolve().parent.parent)) / "resources"


def program(*arguments: str) -> list[str]:
    """A command line that starts this program again."""
    start = [sys.executable] if getattr(sys, "frozen", False) else [sys.executable, "-m", "app"]
    return [*start, *arguments]


def begin_logging(places: Places) -> None:
    """Log warnings and worse, bugs and crashes, into files without patient data; leave no picture of the memory."""
    from app.store.logs import catch_bugs, forbid_dumps, start_log, watch_for_crashes

    start_log(places.logs)
    catch_bugs()
    watch_for_crashes(places.logs)
    forbid_dumps()


def make_engine(
    places: Places,
    publish: Callable[[AppView], None],
    *,
    takes_up_old_sessions: bool = True,
    service_id: str | None = None,
) -> Engine:
    """The engine on the real world."""
    # From source, the service's process must find the package wherever it is started.
    if not getattr(sys, "frozen", False):
        root = str(Path(__file__).resolve().parent.parent)
        paths = [p for p in os.environ.get("PYTHONPATH", "").split(os.pathsep) if p and p != root]
        os.environ["PYTHONPATH"] = os.pathsep.join([root, *paths])
    return Engine(
        places, make_world(places), publish, takes_up_old_sessions=takes_up_old_sessions, service_id=service_id
    )


def open_library(places: Places) -> Library:
    """The library, for a command that needs nothing else. May wait for the keystore.

    Raises:
        KeysLocked: its key is not at hand.
    """
    from app.core.views import KeyState
    from app.store.keys import Keys, KeysLocked
    from app.store.keystore import SystemKeystore
    from app.store.library import Library

    keys = Keys(places.keys)
    keys.take(keys.ask(SystemKeystore(), os.environ.get(PASSPHRASE_VARIABLE, ""))())
    if keys.view().state not in (KeyState.PROTECTED, KeyState.PASSPHRASE):
        raise KeysLocked
    return Library.open(places.library(keys.key_id), keys.derive("library"))


def make_world(places: Places) -> World:
    """The real devices and services."""
    from app.audio.microphone import ChildMicrophone, MicrophoneWatch, play
    from app.audio.playlist import Playlist
    from app.store.keystore import SystemKeystore
    from app.store.space import folder_refusal, free_bytes

    capture = program("capture-worker")
    return World(
        open_microphone=partial(ChildMicrophone, capture),
        watch_microphones=partial(MicrophoneWatch, capture),
        play=partial(play, capture),
        open_files=Playlist,
        sample=resources() / "sample" / "consultation.flac",
        connect=connect,
        local_command=lambda name: program("serve", "--data", str(places.local_service / name), "--with-app"),
        keystore=SystemKeystore(),
        keep_awake=keep_awake,
        free_bytes=free_bytes,
        folder_refusal=folder_refusal,
        token=os.environ.get(TOKEN_VARIABLE, ""),
        passphrase=os.environ.get(PASSPHRASE_VARIABLE, ""),
    )


def keep_awake() -> AbstractContextManager[object]:
    """Holds off sleep for as long as it is entered, where the system has a way."""
    from wakepy import keep

    return keep.running(on_fail="pass")


def connect(address: Address) -> ScribeService:
    """A client for a service.

    Raises:
        RequestRefused: the address is not one that may be used.
    """
    from app.protocol.client import ScribeClient

    return ScribeClient(address.base_url, address.token)


def find_token(service_id: str) -> str:
    """The token for a service: from the environment, else from the library if its key is at hand, else none."""
    from app.store.keys import KeysLocked
    from app.store.places import find_places

    if token := os.environ.get(TOKEN_VARIABLE):
        return token
    try:
        library = open_library(find_places())
    except KeysLocked:
        return ""  # The service says whether it wants to see one.
    token = library.token(service_id) or ""
    library.close()
    return token
