"""One HTTP exchange with the one service that the user named, bounded in time and size.

Owns the connection pool and the credentials. Blocking; may be used from several threads at once. It speaks to the
transport itself and not through ``httpx.Client``: no cookies, no redirects, no proxies from the environment, no
logging of addresses can creep in.
"""

from __future__ import annotations

import ssl
import time
import zlib
from collections.abc import Callable, Iterable
from contextlib import closing
from contextvars import ContextVar
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

import certifi
import httpcore
import httpx

from app.core.problems import ProblemKind
from app.protocol.answer import Answer, RequestRefused, refused

MAX_ANSWER_BYTES = 16 * 1024 * 1024
_KEEPALIVE_SECONDS = 120.0
_WRITE_BYTES = 64 * 1024


@dataclass(frozen=True)
class Patience:
    """How long one call may take: to connect, between two bytes, and in all."""

    total_seconds: float = 30.0
    read_seconds: float = 30.0
    connect_seconds: float = 8.0


class Wire:
    """Sends requests to one origin and no other."""

    def __init__(
        self,
        base_url: str,
        token: str | Callable[[], str],
        transport: httpx.BaseTransport | None,
        user_agent: str,
    ) -> None:
        self.base = parse_base(base_url)
        self._token = token
        self._user_agent = user_agent
        self._transport = transport or _BoundedTransport(is_secure=self.base.scheme == "https")

    def __repr__(self) -> str:
        return f"Wire({str(self.base)!r})"

    def close(self) -> None:
        """Close all connections."""
        self._transport.close()

    def _current_token(self) -> str:
        token = self._token if isinstance(self._token, str) else self._token()
        if not (token.isascii() and token.isprintable()):
            raise refused(ProblemKind.NOT_SIGNED_IN, "the stored token holds characters that no token has")
        return token

    def send(
        self,
        method: str,
        url: httpx.URL,
        patience: Patience,
        body: bytes = b"",
        media_type: str = "",
        *,
        is_public: bool = False,
    ) -> Answer:
        """Exchange one request for one answer, whatever its status. A public call carries no token.

        Raises:
            RequestRefused: there was no whole answer, or the address is not the service's.
        """
        if not is_same_origin(url, self.base):
            raise refused(ProblemKind.INSECURE, "the address is not the configured service's")
        token = "" if is_public else self._current_token()
        headers = self._headers(media_type, token)
        deadline = _deadline.set(time.monotonic() + patience.total_seconds)
        try:
            request = httpx.Request(
                method, url, headers=headers, content=body, extensions={"timeout": _timeouts(patience)}
            )
            response = self._transport.handle_request(request)
            with closing(response):
                return _read(response, token)
        except RequestRefused:
            raise
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError, ValueError, zlib.error) as error:
            raise _translated(error) from error
        finally:
            _deadline.reset(deadline)

    def _headers(self, media_type: str, token: str) -> dict[str, str]:
        headers = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": self._user_agent}
        if media_type:
            headers["Content-Type"] = media_type
        if token:
            headers["Authorization"] = f"Bearer {token}"
        return headers


# Addresses ------------------------------------------------------------------------------------------------------


def parse_base(base_url: str) -> httpx.URL:
    """The service's address: https, or http on this computer alone.

    Raises:
        RequestRefused: it is no address that may be used.
    """
    try:
        url = httpx.URL(base_url.strip().rstrip("/"))
    except (httpx.InvalidURL, ValueError, TypeError) as error:
        raise refused(ProblemKind.NOT_A_SCRIBE_SERVICE, "the service's address is not an address") from error
    if url.scheme not in ("http", "https") or not url.host or url.userinfo or url.query or url.fragment:
        raise refused(ProblemKind.NOT_A_SCRIBE_SERVICE, "the service's address is not a plain https address")
    if url.scheme == "http" and not is_loopback(url.host):
        raise refused(ProblemKind.INSECURE, "the service's address is not https")
    return url


