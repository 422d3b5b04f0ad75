"""The sessions at hand: their only reader and writer.

Gives each event to its session's machine and runs the commands that come back: takes, requests, timers, the disk.
Belongs to the engine's thread.
"""

from __future__ import annotations

import logging
import secrets
import string
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path

from app.audio.capture import Capture
from app.audio.encoder import choose_media_type
from app.audio.source import Source
from app.core.events import (
    CancelTimer,
    CaptureEnded,
    CaptureLost,
    Command,
    EndCapture,
    EraseAudio,
    Event,
    Fact,
    Pause,
    RequestFailed,
    Resume,
    Send,
    SendAgain,
    SessionId,
    SetTimer,
    Start,
    StartCapture,
    Stop,
    TimerFired,
    TryNow,
    Visit,
)
from app.core.problems import Problem
from app.core.session import RETRY
from app.core.views import Phase, ServiceView, SessionView
from app.engine.connections import ConnectionNews, Connections
from app.engine.held import Held, disk_problem
from app.engine.listening import Listening
from app.engine.loop import Loop
from app.engine.requests import Call, carry_out
from app.engine.world import World
from app.store.spool import SpoolInUse

_log = logging.getLogger(__name__)

_ALPHABET = string.ascii_letters + string.digits
_BEHIND_THE_REST = (CaptureLost, Resume, Stop, SendAgain)
"""What counts on all that was captured being in chunks."""


