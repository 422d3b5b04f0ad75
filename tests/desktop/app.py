"""The app as a process on a desktop of the test's own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


class App:
    """One run of the app."""

    def __init__(self, home: Path, environment: dict[str, str]) -> None:
        self.home = home
        self.process = subprocess.Popen(
            [sys.executable, "-m", "app"],
            cwd=ROOT,
            env={**os.environ, **environment, "SCRIBEDESK_HOME": str(home)},
        )

    def service(self, path: str) -> dict[str, object]:
        """Ask the app's own local service, as its client does."""
        address = json.loads((self.home / "local-service" / "address.json").read_text())
        request = urllib.request.Request(
            f"{address['base_url']}/{path}", headers={"Authorization": f"Bearer {address['token']}"}
        )
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
