"""Credentials and audio go to the one service that the user named, whatever that service says.

Python itself is asked to which addresses the app connects and which names it looks up, so that a request to an
address where nobody listens is seen, too.
"""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from app.core.events import SessionCreated, Visit
from app.core.problems import ProblemKind as Kind
from app.protocol.answer import RequestRefused
from app.protocol.client import ScribeClient
from tests.faults.test_tls import Authority
from tests.protocol.scripted import SESSION, TOKEN, RawServer, answer, kind_of, refusal_of

CODES = (301, 302, 303, 307, 308)
AUDIO = b"what the patient said"
_listeners: list[Callable[[str, tuple[Any, ...]], None]] = []


def _hear(event: str, arguments: tuple[Any, ...]) -> None:
    for listener in _listeners:
        listener(event, arguments)


sys.addaudithook(_hear)


@contextmanager
def contacts() -> Iterator[list[tuple[str, int]]]:
    """Each host and port that this process looks up or connects to meanwhile."""
    seen: list[tuple[str, int]] = []

    def listen(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "socket.getaddrinfo":
            seen.append((str(arguments[0]), int(arguments[1] or 0)))
        elif event == "socket.connect" and isinstance(arguments[1], tuple):
            seen.append((arguments[1][0], arguments[1][1]))

    _listeners.append(listen)
    try:
        yield seen
    finally:
        _listeners.remove(listen)


class Service:
    """A service with TLS that says what it is told to, and a second listener that should hear nothing."""

    def __init__(self, folder: Path) -> None:
        authority = Authority(folder)
        self._ca_file = authority.file
        self._clients: dict[str, ScribeClient] = {}
        self._reply = b""
        self.server = RawServer(lambda line: line.sendall(self._reply), authority.context(), reads_bodies=True)
        self.elsewhere = RawServer(lambda line: line.sendall(answer(b"{}")))

    def says(self, body: bytes, *headers: str, status: str = "200 OK") -> None:
        self._reply = answer(body, *headers, status=status)
        self.server.heads.clear()

    def address(self, scheme: str, host: str, *, is_elsewhere: bool = True) -> str:
        return f"{scheme}://{host}:{(self.elsewhere if is_elsewhere else self.server).port}/v1/taken"

    def client(self, token: str = TOKEN) -> ScribeClient:
        if token not in self._clients:
            base = f"https://127.0.0.1:{self.server.port}/v1"
            self._clients[token] = ScribeClient(base, token, ca_file=self._ca_file)
        return self._clients[token]

    def close(self) -> None:
        for client in self._clients.values():
            client.close()

    def is_alone(self, seen: list[tuple[str, int]]) -> bool:
        """The service was asked, and nobody else was."""
        return set(seen) == {("127.0.0.1", self.server.port)} and self.elsewhere.heads == []


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    service = Service(tmp_path_factory.mktemp("authority"))
    with service.server, service.elsewhere:
        yield service
        service.close()


DESTINATIONS: dict[str, Callable[[Service], str]] = {
    "another port": lambda s: s.address("https", "127.0.0.1"),
    "another name of this computer": lambda s: s.address("https", "localhost"),
    "another address of this computer": lambda s: s.address("https", "127.0.0.2"),
    "without TLS": lambda s: s.address("http", "127.0.0.1"),
    "without TLS, same port": lambda s: s.address("http", "127.0.0.1", is_elsewhere=False),
    "another host": lambda _: "https://evil.example/v1/taken",
    "link-local": lambda _: "http://169.254.169.254/latest/meta-data",
    "link-local with TLS": lambda _: "https://169.254.169.254/latest/meta-data",
    "a private network": lambda _: "https://10.0.0.1/v1",
    "IPv6 loopback": lambda s: f"https://[::1]:{s.elsewhere.port}/v1",
    "IPv4 inside IPv6": lambda s: f"https://[::ffff:127.0.0.1]:{s.elsewhere.port}/v1",
    "an address as one number": lambda s: f"https://2130706433:{s.elsewhere.port}/v1",
    "no scheme": lambda s: f"//127.0.0.1:{s.elsewhere.port}/v1",
    "a user": lambda s: f"https://127.0.0.1:{s.server.port}@127.0.0.1:{s.elsewhere.port}/v1",
    "backslashes": lambda s: f"https:\\\\127.0.0.1:{s.elsewhere.port}\\v1",
    "a file": lambda _: "file:///etc/passwd",
    "a socket": lambda s: s.address("wss", "127.0.0.1"),
    "no address": lambda _: "https://[",
}
REDIRECTED_TO = (
    "another port",
    "another name of this computer",
    "another host",
    "without TLS",
    "without TLS, same port",
    "link-local",
)


def created(upload_url: str = "") -> SessionCreated:
    return SessionCreated(SESSION, upload_url)


def calls(client: ScribeClient) -> dict[str, Callable[[], object]]:
    return {
        "discovery": client.discover,
        "templates": client.templates,
        "create": partial(client.create, SESSION, Visit(), ["soap"]),
        "upload": partial(client.upload, created(), 0, AUDIO, "audio/wav", "wav"),
        "status": partial(client.status, SESSION),
        "end": partial(client.end, SESSION, 1),
        "note": partial(client.process_template, SESSION, "soap"),
    }


def has_token(head: bytes) -> bool:
    return f"\r\nAuthorization: Bearer {TOKEN}\r\n".encode() in head


@pytest.mark.fault("X3")
@pytest.mark.parametrize("destination", REDIRECTED_TO)
@pytest.mark.parametrize("code", CODES)
def test_no_redirect_is_followed_by_any_call(code: int, destination: str, service: Service) -> None:
    place = DESTINATIONS[destination](service)
    for token in (TOKEN, ""):
        for name, call in calls(service.client(token)).items():
            service.says(b"", f"Location: {place}", status=f"{code} Elsewhere")
            with contacts() as seen:
                assert kind_of(call) is Kind.NOT_A_SCRIBE_SERVICE, name
            assert service.is_alone(seen), (name, seen)
            carries = [has_token(head) for head in service.server.heads]
            assert carries == [bool(token) and name != "discovery"] * len(carries), name


@pytest.mark.fault("X4")
@pytest.mark.parametrize("destination", DESTINATIONS)
def test_audio_and_token_go_nowhere_that_the_service_names(destination: str, service: Service) -> None:
    place = DESTINATIONS[destination](service)
    presigned = {
        "uploadData": {"url": place, "fields": {"key": "a/${filename}"}},
        "folderPath": place,
        "txn_id": SESSION,
    }
    for upload_url in (place, presigned):
        with contacts() as seen:
            service.says(json.dumps({"session_id": SESSION, "upload_url": upload_url}).encode(), status="201 Created")
            session = service.client().create(SESSION, Visit(), [])
            service.says(b"{}")
            service.client().upload(session, 0, AUDIO, "audio/wav", "wav")
        assert service.is_alone(seen), seen
        (head,) = service.server.heads
        assert has_token(head)
        assert head.startswith(f"POST /v1/sessions/{SESSION}/audio/audio_0.wav ".encode())


@pytest.mark.fault("X4")
@pytest.mark.parametrize("destination", DESTINATIONS)
def test_discovery_moves_nothing_elsewhere(destination: str, service: Service) -> None:
    place = DESTINATIONS[destination](service)
    names = ("base_url", "templates_url", "webhooks_url", "upload_url", "sessions_url")
    oidc = {"issuer": place, "token_endpoint": place, "authorization_endpoint": place}
    document = {
        "protocol_version": "0.1",
        "endpoints": dict.fromkeys(names, place),
        "authentication": {"supported_methods": ["oidc"], "oidc": oidc},
    }
    with contacts() as seen:
        service.says(json.dumps(document).encode())
        service.client().discover()
        for call in calls(service.client()).values():
            service.says(b"{}", status="500 Broken")
            with suppress(RequestRefused):
                call()
    assert service.is_alone(seen), seen


@pytest.mark.fault("X3", "X4")
def test_no_header_of_an_answer_leads_elsewhere(service: Service) -> None:
    place = service.address("http", "127.0.0.1")
    headers = [
        f"Location: {place}",
        f"Content-Location: {place}",
        f"Refresh: 0; url={place}",
        f"Link: <{place}>; rel=preload",
        f'Alt-Svc: h2="127.0.0.1:{service.elsewhere.port}"; ma=3600',
        f"WWW-Authenticate: Bearer realm={place}",
        f"Proxy-Authenticate: Basic realm={place}",
        "Set-Cookie: a=b; Domain=.0.0.1",
        "Upgrade: h2c",
    ]
    for status in ("200 OK", "201 Created", "202 Accepted", "401 Who", "407 Proxy", "421 Misdirected", "426 Upgrade"):
        with contacts() as seen:
            for call in calls(service.client()).values():
                service.says(b'{"status": "processing", "templates": []}', *headers, status=status)
                with suppress(RequestRefused):
                    call()
        assert service.is_alone(seen), (status, seen)
        assert not any(b"cookie" in head.lower() for head in service.server.heads)


@pytest.mark.fault("N13")
def test_the_environment_leads_nothing_through_a_proxy_and_lends_no_password(
    service: Service, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("default login doctor password secret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{service.elsewhere.port}")
    monkeypatch.setenv("NO_PROXY", "nothing.example")
    with contacts() as seen:
        for call in calls(service.client("")).values():
            service.says(b'{"status": "processing", "templates": []}')
            with suppress(RequestRefused):
                call()
            assert service.server.heads
            assert not any(b"authorization" in head.lower() for head in service.server.heads)
    assert service.is_alone(seen), seen


@pytest.mark.fault("N13")
def test_this_computers_own_service_is_never_asked_through_a_proxy(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{service.elsewhere.port}")
    with RawServer(lambda line: line.sendall(answer(b'{"status": "completed"}'))) as local:
        client = ScribeClient(local.url, TOKEN)
        client.status(SESSION)
        client.close()
        assert len(local.heads) == 1
    assert service.elsewhere.heads == []


@pytest.mark.fault("X3")
def test_an_address_that_is_asked_for_by_name_is_noticed() -> None:
    """The ear of these tests is not deaf."""
    with contacts() as seen, suppress(OSError), socket.create_connection(("127.0.0.1", 9), timeout=1):
        pass
    assert ("127.0.0.1", 9) in seen


# Network sign-in pages -------------------------------------------------------------------------------------------

PORTAL = (
    b"<!DOCTYPE html><html><head><title>Hotel</title></head><body>Welcome! Sign in for the network.</body></html>"
)


@pytest.mark.fault("N12")
@pytest.mark.parametrize("kind", ["text/html; charset=utf-8", "application/json", "text/plain", ""])
@pytest.mark.parametrize("page", [PORTAL, b"\xef\xbb\xbf \r\n" + PORTAL.lower(), PORTAL * 20_000])
def test_a_networks_sign_in_page_is_no_success_and_is_told(kind: str, page: bytes, service: Service) -> None:
    for name, call in calls(service.client()).items():
        service.says(page, *([f"Content-Type: {kind}"] if kind else []))
        problem = refusal_of(call).problem
        assert problem.kind is Kind.NOT_A_SCRIBE_SERVICE, name
        assert problem.is_transient
        assert "sign in to the network" in problem.words.do
        assert "Welcome" not in problem.detail
