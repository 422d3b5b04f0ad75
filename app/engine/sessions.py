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
from app.core import retention
from app.core.events import (
    FILE,
    AudioErased,
    CancelTimer,
    CaptureEnded,
    CaptureLost,
    ChangePatient,
    CheckAgain,
    ChunksCutAgain,
    Command,
    CutAgain,
    Discard,
    DiskRefused,
    EndCapture,
    EraseAudio,
    Event,
    Fact,
    MakeNote,
    MarkReviewed,
    Pause,
    RequestFailed,
    Resume,
    Send,
    SendAgain,
    SessionEnded,
    SessionId,
    SetTimer,
    Start,
    StartCapture,
    Stop,
    TimerFired,
    TryNow,
    UndoDiscard,
    Visit,
)
from app.core.problems import Problem, ProblemKind
from app.core.scribe import Discovery
from app.core.session import ERASE, REOPEN, RETRY
from app.core.settings import Settings
from app.core.views import Phase, ServiceView, SessionView
from app.engine.connections import ConnectionNews, Connections
from app.engine.held import Held, disk_problem
from app.engine.listening import Listening
from app.engine.loop import Loop
from app.engine.requests import Call, carry_out
from app.engine.vault import Vault
from app.engine.world import World
from app.store.audit import Action
from app.store.keys import KeysLocked
from app.store.spool import SpoolDamaged, SpoolInUse, erase_folder, is_until_closed, keep_until_closed

_log = logging.getLogger(__name__)

_ALPHABET = string.ascii_letters + string.digits
_BEHIND_THE_REST = (CaptureLost, Resume, Stop, SendAgain)
"""What counts on all that was captured being in chunks."""
_PAGE = 200
_SEEN, _ERASING = "newest time seen", "being erased"
_SIGN_IN = "sign in again"
_SIGN_IN_AGAIN_SECONDS = 300.0
_CUT = "cut again"
_CUT_AGAIN_SECONDS = 30.0
_BRINGS_WORK = (SendAgain, CheckAgain, MakeNote)
"""What a session that was done is not done with any more."""


