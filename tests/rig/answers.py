"""A scribe service over real sockets that does as it should, until a test has it answer something else.

It remembers all that it was asked and given. ``say`` puts words into its mouth for the next requests of a kind,
``always`` for all of them. Each connection has a thread of its own; everything may be called from any thread.
"""

from __future__ import annotations

import json
import re
import socket
import ssl
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, cast

PATIENCE_SECONDS = 20.0
_ROUTES = (
    ("discover", "GET", r".*/\.well-known/medscribealliance"),
    ("templates", "GET", r".*/templates?"),
    ("create", "POST", r"/v1/sessions"),
    ("upload", "POST", r"/v1/sessions/([^/]+)/audio/[A-Za-z0-9-]+_(\d+)\.\w+"),
    ("status", "GET", r"/v1/sessions/([^/?]+)(?:\?.*)?"),
    ("end", "POST", r"/v1/sessions/([^/]+)/end"),
    ("note", "POST", r"/v1/sessions/([^/]+)/process/template/([^/]+)"),
)


class Kind(StrEnum):
    """Which call of the protocol a request is."""

    DISCOVER = "discover"
    TEMPLATES = "templates"
    CREATE = "create"
    UPLOAD = "upload"
    STATUS = "status"
    END = "end"
    NOTE = "note"
    OTHER = "other"


@dataclass(frozen=True)
class Reply:
    """An answer. With ``is_done`` the service has done what was asked of it, all the same."""

    status: int = 200
    body: bytes = b"{}"
    headers: tuple[tuple[str, str], ...] = ()
    is_done: bool = False


def reply(status: int, value: object = None, *, is_done: bool = False, **headers: str) -> Reply:
    """An answer in JSON; ``retry_after="60"`` is a header."""
    names = tuple((name.replace("_", "-"), text) for name, text in headers.items())
    return Reply(status, json.dumps({} if value is None else value).encode(), names, is_done)


def error(status: int, code: str, message: str = "") -> Reply:
    """A refusal in the protocol's own shape."""
    return reply(status, {"error": {"code": code, "message": message or code}})


def page(text: str = "<!DOCTYPE html><html><body>Please sign in</body></html>", status: int = 200) -> Reply:
    """A web page, as a sign-in page of a network is."""
    return Reply(status, text.encode(), (("Content-Type", "text/html; charset=utf-8"),))


@dataclass(frozen=True)
class Asked:
    """One request as it came."""

    kind: Kind
    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    at: float
    """Monotonic."""
    connection: int
    """Which connection it came on."""
    index: int = -1
    """The chunk's number in an upload."""


@dataclass
class Kept:
    """One session at the service."""

    id: str
    request: dict[str, Any]
    uploads: list[tuple[int, bytes]] = field(default_factory=list)
    """Each upload that was taken, repeats too, in the order of arrival."""
    ended_with: int | None = None
    ends: int = 0
    """How often its end was asked for."""

    @property
    def chunks(self) -> dict[int, bytes]:
        """Chunks by number, as the service keeps them: the last bytes of each name."""
        return dict(sorted(dict(self.uploads).items()))

    @property
    def patient(self) -> dict[str, str]:
        """Who it was said to be about."""
        return cast("dict[str, str]", self.request.get("patient_details", {}))

    @property
    def repeats_differ(self) -> bool:
        """Whether a chunk was sent anew with other bytes."""
        first: dict[int, bytes] = {}
        return any(first.setdefault(index, data) != data for index, data in self.uploads)

    @property
    def names(self) -> list[str]:
        """Its files, sorted by number."""
        return [f"audio_{n}.wav" for n in self.chunks]


