"""The audit log: who did what to which session, and when; never what was said, nor about whom.

One file that only grows, a JSON object a line. Each line carries a seal over itself and the line before it, so that
a change, an insertion or a removal in the middle shows; with a key at hand nobody else can make that seal. That
lines are missing at the end does not show. Owned and called by the engine's thread.
"""

from __future__ import annotations

import getpass
import hashlib
import hmac
import json
import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from app.store.durable import AppendLog

_SEALED = re.compile(rb'(\{.*),"seal":"(keyed|plain):([0-9a-f]{64})"\}\n')
_LONGEST_DETAIL = 200


class Action(StrEnum):
    """What is noted."""

    STARTED = "started"
    """The app."""
    RECORDED = "recorded"
    SENT = "sent"
    ENDED = "ended"
    REVIEWED = "reviewed"
    PATIENT_CHANGED = "patient changed"
    DISCARDED = "discarded"
    RESTORED = "restored"
    """A discarded visit was had back."""
    ERASED = "erased"
    AUDIO_DELETED = "audio deleted"
    EXPORTED = "exported"
    UNLOCKED = "unlocked"
    UNLOCK_REFUSED = "unlock refused"
    KEYS = "keys"
    """The state of the keys changed; the detail names it."""
    SETTINGS_CHANGED = "settings changed"
    """The detail names the settings, not their values."""


@dataclass(frozen=True)
class Entry:
    """A line of the log. ``subject`` is the id of a session, or empty."""

    at: str
    """UTC, ISO 8601."""
    user: str
    action: str
    subject: str
    detail: str


class Audit:
    """The log at ``path``, made if need be."""

    def __init__(self, path: Path, key: bytes | None, *, now: Callable[[], float] = time.time) -> None:
        """Open the log; a line that was torn by a crash is cut off.

        Raises:
            OSError: the disk refuses.
        """
        self._path = path
        self._key = key
        self._now = now
        self._user = _user()
        path.touch(mode=0o600)
        written = path.read_bytes()
        whole_bytes = written.rfind(b"\n") + 1
        self._last = written[:whole_bytes].rpartition(b"\n")[0].rpartition(b"\n")[2]
        self._log = AppendLog(path, keep_bytes=whole_bytes)

    def use_key(self, key: bytes) -> None:
        """Seal with this key from now on."""
        self._key = key

    def note(self, action: Action, subject: str = "", detail: str = "") -> None:
        """Add a line; it is on the disk when this returns.

        ``detail`` is ours: a state, a count, the name of a setting. Nothing that a person typed.

        Raises:
            OSError: the disk refused it.
        """
        at = datetime.fromtimestamp(self._now(), UTC).isoformat(timespec="milliseconds")
        entry = {"at": at, "user": self._user, "action": action.value, "subject": subject}
        body = json.dumps(entry | {"detail": detail[:_LONGEST_DETAIL]}, separators=(",", ":")).encode("ascii")[:-1]
        kind = b"plain" if self._key is None else b"keyed"
        line = b'%s,"seal":"%s:%s"}' % (body, kind, _seal(self._key, self._last + b"\n" + body))
        self._log.append(line + b"\n")
        self._last = line

    def verify(self) -> int | None:
        """The number of the first line that does not fit, from 1; None when all do.

        Without the key, lines sealed with it are only looked at for their shape.

        Raises:
            OSError: the log cannot be read.
        """
        last = b""
        for number, line in enumerate(self._lines(), start=1):
            match = _SEALED.fullmatch(line)
            if match is None or not self._fits(match, last):
                return number
            last = line[:-1]
        return None

    def _fits(self, match: re.Match[bytes], last: bytes) -> bool:
        body, kind, seal = match.groups()
        key = None if kind == b"plain" else self._key
        if kind == b"keyed" and key is None:
            return True
        return hmac.compare_digest(seal, _seal(key, last + b"\n" + body))

    def entries(self) -> tuple[Entry, ...]:
        """What is noted, oldest first; lines that cannot be read are left out.

        Raises:
            OSError: the log cannot be read.
        """
        return tuple(entry for entry in map(_entry, self._lines()) if entry is not None)

    def _lines(self) -> list[bytes]:
        return self._path.read_bytes().splitlines(keepends=True)

    def close(self) -> None:
        """Let go of the file."""
        self._log.close()


def _seal(key: bytes | None, data: bytes) -> bytes:
    digest = hashlib.sha256(data) if key is None else hmac.new(key, data, hashlib.sha256)
    return digest.hexdigest().encode()


def _entry(line: bytes) -> Entry | None:
    try:
        told = json.loads(line)
        return Entry(told["at"], told["user"], told["action"], told["subject"], told["detail"])
    except (ValueError, KeyError, TypeError):
        return None


def _user() -> str:
    """The name that the operating system has for the user."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # A user without a name, as in a container.
        return str(os.getuid()) if hasattr(os, "getuid") else ""
