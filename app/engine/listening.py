"""Everything that listens: which microphones there are, the level before a visit, the takes of a visit.

Sees to it that no microphone is opened that something else still has, and that the devices are looked at only while
the level has none open. Belongs to the engine's thread; the level may be read from any.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from app.audio.capture import Capture
from app.audio.level import LevelTap, Monitor
from app.audio.source import Source, SourceFailed
from app.core.events import FILE, CaptureLost, Fact, StartCapture
from app.core.problems import Problem, ProblemKind
from app.core.views import Level, MicrophoneInfo
from app.engine.held import Held
from app.engine.loop import Loop
from app.engine.requests import bug_problem
from app.engine.world import World

_MONITOR_PAUSE_SECONDS = 2.0
_LET_GO_SECONDS = 1.0
_AGAIN = ("", "monitor")


class Listening:
    """The microphones of this computer, and what is done with them."""

    def __init__(self, world: World, loop: Loop, microphone: str) -> None:
        """``microphone`` is the name of the chosen one; the empty name follows the system."""
        self._world = world
        self._loop = loop
        self._microphone = microphone
        self._tap = LevelTap()
        self.microphones: tuple[MicrophoneInfo, ...] = ()
        self.is_listed = False
        """The first look at the devices is done."""
        self._is_listing = False
        self._wants_level = False
        self._monitor: Monitor | None = None

    def level(self) -> Level:
        """Loudness now. Callable from any thread."""
        return self._tap.read()

    def choose(self, microphone: str) -> None:
        """Listen to this microphone from now on."""
        if microphone != self._microphone:
            self._close_monitor()
        self._microphone = microphone

    # Devices ------------------------------------------------------------------------------------------------------

    def look(self) -> None:
        """Look at the devices on a worker."""
        if self._is_listing:
            return
        self._is_listing = True
        self._close_monitor()
        self._loop.ask(self._world.list_microphones, self._on_listed, self._on_not_listed)

    def _on_listed(self, microphones: tuple[MicrophoneInfo, ...]) -> None:
        self._is_listing, self.is_listed = False, True
        self.microphones = microphones

    def _on_not_listed(self, problem: Problem) -> None:
        self._is_listing = False
        self._loop.report(problem)

    # The level before a visit -------------------------------------------------------------------------------------

    def watch(self, *, is_on: bool) -> None:
        """Whether somebody wants to see the level. :meth:`settle` makes it so."""
        self._wants_level = is_on
        self._loop.cancel_timer(_AGAIN)

    def settle(self, *, is_recording: bool) -> None:
        """Have the level watched exactly while that is wanted and nothing records."""
        if not self._wants_level or is_recording or self._is_listing:
            self._close_monitor()
        elif self._monitor is None and self._loop.seconds_to(_AGAIN) is None:
            source = self._world.open_microphone(self._microphone)
            monitor = Monitor(source, self._tap, lambda: self._loop.post(partial(self._on_monitor_over, monitor)))
            self._monitor = monitor
            monitor.start()

    def _on_monitor_over(self, monitor: Monitor) -> None:
        """The microphone is gone or was never there: look again in a while."""
        if monitor is self._monitor:
            self._monitor = None
            self._loop.set_timer(_AGAIN, _MONITOR_PAUSE_SECONDS, lambda: None)

    def _close_monitor(self) -> None:
        if self._monitor:
            self._monitor.end()
            self._monitor.join(_LET_GO_SECONDS)
            self._monitor = None

    # Takes --------------------------------------------------------------------------------------------------------

    def begin(
        self, held: Held, command: StartCapture, post: Callable[[Fact], None], closing: Iterable[Capture]
    ) -> Capture | None:
        """Begin a take of a session; None, and a fact that says why, where its audio cannot be opened.

        ``closing`` are the takes on their way out: whoever else has the microphone must let go of it first.
        """
        self._close_monitor()
        for capture in closing:
            capture.join(_LET_GO_SECONDS)
        source = self._open(held, command.first_sample)
        if isinstance(source, Problem):
            post(CaptureLost(command.take, source, self._world.wall_clock()))
            return None
        capture = Capture(
            source,
            take=command.take,
            first_chunk=command.first_chunk,
            first_sample=command.first_sample,
            media_type=command.media_type,
            max_chunk_seconds=command.max_chunk_seconds,
            spool=held.spool,
            post=post,
            tap=self._tap,
            clock=self._world.wall_clock,
        )
        capture.start()
        return capture

    def _open(self, held: Held, first_sample: int) -> Source | Problem:
        try:
            if held.open_source:
                return held.open_source(first_sample)
            if held.session.source == FILE:  # Its names were not kept: they may be patients'.
                return Problem(ProblemKind.AUDIO_UNREADABLE, "the app was closed since, choose the file again")
            return self._world.open_microphone(self._microphone)
        except SourceFailed as failure:
            return failure.problem
        except Exception as bug:  # noqa: BLE001 - a session that waits for a take must hear that there is none
            return bug_problem("Opening a source", bug)
