"""Apps in processes of their own, which are to be killed: real engine, disk, capture process and client.

Each line on stdin is a JSON object that starts one, and is answered by its process number. The apps are forked off
this process, which has all the libraries and no thread, so that hundreds of them can be had. An app tells what it has
come to through the FIFO ``news``; its microphone is what the capture process finds.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from app.audio.microphone import ChildMicrophone
from app.core.events import Discard, SessionId, Stop, Visit
from app.core.views import EraseSession, KeyState, MicrophoneInfo, Phase, RecordVisit
from app.engine.world import World
from app.store.spool import Spool
from tests.audio.stand_ins import CAPTURE
from tests.faults.desk import PATIENT, FaultDesk

SYNCS = ("fdatasync", "fsync")


class RealDesk(FaultDesk):
    """A computer whose microphone is a real capture process."""

    will_seconds = 60.0

    def _world(self) -> World:
        return replace(super()._world(), open_microphone=self._open)

    def _list(self) -> tuple[MicrophoneInfo, ...]:
        return (MicrophoneInfo("Numbers", is_default=True),)

    def _open(self, name: str, host_api: str, will: Any) -> ChildMicrophone:
        return ChildMicrophone(CAPTURE, name, host_api, will and replace(will, seconds=self.will_seconds))

    def begin_real(self) -> SessionId:
        """Press Record."""
        self.wish(RecordVisit(Visit(patient=PATIENT)))
        live = self.views.until(lambda v: v.live).live
        assert live
        return live


def tell_appends(tell: Callable[[str], None]) -> None:
    """Tell the end of all that is on the disk, each time that some more is."""
    append = Spool.append

    def told(self: Spool, pcm: bytes, at: float) -> None:
        append(self, pcm, at)
        tell(f"kept {self._next_sample} {at!r}")

    Spool.append = told  # type: ignore[method-assign]


def _die_at_sync(number: int) -> None:
    """Be killed when so many syncs have been asked for, before the last of them is carried out."""
    left = [number]

    def counted(sync: Callable[[int], None], descriptor: int) -> None:
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        sync(descriptor)

    for name in SYNCS:
        setattr(os, name, partial(counted, getattr(os, name)))


class _App:
    """One app. What it does is the method that is named."""

    def __init__(self, order: dict[str, Any]) -> None:
        self._news = os.open(order["news"], os.O_WRONLY)
        self._desk = RealDesk(Path(order["home"]), order["url"])
        self._desk.will_seconds = order.get("will_seconds", 60.0)
        tell_appends(self._tell)
        if number := order.get("dies_at_sync"):
            _die_at_sync(number)
        self._session = SessionId(order.get("session", ""))
        getattr(self, order["does"])()
        self._tell("done")

    def _tell(self, line: str) -> None:
        with suppress(BrokenPipeError):
            os.write(self._news, f"{line}\n".encode())

    def _switch_on(self) -> None:
        """Start, and know what sessions there are."""
        self._desk.switch_on()
        self._desk.views.until(lambda v: v.keys.state is KeyState.PROTECTED)

    def record(self) -> None:
        """Record until somebody ends it."""
        self._desk.switch_on()
        self._desk.await_service()
        self._tell(f"session {self._desk.begin_real()}")
        threading.Event().wait()

    def record_and_starve(self) -> None:
        """Record, and after a while have no memory left, for good."""
        self._desk.switch_on()
        self._desk.await_service()
        session_id = self._desk.begin_real()
        self._tell(f"session {session_id}")
        self._desk.session(session_id, lambda s: s.chunks_sealed)
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        limit = pages * resource.getpagesize()
        self._tell("starves")
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        hog = []
        for size in (1 << 24, 1 << 20, 1 << 16, 1 << 12):
            with suppress(MemoryError):
                while True:
                    hog.append(bytearray(size))
        threading.Event().wait()

    def recover(self) -> None:
        """Start and take up what there is."""
        self._desk.switch_on()
        self._desk.session(self._session, lambda s: s.phase is Phase.PAUSED)
        self._desk.switch_off()

    def end(self) -> None:
        """Take up what there is, and press Stop if that was not done before."""
        self._desk.switch_on()
        at = self._desk.session(self._session, lambda s: s.phase is not Phase.RECORDING)
        if at.phase is Phase.PAUSED:
            self._desk.intend(self._session, Stop(time.time()))
        self._desk.completed(self._session)
        self._desk.switch_off()

    def erase(self) -> None:
        """Delete the session, or find that it is deleted."""
        self._switch_on()
        if self._desk.newest.session(self._session):
            self._desk.wish(EraseSession(self._session))
        self._desk.views.until(lambda v: v.session(self._session) is None)
        self._desk.switch_off()

    def discard(self) -> None:
        """Throw the visit away, and wait until it cannot be had back any more."""
        self._switch_on()
        view = self._desk.newest.session(self._session)
        if view and view.phase is Phase.PAUSED:
            self._desk.intend(self._session, Discard(time.time()))
            self._desk.session(self._session, lambda s: s.undo_until)
        self._desk.let_pass(40.0)
        self._desk.views.until(lambda v: v.session(self._session) is None)
        self._desk.switch_off()


def main() -> None:
    """Start one app for each line."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin:
        number = os.fork()
        if number == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.setpgid(0, 0)
            code = 1
            try:
                _App(json.loads(line))
                code = 0
            except BaseException:  # noqa: BLE001 - it is told, and the process ends in any case
                traceback.print_exc()
            finally:
                os._exit(code)
        sys.stdout.write(f"{number}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
