"""Settings, and what services have said of themselves, as small JSON files that are replaced whole."""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path
from typing import TypeVar

import msgspec

from app.core.problems import Problem, ProblemKind
from app.core.scribe import Discovery
from app.core.settings import Settings
from app.store.durable import write_whole
from app.store.places import Places

_T = TypeVar("_T")


def load_settings(places: Places) -> tuple[Settings, Problem | None]:
    """The user's settings; the usual ones where there are none or where they cannot be read.

    An unreadable file is kept beside, never deleted.
    """
    path = places.settings
    if not path.exists():
        return Settings(), None
    settings = _read(path, Settings)
    if settings is not None:
        return settings, None
    with contextlib.suppress(OSError):
        path.replace(path.with_suffix(".unreadable"))
    return Settings(), Problem(ProblemKind.SETTINGS_UNREADABLE, str(path.name))


def save_settings(places: Places, settings: Settings) -> None:
    """Keep the settings.

    Raises:
        OSError: the disk refused; the old ones are still there.
    """
    write_whole(places.settings, msgspec.json.encode(settings))


def load_discovery(places: Places, service_id: str) -> Discovery | None:
    """What a service said of itself when it was last reached, for a start without a network."""
    return _read(_discovery_path(places, service_id), Discovery)


def save_discovery(places: Places, service_id: str, discovery: Discovery) -> None:
    """Remember what a service says of itself.

    Raises:
        OSError: the disk refused.
    """
    places.services.mkdir(mode=0o700, exist_ok=True)
    write_whole(_discovery_path(places, service_id), msgspec.json.encode(discovery))


def _discovery_path(places: Places, service_id: str) -> Path:
    return places.services / f"{hashlib.sha256(service_id.encode()).hexdigest()[:16]}.json"


def _read(path: Path, kind: type[_T]) -> _T | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (OSError, msgspec.MsgspecError):
        return None
