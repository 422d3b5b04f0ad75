"""Puts the engine together with the real microphone, the real services and the real disk, for window and terminal."""

from __future__ import annotations

import logging
import logging.handlers
import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from app.core.problems import Problem, ProblemKind
from app.core.views import AppView
from app.engine.engine import Engine
from app.engine.local_service import Address
from app.engine.requests import ScribeService
from app.engine.world import World
from app.protocol.answer import RequestRefused
from app.store.places import Places

TOKEN_VARIABLE = "SCRIBEDESK_TOKEN"  # noqa: S105 - the variable's name
_LOG_BYTES, _LOG_FILES = 1_000_000, 3


def resources() -> Path:
    """The folder of things that come with the program, from source and when frozen."""
    return Path(getattr(sys, "_MEIPASS", Path(__file__).resolve().parent.parent)) / "resources"


def program(*arguments: str) -> list[str]:
    """A command line that starts this program again."""
    start = [sys.executable] if getattr(sys, "frozen", False) else [sys.executable, "-m", "app"]
    return [*start, *arguments]


def start_log(places: Places) -> None:
    """Log warnings and worse into a small rotating file. Nothing that a patient said ever goes in."""
    places.logs.mkdir(mode=0o700, exist_ok=True)
    handler = logging.handlers.RotatingFileHandler(
        places.logs / "scribedesk.log", maxBytes=_LOG_BYTES, backupCount=_LOG_FILES, encoding="utf-8", delay=True
    )
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(threadName)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])


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


def make_world(places: Places) -> World:
    """The real devices and services."""
    from app.audio.microphone import ChildMicrophone, list_microphones
    from app.audio.playlist import Playlist

    capture = program("capture-worker")
    return World(
        list_microphones=partial(list_microphones, capture),
        open_microphone=partial(ChildMicrophone, capture),
        open_files=Playlist,
        sample=resources() / "sample" / "consultation.flac",
        connect=connect,
        find_address=lambda service_id: Address(service_id, find_token(service_id)),
        local_command=program("serve", "--data", str(places.local_service), "--with-app"),
    )


def connect(address: Address) -> ScribeService:
    """A client for a service.

    Raises:
        RequestRefused: the address is not one that may be used.
    """
    from app.protocol.client import ScribeClient

    return ScribeClient(address.base_url, address.token)


def find_token(service_id: str) -> str:
    """The token for a service: from the environment, else from the keystore, else none.

    Raises:
        RequestRefused: the keystore did not answer.
    """
    from app.store.tokens import KeystoreAbsent, KeystoreUnavailable, read_token

    if token := os.environ.get(TOKEN_VARIABLE):
        return token
    try:
        return read_token(service_id) or ""
    except KeystoreAbsent:
        return ""  # The service says whether it wants to see one.
    except KeystoreUnavailable as error:
        raise RequestRefused(Problem(ProblemKind.NOT_SIGNED_IN, f"{error}; set {TOKEN_VARIABLE}")) from error
