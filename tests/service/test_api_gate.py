"""Who may speak to the service, and how much they may say."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.service.security import require_loopback
from tests.service.peer import Peer, error_code, serving, wav


@pytest.fixture
def peer(tmp_path: Path) -> Iterator[Peer]:
    with serving(tmp_path / "data", chunk_bytes=100_000, body_bytes=1_000) as running:
        yield running


@pytest.mark.fault("L1")
@pytest.mark.parametrize(
    "sent", ["", "Bearer", "Bearer wrong", "bearer test-token", "test-token", "Bearer test-token "]
)
def test_without_the_token(peer: Peer, sent: str) -> None:
    for method, path in (("GET", "/templates"), ("POST", "/sessions"), ("GET", "/no/such/route")):
        answer = peer.client.request(method, path, headers={"Authorization": sent})
        assert (answer.status_code, error_code(answer)) == (401, "authentication_failed")
        assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.fault("L1")
def test_an_upload_without_the_token_stores_nothing(peer: Peer, tmp_path: Path) -> None:
    session = peer.client.create()
    answer = peer.client.post(
        f"/sessions/{session}/audio/audio_0.wav",
        content=wav(0),
        headers={"Authorization": "", "Content-Type": "audio/wav"},
    )
    assert answer.status_code == 401
    assert list(tmp_path.rglob("*.sealed")) == []


@pytest.mark.fault("L1")
@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "127.0.0.1:7001", "evil.example:7000", ""])
def test_through_a_foreign_name(peer: Peer, host: str) -> None:
    for path in ("/templates", "/.well-known/medscribealliance"):
        answer = peer.client.get(path, headers={"Host": host})
        assert (answer.status_code, error_code(answer)) == (403, "forbidden")


@pytest.mark.parametrize("host", ["localhost:7000", "LOCALHOST:7000", "[::1]:7000"])
def test_through_its_own_names(peer: Peer, host: str) -> None:
    answer = peer.client.get("/.well-known/medscribealliance", headers={"Host": host})
    assert answer.json()["endpoints"]["base_url"] == f"http://{host}/voice/v1"


@pytest.mark.fault("L1")
@pytest.mark.parametrize("origin", ["null", "http://127.0.0.1:7000", "https://evil.example"])
def test_from_a_web_page(peer: Peer, origin: str) -> None:
    answer = peer.client.get("/templates", headers={"Origin": origin})
    assert (answer.status_code, error_code(answer)) == (403, "forbidden")


@pytest.mark.fault("L2")
def test_too_large(peer: Peer, tmp_path: Path) -> None:
    session = peer.client.create()
    for size in (100_001, 1_000_000):
        answer = peer.client.upload(session, 0, b"x" * size)
        assert (answer.status_code, error_code(answer)) == (413, "payload_too_large")
    assert peer.client.post("/sessions", json={"templates": ["x" * 2000]}).status_code == 413
    assert list(tmp_path.rglob("*.sealed")) == []


def test_unknown_routes_and_methods_are_answered_in_the_protocols_form(peer: Peer) -> None:
    missing = peer.client.get("/no/such/route")
    assert (missing.status_code, error_code(missing)) == (404, "not_found")
    wrong = peer.client.request("PATCH", "/sessions")
    assert (wrong.status_code, error_code(wrong)) == (405, "method_not_allowed")
    assert wrong.headers["allow"] == "POST"


def test_only_this_computer(tmp_path: Path) -> None:
    for host in ("0.0.0.0", "192.168.1.5", "example.org", "::"):
        with pytest.raises(ValueError, match="this computer only"):
            require_loopback(host)
    for host in ("127.0.0.1", "localhost", "::1"):
        require_loopback(host)