class Scribe:
    """The service, while the context lasts."""

    def __init__(self, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1", port: int = 0) -> None:
        self.changed = threading.Condition()
        self.asked: list[Asked] = []
        self.sessions: dict[str, Kept] = {}
        self.tokens: set[str] | None = None
        """Tokens that are taken; None takes every one."""
        self.transcript = "The patient reports chest pain."
        self.is_thinking = False
        """Sessions that have ended are not done yet."""
        self.discovery: dict[str, Any] = {
            "protocol": "medscribealliance",
            "service": {"name": "Scripted scribe"},
            "capabilities": {"audio_formats": ["audio/wav"], "max_chunk_duration_seconds": 20},
        }
        self.refuses: Callable[[Asked], Reply | None] = lambda _asked: None
        """Looks at a request and has it answered otherwise, if it says so."""
        self.alters: dict[Kind, dict[str, Any]] = {}
        """Fields of the usual answers that are otherwise."""
        self.clock: Callable[[], float] = time.time
        """The service's own."""
        self.session_seconds = 3600.0
        """How long a session lives, as it tells."""
        self._next: dict[Kind, deque[Reply]] = defaultdict(deque)
        self._always: dict[Kind, Reply] = {}
        self._server = _Server((host, port), self, tls)
        self.address = (host, self._server.server_port)
        self.url = f"{'https' if tls else 'http'}://{host}:{self._server.server_port}/v1"
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, name="scribe-service"
        )

    def __enter__(self) -> Scribe:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    # What a test does -------------------------------------------------------------------------------------------

    def say(self, kind: Kind, *replies: Reply) -> None:
        """Answer the next requests of a kind so."""
        with self.changed:
            self._next[kind].extend(replies)

    def always(self, *kinds: Kind, answer: Reply | None) -> None:
        """Answer all requests of these kinds so, once what was put into its mouth is said; None: as it should."""
        with self.changed:
            for kind in kinds:
                if answer is None:
                    self._always.pop(kind, None)
                else:
                    self._always[kind] = answer

    def until(self, is_so: Callable[[], object], seconds: float = PATIENCE_SECONDS) -> None:
        """Wait until it is so; it is looked at after each request."""
        with self.changed:
            assert self.changed.wait_for(is_so, seconds), f"it never came to that; asked: {self.lines()[-20:]}"

    def asked_for(self, kind: Kind) -> list[Asked]:
        """The requests of a kind, in order."""
        with self.changed:
            return [asked for asked in self.asked if asked.kind is kind]

    def lines(self) -> list[str]:
        """The request lines, in order."""
        return [f"{asked.method} {asked.path}" for asked in self.asked]

    @property
    def only(self) -> Kept:
        """The one session that there is."""
        with self.changed:
            (kept,) = self.sessions.values()
            return kept

    def forget(self, session_id: str) -> None:
        """Lose a session."""
        with self.changed:
            del self.sessions[session_id]

    # What the service does --------------------------------------------------------------------------------------

    def answer(self, asked: Asked, groups: tuple[str, ...]) -> Reply:
        """Take in a request; what is answered."""
        with self.changed:
            self.asked.append(asked)
            said = self.refuses(asked) or self._said(asked.kind)
            done = self._altered(asked, groups) if said is None or said.is_done else None
            self.changed.notify_all()
            return said or done or Reply()

    def _altered(self, asked: Asked, groups: tuple[str, ...]) -> Reply:
        usual = self._authorised(asked, groups)
        if asked.kind not in self.alters:
            return usual
        return replace(usual, body=json.dumps(json.loads(usual.body) | self.alters[asked.kind]).encode())

    def _said(self, kind: Kind) -> Reply | None:
        if self._next[kind]:
            return self._next[kind].popleft()
        return self._always.get(kind)

    def _authorised(self, asked: Asked, groups: tuple[str, ...]) -> Reply:
        token = asked.headers.get("authorization", "").removeprefix("Bearer ")
        if self.tokens is not None and asked.kind is not Kind.DISCOVER and token not in self.tokens:
            return reply(401, {"detail": "token_expired"})
        return self._carry_out(asked, groups)

    def _carry_out(self, asked: Asked, groups: tuple[str, ...]) -> Reply:
        if asked.kind in _WITHOUT_A_SESSION:
            return _WITHOUT_A_SESSION[asked.kind](self, asked)
        kept = self.sessions.get(groups[0])
        return error(404, "session_not_found") if kept is None else _FOR_A_SESSION[asked.kind](self, kept, asked)

    def _discover(self, _: Asked) -> Reply:
        return reply(200, self.discovery)

    def _templates(self, _: Asked) -> Reply:
        return reply(200, {"templates": [{"id": t, "name": t} for t in ("soap", "medications")]})

    def _nothing_there(self, _: Asked) -> Reply:
        return reply(404, {"detail": "Not Found"})

    def _create(self, asked: Asked) -> Reply:
        request = json.loads(asked.body)
        session_id = request["session_id"]
        if session_id in self.sessions:
            return error(409, "session_exists")
        self.sessions[session_id] = Kept(session_id, request)
        expires_at = self.clock() + self.session_seconds
        return reply(201, {"session_id": session_id, "status": "created", "expires_at": expires_at})

    def _upload(self, kept: Kept, asked: Asked) -> Reply:
        if kept.ended_with is not None:
            return error(400, "session_ended")
        kept.uploads.append((asked.index, asked.body))
        return reply(200, {"received": asked.index})

    def _end(self, kept: Kept, asked: Asked) -> Reply:
        kept.ends += 1
        if kept.ended_with is not None:
            return error(400, "session_already_ended")
        kept.ended_with = json.loads(asked.body)["audio_files_sent"]
        told = {"session_id": kept.id, "status": "processing", "message": "Session ended. Processing started."}
        return reply(202, told | {"audio_files_received": len(kept.chunks), "audio_files": kept.names})

    def _status(self, kept: Kept, _: Asked) -> Reply:
        told = {"session_id": kept.id, "audio_files_received": len(kept.chunks), "audio_files": kept.names}
        if kept.ended_with is None:
            return reply(202, told | {"status": "open"})
        if self.is_thinking:
            return reply(202, told | {"status": "processing"})
        notes = {t: {"status": "success", "data": f"Note {t}."} for t in kept.request["templates"]}
        return reply(200, told | {"status": "completed", "transcript": self.transcript, "templates": notes})

    def _note(self, kept: Kept, asked: Asked) -> Reply:
        template_id = asked.path.rpartition("/")[2]
        kept.request["templates"].append(template_id)
        return reply(202, {"document_id": template_id, "status": "processing"})


