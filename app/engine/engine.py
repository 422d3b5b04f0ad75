"""The engine: the only reader and writer of sessions, on one thread of its own.

It waits on its inbox with the next timer as time-out, lets the session machines decide, and runs their commands:
capture, requests on worker threads, timers, the disk. After each burst of news it publishes one frozen view.
"""

from __future__ import annotations

import logging
import queue
import secrets
import string
import threading
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from app.audio.capture import Capture
from app.audio.encoder import choose_media_type
from app.audio.level import LevelTap, Monitor
from app.audio.source import Source, SourceFailed
from app.core.events import (
    FILE,
    MICROPHONE,
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
from app.core.problems import Problem, ProblemKind
from app.core.scribe import Discovery, TemplateInfo
from app.core.session import RETRY, NotAllowed
from app.core.settings import LOCAL_SERVICE
from app.core.views import (
    QUIET_SECONDS,
    AppView,
    ChangeSettings,
    ForSession,
    Level,
    ListMicrophones,
    MicrophoneInfo,
    Phase,
    Practise,
    RecordVisit,
    SendFiles,
    ServiceView,
    SessionView,
    WatchLevel,
    Wish,
)
from app.engine.held import Held, disk_problem
from app.engine.local_service import Address, LocalService
from app.engine.requests import Call, ScribeService, bug_problem, carry_out
from app.engine.services import Services
from app.engine.timers import Timers
from app.engine.workers import Workers
from app.engine.world import World
from app.protocol.answer import RequestRefused
from app.store.places import Places
from app.store.remembered import load_discovery, load_settings, save_discovery, save_settings
from app.store.spool import SpoolInUse

_log = logging.getLogger(__name__)

_WORKERS = 4
_ALPHABET = string.ascii_letters + string.digits
_MONITOR_PAUSE_SECONDS = 2.0
_DESCRIBE_PAUSE_SECONDS = 3.0
_CLOSE_SECONDS = 2.0
_TAKE_SECONDS = 1.0

TimerKey = tuple[str, str]
_WORRY = "worry"
_MONITOR: TimerKey = ("", "monitor")
_T = TypeVar("_T")
_BEHIND_THE_REST = (CaptureLost, Resume, Stop, SendAgain)
"""What counts on all that was captured being in chunks."""


class Engine:
    """Holds many sessions, of which one may record."""

    def __init__(
        self,
        places: Places,
        world: World,
        publish: Callable[[AppView], None],
        *,
        takes_up_old_sessions: bool = True,
        service_id: str | None = None,
    ) -> None:
        """``publish`` is called on the engine's thread with each new view.

        ``service_id`` overrules the settings for as long as this engine runs.
        """
        self._places = places
        self._world = world
        self._publish = publish
        self._takes_up_old_sessions = takes_up_old_sessions
        self._inbox: queue.SimpleQueue[Callable[[], object] | None] = queue.SimpleQueue()
        self._timers: Timers[TimerKey] = Timers()
        self._workers = Workers(_WORKERS)
        self._tap = LevelTap()
        self._sessions: dict[SessionId, Held] = {}
        self._settings, self._problem = load_settings(places)
        if service_id is not None:
            self._settings = replace(self._settings, service_id=service_id)
        self._services = Services(partial(load_discovery, places))
        self._local: LocalService | None = None
        self._microphones: tuple[MicrophoneInfo, ...] = ()
        self._is_listed = False
        self._is_listing = False
        self._troubles: dict[str, float] = {}
        """Since when each session or service has had trouble that may pass."""
        self._wants_level = False
        self._monitor: Monitor | None = None
        self._thread = threading.Thread(target=self._run, name="engine")

    # The doors: callable from any thread ------------------------------------------------------------------------

    def start(self) -> None:
        """Begin; returns at once."""
        self._thread.start()

    def post(self, wish: Wish) -> None:
        """Ask for something; returns at once. What comes of it is in a later view."""
        self._inbox.put(partial(_WISHES[type(wish)], self, wish))

    def level(self) -> Level:
        """Loudness now."""
        return self._tap.read()

    def close(self) -> None:
        """Seal what is being recorded, then let go of everything. What is unsent goes out at the next start."""
        self._inbox.put(None)
        self._thread.join()

    # The thread -------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        self._guard(self._begin)
        while True:
            self._publish_view()
            if not self._work_through_inbox():
                break
        self._guard(self._end)

    def _work_through_inbox(self) -> bool:
        """Wait for news, take in all there is; False when the engine is to close."""
        try:
            job = self._inbox.get(timeout=self._seconds_to_timer())
            while job is not None:
                self._guard(job)
                job = self._inbox.get_nowait()
        except queue.Empty:
            self._guard(self._fire_timers)
            self._guard(self._settle_monitor)
            return True
        return False

    def _guard(self, job: Callable[[], object]) -> None:
        try:
            job()
        except Exception as bug:  # noqa: BLE001 - one bug must not take the recording with it
            self._problem = bug_problem("The engine", bug)

    def _ask(
        self, question: Callable[[], _T], take: Callable[[_T], object], otherwise: Callable[[Problem], object]
    ) -> None:
        """Have a worker find something out. Whatever comes of it is told on the engine's thread."""

        def find_out() -> None:
            try:
                news = partial(take, question())
            except RequestRefused as refusal:
                news = partial(otherwise, refusal.problem)
            except Exception as bug:  # noqa: BLE001 - a worker that dies in silence would be waited for
                news = partial(otherwise, bug_problem("A worker", bug))
            self._inbox.put(news)

        self._workers.submit(find_out)

    def _seconds_to_timer(self) -> float | None:
        due = self._timers.next_due()
        return None if due is None else max(0.0, due - self._world.monotonic())

    def _begin(self) -> None:
        self._places.sessions.mkdir(mode=0o700, exist_ok=True)
        self._list_microphones()
        self._use_service(self._settings.service_id)
        if self._takes_up_old_sessions:
            self._take_up_sessions()

    def _take_up_sessions(self) -> None:
        for folder in sorted(self._places.sessions.iterdir()):
            self._guard(partial(self._take_up, folder))

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
            self._problem = disk_problem(error)
            held.let_go()
            return
        self._sessions[held.id] = held
        if not held.session.is_settled:
            self._use_service(held.session.service_id)
        self._run_commands(held, commands)
        if held.session.is_settled:
            held.let_go()

    def _end(self) -> None:
        """Every step is taken, whatever became of the one before."""
        self._wants_level = False
        live = [h.id for h in self._sessions.values() if h.session.phase is Phase.RECORDING]
        steps: list[Callable[[], object]] = [
            self._settle_monitor,
            *(partial(self._on_event, session_id, Pause(self._world.wall_clock())) for session_id in live),
            self._await_captures,
            partial(self._workers.close, 0.0),
            self._services.close,
            partial(self._local.close, _CLOSE_SECONDS) if self._local else lambda: None,
            partial(self._workers.close, _CLOSE_SECONDS),
            *(held.let_go for held in self._sessions.values()),
        ]
        for step in steps:
            self._guard(step)

    def _await_captures(self) -> None:
        """Let the running take seal its last chunk and say so; what is late is recovered at the next start."""
        deadline = self._world.monotonic() + _CLOSE_SECONDS
        while any(h.capture for h in self._sessions.values()):
            try:
                job = self._inbox.get(timeout=max(0.0, deadline - self._world.monotonic()))
            except queue.Empty:
                _log.warning("A take did not end in time")
                return
            if job is not None:
                self._guard(job)

    # Views --------------------------------------------------------------------------------------------------------

    def _publish_view(self) -> None:
        sessions = sorted((self._view(h) for h in self._sessions.values()), key=_newest_first)
        live = next((s.id for s in sessions if s.phase.is_live), None)
        refused = next((h.problem for h in self._sessions.values() if h.problem), None)
        self._publish(
            AppView(
                sessions=tuple(sessions),
                live=live,
                microphones=self._microphones,
                microphones_listed=self._is_listed,
                service=self._service_view(),
                settings=self._settings,
                problem=refused or self._problem,
            )
        )

    def _view(self, held: Held) -> SessionView:
        due = self._timers.due((held.id, RETRY))
        next_try_at = None if due is None else self._world.wall_clock() + due - self._world.monotonic()
        name = self._services.view(held.session.service_id).name
        since = self._trouble_since(held.id, held.view.problem)
        return replace(held.view, next_try_at=next_try_at, service_name=name, trouble_since=since)

    def _service_view(self) -> ServiceView:
        view = self._services.view(self._settings.service_id)
        return replace(view, trouble_since=self._trouble_since(view.id, view.problem))

    def _trouble_since(self, owner: str, problem: Problem | None) -> float | None:
        """When trouble that may pass began; and once it has lasted, a view that says so is published."""
        if problem is None or not problem.is_transient:
            self._troubles.pop(owner, None)
            return None
        if owner not in self._troubles:
            self._troubles[owner] = self._world.wall_clock()
            self._timers.set((owner, _WORRY), self._world.monotonic() + QUIET_SECONDS)
        return self._troubles[owner]

    # Wishes -------------------------------------------------------------------------------------------------------

    def _on_record(self, wish: RecordVisit) -> None:
        self._start_session(wish.visit, MICROPHONE, None)

    def _on_practise(self, wish: Practise) -> None:
        self._start_from_files(wish.visit, [self._world.sample], wish.pace)

    def _on_send_files(self, wish: SendFiles) -> None:
        self._start_from_files(wish.visit, [Path(p) for p in wish.paths], None)

    def _start_from_files(self, visit: Visit, paths: list[Path], pace: float | None) -> None:
        self._start_session(visit, FILE, lambda first_sample: self._world.open_files(paths, pace, first_sample))

    def _start_session(self, visit: Visit, source: str, open_source: Callable[[int], Source] | None) -> None:
        if any(h.session.phase.is_live for h in self._sessions.values()):
            return
        session_id = SessionId("ses_" + "".join(secrets.choice(_ALPHABET) for _ in range(22)))
        service = self._services.view(self._settings.service_id)
        try:
            held = self._sessions[session_id] = Held(self._places.sessions / session_id, open_source)
        except OSError as error:
            self._problem = disk_problem(error)
            return
        self._problem = None
        start = Start(
            visit=visit,
            service_id=service.id,
            media_type=choose_media_type(service.discovery.audio_formats),
            max_chunk_seconds=service.discovery.max_chunk_seconds,
            at=self._world.wall_clock(),
            max_templates=service.max_templates,
            source=source,
        )
        self._on_event(held.id, start)

    def _on_for_session(self, wish: ForSession) -> None:
        try:
            self._on_event(wish.session_id, wish.intent)
        except NotAllowed as refusal:
            _log.info("A wish came too late: %s", refusal)

    def _on_change_settings(self, wish: ChangeSettings) -> None:
        before, self._settings = self._settings, wish.settings
        try:
            save_settings(self._places, wish.settings)
            self._problem = None
        except OSError as error:
            self._problem = disk_problem(error)
        if wish.settings.microphone != before.microphone:
            self._close_monitor()
        self._use_service(wish.settings.service_id)

    def _on_list_microphones(self, _: ListMicrophones) -> None:
        self._list_microphones()

    def _on_watch_level(self, wish: WatchLevel) -> None:
        self._wants_level = wish.is_on
        self._timers.cancel(_MONITOR)

    # Events of sessions -------------------------------------------------------------------------------------------

    def _post_fact(self, session_id: SessionId, fact: Fact) -> None:
        self._inbox.put(partial(self._on_event, session_id, fact))

    def _on_event(self, session_id: SessionId, event: Event) -> None:
        held = self._sessions.get(session_id)
        if held is None:
            return
        if isinstance(event, (CaptureEnded, CaptureLost)):
            held.capture = None
        if isinstance(event, CaptureLost):
            self._list_microphones()
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

    def _run_commands(self, held: Held, commands: Iterable[Command]) -> None:
        for command in commands:
            _COMMANDS[type(command)](self, held, command)

    def _start_capture(self, held: Held, command: StartCapture) -> None:
        self._close_microphone()
        source = self._open_source(held, command.first_sample)
        if isinstance(source, Problem):
            self._post_fact(held.id, CaptureLost(command.take, source, self._world.wall_clock()))
            return
        held.capture = Capture(
            source,
            take=command.take,
            first_chunk=command.first_chunk,
            first_sample=command.first_sample,
            media_type=command.media_type,
            max_chunk_seconds=command.max_chunk_seconds,
            spool=held.spool,
            post=partial(self._post_fact, held.id),
            tap=self._tap,
            clock=self._world.wall_clock,
        )
        held.capture.start()

    def _close_microphone(self) -> None:
        """Whoever else has it is on the way out: the level's monitor, the last visit's take."""
        self._close_monitor()
        for held in self._sessions.values():
            if held.capture:
                held.capture.join(_TAKE_SECONDS)

    def _open_source(self, held: Held, first_sample: int) -> Source | Problem:
        try:
            if held.open_source:
                return held.open_source(first_sample)
            if held.session.source == FILE:  # Its names were not kept: they may be patients'.
                return Problem(ProblemKind.AUDIO_UNREADABLE, "the app was closed since, choose the file again")
            return self._world.open_microphone(self._settings.microphone)
        except SourceFailed as failure:
            return failure.problem
        except Exception as bug:  # noqa: BLE001 - a session that waits for a take must hear that there is none
            return bug_problem("Opening a source", bug)

    def _end_capture(self, held: Held, _: EndCapture) -> None:
        if held.capture:
            held.capture.end()

    def _erase_audio(self, held: Held, _: EraseAudio) -> None:
        del self._sessions[held.id]
        held.erase()

    def _set_timer(self, held: Held, command: SetTimer) -> None:
        seconds = command.seconds * (self._world.chance() if command.is_spread else 1.0)
        self._timers.set((held.id, command.name), self._world.monotonic() + seconds)

    def _cancel_timer(self, held: Held, command: CancelTimer) -> None:
        self._timers.cancel((held.id, command.name))

    def _fire_timers(self) -> None:
        for owner, name in self._timers.pop_due(self._world.monotonic()):
            if name == "describe":
                self._describe(owner)
            elif owner and name != _WORRY:
                self._on_event(SessionId(owner), TimerFired(name))

    # Requests and services ----------------------------------------------------------------------------------------

    def _send(self, held: Held, command: Send) -> None:
        entry = self._services.entry(held.session.service_id)
        if entry.connection is None:
            entry.parked.append((held.id, command))
            self._use_service(held.session.service_id)
            return
        session = held.session
        call = Call(
            request=command.request,
            service=entry.connection,
            created=session.created,
            media_type=session.media_type,
            read_chunk=held.spool.chunk,
            hold_seconds=entry.view.discovery.long_poll_seconds,
        )
        self._workers.submit(lambda: self._inbox.put(partial(self._on_answer, held.id, command, carry_out(call))))

    def _on_answer(self, session_id: SessionId, sent: Send, fact: Fact) -> None:
        held = self._sessions.get(session_id)
        if held is None or not held.session.awaits(sent):
            return
        if not isinstance(fact, RequestFailed):
            self._services.on_answer(held.session.service_id)
        elif fact.problem.is_transient:
            self._services.on_problem(held.session.service_id, fact.problem)
        self._on_event(session_id, fact)

    def _use_service(self, service_id: str) -> None:
        """See to it that a service is connected."""
        entry = self._services.entry(service_id)
        if service_id != LOCAL_SERVICE:
            if entry.connection is None and not entry.is_connecting:
                self._connect(service_id, lambda: self._world.find_address(service_id))
        elif self._local is None:
            self._local = LocalService(
                self._world.local_command,
                on_up=lambda address: self._inbox.put(partial(self._connect, LOCAL_SERVICE, lambda: address)),
                on_down=lambda problem: self._inbox.put(partial(self._on_disconnected, LOCAL_SERVICE, problem)),
            )
            self._local.start()

    def _connect(self, service_id: str, find_address: Callable[[], Address]) -> None:
        self._services.entry(service_id).is_connecting = True
        self._ask(
            lambda: self._world.connect(find_address()),
            partial(self._on_connected, service_id),
            partial(self._on_not_connected, service_id),
        )

    def _on_connected(self, service_id: str, connection: ScribeService) -> None:
        """Whatever waited for the service, for a while or for a person, need not wait any longer."""
        self._services.on_connected(service_id, connection)
        self._describe(service_id)
        for session_id, sent in self._services.unpark(service_id):
            held = self._sessions.get(session_id)
            if held is not None and held.session.awaits(sent):
                self._send(held, sent)
        for held in list(self._sessions.values()):
            if held.session.service_id == service_id and held.session.is_allowed(TryNow):
                self._on_event(held.id, TryNow())

    def _on_not_connected(self, service_id: str, problem: Problem) -> None:
        self._services.on_problem(service_id, problem)
        self._fail_parked(service_id, problem)

    def _on_disconnected(self, service_id: str, problem: Problem) -> None:
        self._services.on_disconnected(service_id, problem)
        self._fail_parked(service_id, problem)

    def _fail_parked(self, service_id: str, problem: Problem) -> None:
        for session_id, sent in self._services.unpark(service_id):
            held = self._sessions.get(session_id)
            if held is not None and held.session.awaits(sent):
                self._on_event(session_id, RequestFailed(sent.request, problem))

    def _describe(self, service_id: str) -> None:
        connection = self._services.entry(service_id).connection
        if connection is not None:
            self._ask(
                lambda: (connection.discover(), connection.templates()),
                partial(self._on_described, service_id),
                partial(self._on_not_described, service_id),
            )

    def _on_described(self, service_id: str, told: tuple[Discovery, tuple[TemplateInfo, ...]]) -> None:
        discovery, templates = told
        self._services.on_described(service_id, discovery, templates)
        try:
            save_discovery(self._places, service_id, discovery)
        except OSError as error:
            _log.warning("What a service offers was not kept: %s", type(error).__name__)

    def _on_not_described(self, service_id: str, problem: Problem) -> None:
        self._services.on_problem(service_id, problem)
        self._timers.set((service_id, "describe"), self._world.monotonic() + _DESCRIBE_PAUSE_SECONDS)

    # Microphones --------------------------------------------------------------------------------------------------

    def _list_microphones(self) -> None:
        """Look at the devices on a worker. The audio library looks afresh only while nothing has it open."""
        if self._is_listing:
            return
        self._is_listing = True
        self._close_monitor()
        self._ask(self._world.list_microphones, self._on_listed, self._on_not_listed)

    def _on_listed(self, microphones: tuple[MicrophoneInfo, ...]) -> None:
        self._is_listing, self._is_listed = False, True
        self._microphones = microphones

    def _on_not_listed(self, problem: Problem) -> None:
        self._is_listing, self._problem = False, problem

    def _settle_monitor(self) -> None:
        """Have the level watched exactly while that is wanted and nothing records."""
        is_free = not self._is_listing and not any(h.capture for h in self._sessions.values())
        if not (self._wants_level and is_free):
            self._close_monitor()
        elif self._monitor is None and self._timers.due(_MONITOR) is None:
            source = self._world.open_microphone(self._settings.microphone)
            monitor = Monitor(source, self._tap, lambda: self._inbox.put(lambda: self._on_monitor_over(monitor)))
            self._monitor = monitor
            monitor.start()

    def _on_monitor_over(self, monitor: Monitor) -> None:
        """The microphone is gone or was never there: look again in a while."""
        if monitor is self._monitor:
            self._monitor = None
            self._timers.set(_MONITOR, self._world.monotonic() + _MONITOR_PAUSE_SECONDS)

    def _close_monitor(self) -> None:
        if self._monitor:
            self._monitor.end()
            self._monitor.join(1.0)
            self._monitor = None


def _newest_first(view: SessionView) -> float:
    return -(view.started_at or 0.0)


_WISHES: dict[type, Callable[..., None]] = {
    RecordVisit: Engine._on_record,
    Practise: Engine._on_practise,
    SendFiles: Engine._on_send_files,
    ForSession: Engine._on_for_session,
    ChangeSettings: Engine._on_change_settings,
    ListMicrophones: Engine._on_list_microphones,
    WatchLevel: Engine._on_watch_level,
}
_COMMANDS: dict[type, Callable[..., None]] = {
    StartCapture: Engine._start_capture,
    EndCapture: Engine._end_capture,
    Send: Engine._send,
    SetTimer: Engine._set_timer,
    CancelTimer: Engine._cancel_timer,
    EraseAudio: Engine._erase_audio,
}
