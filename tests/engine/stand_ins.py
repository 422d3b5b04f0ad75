"""A world for the engine: a scribe service in memory, microphones that a test speaks into, a clock that can jump."""

from __future__ import annotations

import queue
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np

from app.audio.files import decode
from app.audio.playlist import Playlist
from app.audio.signal import Block, Samples
from app.audio.source import Source, SourceFailed
from app.core.events import Intent, NoteAccepted, SessionCreated, SessionEnded, SessionId, TryNow, Visit
from app.core.problems import Problem, ProblemKind
from app.core.scribe import (
    Discovery,
    ServiceStatus,
    SessionResult,
    TemplateInfo,
    TemplateResult,
    TemplateStatus,
)
from app.core.views import AppView, ForSession, MicrophoneInfo, Phase, RecordVisit, SessionView, Wish
from app.engine.engine import Engine
from app.engine.local_service import Address
from app.engine.requests import ScribeService
from app.engine.world import World
from app.protocol.answer import refused
from app.store.keystore import KeystoreUnavailable
from app.store.places import Places

_T = TypeVar("_T")

PATIENCE_SECONDS = 20.0
REMOTE = "https://scribe.example/voice/v1"
OTHER = "https://other.example/voice/v1"
USB = MicrophoneInfo("USB", is_default=True)
LOCAL_COMMAND = (
    *(sys.executable, "-I", "-S", "-c"),
    "import json, os, sys; print(json.dumps({'base_url': 'http://local/voice/v1', 'token': str(os.getpid())}),"
    " flush=True); sys.stdin.read()",
)
"""A local service that tells its process number in place of a token, and ends with the app."""


@dataclass
class Kept:
    """One session at the service."""

    templates: list[str]
    chunks: dict[int, bytes] = field(default_factory=dict)
    ended_with: int | None = None

    @property
    def samples(self) -> Samples:
        """All audio, chunk after chunk."""
        return np.concatenate([np.empty(0, np.int16), *(decode(self.chunks[n]) for n in sorted(self.chunks))])


