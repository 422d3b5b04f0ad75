"""The app without a window: it records as many visits as there are arguments, each that many seconds long.

Says ``recording`` when samples arrive, and ``stopped`` with what it saw when the result was there. At the end it says
``trips`` with some round trips to the service.
"""

from __future__ import annotations

import json
import queue
import sys
import time
from collections.abc import Callable
from dataclasses import replace

from app.compose import connect, make_world
from app.core.events import SessionId, Stop, Visit
from app.core.scribe import TemplateStatus
from app.core.views import AppView, ForSession, Phase, RecordVisit, SessionView
from app.engine.engine import Engine
from app.engine.local_service import Address
from app.engine.requests import ScribeService
from app.store.places import Places, find_places
from tests.bench.telling import tell

_PATIENCE_SECONDS = 90.0
_TRIPS = 21


class _Recorder:
    """Asks the engine, as the window does, and keeps the moment at which each view came."""

    def __init__(self, places: Places) -> None:
        self._views: queue.SimpleQueue[tuple[float, AppView]] = queue.SimpleQueue()
        self._seen: SessionView
        self.address: Address | None = None
        """The local service's."""
        world = replace(make_world(places), connect=self._connect)
        self.engine = Engine(places, world, lambda view: self._views.put((time.monotonic(), view)))

    def _connect(self, address: Address) -> ScribeService:
        self.address = address
        return connect(address)

    def begin(self) -> None:
        self.engine.start()
        self._wait(lambda view: view.service.state == "ready" and bool(view.microphones))

    def record(self, seconds: float) -> None:
        self.engine.post(RecordVisit(Visit()))
        _, view = self._wait(lambda view: view.live is not None and view.sessions[0].is_capturing)
        session_id = view.sessions[0].id
        tell("recording")
        time.sleep(seconds)
        before = self._latest(session_id)
        if before.chunks_uploaded < before.chunks_sealed:
            _, before = self._until(session_id, lambda s: s.chunks_uploaded == s.chunks_sealed)
        self._stop(session_id, before)

    def _stop(self, session_id: SessionId, before: SessionView) -> None:
        began = time.monotonic()
        self.engine.post(ForSession(session_id, Stop(time.time())))
        shown, _ = self._until(session_id, lambda s: not s.phase.is_live)
        sealed, after = self._until(session_id, lambda s: not s.phase.is_live and not s.is_capturing, shown)
        ended, _ = self._until(session_id, lambda s: s.is_ended, sealed)
        result, last = self._until(session_id, _has_result, ended)
        assert last.phase is Phase.COMPLETED, last.phase
        told = {
            "stop_to_shown": shown - began,
            "stop_to_sealed": sealed - began,
            "stop_to_ended": ended - began,
            "ended_to_result": result - ended,
            "last_chunks": last.chunks_sealed - before.chunks_sealed,
            "last_chunk_seconds": after.recorded_seconds - before.recorded_seconds,
        }
        tell("stopped", json.dumps(told, separators=(",", ":")))

    def _latest(self, session_id: SessionId) -> SessionView:
        """What was told last; there has been news since, at the least of the first chunk."""
        _, session = self._until(session_id, lambda _: self._views.empty())
        return session

    def _until(
        self, session_id: SessionId, is_met: Callable[[SessionView], bool], since: float | None = None
    ) -> tuple[float, SessionView]:
        """The first view in which the session is so, from the one that came at ``since`` and was looked at last."""
        if since is not None and is_met(self._seen):
            return since, self._seen

        def looks_right(view: AppView) -> bool:
            session = view.session(session_id)
            if session is not None:
                self._seen = session
            return session is not None and is_met(session)

        moment, _ = self._wait(looks_right)
        return moment, self._seen

    def _wait(self, is_met: Callable[[AppView], bool]) -> tuple[float, AppView]:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while True:
            moment, view = self._views.get(timeout=max(0.0, deadline - time.monotonic()))
            if is_met(view):
                return moment, view


def _has_result(session: SessionView) -> bool:
    return session.phase.is_final and not any(n.status is TemplateStatus.PROCESSING for n in session.notes)


def _round_trips(address: Address) -> list[float]:
    """Seconds for a small question over a connection that is open already."""
    service = connect(address)
    trips = []
    for _ in range(_TRIPS):
        began = time.monotonic()
        service.discover()
        trips.append(time.monotonic() - began)
    return trips[1:]


def main() -> int:
    """Record the visits."""
    recorder = _Recorder(find_places())
    recorder.begin()
    try:
        for seconds in sys.argv[1:]:
            recorder.record(float(seconds))
        assert recorder.address is not None
        tell("trips", json.dumps(_round_trips(recorder.address), separators=(",", ":")))
    finally:
        recorder.engine.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
