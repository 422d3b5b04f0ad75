"""The app without a window, for a day at a clinic: does what a doctor would who is told what to do line by line.

A line is a JSON list, a command and its arguments; each is answered by a line once it is done. Into the microphone
speak files, faster than people. Everything else is the real thing: engine, store, keys, client.
"""

from __future__ import annotations

import json
import random
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from app.audio.files import FileSource
from app.audio.signal import Block
from app.compose import make_world
from app.core.events import Patient, Stop, TryNow, Visit
from app.core.problems import ProblemKind
from app.core.views import AppView, ForSession, KeyState, RecordVisit, SessionView
from app.engine.engine import Engine
from app.store.places import find_places
from tests.engine.stand_ins import USB, Devices

PACE = 10.0
UNDER_WAY_SECONDS = 1.0
_PATIENCE_SECONDS = 100.0
_MOMENT_SECONDS = 1.0


class Talk:
    """A microphone into which a file is spoken, and then nobody says anything."""

    name = USB.name

    def __init__(self, path: Path) -> None:
        self._file = FileSource(path, PACE)
        self._is_ending = threading.Event()
        self.is_kept = threading.Event()
        """All of it is on the disk: whoever asks for the next block has done with the last."""

    def open(self) -> int:
        return self._file.open()

    def read(self, timeout_seconds: float) -> Block | None:
        block = self._file.read(timeout_seconds)
        if block is None and not self._is_ending.is_set():
            self.is_kept.set()
            self._is_ending.wait(_PATIENCE_SECONDS)
        return block

    def end(self) -> None:
        self._is_ending.set()

    def close(self) -> None:
        self._file.close()


class Clinic:
    """The app, and what it shows."""

    def __init__(self, url: str, haste: float) -> None:
        """``haste`` shortens the pauses between tries."""
        self._changed = threading.Condition()
        self._view = AppView()
        self._talk: Talk
        world = replace(
            make_world(find_places()),
            open_microphone=lambda _name, _host_api, _will: self._talk,
            watch_microphones=Devices(lambda: (USB,)).watch,
            chance=lambda: random.random() * haste,
        )
        self.engine = Engine(find_places(), world, self._show, service_id=url)
        self.engine.start()
        self._until(lambda v: v.keys.state is KeyState.PASSPHRASE)

    def _show(self, view: AppView) -> None:
        with self._changed:
            self._view = view
            self._changed.notify_all()

    def _until(self, is_so: Callable[[AppView], object]) -> AppView:
        with self._changed:
            if not self._changed.wait_for(lambda: is_so(self._view), _PATIENCE_SECONDS):
                raise TimeoutError(str(self._view))
            return self._view

    # What it may be told to do ------------------------------------------------------------------------------------

    def await_service(self) -> None:
        """Learn what the service offers."""
        self._until(lambda v: v.service.discovery.service_name)

    def begin(self, label: str, number: str, path: str) -> float:
        """Begin a visit; the seconds of it that are safe when somebody has begun to speak."""
        self._talk = Talk(Path(path))
        visit = Visit(patient=Patient(label=label, id=number), templates=("soap",))
        self.engine.post(RecordVisit(visit))
        view = self._until(lambda v: v.live and _live(v).recorded_seconds >= UNDER_WAY_SECONDS)
        return _live(view).recorded_seconds

    def stop(self) -> None:
        """Stop when all is said."""
        assert self._talk.is_kept.wait(_PATIENCE_SECONDS)
        self.engine.post(ForSession(_live(self._view).id, Stop(time.time())))
        self._until(lambda v: v.live is None)

    def finish(self) -> list[str]:
        """Finish the visits that were going on when the app died; whose they were."""
        back = [s for s in self._view.sessions if s.phase.is_live and s.is_recovered]
        for session in back:
            self.engine.post(ForSession(session.id, Stop(time.time())))
        self._until(lambda v: v.live is None)
        return [s.visit.patient.label for s in back]

    def deliver(self) -> str:
        """Wait until everything has its result, or a person must sign in first; which of the two."""
        view = self._until(
            lambda v: all(s.phase.is_final for s in v.sessions) or any(map(_wants_sign_in, v.sessions))
        )
        return "sign in" if any(map(_wants_sign_in, view.sessions)) else "delivered"

    def try_now(self) -> None:
        """Press "Try now" wherever it is offered; what is refused again at once shows when it is waited for."""
        for session in self._view.sessions:
            if TryNow.__name__ in session.allowed:
                self.engine.post(ForSession(session.id, TryNow()))
        with self._changed:
            self._changed.wait_for(lambda: not any(map(_wants_sign_in, self._view.sessions)), _MOMENT_SECONDS)

    def unsent(self) -> int:
        """How many visits the service does not have whole."""
        return sum(session.is_unsent for session in self._view.sessions)


def _live(view: AppView) -> SessionView:
    return next(s for s in view.sessions if s.id == view.live)


def _has_all(view: AppView) -> bool:
    return all(session.phase.is_final for session in view.sessions)


def _wants_sign_in(session: SessionView) -> bool:
    return session.problem is not None and session.problem.kind is ProblemKind.NOT_SIGNED_IN


def tell(*words: object) -> None:
    print(json.dumps(words), flush=True)  # noqa: T201  the test reads it


def main(url: str, haste: float) -> None:
    """Do as told until there is nothing more to do."""
    clinic = Clinic(url, haste)
    try:
        tell("open")
        for line in sys.stdin:
            command, *arguments = json.loads(line)
            tell(command, getattr(clinic, command)(*arguments))
    finally:
        clinic.engine.close()


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