class Sessions:
    """Many sessions, of which one may record."""

    def __init__(
        self,
        folder: Path,
        world: World,
        loop: Loop,
        *,
        vault: Vault,
        listening: Listening,
        connections: Connections,
        on_disk_full: Callable[[], None],
    ) -> None:
        """Each session has a folder of its own in ``folder``.

        ``on_disk_full`` is called when the disk has no room for what is being recorded.
        """
        self._folder = folder
        self._vault = vault
        self._world = world
        self._loop = loop
        self._listening = listening
        self._connections = connections
        self._on_disk_full = on_disk_full
        self._settings = Settings()
        self._seen: retention.SeenTime | None = None
        self._older_than: float | None = None
        self._held: dict[SessionId, Held] = {}
        self._shelved: dict[SessionId, SessionView] = {}
        """Sessions that nothing more happens to by itself, as the library has them."""
        self._shelf: tuple[SessionView, ...] | None = None
        """The same with their delete dates; None when it has to be made anew."""
        self._turns: dict[tuple[SessionId, str], Send] = {}
        """Requests that wait until a service in trouble may be asked again."""
        self.sealed: set[str] = set()
        """Sessions on the disk that cannot be read for want of their key."""

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
        at_work = [held for held in self._held.values() if held.id not in self._shelved]
        if self._shelf is None:  # Hundreds, which change seldom.
            self._shelf = tuple(map(self._dated, self._shelved.values()))
        views = (*self._shelf, *(self._dated(self._view(held)) for held in at_work))
        return tuple(sorted(views, key=lambda view: -(view.started_at or 0.0)))

    def _view(self, held: Held) -> SessionView:
        wait_seconds = self._loop.seconds_to((held.id, RETRY))
        next_try_at = None if wait_seconds is None else self._world.wall_clock() + wait_seconds
        name = self._connections.view(held.session.service_id).name
        since = self._connections.trouble_since(held.id, held.view.problem)
        undo_seconds = self._loop.seconds_to((held.id, ERASE))
        undo_until = None if undo_seconds is None else self._world.wall_clock() + undo_seconds
        return replace(
            held.view, next_try_at=next_try_at, service_name=name, trouble_since=since, undo_until=undo_until
        )

    def _dated(self, view: SessionView) -> SessionView:
        audio_until = retention.audio_until(view, self._settings.keep_audio_days)
        notes_until = retention.notes_until(view, self._settings.keep_notes_days)
        return replace(view, audio_until=audio_until, notes_until=notes_until)

    # Coming and going ---------------------------------------------------------------------------------------------

    def start(
        self, visit: Visit, source: str, open_source: Callable[[int], Source] | None, service: ServiceView
    ) -> None:
        """Begin a new session."""
        session_id = SessionId("ses_" + "".join(secrets.choice(_ALPHABET) for _ in range(22)))
        folder = self._folder / session_id
        try:
            held = Held.begin(folder, self._vault.keys, open_source)
            if not self._vault.keys.is_durable:
                keep_until_closed(folder)
            self._held[session_id] = held
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
            max_session_seconds=_session_limit(service.discovery, visit.model),
        )
        self.handle(session_id, start)

    def take_up(self, settings: Settings) -> None:
        """Go on with what is on the disk and can be read; asked again each time that more can be."""
        self._settings, self._seen = settings, None
        if broken_off := self._vault.library.recall(_ERASING):
            self._loop.guard(partial(self._erase_rest, SessionId(broken_off)))
        self._shelved, self._shelf = {view.id: view for view in self._vault.library.sessions()}, None
        self.sealed.clear()
        settled = self._vault.library.settled_ids()
        if self._vault.keys.is_durable:
            for held in self._held.values():
                self._loop.guard(partial(keep_until_closed, self._folder / held.id, is_so=False))
        for folder in sorted(self._folder.iterdir()) if self._folder.is_dir() else ():
            if folder.name not in self._held and folder.name not in settled:
                self._loop.guard(partial(self._take_up, folder))

    def _take_up(self, folder: Path) -> None:
        try:
            held = Held.take_up(folder, self._vault.keys)
        except KeysLocked as locked:
            # Its key has gone with the app that made it, unless that was killed just as the key was kept.
            if is_until_closed(folder) and not self._vault.keys.is_lasting(str(locked)):
                erase_folder(folder)
                self._vault.note(Action.ERASED, folder.name, "its key was kept in memory alone")
            else:
                self.sealed.add(folder.name)
            return
        except (SpoolInUse, SpoolDamaged, OSError) as error:
            _log.warning("A session was left alone: %s", type(error).__name__)
            return
        if held.session.phase is Phase.IDLE:
            held.let_go()
        elif held.session.phase is Phase.DISCARDED and held.session.is_settled:
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
        self._settle(held)

    def pause(self, timeout_seconds: float) -> None:
        """Let the running take seal its last chunk and say so; what is late is recovered at the next start."""
        for held in [h for h in self._held.values() if h.session.phase is Phase.RECORDING]:
            self._loop.guard(partial(self.handle, held.id, Pause(self._world.wall_clock())))
        if not self._loop.work_until(lambda: not self.captures, timeout_seconds):
            _log.warning("A take did not end in time")

    # What is deleted ------------------------------------------------------------------------------------------------

    def keep_for(self, settings: Settings) -> None:
        """Delete by these settings from now on."""
        self._settings, self._shelf = settings, None

    def expire(self) -> None:
        """Delete what was kept for long enough, if the clock is to be believed. To be asked every ten minutes."""
        now = self._world.wall_clock()
        if self._seen is None:
            seen = self._vault.library.recall(_SEEN)
            self._seen = retention.SeenTime(float(seen) if seen else now)
        self._seen = self._seen.then(now)
        self._vault.library.remember(_SEEN, str(self._seen.newest_at))
        due = retention.due((*self.views(), *self._older_page()), self._settings, now, self._seen)
        for session_id in due.sessions:
            self._loop.guard(partial(self.erase, session_id))
        for session_id in due.audio:
            self._loop.guard(partial(self.erase_audio, session_id))

    def _older_page(self) -> tuple[SessionView, ...]:
        """Some of the sessions that are too old to be on the shelf, others each time."""
        oldest = min((view.started_at for view in self._shelved.values() if view.started_at), default=0.0)
        page = self._vault.library.sessions(_PAGE, self._older_than or oldest)
        self._older_than = page[-1].started_at if len(page) == _PAGE else None
        return page

    def erase_audio(self, session_id: SessionId) -> None:
        """Delete a session's recording; transcript and notes stay. What is not delivered whole is left alone."""
        held = self._fetch(session_id)
        if held is not None and retention.is_delivered(held.view) and held.view.has_audio:
            held.spool.erase_audio()
            self.handle(session_id, AudioErased(self._world.wall_clock()))
            self._vault.note(Action.AUDIO_DELETED, session_id)

    def erase(self, session_id: SessionId) -> None:
        """Delete a session with its key; one that is going on is left alone."""
        held = self._fetch(session_id)
        if held is not None and (held.session.phase.is_live or held.capture):
            return
        if held is not None:
            self._forget(held)
        elif session_id in self.sealed:
            erase_folder(self._folder / session_id)
            self.sealed.discard(session_id)
            self._vault.note(Action.ERASED, session_id)

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
        held = self._fetch(session_id)
        if held is None:
            return
        if isinstance(event, (CaptureEnded, CaptureLost)):
            held.capture = None
            event = self._switched(held, event)
        if isinstance(event, DiskRefused) and event.problem.kind is ProblemKind.DISK_FULL:
            self._on_disk_full()
        if isinstance(event, _BRINGS_WORK):
            self._unshelve(session_id)
        if isinstance(event, TryNow):
            self._connections.sign_in_again(held.session.service_id)
        if isinstance(event, _BEHIND_THE_REST) and not self._seal_rest(held) and not isinstance(event, CaptureLost):
            return
        self._run_commands(held, held.handle(event))
        self._note(held, event)
        self._settle(held)

    def _fetch(self, session_id: SessionId) -> Held | None:
        """A session at hand, from the shelf if need be."""
        if session_id not in self._held and (self._folder / session_id).is_dir():
            self._take_up(self._folder / session_id)
        return self._held.get(session_id)

    def _switched(self, held: Held, event: CaptureEnded | CaptureLost) -> CaptureEnded | CaptureLost:
        """A take that was ended for the sake of another microphone has been lost, not ended, as far as it goes."""
        is_switching, held.is_switching = held.is_switching, False
        if is_switching and isinstance(event, CaptureEnded) and held.session.phase is Phase.RECORDING:
            return CaptureLost(event.take, Problem(ProblemKind.MICROPHONE_CHANGED), event.at)
        return event

    def _note(self, held: Held, event: Event) -> None:
        """Put down in the audit log what a person has done."""
        if action := _ACTIONS.get(type(event)):
            self._vault.note(action, held.id)

    def _settle(self, held: Held) -> None:
        """Put a session that is done into the library, so that the next start need not replay it."""
        if held.session.is_settled and held.session.phase is not Phase.DISCARDED:
            self._shelved[held.id], self._shelf = self._view(held), None
            self._loop.guard(partial(self._vault.library.keep, self._shelved[held.id]))
            held.let_go()

    def _unshelve(self, session_id: SessionId) -> None:
        """Nothing of a session is done for good any more: the next start must look at its journal."""
        if self._shelved.pop(session_id, None):
            self._shelf = None
            self._loop.guard(partial(self._vault.library.erase, session_id))

    def use_microphone(self, is_right: Callable[[str], bool]) -> None:
        """See that the visit that is recorded has the right microphone; one that waits for any tries at once."""
        for held in [h for h in self._held.values() if h.session.phase is Phase.RECORDING]:
            if held.session.source == FILE:
                continue
            if held.capture is None:
                self._loop.cancel_timer((held.id, REOPEN))
                self.handle(held.id, TimerFired(REOPEN))
            elif held.view.is_capturing and not is_right(held.view.microphone):
                held.is_switching = True
                held.capture.end()

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
                self.handle(session_id, sent.answered(RequestFailed(sent.request, news.problem)))
        if news.problem is None:
            self._try_now(news.service_id)

    def _try_now(self, service_id: str) -> None:
        for held in list(self._held.values()):
            if held.session.service_id == service_id and held.session.is_allowed(TryNow):
                self.handle(held.id, TryNow())

    def _on_answer(self, session_id: SessionId, sent: Send, generation: int, fact: Fact) -> None:
        held = self._awaiting(session_id, sent)
        if held is None:
            return
        service_id = held.session.service_id
        is_well_again = self._connections.on_answer(service_id, generation, fact)
        is_refused = isinstance(fact, RequestFailed) and fact.problem.kind is ProblemKind.NOT_SIGNED_IN
        renews = self._connections.on_refused_sign_in
        if not (is_refused and renews(service_id, session_id, sent, generation)):
            self.handle(session_id, sent.answered(fact))
        if is_refused:  # It may have been the service's own trouble; whoever signs in anew need not wait.
            again = partial(self._try_now, service_id)
            self._loop.set_timer((service_id, _SIGN_IN), _SIGN_IN_AGAIN_SECONDS, again)
        if is_well_again:
            self._hasten(service_id)

    def _hasten(self, service_id: str) -> None:
        """Nobody needs to wait for a turn any longer."""
        for turn, command in [*self._turns.items()]:
            held = self._held.get(turn[0])
            if held is not None and held.session.service_id == service_id:
                self._loop.set_timer(turn, 0.0, partial(self._send_late, turn, command))

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
        self._forget(held)

    def _forget(self, held: Held) -> None:
        self._vault.library.remember(_ERASING, held.id)
        del self._held[held.id]
        held.erase()
        self._erase_rest(held.id)

    def _erase_rest(self, session_id: SessionId) -> None:
        """Erase what is left of a session, also at the start after this was broken off."""
        erase_folder(self._folder / session_id)
        self._shelved.pop(session_id, None)
        self._shelf = None
        self._vault.library.erase(session_id)
        self._vault.library.remember(_ERASING, "")
        self._vault.note(Action.ERASED, session_id)

    def _cut_again(self, held: Held, command: CutAgain) -> None:
        def otherwise(problem: Problem) -> None:
            self._loop.report(problem)
            self._loop.set_timer((held.id, _CUT), _CUT_AGAIN_SECONDS, partial(self._cut_again, held, command))

        self._loop.ask(
            partial(held.cut_again, command.max_chunk_seconds, command.boundaries),
            lambda chunks: self.handle(held.id, ChunksCutAgain(command.max_chunk_seconds, chunks)),
            otherwise,
        )

    def _set_timer(self, held: Held, command: SetTimer) -> None:
        seconds = command.seconds * (self._world.chance() if command.is_spread else 1.0)
        fire = partial(self.handle, held.id, TimerFired(command.name))
        self._loop.set_timer((held.id, command.name), seconds, fire)

    def _cancel_timer(self, held: Held, command: CancelTimer) -> None:
        self._loop.cancel_timer((held.id, command.name))

    def _send(self, held: Held, command: Send) -> None:
        """Put a request to the service, at once unless the service is in trouble."""
        turn = (held.id, repr(command))
        if turn in self._turns:
            return  # It has its turn: a person who asks again and again must not end up further behind each time.
        if wait_seconds := self._connections.wait_seconds(held.session.service_id):
            self._turns[turn] = command
            self._loop.set_timer(turn, wait_seconds, partial(self._send_late, turn, command))
        else:
            self._send_now(held, command)

    def _send_late(self, turn: tuple[SessionId, str], command: Send) -> None:
        del self._turns[turn]
        if held := self._awaiting(turn[0], command):
            self._send_now(held, command)

    def _send_now(self, held: Held, command: Send) -> None:
        session = held.session
        service = self._connections.reach(session.service_id, held.id, command)
        if service is None:
            return
        call = Call(
            request=command.request,
            service=service,
            created=session.created_for(command),
            media_type=session.media_type,
            read_chunk=held.spool.chunk,
            hold_seconds=self._connections.view(session.service_id).discovery.long_poll_seconds,
        )
        generation = self._connections.generation(session.service_id)
        self._loop.submit(partial(carry_out, call), partial(self._on_answer, held.id, command, generation))


_ACTIONS: dict[type[Event], Action] = {
    Start: Action.RECORDED,
    Stop: Action.ENDED,
    Discard: Action.DISCARDED,
    UndoDiscard: Action.RESTORED,
    MarkReviewed: Action.REVIEWED,
    ChangePatient: Action.PATIENT_CHANGED,
    SessionEnded: Action.SENT,
}
"""What goes into the audit log."""


def _session_limit(discovery: Discovery, model: str) -> float | None:
    """How long a session may be: as the chosen model has it, or any where none is chosen."""
    limits = [m.max_session_seconds for m in discovery.models if m.id == model or not model]
    return min((limit for limit in limits if limit), default=None)


_COMMANDS: dict[type, Callable[..., None]] = {
    StartCapture: Sessions._start_capture,
    EndCapture: Sessions._end_capture,
    Send: Sessions._send,
    SetTimer: Sessions._set_timer,
    CancelTimer: Sessions._cancel_timer,
    CutAgain: Sessions._cut_again,
    EraseAudio: Sessions._erase_audio,
}