class Sessions:
    """Many sessions, of which one may record."""

    def __init__(
        self, folder: Path, world: World, loop: Loop, listening: Listening, connections: Connections
    ) -> None:
        """Each session has a folder of its own in ``folder``."""
        self._folder = folder
        self._world = world
        self._loop = loop
        self._listening = listening
        self._connections = connections
        self._held: dict[SessionId, Held] = {}

    # What there is ------------------------------------------------------------------------------------------------

    @property
    def is_live(self) -> bool:
        """A visit is going on."""
        return any(held.session.phase.is_live for held in self._held.values())

    @property
    def captures(self) -> list[Capture]:
        """The takes that are not over."""
        return [held.capture for held in self._held.values() if held.capture]

    @property
    def problem(self) -> Problem | None:
        """The disk refuses what a session should keep."""
        return next((held.problem for held in self._held.values() if held.problem), None)

    def views(self) -> tuple[SessionView, ...]:
        """All sessions, newest first."""
        return tuple(sorted(map(self._view, self._held.values()), key=lambda view: -(view.started_at or 0.0)))

    def _view(self, held: Held) -> SessionView:
        wait_seconds = self._loop.seconds_to((held.id, RETRY))
        next_try_at = None if wait_seconds is None else self._world.wall_clock() + wait_seconds
        name = self._connections.view(held.session.service_id).name
        since = self._connections.trouble_since(held.id, held.view.problem)
        return replace(held.view, next_try_at=next_try_at, service_name=name, trouble_since=since)

    # Coming and going ---------------------------------------------------------------------------------------------

    def start(
        self, visit: Visit, source: str, open_source: Callable[[int], Source] | None, service: ServiceView
    ) -> None:
        """Begin a new session."""
        session_id = SessionId("ses_" + "".join(secrets.choice(_ALPHABET) for _ in range(22)))
        try:
            self._held[session_id] = Held(self._folder / session_id, open_source)
        except OSError as error:
            self._loop.report(disk_problem(error))
            return
        start = Start(
            visit=visit,
            service_id=service.id,
            media_type=choose_media_type(service.discovery.audio_formats),
            max_chunk_seconds=service.discovery.max_chunk_seconds,
            at=self._world.wall_clock(),
            max_templates=service.max_templates,
            source=source,
        )
        self.handle(session_id, start)

    def take_up(self) -> None:
        """Go on with what is on the disk."""
        for folder in sorted(self._folder.iterdir()):
            self._loop.guard(partial(self._take_up, folder))

    def _take_up(self, folder: Path) -> None:
        try:
            held = Held(folder)
        except (SpoolInUse, OSError) as error:
            _log.warning("A session was left alone: %s", type(error).__name__)
            return
        if held.session.phase is Phase.IDLE:
            held.let_go()
        elif held.session.phase is Phase.DISCARDED:
            held.erase()
        else:
            self._go_on(held)

    def _go_on(self, held: Held) -> None:
        try:
            commands = held.recover()
        except OSError as error:
            self._loop.report(disk_problem(error))
            held.let_go()
            return
        self._held[held.id] = held
        if not held.session.is_settled:
            self._connections.use(held.session.service_id)
        self._run_commands(held, commands)
        if held.session.is_settled:
            held.let_go()

    def pause(self, timeout_seconds: float) -> None:
        """Let the running take seal its last chunk and say so; what is late is recovered at the next start."""
        for held in [h for h in self._held.values() if h.session.phase is Phase.RECORDING]:
            self._loop.guard(partial(self.handle, held.id, Pause(self._world.wall_clock())))
        if not self._loop.work_until(lambda: not self.captures, timeout_seconds):
            _log.warning("A take did not end in time")

    def let_go(self) -> None:
        """Close all files."""
        for held in self._held.values():
            self._loop.guard(held.let_go)

    # Events -------------------------------------------------------------------------------------------------------

    def handle(self, session_id: SessionId, event: Event) -> None:
        """Give a session an event and do what is to be done about it.

        Raises:
            NotAllowed: the session has no use for this intent now.
        """
        held = self._held.get(session_id)
        if held is None:
            return
        if isinstance(event, (CaptureEnded, CaptureLost)):
            held.capture = None
        if isinstance(event, CaptureLost):
            self._listening.look()
        if isinstance(event, _BEHIND_THE_REST) and not self._seal_rest(held) and not isinstance(event, CaptureLost):
            return
        self._run_commands(held, held.handle(event))
        if held.session.is_settled:
            held.let_go()

    def _seal_rest(self, held: Held) -> bool:
        """Whether all that was captured is in chunks, so that what follows may count on it."""
        try:
            self._run_commands(held, held.seal_rest())
        except OSError as error:
            held.problem = disk_problem(error)
            return False
        return True

    def on_connection(self, news: ConnectionNews) -> None:
        """Whatever waited for a service, for a while or for a person, need not wait any longer."""
        for session_id, sent in news.parked:
            held = self._awaiting(session_id, sent)
            if held is not None and news.problem is None:
                self._send(held, sent)
            elif held is not None and news.problem is not None:
                self.handle(session_id, RequestFailed(sent.request, news.problem))
        if news.problem is None:
            self._try_now(news.service_id)

    def _try_now(self, service_id: str) -> None:
        for held in list(self._held.values()):
            if held.session.service_id == service_id and held.session.is_allowed(TryNow):
                self.handle(held.id, TryNow())

    def _on_answer(self, session_id: SessionId, sent: Send, fact: Fact) -> None:
        held = self._awaiting(session_id, sent)
        if held is not None:
            self._connections.on_answer(held.session.service_id, fact)
            self.handle(session_id, fact)

    def _awaiting(self, session_id: SessionId, sent: Send) -> Held | None:
        """The session, if it is still there and still wants this."""
        held = self._held.get(session_id)
        return held if held is not None and held.session.awaits(sent) else None

    # Commands -----------------------------------------------------------------------------------------------------

    def _run_commands(self, held: Held, commands: Iterable[Command]) -> None:
        for command in commands:
            _COMMANDS[type(command)](self, held, command)

    def _start_capture(self, held: Held, command: StartCapture) -> None:
        def post(fact: Fact) -> None:
            self._loop.post(partial(self.handle, held.id, fact))

        held.capture = self._listening.begin(held, command, post, self.captures)

    def _end_capture(self, held: Held, _: EndCapture) -> None:
        if held.capture:
            held.capture.end()

    def _erase_audio(self, held: Held, _: EraseAudio) -> None:
        del self._held[held.id]
        held.erase()

    def _set_timer(self, held: Held, command: SetTimer) -> None:
        seconds = command.seconds * (self._world.chance() if command.is_spread else 1.0)
        fire = partial(self.handle, held.id, TimerFired(command.name))
        self._loop.set_timer((held.id, command.name), seconds, fire)

    def _cancel_timer(self, held: Held, command: CancelTimer) -> None:
        self._loop.cancel_timer((held.id, command.name))

    def _send(self, held: Held, command: Send) -> None:
        session = held.session
        service = self._connections.reach(session.service_id, held.id, command)
        if service is None:
            return
        call = Call(
            request=command.request,
            service=service,
            created=session.created,
            media_type=session.media_type,
            read_chunk=held.spool.chunk,
            hold_seconds=self._connections.view(session.service_id).discovery.long_poll_seconds,
        )
        self._loop.submit(partial(carry_out, call), partial(self._on_answer, held.id, command))


_COMMANDS: dict[type, Callable[..., None]] = {
    StartCapture: Sessions._start_capture,
    EndCapture: Sessions._end_capture,
    Send: Sessions._send,
    SetTimer: Sessions._set_timer,
    CancelTimer: Sessions._cancel_timer,
    EraseAudio: Sessions._erase_audio,
}