def is_loopback(host: str) -> bool:
    """This computer by its usual names."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def is_same_origin(one: httpx.URL, other: httpx.URL) -> bool:
    """Scheme, host and port are equal."""
    return _origin(one) == _origin(other)


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port or {"http": 80, "https": 443}.get(url.scheme)


# Bounds ---------------------------------------------------------------------------------------------------------


def _timeouts(patience: Patience) -> dict[str, float]:
    return {
        "connect": patience.connect_seconds,
        "read": patience.read_seconds,
        "write": patience.read_seconds,
        "pool": patience.total_seconds,
    }


def _read(response: httpx.Response, token: str) -> Answer:
    """The whole body, decoded as it comes so that a small bomb cannot become a big one."""
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("", "identity", "gzip", "deflate"):
        raise refused(ProblemKind.ANSWER_UNREADABLE, "the answer is compressed in a way that was not asked for")
    inflate = zlib.decompressobj(wbits=47) if encoding in ("gzip", "deflate") else None
    body = bytearray()
    stream = response.stream
    assert isinstance(stream, httpx.SyncByteStream)
    for piece in stream:
        body += inflate.decompress(piece, MAX_ANSWER_BYTES + 1 - len(body)) if inflate else piece
        if len(body) > MAX_ANSWER_BYTES:
            raise refused(ProblemKind.ANSWER_UNREADABLE, "the answer is larger than 16 MiB")
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Answer(response.status_code, headers, bytes(body), token)


_deadline: ContextVar[float] = ContextVar("deadline", default=float("inf"))
"""When the exchange that this thread is in must be over (monotonic)."""


def _within(timeout: float | None, late: type[Exception]) -> float | None:
    left = _deadline.get() - time.monotonic()
    if left <= 0:
        raise late("the exchange took too long")
    return min(left, timeout if timeout is not None else left)


class _BoundedStream(httpcore.NetworkStream):
    """A connection on which no read or write outlives the exchange's deadline, not even of headers in drips."""

    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _within(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        for start in range(0, len(buffer), _WRITE_BYTES):
            piece = buffer[start : start + _WRITE_BYTES]
            self._stream.write(piece, _within(timeout, httpcore.WriteTimeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        within = _within(timeout, httpcore.ConnectTimeout)
        return _BoundedStream(self._stream.start_tls(ssl_context, server_hostname, within))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class _BoundedBackend(httpcore.SyncBackend):
    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        within = _within(timeout, httpcore.ConnectTimeout)
        return _BoundedStream(super().connect_tcp(host, port, within, local_address, socket_options))


class _BoundedTransport(httpx.HTTPTransport):
    """httpx's transport over a pool whose connections keep the deadline."""

    def __init__(self, is_secure: bool) -> None:
        context = _tls_context() if is_secure else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        super().__init__(verify=context, trust_env=False)
        # WORKAROUND: httpx has no argument for httpcore's documented network backend
        # (https://www.encode.io/httpcore/network-backends/), and its own time-outs start afresh with each byte.
        self._pool = httpcore.ConnectionPool(
            ssl_context=context,
            max_connections=None,
            keepalive_expiry=_KEEPALIVE_SECONDS,
            network_backend=_BoundedBackend(),
        )


def _tls_context() -> ssl.SSLContext:
    """Verification on, the system's and the bundled authorities, no key log whatever the environment says."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_default_certs()
    context.load_verify_locations(certifi.where())
    return context


# Errors ---------------------------------------------------------------------------------------------------------


def _translated(error: Exception) -> RequestRefused:
    """One problem for each of the many exceptions of the layers below. Their texts may hold addresses: left out."""
    name = type(error).__name__
    if _is_tls_trouble(error):
        return refused(ProblemKind.INSECURE, f"TLS: {name}")
    if isinstance(error, httpx.ConnectTimeout):
        return refused(ProblemKind.UNREACHABLE, "no connection in time")
    if isinstance(error, httpx.TimeoutException):
        return refused(ProblemKind.TIMED_OUT, name)
    if isinstance(error, httpx.TransportError | OSError):
        return refused(ProblemKind.UNREACHABLE, name)
    return refused(ProblemKind.ANSWER_UNREADABLE, name)


def _is_tls_trouble(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
            return True
        error = error.__cause__ or error.__context__
    return False
