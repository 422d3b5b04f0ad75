"""A service that says what a test tells it to: in this process, or byte by byte over real sockets."""

from __future__ import annotations

import json
import re
import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import httpx

from app.core.problems import ProblemKind
from app.protocol.answer import RequestRefused
from app.protocol.client import ScribeClient

BASE = "https://scribe.example/voice/v1"
TOKEN = "token-never-to-be-seen"
TLS_HELLO = b"\x16\x03"
SESSION = "ses_0123456789abcdefghij"


def body_of(request: httpx.Request) -> Any:
    return json.loads(request.content)


class Script:
    """Answers requests in the order given, the last answer for ever, and remembers what was asked."""

    def __init__(self, *answers: httpx.Response | Callable[[httpx.Request], httpx.Response]) -> None:
        self._answers = list(answers)
        self.asked: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, httpx.Response):
            return answer
        return answer(request)

    def client(self, base: str = BASE, token: str | Callable[[], str] = TOKEN) -> ScribeClient:
        return ScribeClient(base, token, transport=httpx.MockTransport(self))


def refusal_of(call: Callable[[], object]) -> RequestRefused:
    """The refusal that a call ends in."""
    try:
        got = call()
    except RequestRefused as refused:
        return refused
    raise AssertionError(f"expected a refusal, got {got!r}")


def kind_of(call: Callable[[], object]) -> ProblemKind:
    return refusal_of(call).problem.kind


class RawServer:
    """Listens on this computer; each connection is handed to ``talk`` after its request's head was read.

    With ``reads_bodies`` the body has been read, too: whoever answers before that may have its answer lost.
    """

    def __init__(
        self,
        talk: Callable[[socket.socket], None],
        tls: ssl.SSLContext | None = None,
        *,
        reads_bodies: bool = False,
    ) -> None:
        self._talk = talk
        self._reads_bodies = reads_bodies
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.url = f"http://127.0.0.1:{self.port}/v1"
        self.stopped = threading.Event()
        self.heads: list[bytes] = []
        self._thread = threading.Thread(target=self._serve, name="raw-server")

    def __enter__(self) -> RawServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopped.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _serve(self) -> None:
        while not self.stopped.is_set():
            with suppress(OSError):
                line, _ = self._listener.accept()
                line.settimeout(5)
                with self._tls.wrap_socket(line, server_side=True) if self._tls else line as inner:
                    self.heads.append(_head(inner))
                    if self._reads_bodies:
                        _read_body(inner, self.heads[-1])
                    self._talk(inner)


def _head(line: socket.socket) -> bytes:
    head = b""
    while b"\r\n\r\n" not in head and not head.startswith(TLS_HELLO) and (piece := line.recv(65536)):
        head += piece
    return head


def _read_body(line: socket.socket, start: bytes) -> None:
    head, _, body = start.partition(b"\r\n\r\n")
    length = re.search(rb"content-length: *(\d+)", head, re.IGNORECASE)
    left = (int(length[1]) if length else 0) - len(body)
    while left > 0 and (piece := line.recv(65536)):
        left -= len(piece)


def answer(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    """A whole HTTP answer."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers, "", ""]
    return "\r\n".join(lines).encode() + body
