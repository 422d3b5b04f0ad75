"""A way for bytes that keeps the exchange's deadline, and the rules of TLS.

Blocking; may be used from several threads at once. The environment has no say: no proxy, no key log.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import certifi
import httpcore
import httpx

from app.core.problems import ProblemKind
from app.protocol.answer import refused

_KEEPALIVE_SECONDS = 120.0
_WRITE_BYTES = 64 * 1024
_SILENCE_SECONDS = 10
"""How long the other side's network may leave what was sent, or a question whether it is there, unacknowledged."""

deadline: ContextVar[float] = ContextVar("deadline", default=float("inf"))
"""When the exchange that this thread is in must be over (monotonic)."""


def _within(timeout: float | None, late: type[Exception]) -> float | None:
    left = deadline.get() - time.monotonic()
    if left <= 0:
        raise late("the exchange took too long")
    return min(left, timeout if timeout is not None else left)


class _BoundedStream(httpcore.NetworkStream):
    """A connection on which no read or write outlives the exchange's deadline, not even of headers in drips."""

    def __init__(self, stream: httpcore.NetworkStream, opened: set[_BoundedStream]) -> None:
        """``opened`` holds all connections that are not closed yet, and this one from now on."""
        self._stream = stream
        self._opened = opened
        opened.add(self)

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _within(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        for start in range(0, len(buffer), _WRITE_BYTES):
            piece = buffer[start : start + _WRITE_BYTES]
            self._stream.write(piece, _within(timeout, httpcore.WriteTimeout))

    def close(self) -> None:
        # Closing alone wakes nobody who reads on another thread: he would wait on for the whole of his patience.
        raw = self._stream.get_extra_info("socket")
        with suppress(OSError, AttributeError):
            socket.socket.shutdown(raw, socket.SHUT_RDWR)
        self._stream.close()
        self._opened.discard(self)

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        within = _within(timeout, httpcore.ConnectTimeout)
        stream = self._stream.start_tls(ssl_context, server_hostname, within)
        self._opened.discard(self)  # The connection is that one's now.
        return _BoundedStream(stream, self._opened)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class _BoundedBackend(httpcore.SyncBackend):
    def __init__(self) -> None:
        self.opened: set[_BoundedStream] = set()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        within = _within(timeout, httpcore.ConnectTimeout)
        return _BoundedStream(super().connect_tcp(host, port, within, local_address, socket_options), self.opened)


class BoundedTransport(httpx.HTTPTransport):
    """httpx's transport over a pool whose connections keep the deadline."""

    def __init__(self, context: ssl.SSLContext) -> None:
        super().__init__(verify=context, trust_env=False)
        self._backend = _BoundedBackend()
        # WORKAROUND: httpx has no argument for httpcore's documented network backend
        # (https://www.encode.io/httpcore/network-backends/), and its own time-outs start afresh with each byte.
        self._pool = httpcore.ConnectionPool(
            ssl_context=context,
            max_connections=None,
            keepalive_expiry=_KEEPALIVE_SECONDS,
            network_backend=self._backend,
            socket_options=list(_watchful()),
        )

    def close(self) -> None:
        """Close all connections, also one that was being made when the pool was closed, which it forgets."""
        super().close()
        for stream in list(self._backend.opened):
            stream.close()


def _watchful() -> Iterator[tuple[int, int, int]]:
    """Have the system give a connection up when nobody acknowledges anything on it any more.

    A service may think for a minute before it answers, but its network says at once that it is there. Without this, a
    network that was left behind would be waited for as long as a service that thinks. Not every system has all of it.
    """
    yield socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1
    for name, value in (
        ("TCP_KEEPIDLE", _SILENCE_SECONDS // 2),
        ("TCP_KEEPALIVE", _SILENCE_SECONDS // 2),  # The same on a Mac.
        ("TCP_KEEPINTVL", 2),
        ("TCP_KEEPCNT", 3),
        ("TCP_USER_TIMEOUT", _SILENCE_SECONDS * 1000),
    ):
        if hasattr(socket, name):
            yield socket.IPPROTO_TCP, getattr(socket, name), value


def tls_context(ca_file: Path | None = None) -> ssl.SSLContext:
    """Verification on, the system's and the bundled authorities, no key log whatever the environment says.

    A hospital's own authorities come in a ``ca_file``; they are believed beside the others.

    Raises:
        RequestRefused: the file cannot be read or holds no certificate.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_default_certs()
    context.load_verify_locations(certifi.where())
    try:
        if ca_file is not None:
            context.load_verify_locations(ca_file)
    except OSError as error:
        raise refused(ProblemKind.INSECURE, "the file of certificate authorities cannot be read") from error
    return context
