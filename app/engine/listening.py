"""Everything that listens: which microphones there are, the level before a visit, the takes of a visit.

Sees to it that no microphone is opened that something else still has. Belongs to the engine's thread; the level may
be read from any.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from app.audio.capture import Capture
from app.audio.check import MicrophoneCheck
from app.audio.level import LevelTap, Monitor
from app.audio.source import Source, SourceFailed
from app.core.events import FILE, CaptureLost, Fact, StartCapture
from app.core.problems import Problem, ProblemKind
from app.core.settings import Settings
from app.core.views import Level, MicrophoneInfo, MicrophoneTest
from app.engine.held import Held
from app.engine.loop import Loop
from app.engine.requests import bug_problem
from app.engine.world import Watch, World

_MONITOR_PAUSE_SECONDS = 2.0
_LET_GO_SECONDS = 1.0
_AGAIN = ("", "monitor")


class Listening:
    """The microphones of this computer, and what is done with them."""

    def __init__(self, world: World, loop: Loop, settings: Settings, on_devices: Callable[[], None]) -> None:
        """``on_devices`` is called after each change of the devices."""
        self._world = world
        self._loop = loop
        self._on_devices = on_devices
        self._wanted = (settings.microphone, settings.microphone_host_api)
        self._tap = LevelTap()
        self.microphones: tuple[MicrophoneInfo, ...] = ()
        self.is_listed = False
        """The first look at the devices is done."""
        self.test: MicrophoneTest | None = None
        """How the test of a microphone stands, or how the last one went."""
        self._check: MicrophoneCheck | None = None
        self._watch: Watch | None = None
        self._wants_level = False
        self._monitor: Monitor | None = None

    def level(self) -> Level:
        """Loudness now. Callable from any thread."""
        return self._tap.read()

    def choose(self, settings: Settings) -> None:
        """Listen to this microphone from now on."""
        wanted = (settings.microphone, settings.microphone_host_api)
        if wanted != self._wanted:
            self._close_monitor()
        self._wanted = wanted

    # Devices ------------------------------------------------------------------------------------------------------

    def look(self) -> None:
        """Look at the devices, afresh, and go on looking out for changes."""
        self._close_watch()
        self._watch = self._world.watch_microphones(lambda found: self._loop.post(partial(self._on_found, found)))
        self._watch.start()

    def _close_watch(self) -> None:
        if self._watch:
            self._watch.close()
            self._watch = None

    def close(self) -> None:
        """Listen to nothing any more but to the take that runs."""
        self._wants_level = False
        self._close_watch()
        self.end_test()
        self._close_monitor()

    def _on_found(self, microphones: tuple[MicrophoneInfo, ...]) -> None:
        self.microphones, self.is_listed = microphones, True
        self._loop.cancel_timer(_AGAIN)
        self._on_devices()

    @property
    def is_missing(self) -> bool:
        """The pinned microphone is not there."""
        return bool(self._wanted[0]) and self.is_listed and self._pinned is None

    @property
    def _pinned(self) -> MicrophoneInfo | None:
        name, host_api = self._wanted
        return next((m for m in self.microphones if m.name == name and host_api in ("", m.host_api)), None)

    @property
    def has_any(self) -> bool:
        """There is a microphone to be opened."""
        return bool(self.microphones)

    def is_right(self, name: str) -> bool:
        """Whether a take may go on with the microphone that it has.

        It may not when that one is gone, or is not the one that the system has come to prefer. A pinned one that is
        back does not interrupt a visit: it is offered.
        """
        if self._pinned is None and (default := next((m for m in self.microphones if m.is_default), None)):
            return name == default.name
        return any(m.name == name for m in self.microphones)

    def is_chosen(self, name: str) -> bool:
        """Whether it is the very one that was chosen, or stands in for it."""
        return self._pinned.name == name if self._pinned else self.is_right(name)

    # The level before a visit, and the test of a microphone ---------------------------------------------------------

    def watch(self, *, is_on: bool) -> None:
        """Whether somebody wants to see the level. :meth:`settle` makes it so."""
        self._wants_level = is_on
        self._loop.cancel_timer(_AGAIN)

    def settle(self, *, is_recording: bool) -> None:
        """Have the level watched exactly while that is wanted and nothing else listens."""
        if not self._wants_level or is_recording or self._check:
            self._close_monitor()
        elif self._monitor is None and self._loop.seconds_to(_AGAIN) is None:
            source = self._world.open_microphone(*self._wanted, None)
            monitor = Monitor(source, self._tap, lambda: self._loop.post(partial(self._on_monitor_over, monitor)))
            self._monitor = monitor
            monitor.start()

    def _on_monitor_over(self, monitor: Monitor) -> None:
        """The microphone is gone or was never there: try again in a while."""
        if monitor is self._monitor:
            self._monitor = None
            self._loop.set_timer(_AGAIN, _MONITOR_PAUSE_SECONDS, lambda: None)

    def _close_monitor(self) -> None:
        if self._monitor:
            self._monitor.end()
            self._monitor.join(_LET_GO_SECONDS)
            self._monitor = None

    def begin_test(self) -> None:
        """Record a few seconds in memory, then play them."""
        self.end_test()
        self._close_monitor()
        source = self._world.open_microphone(*self._wanted, None)

        def tell(test: MicrophoneTest) -> None:
            self._loop.post(partial(self._on_test, check, test))

        check = MicrophoneCheck(source, self._world.play, tell)
        self._check = check
        check.start()

    def _on_test(self, check: MicrophoneCheck, test: MicrophoneTest) -> None:
        if check is self._check:
            self.test = test
            if test.stage in ("done", "failed"):
                self._check = None

    def end_test(self) -> None:
        """Break the test off, if one runs, and forget how it went."""
        self.test = None
        if self._check:
            self._check.end()
            self._check.join(_LET_GO_SECONDS)
            self._check = None

    # Takes --------------------------------------------------------------------------------------------------------

    def begin(
        self, held: Held, command: StartCapture, post: Callable[[Fact], None], closing: Iterable[Capture]
    ) -> Capture | None:
        """Begin a take of a session; None, and a fact that says why, where its audio cannot be opened.

        ``closing`` are the takes on their way out: whoever else has the microphone must let go of it first.
        """
        self._close_monitor()
        self.end_test()
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
            return self._world.open_microphone(*self._wanted, held.will)
        except SourceFailed as failure:
            return failure.problem
        except Exception as bug:  # noqa: BLE001 - a session that waits for a take must hear that there is none
            return bug_problem("Opening a source", bug)
