"""What is kept on this computer and for how long: free space, delete dates, what is stored.

Looks at the clock and at the disk from time to time; the rules themselves are in :mod:`app.core.retention`. Belongs
to the engine's thread; what the disk may keep waiting is found out by workers.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

from app.core.events import SessionId
from app.core.retention import is_delivered
from app.core.storage import storage_view
from app.core.views import StorageView, StoredSession, StoredView
from app.engine.loop import Loop
from app.engine.sessions import Sessions
from app.engine.world import World
from app.store.places import Places
from app.store.space import Reserve

_LOOK_SECONDS, _LOOK_WHILE_RECORDING_SECONDS = 60.0, 10.0
_SWEEP_SECONDS = 600.0
_LOOK, _SWEEP = ("", "space"), ("", "retention")


class Household:
    """The household of one store."""

    def __init__(self, places: Places, world: World, loop: Loop, sessions: Sessions) -> None:
        self._places = places
        self._world = world
        self._loop = loop
        self._sessions = sessions
        self._reserve = Reserve(places.home)
        self._refusal: str | None = None
        """None until it was looked at."""
        self.storage = StorageView()
        self.stored: StoredView | None = None
        """What was found stored, when somebody asked last."""

    def begin(self) -> None:
        """Look at the folder and at the disk, and hold a little of it back."""
        self._look_again()

    # Space --------------------------------------------------------------------------------------------------------

    def _look_again(self) -> None:
        if self._refusal != "":  # What is in order stays so; what is not may be put in order meanwhile.
            self._loop.submit(partial(self._world.folder_refusal, self._places.home), self._on_refusal)
        self._look()

    def _on_refusal(self, refusal: str) -> None:
        self._refusal = refusal
        self.storage = replace(self.storage, refusal=refusal, folder=str(self._places.home))

    def _look(self) -> None:
        self._loop.submit(partial(self._find_space, is_live=self._sessions.is_live), self._on_space)

    def _find_space(self, *, is_live: bool) -> int | None:
        if not is_live:
            self._reserve.make()
        return self._world.free_bytes(self._places.home)

    def _on_space(self, free_bytes: int | None) -> None:
        self.storage = storage_view(free_bytes, refusal=self._refusal or "", folder=str(self._places.home))
        pause = _LOOK_WHILE_RECORDING_SECONDS if self._sessions.is_live else _LOOK_SECONDS
        self._loop.set_timer(_LOOK, pause, self._look_again)

    def release_reserve(self) -> None:
        """The disk is full in the middle of a visit: give it what was held back for that."""
        self._reserve.release()
        self._look()

    # Delete dates -------------------------------------------------------------------------------------------------

    def sweep(self) -> None:
        """Delete what is due, now and from time to time."""
        self._loop.set_timer(_SWEEP, _SWEEP_SECONDS, self.sweep)
        self._sessions.expire()

    # What is stored -----------------------------------------------------------------------------------------------

    def look_at_stored(self) -> None:
        """Find out what is stored here; the view has the answer."""
        delivered = {view.id: is_delivered(view) for view in self._sessions.views()}
        self._loop.submit(partial(self._find_stored, delivered), self._on_stored)

    def _find_stored(self, delivered: dict[SessionId, bool]) -> StoredView:
        folders = self._places.sessions.iterdir() if self._places.sessions.exists() else ()
        ids = {SessionId(folder.name): folder for folder in folders}
        return StoredView(
            sessions=tuple(StoredSession(i, _bytes_in(f), delivered.get(i, False)) for i, f in ids.items()),
            library_bytes=sum(_bytes_in(path) for path in self._places.home.glob("library-*")),
            service_bytes=_bytes_in(self._places.local_service),
            log_bytes=_bytes_in(self._places.logs),
        )

    def _on_stored(self, stored: StoredView) -> None:
        self.stored = stored


def _bytes_in(path: Path) -> int:
    """Size of a file, or of all files in a folder; what vanishes meanwhile counts nothing."""
    total = 0
    for each in [path, *path.rglob("*")] if path.is_dir() else [path]:
        try:
            total += each.stat().st_size if each.is_file() else 0
        except OSError:
            continue
    return total
