"""A real Secret Service on a bus of its own, and a process beside it that asks it what a test wants to know."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from app.store.keystore import KeystoreUnavailable, SystemKeystore

needs_secret_service = pytest.mark.skipif(
    not (shutil.which("dbus-run-session") and shutil.which("gnome-keyring-daemon")), reason="needs gnome-keyring"
)

_ROOT = Path(__file__).resolve().parents[2]
_SECRET = bytes(range(32))
_START = """
set -e
gnome-keyring-daemon $UNLOCK --components=secrets --foreground <<< "$PASSWORD" >/dev/null 2>&1 &
trap "kill -CONT $!; kill -KILL $!" EXIT
echo $!
while ! dbus-send --session --print-reply --dest=org.freedesktop.DBus / org.freedesktop.DBus.NameHasOwner \\
    string:org.freedesktop.secrets | grep -q true; do read -t 0.02 <> <(:) || true; done
"$PYTHON" -c "from tests.store.secret_service import main; main()"
"""


class SecretService:
    """Runs while it is entered. ``password`` unlocks it; without one it stays locked."""

    def __init__(self, home: Path, *, password: str | None = "testpass") -> None:
        environment = {k: v for k, v in os.environ.items() if k not in ("DBUS_SESSION_BUS_ADDRESS", "DISPLAY")}
        self._environment = environment | {
            "HOME": str(home),
            "XDG_DATA_HOME": str(home / "data"),
            "XDG_RUNTIME_DIR": str(home / "run"),
            "PYTHON": sys.executable,
            "PYTHONPATH": str(_ROOT),
            "UNLOCK": "--unlock" if password else "",
            "PASSWORD": password or "",
        }
        for name in ("data", "run"):
            (home / name).mkdir(mode=0o700, exist_ok=True)

    def __enter__(self) -> SecretService:
        self._process = subprocess.Popen(
            ["dbus-run-session", "--", "bash", "-c", _START],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=self._environment,
            cwd=_ROOT,
        )
        assert self._process.stdout
        self._daemon = int(self._process.stdout.readline())
        return self

    def run(self, question: str, *, timeout_seconds: float = 5.0) -> str:
        """The answer to ``read ENTRY`` or ``keep ENTRY``."""
        assert self._process.stdin
        assert self._process.stdout
        print(question, timeout_seconds, file=self._process.stdin, flush=True)
        return self._process.stdout.readline().strip()

    def stop(self) -> None:
        os.kill(self._daemon, signal.SIGSTOP)

    def go_on(self) -> None:
        os.kill(self._daemon, signal.SIGCONT)

    def __exit__(self, *_: object) -> None:
        self._process.communicate()


def main() -> None:
    """Answer questions until there are no more."""
    for line in sys.stdin:
        question, entry, *timeout = line.split()
        keystore = SystemKeystore(timeout_seconds=float(timeout[0]) if timeout else 5.0)
        sys.stdout.write(_answer(keystore, question, entry) + "\n")
        sys.stdout.flush()


def _answer(keystore: SystemKeystore, question: str, entry: str) -> str:
    try:
        if question == "keep":
            keystore.keep(entry, _SECRET)
            return "kept"
        secret = keystore.read(entry)
    except KeystoreUnavailable as error:
        return f"{type(error).__name__}: {error}"
    return "None" if secret is None else f"{secret!r} in {keystore.name}"
