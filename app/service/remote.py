"""One exchange with an OpenAI-compatible endpoint: where it may be, what may come back, how long it may take.

Used on the service's worker thread; blocks. The key, what is sent and what comes back are never logged.
"""

from __future__ import annotations

import http.client
import ipaddress
import ssl
import time
from urllib.parse import urlsplit

from app.service.ports import EngineUnavailable

_LARGEST_ANSWER_BYTES = 2_000_000
_BLOCK_BYTES = 64_000


class Endpoint:
    """A path of an endpoint.

    Args:
        what: what it is for, as the errors name it (``transcription``, ``note``).
        url: the base, with or without ``/v1`` or the whole path. Must be https, or http on this computer: what was
            said in a consultation goes there.
        path: the path behind ``/v1``.
        key: the bearer token; None or empty for an endpoint that asks for none.
        limit_seconds: how long one exchange may take.

    Raises:
        ValueError: the URL is not one that a consultation may be sent to.
    """

    def __init__(self, what: str, url: str, path: str, key: str | None, limit_seconds: float) -> None:
        parts = urlsplit(url)
        if not (parts.scheme == "https" or (parts.scheme == "http" and _is_this_computer(parts.hostname))):
            raise ValueError(f"A {what} endpoint must use https, or http on this computer.")
        if not parts.hostname or parts.username is not None:
            raise ValueError(f"A {what} endpoint needs a host and no user name in its URL.")
        base = parts.path.rstrip("/")
        self._what = what
        self._is_secure = parts.scheme == "https"
        self._port = parts.port
        self._path = base if base.endswith(path) else (base or "/v1") + path
        self._key = key
        self._limit_seconds = limit_seconds
        self.host = parts.hostname

    def __repr__(self) -> str:
        return f"Endpoint({self._what!r}, {self.host!r})"

    def post(self, content_type: str, body: bytes) -> bytes:
        """Send ``body``; the answer's.

        Raises:
            EngineUnavailable: the endpoint cannot be reached, refuses, sends too much or takes too long.
        """
        deadline = time.monotonic() + self._limit_seconds
        connection = self._connection()
        headers = {"Content-Type": content_type, "Accept": "application/json"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        try:
            # http.client follows no redirects, so the key and the consultation go nowhere else.
            connection.request("POST", self._path, body, headers)
            with connection.getresponse() as response:
                status, answer = response.status, self._read(response, deadline)
        except (OSError, ValueError, http.client.HTTPException) as exc:
            raise EngineUnavailable(f"The {self._what} endpoint could not be reached.") from exc
        finally:
            connection.close()
        if status != http.HTTPStatus.OK:
            raise EngineUnavailable(f"The {self._what} endpoint answered {status}.")
        return answer

    def _connection(self) -> http.client.HTTPConnection:
        if self._is_secure:
            context = ssl.create_default_context()
            return http.client.HTTPSConnection(self.host, self._port, timeout=self._limit_seconds, context=context)
        return http.client.HTTPConnection(self.host, self._port, timeout=self._limit_seconds)

    def _read(self, response: http.client.HTTPResponse, deadline: float) -> bytes:
        """The whole body, unless it is too large or comes too slowly."""
        answer = b""
        while block := response.read1(_BLOCK_BYTES):
            answer += block
            if len(answer) > _LARGEST_ANSWER_BYTES:
                raise EngineUnavailable(f"The {self._what} endpoint's answer is too large.")
            if time.monotonic() > deadline:
                raise EngineUnavailable(f"The {self._what} endpoint took too long.")
        return answer


def _is_this_computer(host: str | None) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False