class ScribeServer:
    """Does what a scribe service should, save for the faults that a test switches on."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.sessions: dict[str, Kept] = {}
        self.refusal: ProblemKind | None = None
        """How every call is refused."""
        self.lost: list[str] = []
        """Calls that are carried out once more while their answer is lost."""
        self.held: set[str] = set()
        """Calls that are not answered until :meth:`let_go`, or until their connection is closed."""
        self.is_thinking = False
        """Sessions that have ended are not done yet."""

    def let_go(self) -> None:
        """Answer everything again."""
        with self.changed:
            self.held.clear()
            self.refusal = None
            self.is_thinking = False
            self.changed.notify_all()

    @property
    def only(self) -> Kept:
        """The one session that there is."""
        (kept,) = self.sessions.values()
        return kept


class Connection:
    """One client's way to the server."""

    def __init__(self, server: ScribeServer, address: Address) -> None:
        self.address = address
        self._server = server
        self.is_closed = False

    def discover(self) -> Discovery:
        return self._call("discover", lambda: Discovery("The scribe", ("audio/wav",), 20.0))

    def templates(self) -> tuple[TemplateInfo, ...]:
        return self._call("templates", lambda: (TemplateInfo("soap", "SOAP"),))

    def create(self, session_id: str, visit: Visit, templates: tuple[str, ...]) -> SessionCreated:
        def create() -> SessionCreated:
            self._server.sessions.setdefault(session_id, Kept(list(templates)))
            return SessionCreated(session_id)

        return self._call("create", create)

    def upload(self, created: SessionCreated, index: int, data: bytes, media_type: str, extension: str) -> None:
        def upload() -> None:
            kept = self._kept(created.session_id)
            if kept.ended_with is not None:
                raise refused(ProblemKind.SESSION_ENDED)
            assert kept.chunks.setdefault(index, data) == data, "a repeated chunk must be the same bytes"
            assert (media_type, extension) == ("audio/wav", "wav")

        self._call("upload", upload)

    def status(self, session_id: str, wait_seconds: float = 0.0) -> SessionResult:
        return self._call("status", lambda: self._result(self._kept(session_id)))

    def end(self, session_id: str, audio_files_sent: int) -> SessionEnded:
        def end() -> SessionEnded:
            kept = self._kept(session_id)
            assert kept.ended_with in (None, audio_files_sent)
            assert sorted(kept.chunks) == list(range(audio_files_sent)), "ended before all was there"
            kept.ended_with = audio_files_sent
            return SessionEnded(len(kept.chunks))

        return self._call("end", end)

    def process_template(self, session_id: str, template_id: str) -> NoteAccepted:
        def process() -> NoteAccepted:
            self._kept(session_id).templates.append(template_id)
            return NoteAccepted(template_id)

        return self._call("process_template", process)

    def close(self) -> None:
        with self._server.changed:
            self.is_closed = True
            self._server.changed.notify_all()

    def _call(self, name: str, work: Callable[[], _T]) -> _T:
        server = self._server
        with server.changed:
            server.changed.wait_for(lambda: name not in server.held or self.is_closed, PATIENCE_SECONDS)
            if self.is_closed:
                raise refused(ProblemKind.UNREACHABLE, "closed")
            if server.refusal is not None:
                raise refused(server.refusal)
            answer = work()
            if name in server.lost:
                server.lost.remove(name)
                raise refused(ProblemKind.TIMED_OUT, "the answer is lost")
            return answer

    def _kept(self, session_id: str) -> Kept:
        if session_id not in self._server.sessions:
            raise refused(ProblemKind.SESSION_UNKNOWN)
        return self._server.sessions[session_id]

    def _result(self, kept: Kept) -> SessionResult:
        names = tuple(f"audio_{n}.wav" for n in sorted(kept.chunks))
        if kept.ended_with is None or self._server.is_thinking:
            status = ServiceStatus.OPEN if kept.ended_with is None else ServiceStatus.PROCESSING
            return SessionResult(status, audio_files=names, audio_files_received=len(names))
        return SessionResult(
            ServiceStatus.COMPLETED,
            transcript=f"{len(kept.samples)} samples",
            templates=tuple(TemplateResult(t, TemplateStatus.SUCCESS, data="said") for t in kept.templates),
            audio_files=names,
            audio_files_received=len(names),
        )


