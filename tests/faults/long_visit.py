"""Four hours of a visit in as many seconds as it takes, in a process of their own whose memory is looked at.

Says ``rss`` and the bytes that it holds at every ten minutes of the recording, then what the view says at the end.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from app.audio.signal import Block
from app.audio.source import Source, Stamp
from app.core.events import SessionCreated, Stop, Visit
from app.core.scribe import ServiceStatus, SessionResult
from app.core.views import RecordVisit, SessionView
from app.engine.local_service import Address
from app.engine.requests import ScribeService
from app.engine.world import World
from tests.engine.stand_ins import Connection, Desk, Kept, ScribeServer
from tests.faults.desk import RATE_HZ, speech

_BLOCK = RATE_HZ // 4
_LOOK_SECONDS = 600
_LOST = {3600.0: 5.0, 12_600.0: 42.0}
"""At these seconds of the recording so much is lost."""
_PATIENCE_SECONDS = 600.0


class Tireless:
    """A microphone that has heard the next quarter of a second whenever it is asked, until so much is heard."""

    name = "Tireless"

    def __init__(self, seconds: float) -> None:
        self._spoken = speech(60.0)
        self._until = int(seconds * RATE_HZ)
        self._at = 0
        self._lost_seconds = 0.0
        self._is_ending = threading.Event()
        self.is_done = threading.Event()
        self.began_at = time.time()

    @property
    def stamp(self) -> Stamp:
        """When the last block was heard."""
        passed = self._at / RATE_HZ + self._lost_seconds
        return Stamp(1000.0 + passed, self.began_at + passed)

    def open(self) -> int:
        """Begin."""
        return RATE_HZ

    def read(self, timeout_seconds: float) -> Block | None:
        """The next block."""
        if self._at >= self._until:
            self.is_done.set()
            self._is_ending.wait()
            return None
        self._lost_seconds += _LOST.get(self._at / RATE_HZ, 0.0)
        first = self._at % len(self._spoken)
        self._at += _BLOCK
        if self._at % (_LOOK_SECONDS * RATE_HZ) == 0:
            _say("rss", _resident_bytes())
        return self._spoken[first : first + _BLOCK, np.newaxis]

    def end(self) -> None:
        """No more."""
        self._is_ending.set()

    def close(self) -> None:
        """Nothing is held."""


class _Forgetful(Connection):
    """A service that keeps no audio: only the app's memory is to be seen."""

    def upload(self, created: SessionCreated, index: int, data: bytes, media_type: str, extension: str) -> None:
        super().upload(created, index, b"", media_type, extension)

    def _result(self, kept: Kept) -> SessionResult:
        status = ServiceStatus.OPEN if kept.ended_with is None else ServiceStatus.COMPLETED
        return SessionResult(status, transcript="four hours", audio_files_received=len(kept.chunks))


class _LongDesk(Desk):
    def __init__(self, home: Path, microphone: Tireless) -> None:
        super().__init__(home)
        self._tireless = microphone

    def _world(self) -> World:
        def connect(address: Address) -> ScribeService:
            return _Forgetful(self.server, address)

        def open_microphone(*_: Any) -> Source:
            return self._tireless

        return replace(super()._world(), connect=connect, open_microphone=open_microphone)


def _resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def main(home: Path, seconds: float) -> None:
    """Record one visit."""
    microphone = Tireless(seconds)
    desk = _LongDesk(home, microphone)
    desk.switch_on()
    try:
        _record(desk, microphone)
    finally:
        desk.switch_off()


def _record(desk: Desk, microphone: Tireless) -> None:
    desk.wish(RecordVisit(Visit(templates=())))
    visit = desk.views.until(lambda v: v.live).live
    assert visit
    assert microphone.is_done.wait(_PATIENCE_SECONDS)
    desk.intend(visit, Stop(microphone.stamp.wall_time))
    view = desk.completed(visit)
    _say("rss", _resident_bytes())
    _say("view", _told(view, microphone, desk.server))


def _told(view: SessionView, microphone: Tireless, server: ScribeServer) -> dict[str, object]:
    return {
        "recorded_seconds": view.recorded_seconds,
        "ended_after": (view.ended_at or 0.0) - microphone.began_at,
        "gaps": [
            (g.reason, g.position_seconds, g.seconds, (g.began_at or 0) - microphone.began_at) for g in view.gaps
        ],
        "is_whole": all(kept.ended_with == len(kept.chunks) for kept in server.sessions.values())
        and sum(len(kept.chunks) for kept in server.sessions.values()) == view.chunks_sealed,
    }


def _say(word: str, value: object) -> None:
    sys.stdout.write(json.dumps([word, value]) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]))