_WITHOUT_A_SESSION: dict[Kind, Callable[[Scribe, Asked], Reply]] = {
    Kind.DISCOVER: Scribe._discover,
    Kind.TEMPLATES: Scribe._templates,
    Kind.CREATE: Scribe._create,
    Kind.OTHER: Scribe._nothing_there,
}
_FOR_A_SESSION: dict[Kind, Callable[[Scribe, Kept, Asked], Reply]] = {
    Kind.UPLOAD: Scribe._upload,
    Kind.STATUS: Scribe._status,
    Kind.END: Scribe._end,
    Kind.NOTE: Scribe._note,
}


class _Server(ThreadingHTTPServer):
    daemon_threads = False
    block_on_close = True
    request_queue_size = 64

    def __init__(self, address: tuple[str, int], scribe: Scribe, tls: ssl.SSLContext | None) -> None:
        self.scribe = scribe
        self._tls = tls
        self._open: set[socket.socket] = set()
        self._guard = threading.Lock()
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        # Without http.server's look-up of the host's name, which waits for a name server where there is none.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_name, self.server_port = self.socket.getsockname()[:2]

    def finish_request(self, request: Any, client_address: Any) -> None:
        line = (
            self._tls.wrap_socket(request, server_side=True, do_handshake_on_connect=False) if self._tls else request
        )
        with self._guard:
            self._open.add(line)
        try:
            with suppress(OSError):
                if isinstance(line, ssl.SSLSocket):
                    line.do_handshake()
                super().finish_request(line, client_address)
        finally:
            with self._guard:
                self._open.discard(line)
            if line is not request:
                line.close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is what these tests are about."""

    def server_close(self) -> None:
        with self._guard:
            for line in self._open:
                with suppress(OSError):
                    line.shutdown(socket.SHUT_RDWR)
        super().server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        kind, groups = _kind_of(self.command, self.path)
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        if len(body) < int(self.headers.get("content-length", 0)):
            self.close_connection = True  # It broke off: a service that never saw the whole of it does nothing.
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        index = int(groups[1]) if kind is Kind.UPLOAD else -1
        port = int(self.client_address[1])
        asked = Asked(kind, self.command, self.path, headers, body, time.monotonic(), port, index)
        self._tell(self.server.scribe.answer(asked, groups))

    do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815

    def _tell(self, answer: Reply) -> None:
        self.send_response(answer.status)
        names = {name.lower() for name, _ in answer.headers}
        for name, value in (*self._usual(answer), *answer.headers):
            if name.lower() not in names or (name, value) in answer.headers:
                self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer.body)

    def _usual(self, answer: Reply) -> Iterator[tuple[str, str]]:
        yield "Content-Type", "application/json"
        yield "Content-Length", str(len(answer.body))

    def date_time_string(self, timestamp: float | None = None) -> str:
        """What time the service says that it is."""
        return super().date_time_string(self.server.scribe.clock() if timestamp is None else timestamp)

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


def _kind_of(method: str, path: str) -> tuple[Kind, tuple[str, ...]]:
    for name, its_method, pattern in _ROUTES:
        if method == its_method and (match := re.fullmatch(pattern, path)):
            return Kind(name), match.groups()
    return Kind.OTHER, ()