class Microphone:
    """A microphone into which a test speaks, until it is unplugged or the engine ends it."""

    name = "USB"

    def __init__(self) -> None:
        self._blocks: queue.SimpleQueue[Block | Exception | None] = queue.SimpleQueue()
        self._problem: Problem | None = None
        self._moved = threading.Condition()
        self._spoken = self._given = self._done_with = 0
        self.is_opened = threading.Event()
        self.is_closed = threading.Event()

    @classmethod
    def broken(cls, problem: Problem) -> Microphone:
        """One that cannot be opened."""
        microphone = cls()
        microphone._problem = problem
        return microphone

    def speak(self, samples: Samples) -> None:
        """Give these samples, in blocks of a quarter of a second."""
        with self._moved:
            self._spoken += -(-len(samples) // 4000)
        for first in range(0, len(samples), 4000):
            self._blocks.put(samples[first : first + 4000, np.newaxis])

    def fail(self, error: Exception | None = None) -> None:
        """Be unplugged, or break in some other way."""
        self._blocks.put(error or SourceFailed(Problem(ProblemKind.MICROPHONE_LOST, "unplugged")))

    def await_kept(self) -> None:
        """Wait until all that was spoken is on the disk: whoever asks for the next block has done with the last."""
        with self._moved:
            assert self._moved.wait_for(lambda: self._done_with == self._spoken, PATIENCE_SECONDS)

    def open(self) -> int:
        assert not self.is_opened.is_set(), "opened twice"
        self.is_opened.set()
        if self._problem:
            raise SourceFailed(self._problem)
        return 16_000

    def read(self, timeout_seconds: float) -> Block | None:
        """The next block. A test that thinks for long has not unplugged anything, so this waits longer than asked."""
        assert not self.is_closed.is_set(), "read after close"
        with self._moved:
            self._done_with = self._given
            self._moved.notify_all()
        try:
            item = self._blocks.get(timeout=PATIENCE_SECONDS)
        except queue.Empty:
            raise TimeoutError from None
        if isinstance(item, Exception):
            raise item
        self._given += 1
        return item

    def end(self) -> None:
        self._blocks.put(None)

    def close(self) -> None:
        self.is_closed.set()


class StandInKeystore:
    """A keystore that outlives the app's process, and can be locked, absent or emptied by a test."""

    name = "Keystore"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.refusal: type[KeystoreUnavailable] | None = None

    def read(self, entry: str) -> bytes | None:
        self._answer()
        path = self._folder / entry
        return path.read_bytes() if path.exists() else None

    def keep(self, entry: str, secret: bytes) -> None:
        self._answer()
        assert self.read(entry) in (None, secret), "a key was overwritten"
        self._folder.mkdir(exist_ok=True)
        (self._folder / entry).write_bytes(secret)

    def lose(self) -> None:
        """Forget everything."""
        for path in self._folder.iterdir():
            path.unlink()

    def _answer(self) -> None:
        if self.refusal:
            raise self.refusal("as the test wishes")


class Devices:
    """Tells of the microphones that a test has plugged in."""

    def __init__(self, listing: Callable[[], tuple[MicrophoneInfo, ...]]) -> None:
        self._listing = listing
        self._tell: Callable[[tuple[MicrophoneInfo, ...]], None] | None = None

    def watch(self, tell: Callable[[tuple[MicrophoneInfo, ...]], None]) -> Devices:
        self._tell = tell
        return self

    def start(self) -> None:
        self.change()

    def change(self) -> None:
        """Say what there is now."""
        if self._tell:
            self._tell(self._listing())

    def close(self) -> None:
        self._tell = None


class Views:
    """What the engine has published, newest last."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._newest: AppView | None = None
        self.count = 0
        """How many there were."""

    def publish(self, view: AppView) -> None:
        with self._changed:
            self._newest = view
            self.count += 1
            self._changed.notify_all()

    def until(self, is_so: Callable[[AppView], object]) -> AppView:
        """The first view for which it is so."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._newest and is_so(self._newest), PATIENCE_SECONDS):
                raise AssertionError(f"it never came to that; the last view was {self._newest}")
            assert self._newest is not None
            return self._newest


class Desk:
    """One computer: its disk, its microphones, its clock, and the engine that runs on it, if any."""

    def __init__(self, home: Path) -> None:
        self.places = Places(home)
        self.server = ScribeServer()
        self.views = Views()
        self.addresses: list[Address] = []
        """All that was ever connected to."""
        self.connecting_fails: Exception | None = None
        self.keystore = StandInKeystore(home.with_name(f"{home.name}.keystore"))
        self.free_bytes = 100_000_000_000
        self.played: list[Samples] = []
        self.kept_awake = 0
        """How often sleep is held off at this moment."""
        self.listing: Callable[[], tuple[MicrophoneInfo, ...]] = lambda: (USB,)
        self.sample = home / "sample.wav"
        self.devices = Devices(self._list)
        self.local_command: Sequence[str] = LOCAL_COMMAND
        self.chance = 0.01
        """A hundredth of the machine's delays, so that nobody waits."""
        self.collisions: list[Microphone] = []
        """Microphones that were opened while another one was still open."""
        self.next_microphones: list[Microphone] = []
        """Microphones to be handed out before ordinary ones."""
        self._handed_out: queue.SimpleQueue[Microphone] = queue.SimpleQueue()
        self._last_microphone: Microphone | None = None
        self._passed_seconds = 0.0
        self._engine: Engine | None = None

    # The engine ---------------------------------------------------------------------------------------------------

    def switch_on(self, service_id: str | None = REMOTE) -> None:
        """Start the engine; its views begin anew."""
        self.views = Views()
        self._engine = Engine(self.places, self._world(), self.views.publish, service_id=service_id)
        self._engine.start()
        self.views.until(lambda v: v.microphones_listed or v.problem)

    def switch_off(self) -> None:
        if self._engine is not None:
            self._engine.close()
            self._engine = None

    @property
    def engine(self) -> Engine:
        assert self._engine is not None
        return self._engine

    def _world(self) -> World:
        return World(
            open_microphone=lambda _name, _host_api, _will: self._hand_out(),
            watch_microphones=self.devices.watch,
            play=lambda samples, _: self.played.append(samples),
            open_files=Playlist,
            sample=self.sample,
            connect=self._connect,
            local_command=lambda _name: self.local_command,
            keystore=self.keystore,
            keep_awake=self._keep_awake,
            free_bytes=lambda _folder: self.free_bytes,
            folder_refusal=lambda _folder: "",
            token="token",
            monotonic=lambda: time.monotonic() + self._passed_seconds,
            chance=lambda: self.chance,
        )

    def _hand_out(self) -> Source:
        microphone = self.next_microphones.pop(0) if self.next_microphones else Microphone()
        if self._last_microphone and not self._last_microphone.is_closed.is_set():
            self.collisions.append(microphone)
        self._last_microphone = microphone
        self._handed_out.put(microphone)
        return microphone

    def _list(self) -> tuple[MicrophoneInfo, ...]:
        return self.listing()

    @contextmanager
    def _keep_awake(self) -> Iterator[None]:
        self.kept_awake += 1
        yield
        self.kept_awake -= 1

    def _connect(self, address: Address) -> ScribeService:
        if self.connecting_fails:
            raise self.connecting_fails
        self.addresses.append(address)
        return Connection(self.server, address)

    # What a person and time do ------------------------------------------------------------------------------------

    def microphone(self) -> Microphone:
        """The next microphone that the engine has opened."""
        microphone = self._handed_out.get(timeout=PATIENCE_SECONDS)
        assert microphone.is_opened.wait(PATIENCE_SECONDS)
        return microphone

    def has_opened_no_more(self) -> bool:
        """Whether every microphone that the engine has taken was asked for by :meth:`microphone`."""
        return self._handed_out.empty()

    def wish(self, wish: Wish) -> None:
        self.engine.post(wish)

    def record(self, visit: Visit | None = None) -> tuple[SessionId, Microphone]:
        """Begin a visit; its id and its microphone."""
        self.wish(RecordVisit(visit or Visit()))
        live = self.views.until(lambda v: v.live).live
        assert live is not None
        return live, self.microphone()

    def intend(self, session_id: SessionId, intent: Intent) -> None:
        self.wish(ForSession(session_id, intent))

    def let_pass(self, seconds: float) -> None:
        """Time goes by at once."""
        self._passed_seconds += seconds
        before = self.views.count
        self.intend(SessionId("nobody's"), TryNow())  # The engine looks at the clock when it is woken.
        self.views.until(lambda _: self.views.count > before)

    def session(self, session_id: SessionId, is_so: Callable[[SessionView], object]) -> SessionView:
        """The session once it is so."""
        view = self.views.until(lambda v: (s := v.session(session_id)) and is_so(s)).session(session_id)
        assert view is not None
        return view

    def completed(self, session_id: SessionId) -> SessionView:
        """The session with its result."""
        return self.session(session_id, lambda s: s.phase is Phase.COMPLETED)

    def heard(self, session_id: SessionId) -> Samples:
        """What the service was given of a session."""
        return self.server.sessions[session_id].samples

    def folder(self, session_id: SessionId) -> Path:
        return self.places.sessions / session_id
