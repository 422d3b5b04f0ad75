"""Where everything lies. One folder, private to the user; ``SCRIBEDESK_HOME`` moves it (portable use, tests)."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import platformdirs


@dataclass(frozen=True)
class Places:
    """Folders and files below the one folder."""

    home: Path

    @property
    def sessions(self) -> Path:
        """One folder a session."""
        return self.home / "sessions"

    @property
    def settings(self) -> Path:
        """The settings file."""
        return self.home / "settings.json"

    @property
    def services(self) -> Path:
        """What services have said of themselves."""
        return self.home / "services"

    @property
    def keys(self) -> Path:
        """What guards the key to everything here; never the key itself."""
        return self.home / "keys.json"

    def library(self, key_id: str) -> Path:
        """The collection of visits that this key opens."""
        return self.home / f"library-{key_id}.db"

    @property
    def audit(self) -> Path:
        """Who did what when."""
        return self.home / "audit.log"

    @property
    def local_service(self) -> Path:
        """Data of the scribe service that the app carries; a folder for each key."""
        return self.home / "local-service"

    @property
    def logs(self) -> Path:
        """Rotating logs without patient data."""
        return self.home / "logs"


def find_places() -> Places:
    """The user's folder, made if need be, closed to others.

    Raises:
        OSError: it cannot be made.
    """
    configured = os.environ.get("SCRIBEDESK_HOME")
    home = Path(configured) if configured else platformdirs.user_data_path("ScribeDesk", appauthor=False)
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    return Places(home.absolute())
