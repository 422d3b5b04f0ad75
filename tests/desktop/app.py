"""The app as a process on a desktop of the test's own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path

from app.serving import read_address
from app.store.keys import Keys
from app.store.places import Places

ROOT = Path(__file__).resolve().parents[2]
PASSPHRASE = "correct horse battery staple"


class App:
    """One run of the app. A passphrase guards its key: nobody is there to unlock a keystore."""

    def __init__(self, home: Path, environment: dict[str, str]) -> None:
        self.home = home
        self.process = subprocess.Popen(
            [sys.executable, "-m", "app"], cwd=ROOT, env={**os.environ, **environment, **guarded(home)}
        )

    def service(self, path: str) -> dict[str, object]:
        """Ask the app's own local service, as its client does."""
        base_url, token = service_address(self.home)
        request = urllib.request.Request(f"{base_url}/{path}", headers={"Authorization": f"Bearer {token}"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            told: dict[str, object] = json.load(answer)
        return told

    def close(self) -> int:
        """Ask it to end, as a system that shuts down does; its exit code."""
        self.process.terminate()
        return self.process.wait(15)

    def kill(self) -> None:
        """End it as a crash or a power cut would."""
        self.process.kill()
        self.process.wait()


def guarded(home: Path) -> dict[str, str]:
    """What makes an app keep everything below this folder, sealed with a key that the passphrase guards."""
    return {
        "SCRIBEDESK_HOME": str(home),
        "SCRIBEDESK_PASSPHRASE": PASSPHRASE,
        "PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring",
    }


def opened_keys(home: Path) -> Keys:
    """The keys of an app that the passphrase guards."""
    keys = Keys(Places(home).keys)
    keys.take(keys.try_secret(PASSPHRASE)())
    assert keys.has_private, "the passphrase does not open this store"
    return keys


def service_address(home: Path) -> tuple[str, str]:
    """Base URL and token of the local service of an app that runs."""
    keys = opened_keys(home)
    key = keys.derive("local service")
    assert key is not None
    return read_address(Places(home).local_service / keys.key_id, key)
