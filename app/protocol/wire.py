"""One HTTP exchange with the one service that the user named, bounded in time and size.

Owns the connection pool and the credentials. Blocking; may be used from several threads at once. It speaks to the
transport itself and not through ``httpx.Client``: no cookies, no redirects, no proxies from the environment, no
logging of addresses can creep in.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

import httpx

from app.core.problems import ProblemKind
from app.protocol.answer import MAX_ANSWER_BYTES, Answer, RequestRefused, printable, refused
from app.protocol.clock import is_about_dates, is_clock_to_blame
from app.protocol.transport import BoundedTransport, deadline, tls_context


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
        ca_file: Path | None = None,
    ) -> None:
        self.base = parse_base(base_url)
        self._token = token
        self._user_agent = user_agent
        self._ca_file = ca_file
        self._transport = transport or BoundedTransport(self._tls_context())
        self._is_closed = False

    def __repr__(self) -> str:
        return f"Wire({str(self.base)!r})"

    def close(self) -> None:
        """Close all connections; that of an exchange under way, once it is over."""
        self._is_closed = True
        self._transport.close()

    def _tls_context(self) -> ssl.SSLContext:
        is_secure = self.base.scheme == "https"
        return tls_context(self._ca_file) if is_secure else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

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
        within = deadline.set(time.monotonic() + patience.total_seconds)
        try:
            request = httpx.Request(
                method, url, headers=headers, content=body, extensions={"timeout": _timeouts(patience)}
            )
            response = self._transport.handle_request(request)
            with closing(response):
                return _read(response, token)
        except RequestRefused:
            raise
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError, ValueError) as error:
            raise self._translated(error, patience) from error
        finally:
            deadline.reset(within)
            if self._is_closed:
                self._transport.close()

    def _headers(self, media_type: str, token: str) -> dict[str, str]:
        headers = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": self._user_agent}
        if media_type:
            headers["Content-Type"] = media_type
        if token:
            headers["Authorization"] = f"Bearer {token}"
        return headers

    def _translated(self, error: Exception, patience: Patience) -> RequestRefused:
        """One problem for each of the many exceptions of the layers below."""
        trouble = _tls_trouble(error)
        if trouble is None:
            return _without_answer(error)
        is_clock = is_about_dates(trouble) and is_clock_to_blame(self.base, self._ca_file, _timeouts(patience))
        reason = getattr(trouble, "verify_message", "") or trouble.reason or type(trouble).__name__
        return refused(ProblemKind.CLOCK_WRONG if is_clock else ProblemKind.INSECURE, printable(f"TLS: {reason}"))


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
    """The whole body. Compressed bodies were not asked for, and a small bomb can become a big one."""
    if response.headers.get("content-encoding", "").strip().lower() not in ("", "identity"):
        raise refused(ProblemKind.ANSWER_UNREADABLE, "the answer is compressed, which was not asked for")
    body = bytearray()
    stream = response.stream
    assert isinstance(stream, httpx.SyncByteStream)
    for piece in stream:
        body += piece
        if len(body) > MAX_ANSWER_BYTES:
            raise refused(ProblemKind.ANSWER_UNREADABLE, "the answer is larger than 16 MiB")
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Answer(response.status_code, headers, bytes(body), token)


# Errors ---------------------------------------------------------------------------------------------------------


def _without_answer(error: Exception) -> RequestRefused:
    """The texts of these exceptions may hold addresses: left out."""
    name = type(error).__name__
    if isinstance(error, httpx.ConnectTimeout):
        return refused(ProblemKind.UNREACHABLE, "no connection in time")
    if isinstance(error, httpx.TimeoutException):
        return refused(ProblemKind.TIMED_OUT, name)
    if isinstance(error, httpx.TransportError | OSError):
        return refused(ProblemKind.UNREACHABLE, name)
    return refused(ProblemKind.ANSWER_UNREADABLE, name)


def _tls_trouble(error: BaseException | None) -> ssl.SSLError | None:
    while error is not None:
        if isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
            return error
        error = error.__cause__ or error.__context__
    return None
