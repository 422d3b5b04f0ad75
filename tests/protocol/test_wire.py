"""Bounds of one exchange, over real sockets: no server holds us up, fills memory or draws the token away."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import httpx
import pytest

from app.core.events import SessionCreated
from app.core.problems import ProblemKind as Kind
from app.protocol.answer import MAX_ANSWER_BYTES, Answer
from app.protocol.client import ScribeClient
from app.protocol.transport import tls_context
from app.protocol.wire import Patience, Wire
from tests.protocol.scripted import SESSION, TOKEN, RawServer, answer, kind_of

HURRY = Patience(total_seconds=0.6, read_seconds=0.4, connect_seconds=0.4)


def get(server: RawServer, patience: Patience = HURRY) -> Answer:
    line = Wire(server.url, TOKEN, None, "test")
    try:
        return line.send("GET", httpx.URL(server.url), patience)
    finally:
        line.close()


def dripping(server_holder: list[RawServer], head: bytes) -> Callable[[socket.socket], None]:
    def drip(line: socket.socket) -> None:
        line.sendall(head)
        while not server_holder[0].stopped.wait(0.1):
            line.sendall(b"a")

    return drip


def silent() -> RawServer:
    def wait(_line: socket.socket) -> None:
        server.stopped.wait(10)

    server = RawServer(wait)
    return server


@pytest.mark.parametrize(
    "head",
    [b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", b"HTTP/1.1 200 OK\r\nX-Long: ", b"HT"],
    ids=["body", "headers", "status line"],
)
def test_an_answer_in_drips_is_given_up_at_the_deadline(head: bytes) -> None:
    holder: list[RawServer] = []
    holder.append(RawServer(dripping(holder, head)))
    with holder[0] as server:
        started = time.monotonic()
        kind = kind_of(lambda: get(server))
        assert time.monotonic() - started < 3
    assert kind in (Kind.TIMED_OUT, Kind.UNREACHABLE)


def test_a_silent_server_times_out() -> None:
    with silent() as server:
        assert kind_of(lambda: get(server)) is Kind.TIMED_OUT


def test_a_server_that_takes_no_more_bytes_is_given_up_at_the_deadline() -> None:
    with silent() as server:
        line = Wire(server.url, TOKEN, None, "test")
        body = bytes(32 * 1024 * 1024)
        assert kind_of(lambda: line.send("POST", httpx.URL(server.url), HURRY, body)) is Kind.TIMED_OUT
        line.close()


def test_an_endless_answer_is_cut_off() -> None:
    sent = 0

    def flood(line: socket.socket) -> None:
        nonlocal sent
        line.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            line.sendall(b"10000\r\n" + b"a" * 65536 + b"\r\n")
            sent += 65536

    with RawServer(flood) as server:
        assert kind_of(lambda: get(server, Patience())) is Kind.ANSWER_UNREADABLE
    assert sent < 2 * MAX_ANSWER_BYTES


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd", "identity, gzip", "x"])
def test_compression_is_asked_not_to_be_used_and_refused_when_it_is(coding: str) -> None:
    with RawServer(lambda line: line.sendall(answer(b"{}", f"Content-Encoding: {coding}"))) as server:
        assert kind_of(lambda: get(server)) is Kind.ANSWER_UNREADABLE
        assert b"accept-encoding: identity" in server.heads[0].lower()
    with RawServer(lambda line: line.sendall(answer(b"{}", "Content-Encoding: identity"))) as server:
        assert get(server).json() == {}


@pytest.mark.parametrize("status", ["301 A", "302 A", "303 A", "307 A", "308 A"])
def test_a_redirect_is_not_followed_and_takes_nothing_elsewhere(status: str) -> None:
    with RawServer(lambda line: line.sendall(answer(b"{}"))) as elsewhere:
        place = f"Location: {elsewhere.url}"
        with RawServer(lambda line: line.sendall(answer(b"", place, status=status))) as server:
            client = ScribeClient(server.url, TOKEN)
            created = SessionCreated(SESSION, f"{elsewhere.url}/up")
            assert kind_of(lambda: client.status(SESSION)) is Kind.NOT_A_SCRIBE_SERVICE
            assert kind_of(lambda: client.upload(created, 0, b"x", "audio/wav", "wav")) is Kind.NOT_A_SCRIBE_SERVICE
            client.close()
        assert elsewhere.heads == []


def test_the_environment_sends_nothing_through_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    with RawServer(lambda line: line.sendall(answer(b"{}"))) as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        with RawServer(lambda line: line.sendall(answer(b"{}"))) as server:
            assert get(server).status == 200
        assert proxy.heads == []


def test_cookies_are_not_kept() -> None:
    with RawServer(lambda line: line.sendall(answer(b"{}", "Set-Cookie: a=b"))) as server:
        line = Wire(server.url, TOKEN, None, "test")
        for _ in range(2):
            line.send("GET", httpx.URL(server.url), HURRY)
        line.close()
        assert b"cookie" not in server.heads[1].lower()


@pytest.mark.parametrize("said", [b"", b"SSH-2.0-x\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\na"])
def test_what_is_no_answer_is_unreachable(said: bytes) -> None:
    with RawServer(lambda line: line.sendall(said)) as server:
        assert kind_of(lambda: get(server)) is Kind.UNREACHABLE


def test_nobody_listening_is_unreachable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    client = ScribeClient(f"http://127.0.0.1:{port}/v1", TOKEN)
    assert kind_of(client.discover) is Kind.UNREACHABLE
    client.close()


def test_who_waits_for_an_answer_is_woken_when_the_client_is_closed() -> None:
    is_asked, is_over = threading.Event(), threading.Event()

    def think(_: socket.socket) -> None:
        is_asked.set()
        is_over.wait(30)

    with RawServer(think) as server, ThreadPoolExecutor(1) as waiting:
        client = ScribeClient(server.url, TOKEN)
        kind = waiting.submit(kind_of, lambda: client.status(SESSION))
        assert is_asked.wait(10)
        client.close()
        assert kind.result(10) is Kind.UNREACHABLE
        is_over.set()


def test_another_origin_is_refused_before_a_byte_is_sent() -> None:
    with RawServer(lambda line: line.sendall(answer(b"{}"))) as elsewhere:
        line = Wire("http://127.0.0.1:9/v1", TOKEN, None, "test")
        assert kind_of(lambda: line.send("GET", httpx.URL(elsewhere.url), HURRY)) is Kind.INSECURE
        line.close()
        assert elsewhere.heads == []


def test_a_service_without_tls_behind_an_https_address_is_insecure() -> None:
    with RawServer(lambda line: line.sendall(answer(b"{}"))) as server:
        client = ScribeClient(server.url.replace("http:", "https:"), TOKEN)
        assert kind_of(client.discover) is Kind.INSECURE
        client.close()


def test_a_certificate_that_nobody_vouches_for_is_refused(tmp_path: Path) -> None:
    with RawServer(lambda line: line.sendall(answer(b"{}")), tls=self_signed(tmp_path)) as server:
        client = ScribeClient(server.url.replace("http:", "https:"), TOKEN)
        assert kind_of(lambda: client.status(SESSION)) is Kind.INSECURE
        client.close()
        assert server.heads == []


def self_signed(folder: Path) -> ssl.SSLContext:
    """A server's side with a certificate for 127.0.0.1 that is its own authority."""
    x509 = pytest.importorskip("cryptography.x509")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    file = folder / "server.pem"
    file.write_bytes(key.private_bytes(pem, form, serialization.NoEncryption()) + made.public_bytes(pem))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context


def test_certificates_are_checked_and_keys_are_not_logged(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys"))
    context = tls_context()
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2
    assert not context.keylog_filename
    assert not (tmp_path / "keys").exists()
