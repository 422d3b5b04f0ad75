"""The gate before the service: who may speak to it, and how much they may say. Runs on the event loop.

A page in a browser on the same computer must not get in (``Host`` and ``Origin`` are checked), nor may a program
without the token, and nobody can make the service hold more than one body of the allowed size in memory.
"""

from __future__ import annotations

import asyncio
import hmac
import json
from collections.abc import Callable, Iterable
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.service.limits import Limits
from app.service.webhooks import is_loopback

_READ_ANYWAY = 4
"""A body over its limit is still read, and dropped, up to so many times the limit, so that the answer arrives."""


def loopback_hosts(host: str, port: int) -> frozenset[str]:
    """The values of ``Host`` that mean this service and nothing else."""
    names = ("127.0.0.1", "localhost", "[::1]", f"[{host}]" if ":" in host else host)
    return frozenset(f"{name}:{port}".lower() for name in names)


def require_loopback(host: str) -> None:
    """Refuse to be reachable from other computers."""
    if not is_loopback(host):
        raise ValueError(f"The scribe service listens on this computer only, not on {host}: use 127.0.0.1.")


class _Stopped(Exception):
    """The gate has an answer of its own."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


class _Gone(Exception):
    """The caller hung up in the middle of the body: nothing of it is used."""


class Gate:
    """ASGI middleware: lets a request through whole, or answers it itself in the protocol's error form."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        token: str,
        hosts: Iterable[str],
        public: Iterable[str],
        limits: Limits,
        is_audio: Callable[[str], bool],
    ) -> None:
        self._app = app
        self._token = token.encode()
        self._hosts = frozenset(hosts)
        self._public = frozenset(public)
        self._limits = limits
        self._is_audio = is_audio

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection event."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            self._check(scope)
            body = await self._body(scope, receive)
        except _Stopped as stop:
            await _answer(send, stop)
        except _Gone:
            return
        else:
            await self._app(scope, _once(body, receive), send)

    def _check(self, scope: Scope) -> None:
        hosts = _headers(scope, b"host")
        if len(hosts) != 1 or hosts[0].decode("latin-1").lower() not in self._hosts:
            raise _Stopped(403, "forbidden", "This service answers to its own address only.")
        if _headers(scope, b"origin"):
            raise _Stopped(403, "forbidden", "This service does not speak to web pages.")
        if scope["path"] in self._public:
            return
        given = _headers(scope, b"authorization")
        expected = b"Bearer " + self._token
        if len(given) != 1 or not hmac.compare_digest(given[0], expected):
            raise _Stopped(401, "authentication_failed", "A valid token is required: Authorization: Bearer ….")

    async def _body(self, scope: Scope, receive: Receive) -> bytes:
        limits = self._limits
        limit = limits.chunk_bytes if self._is_audio(scope["path"]) else limits.body_bytes
        declared = _headers(scope, b"content-length")
        if declared and int(declared[0]) > limit * _READ_ANYWAY:
            raise _too_large(limit)
        try:
            async with asyncio.timeout(limits.body_read_seconds):
                return await _read(receive, limit)
        except TimeoutError as exc:
            raise _Stopped(408, "request_timeout", "The request did not arrive in time.") from exc


async def _read(receive: Receive, limit: int) -> bytes:
    body = bytearray()
    size = 0
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _Gone
        part: bytes = message.get("body", b"")
        size += len(part)
        more = message.get("more_body", False)
        if size <= limit:
            body += part
        elif size > limit * _READ_ANYWAY:
            raise _too_large(limit)
    if size > limit:
        raise _too_large(limit)
    return bytes(body)


def _too_large(limit: int) -> _Stopped:
    return _Stopped(413, "payload_too_large", f"The body is larger than {limit} bytes.")


def _headers(scope: Scope, name: bytes) -> list[bytes]:
    return [value for key, value in scope["headers"] if key == name]


def _once(body: bytes, receive: Receive) -> Receive:
    """A ``receive`` that hands the whole body over, then what really comes next."""
    delivered = False

    async def handed_over() -> Message:
        nonlocal delivered
        if delivered:
            return await receive()
        delivered = True
        return {"type": "http.request", "body": body, "more_body": False}

    return handed_over


async def _answer(send: Send, stop: _Stopped) -> None:
    body = json.dumps(error_body(stop.code, stop.message)).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
    ]
    if stop.status == 401:  # noqa: PLR2004
        headers.append((b"www-authenticate", b"Bearer"))
    await send({"type": "http.response.start", "status": stop.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def error_body(code: str, message: str, details: dict[str, Any] | None = None) -> dict[str, Any]:
    """The protocol's error form."""
    return {"error": {"code": code, "message": message, "details": details or {}}}
