"""The engine: one thread that takes in wishes and publishes what there is.

After each burst of news it publishes one frozen view. Sessions, microphones and the ways to the services have owners
of their own, which all live on the engine's thread; the loop brings it its work.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from app.audio.source import Source
from app.core.events import FILE, MICROPHONE, Visit
from app.core.problems import Problem, ProblemKind
from app.core.session import NotAllowed
from app.core.settings import LOCAL_SERVICE
from app.core.views import (
    AppView,
    AskKeystoreAgain,
    BeginNewStore,
    ChangeSettings,
    EraseSession,
    ForSession,
    Level,
    ListMicrophones,
    LookAtStored,
    Practise,
    PrepareDiagnostics,
    PurgeAudio,
    RecordVisit,
    RecoveryCodeNoted,
    SaveDiagnostics,
    SendFiles,
    SetPassphrase,
    TestMicrophone,
    UnlockWith,
    WatchLevel,
    Wish,
)
from app.engine.awake import Awake
from app.engine.connections import ConnectionNews, Connections
from app.engine.held import disk_problem
from app.engine.household import Household
from app.engine.listening import Listening
from app.engine.loop import Loop
from app.engine.sessions import Sessions
from app.engine.vault import Vault
from app.engine.world import World
from app.store.audit import Action
from app.store.diagnostics import gather, save
from app.store.places import Places
from app.store.remembered import load_settings, save_settings

_log = logging.getLogger(__name__)
_CLOSE_SECONDS = 2.0


class Engine:
    """All that the app does, behind four doors."""

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
        self._settings, self._problem = load_settings(places)
        if service_id is not None:
            self._settings = replace(self._settings, service_id=service_id)
        self._loop = Loop(self._report, world.monotonic)
        self._awake = Awake(world.keep_awake)
        self._vault = Vault(places, world, self._loop, self._on_open)
        self._listening = Listening(world, self._loop, self._settings, self._on_devices)
        self._connections = Connections(world, places, self._loop, self._vault, self._on_connection)
        self._sessions = Sessions(
            places.sessions,
            world,
            self._loop,
            vault=self._vault,
            listening=self._listening,
            connections=self._connections,
            on_disk_full=self._on_disk_full,
        )
        self._household = Household(places, world, self._loop, self._sessions)
        self._diagnostics = ""
        self._thread = threading.Thread(target=self._run, name="engine")

    # The doors: callable from any thread ------------------------------------------------------------------------

    def start(self) -> None:
        """Begin; returns at once."""
        self._thread.start()

    def post(self, wish: Wish) -> None:
        """Ask for something; returns at once. What comes of it is in a later view."""
        self._loop.post(partial(_WISHES[type(wish)], self, wish))

    def level(self) -> Level:
        """Loudness now."""
        return self._listening.level()

    def close(self) -> None:
        """Seal what is being recorded, then let go of everything. What is unsent goes out at the next start."""
        self._loop.end()
        self._thread.join()

    # The thread -------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        self._begin()
        self._publish_view()
        while self._loop.work():
            self._loop.guard(self._settle)
            self._publish_view()
        self._end()

    def _begin(self) -> None:
        """Every step is taken, whatever became of the one before: a folder that cannot be written must be told of."""
        for step in (
            self._vault.begin,
            self._household.begin,
            self._listening.look,
            partial(self._connections.use, self._settings.service_id),
            self._make_folder,
        ):
            self._loop.guard(step)

    def _make_folder(self) -> None:
        try:
            self._places.sessions.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            self._problem = Problem(ProblemKind.FOLDER_UNSAFE, disk_problem(error).detail)

    def _on_open(self) -> None:
        """More can be read than before."""
        if self._takes_up_old_sessions:
            self._loop.guard(partial(self._sessions.take_up, self._settings))
            self._loop.guard(self._household.sweep)
        self._connections.on_open()

    def _on_devices(self) -> None:
        if self._listening.has_any:
            self._sessions.use_microphone(self._listening.is_right)

    def _on_disk_full(self) -> None:
        self._household.release_reserve()

    def _end(self) -> None:
        """Every step is taken, whatever became of the one before."""
        for step in (
            self._listening.close,
            partial(self._sessions.pause, _CLOSE_SECONDS),
            partial(self._awake.settle, is_wanted=False),
            partial(self._loop.close_workers, 0.0),
            self._connections.close,
            partial(self._loop.close_workers, _CLOSE_SECONDS),
            self._sessions.let_go,
            self._vault.close,
        ):
            self._loop.guard(step)

    def _settle(self) -> None:
        is_recording = bool(self._sessions.captures)
        self._listening.settle(is_recording=is_recording)
        self._awake.settle(is_wanted=is_recording)

    def _on_connection(self, news: ConnectionNews) -> None:
        self._sessions.on_connection(news)

    def _report(self, problem: Problem) -> None:
        self._problem = problem

    def _publish_view(self) -> None:
        sessions = self._sessions.views()
        service = self._connections.view(self._settings.service_id)
        since = self._connections.trouble_since(service.id, service.problem)
        self._publish(
            AppView(
                sessions=sessions,
                live=next((s.id for s in sessions if s.phase.is_live), None),
                microphones=self._listening.microphones,
                microphones_listed=self._listening.is_listed,
                service=replace(service, trouble_since=since),
                settings=self._settings,
                problem=self._sessions.problem or self._problem or self._vault.problem,
                keys=self._vault.view(len(self._sessions.sealed)),
                storage=self._household.storage,
                stored=self._household.stored,
                microphone_test=self._listening.test,
                microphone_missing=self._listening.is_missing,
                diagnostics=self._diagnostics,
            )
        )

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
        if not self._sessions.is_live:
            self._problem = None
            service = self._connections.view(self._settings.service_id)
            self._sessions.start(visit, source, open_source, service)

    def _on_for_session(self, wish: ForSession) -> None:
        try:
            self._sessions.handle(wish.session_id, wish.intent)
        except NotAllowed as refusal:
            _log.info("A wish came too late: %s", refusal)

    def _on_change_settings(self, wish: ChangeSettings) -> None:
        self._settings = wish.settings
        try:
            save_settings(self._places, wish.settings)
            self._problem = None
        except OSError as error:
            self._problem = disk_problem(error)
        self._vault.note(Action.SETTINGS_CHANGED)
        self._listening.choose(wish.settings)
        self._sessions.use_microphone(self._listening.is_chosen)
        self._sessions.keep_for(wish.settings)
        self._connections.use(wish.settings.service_id)

    def _on_list_microphones(self, _: ListMicrophones) -> None:
        self._listening.look()

    def _on_watch_level(self, wish: WatchLevel) -> None:
        self._listening.watch(is_on=wish.is_on)

    def _on_test_microphone(self, wish: TestMicrophone) -> None:
        if not wish.is_on:
            self._listening.end_test()
        elif not self._sessions.captures:
            self._listening.begin_test()

    def _on_ask_keystore(self, _: AskKeystoreAgain) -> None:
        self._vault.ask()

    def _on_unlock(self, wish: UnlockWith) -> None:
        self._vault.unlock_with(wish.secret)

    def _on_set_passphrase(self, wish: SetPassphrase) -> None:
        self._vault.set_passphrase(wish.passphrase)

    def _on_recovery_noted(self, _: RecoveryCodeNoted) -> None:
        self._vault.note_recovery_code()

    def _on_begin_new_store(self, _: BeginNewStore) -> None:
        self._vault.begin_new()

    def _on_look_at_stored(self, _: LookAtStored) -> None:
        self._household.look_at_stored()

    def _on_purge_audio(self, wish: PurgeAudio) -> None:
        for session_id in wish.session_ids:
            self._loop.guard(partial(self._sessions.erase_audio, session_id))
        self._household.look_at_stored()

    def _on_erase_session(self, wish: EraseSession) -> None:
        self._sessions.erase(wish.session_id)
        self._household.look_at_stored()

    def _on_prepare_diagnostics(self, _: PrepareDiagnostics) -> None:
        facts = self._facts()
        self._loop.submit(partial(gather, self._places, facts), self._on_gathered)

    def _on_gathered(self, text: str) -> None:
        self._diagnostics = text

    def _facts(self) -> dict[str, str]:
        """What the engine knows that helps to find a fault: counts and states, and no word of a patient."""
        sessions = self._sessions.views()
        service = self._connections.view(self._settings.service_id)
        phases = {phase: sum(s.phase is phase for s in sessions) for phase in {s.phase for s in sessions}}
        kinds = sorted({str(s.problem.kind) for s in sessions if s.problem})
        return {
            "keys": self._vault.view(0).state,
            "service": "local" if service.id == LOCAL_SERVICE else "remote",
            "service state": service.state,
            "service problem": str(service.problem.kind) if service.problem else "",
            "sessions": ", ".join(f"{count} {phase}" for phase, count in sorted(phases.items())),
            "session problems": ", ".join(kinds),
            "sealed sessions": str(len(self._sessions.sealed)),
            "microphones": str(len(self._listening.microphones)),
            "free recording hours": f"{(self._household.storage.free_seconds or 0) / 3600:.1f}",
        }

    def _on_save_diagnostics(self, wish: SaveDiagnostics) -> None:
        try:
            save(self._diagnostics, Path(wish.path))
        except OSError as error:
            self._problem = disk_problem(error)


_WISHES: dict[type, Callable[..., None]] = {
    RecordVisit: Engine._on_record,
    Practise: Engine._on_practise,
    SendFiles: Engine._on_send_files,
    ForSession: Engine._on_for_session,
    ChangeSettings: Engine._on_change_settings,
    ListMicrophones: Engine._on_list_microphones,
    WatchLevel: Engine._on_watch_level,
    TestMicrophone: Engine._on_test_microphone,
    AskKeystoreAgain: Engine._on_ask_keystore,
    UnlockWith: Engine._on_unlock,
    SetPassphrase: Engine._on_set_passphrase,
    RecoveryCodeNoted: Engine._on_recovery_noted,
    BeginNewStore: Engine._on_begin_new_store,
    LookAtStored: Engine._on_look_at_stored,
    PurgeAudio: Engine._on_purge_audio,
    EraseSession: Engine._on_erase_session,
    PrepareDiagnostics: Engine._on_prepare_diagnostics,
    SaveDiagnostics: Engine._on_save_diagnostics,
}
