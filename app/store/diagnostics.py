"""What helps to find a fault, as text that its user can read before giving it away.

Versions, sizes, counts and the ends of the logs; no names, no contents of sessions, no tokens, not even the name
of the computer or of its user. Blocking: for a worker.
"""

from __future__ import annotations

import getpass
import importlib.metadata
import locale
import os
import platform
import re
import socket
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import app
from app.store.durable import write_whole
from app.store.logs import CRASH_NAME, LOG_NAME, clean
from app.store.places import Places
from app.store.space import folder_refusal, free_bytes

_LIBRARIES = (
    *("PySide6-Essentials", "sounddevice", "soundfile", "soxr", "numpy", "httpx", "keyring", "cryptography"),
    *("sqlcipher3", "wakepy", "pulsectl", "msgspec", "fastapi", "uvicorn", "pocketsphinx"),
)
_TAIL_LINES = 200
_TAIL_BYTES = 100_000
_OURS = re.compile(r"(sessions|services|local-service|logs|settings|keys|library|audit|reserve|lock)\b")
"""What the folder may hold; anything else is somebody's own."""
_SHORTEST_NAME = 2
"""A shorter name of a user is part of too many words."""


def gather(places: Places, extra: dict[str, str]) -> str:
    """All of it. ``extra`` is what the caller knows: states, counts, kinds of problems."""
    parts = [
        ("ScribeDesk", _program()),
        ("Computer", _computer()),
        ("State", [f"{name}: {value}" for name, value in extra.items()]),
        ("Storage", _storage(places)),
        ("Log", _tail(places.logs / LOG_NAME)),
        ("Crashes", _tail(places.logs / CRASH_NAME)),
    ]
    text = "\n".join(f"== {title} ==\n" + "".join(f"{clean(line)}\n" for line in lines) for title, lines in parts)
    return _anonymous(text, places)


def save(text: str, path: Path) -> None:
    """Write what was gathered to a file.

    Raises:
        OSError: it was not written.
    """
    write_whole(path, text.encode("utf-8", "replace"))


def _program() -> Iterator[str]:
    yield f"version: {app.__version__}"
    yield f"gathered: {datetime.now(UTC).isoformat(timespec='seconds')}"
    yield f"python: {platform.python_version()} {platform.python_implementation()}"
    yield f"packaged: {'yes' if getattr(sys, 'frozen', False) else 'no'}"
    for name in _LIBRARIES:
        try:
            yield f"{name}: {importlib.metadata.version(name)}"
        except importlib.metadata.PackageNotFoundError:
            yield f"{name}: not told"


def _computer() -> Iterator[str]:
    yield f"system: {platform.system()} {platform.release()} {platform.version()}"
    yield f"machine: {platform.machine()}, {os.cpu_count()} processors"
    yield f"desktop: {os.environ.get('XDG_CURRENT_DESKTOP', '')} {os.environ.get('XDG_SESSION_TYPE', '')}"
    yield f"language: {locale.getlocale()[0]}, {sys.getfilesystemencoding()}"
    yield f"time zone: {datetime.now(UTC).astimezone().strftime('%z')}"


def _storage(places: Places) -> Iterator[str]:
    yield f"folder: {places.home}"
    yield f"folder refused: {folder_refusal(places.home) or 'no'}"
    free = free_bytes(places.home)
    yield f"free: {'not told' if free is None else _megabytes(free)}"
    if not places.home.is_dir():
        return
    ours = [path for path in places.home.iterdir() if _OURS.match(path.name)]
    for path in sorted(ours):
        files = [each for each in path.rglob("*") if each.is_file()] if path.is_dir() else [path]
        folders = sum(each.is_dir() for each in path.iterdir()) if path.is_dir() else 0
        inside = f", {folders} folders, {len(files)} files" if path.is_dir() else ""
        yield f"{path.name}: {_megabytes(sum(map(_size, files)))}{inside}"


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # It went while we looked.
        return 0


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.3f} MB"


def _tail(path: Path) -> list[str]:
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return ["none"]
    return text.splitlines()[-_TAIL_LINES:]


def _anonymous(text: str, places: Places) -> str:
    """Without the folders that name the user, the user's name and that of the computer."""
    home = Path(os.path.expanduser("~"))  # noqa: PTH111 - the other way fails where there is none
    for name in sorted({str(home), str(home.resolve()), home.as_posix()}, key=len, reverse=True):
        if len(home.parts) > 1:
            text = re.sub(rf"{re.escape(name)}(?![\w.-])", "~", text, flags=re.IGNORECASE)
    text = text.replace(str(places.home), "[folder]")
    for name, instead in ((_user(), "[user]"), (socket.gethostname(), "[computer]")):
        for form in {name, name.partition(".")[0]}:
            if len(form) >= _SHORTEST_NAME:
                text = re.sub(rf"(?<!\w){re.escape(form)}(?!\w)", instead, text, flags=re.IGNORECASE)
    return text


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # A user without a name, as in a container.
        return ""
