"""The key to what is kept here, and what can only be read with it: the library, the audit log.

Asks the keystore by workers and again from time to time while it keeps the key to itself. Belongs to the engine's
thread.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from app.core.problems import Problem, ProblemKind
from app.core.views import KeyState, KeysView
from app.engine.held import disk_problem
from app.engine.loop import Job, Loop
from app.engine.world import World
from app.store.audit import Action, Audit
from app.store.keys import Answer, Keys
from app.store.library import Library
from app.store.places import Places
from app.store.spool import sealed_to

_log = logging.getLogger(__name__)

_ASK_AGAIN_SECONDS = 15.0
_ASK = ("", "keystore")
_UNOPENED = (KeyState.LOCKED, KeyState.SESSION_ONLY)
"""States that a keystore which answers later may put an end to."""
_DURABLE = (KeyState.PROTECTED, KeyState.PASSPHRASE)


class Vault:
    """Keys, library and audit log of one store."""

    def __init__(self, places: Places, world: World, loop: Loop, on_open: Job) -> None:
        """``on_open`` is called each time that more can be read than before."""
        self._places = places
        self._world = world
        self._loop = loop
        self._on_open = on_open
        self._is_asking = False
        self._has_heard = False
        """There was an answer, or a failure, to the first question; a passphrase may have been tried with it."""
        self._service_key = secrets.token_bytes(32)
        self._audit: Audit | None = None
        self._opened = ""
        """Id of the key that the library was opened with."""

    def begin(self) -> None:
        """Open what needs no key, and ask for it. To be called first, on the engine's thread."""
        self.keys = self._open_keys()
        if not self._places.keys.exists():  # It may be gone while what it guards is not.
            self.keys.expect(sealed_to(self._places.sessions))
        self.library = Library.open(None, None)
        self._open_audit()
        self.ask()

    def _open_keys(self) -> Keys:
        try:
            return Keys(self._places.keys, self._world.wall_clock)
        except OSError as error:
            # What it guards must not get another key, and a visit must be recorded all the same: with a key that
            # cannot be written anywhere, and so is in memory alone.
            self._loop.report(Problem(ProblemKind.FOLDER_UNSAFE, disk_problem(error).detail))
            return Keys(self._places.home / "unreadable" / "keys.json", self._world.wall_clock)

    def _open_audit(self) -> None:
        try:
            self._audit = Audit(self._places.audit, None)
        except OSError as error:  # Whoever looks at the folder says so; it keeps nothing else from being done.
            _log.warning("No audit log is kept: %s", type(error).__name__)

    # What there is ------------------------------------------------------------------------------------------------

    @property
    def problem(self) -> Problem | None:
        """What is wrong with the library."""
        return self.library.problem

    @property
    def is_settled(self) -> bool:
        """The keystore has been heard, or given up on for now."""
        return self._has_heard and self.keys.view().state is not KeyState.WAITING

    @property
    def is_durable(self) -> bool:
        """What is kept now can be read after the next start without anybody's help but the keystore's."""
        return self.keys.view().state in _DURABLE

    @property
    def service_name(self) -> str:
        """Under which name the local service keeps its data: one for each key, so that no two meet."""
        return self.keys.key_id if self.is_durable else "until-closed"

    @property
    def service_key(self) -> bytes:
        """What the local service seals its data with."""
        return (self.keys.derive("local service") if self.is_durable else None) or self._service_key

    def note(self, action: Action, subject: str = "", detail: str = "") -> None:
        """Put something down in the audit log; a disk that refuses keeps nothing else from being done."""
        try:
            if self._audit:
                self._audit.note(action, subject, detail)
        except OSError as error:
            _log.warning("Something is missing in the audit log: %s", type(error).__name__)

    # Unlocking ----------------------------------------------------------------------------------------------------

    def ask(self) -> None:
        """Ask the keystore for the key, on a worker."""
        if self._is_asking:
            return
        self._is_asking = True
        self._loop.cancel_timer(_ASK)
        self._find_out(self.keys.ask(self._world.keystore, self._world.passphrase))

    def unlock_with(self, secret: str) -> None:
        """Try a passphrase or a recovery code."""
        self._find_out(self.keys.try_secret(secret))

    def set_passphrase(self, passphrase: str) -> None:
        """Guard the key with a passphrase."""
        self._find_out(self.keys.set_passphrase(passphrase))

    def begin_new(self) -> None:
        """Go on with a new key; what is sealed under the old one stays."""
        self._find_out(self.keys.begin_new(self._world.keystore))

    def note_recovery_code(self) -> None:
        """The doctor has written it down."""
        self.keys.note_recovery_code()

    def _find_out(self, question: Callable[[], Answer]) -> None:
        self._loop.ask(question, self._take, self._on_failed)

    def _take(self, answer: Answer) -> None:
        self._is_asking, was_settled = False, self.is_settled
        self._has_heard = True
        before = self.keys.view().state
        try:
            has_changed = self.keys.take(answer)
        except OSError as error:
            # It is at hand all the same, and the keystore is asked again so that it is written down.
            self._loop.report(Problem(ProblemKind.FOLDER_UNSAFE, disk_problem(error).detail))
            has_changed = True
        state = self.keys.view().state
        if state is not before:
            self.note(Action.KEYS, detail=state)
        if state in _UNOPENED:
            self._loop.set_timer(_ASK, _ASK_AGAIN_SECONDS, self.ask)
        if has_changed or not was_settled:
            self._open_library()
            self._on_open()

    def _on_failed(self, problem: Problem) -> None:
        self._is_asking, self._has_heard = False, True
        self._loop.report(problem)
        self._loop.set_timer(_ASK, _ASK_AGAIN_SECONDS, self.ask)

    def _open_library(self) -> None:
        """Once its key is there. What was kept in memory meanwhile goes into it."""
        key = self.keys.derive("library")
        if not self.is_durable or key is None or self._opened == self.keys.key_id:
            return
        self._opened = self.keys.key_id
        meanwhile, self.library = self.library, Library.open(self._places.library(self._opened), key)
        self._loop.guard(partial(self.library.take_over, meanwhile))
        meanwhile.close()
        if self._audit and (audit_key := self.keys.derive("audit")):
            self._audit.use_key(audit_key)

    def view(self, sealed_session_count: int) -> KeysView:
        """As a screen shows it."""
        return replace(self.keys.view(), sealed_session_count=sealed_session_count)

    def close(self) -> None:
        """Let go of the files."""
        self._loop.cancel_timer(_ASK)
        self.library.close()
        if self._audit:
            self._audit.close()
