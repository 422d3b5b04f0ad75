"""Events reach those who asked, signed, and again until they are taken."""

from __future__ import annotations

import hashlib
import hmac
import json
import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from app.service.database import Database, Webhook
from app.service.sessions import Session, Status
from app.service.webhooks import MAX_ATTEMPTS, Deliverer, queue_event
from tests.service.peer import KEY, error_code, serving

SECRET = "s" * 32


class Receiver:
    """A destination on this computer."""

    def __init__(self, statuses: list[int]) -> None:
        self.got: queue.Queue[tuple[str, bytes]] = queue.Queue()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(statuses.pop(0) if statuses else 200)
                self.send_header("Content-Length", "0")
                self.end_headers()
                receiver.got.put((self.headers["X-MSA-Signature"], body))

            def log_message(self, *_: object) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook?a=b"

    def next(self) -> dict[str, Any]:
        """The next event, its signature checked."""
        signature, body = self.got.get(timeout=20)
        moment = signature.split(",")[0].removeprefix("t=")
        digest = hmac.new(SECRET.encode(), f"{moment}.".encode() + body, hashlib.sha256).hexdigest()
        assert signature == f"t={moment},v1={digest}"
        event: dict[str, Any] = json.loads(body)
        return event


@contextmanager
def receiving(*statuses: int) -> Iterator[Receiver]:
    receiver = Receiver(list(statuses))
    thread = threading.Thread(target=receiver.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield receiver
    finally:
        receiver.server.shutdown()
        thread.join()
        receiver.server.server_close()


def test_a_session_is_told_from_start_to_end(tmp_path: Path) -> None:
    with receiving() as receiver, serving(tmp_path / "data") as peer:
        events = ["session.started", "session.ended", "session.completed"]
        hook = peer.client.post("/webhooks", json={"url": receiver.url, "events": events, "secret": SECRET})
        assert hook.status_code == 201
        session = peer.client.create()
        peer.client.upload(session, 0)
        peer.client.end(session, 1)
        told = [receiver.next() for _ in range(3)]
    assert [event["event"] for event in told] == events
    assert {event["session_id"] for event in told} == {session}
    assert told[-1]["status"] == "completed"
    assert "chunk 0" not in json.dumps(told)


def test_registered_listed_without_secret_and_deleted(tmp_path: Path) -> None:
    with serving(tmp_path / "data") as peer:
        body = {"url": "https://clinic.example/hook", "events": ["session.completed"]}
        made = peer.client.post("/webhooks", json=body).json()
        assert len(made["secret"]) == 64
        (listed,) = peer.client.get("/webhooks").json()["webhooks"]
        assert (listed["webhook_id"], "secret" in listed) == (made["webhook_id"], False)
        assert peer.client.request("DELETE", f"/webhooks/{made['webhook_id']}").status_code == 204
        again = peer.client.request("DELETE", f"/webhooks/{made['webhook_id']}")
        assert (again.status_code, error_code(again)) == (404, "webhook_not_found")


@pytest.mark.parametrize(
    "url",
    ["http://clinic.example/", "ftp://127.0.0.1/", "https://", "https://u:p@x/", "https://x:99999/", "https://a b/",
     "https://x/\r\nX: y", "http://127.0.0.1.evil.example/", "https://[::1", "https://\u00e9.example/"],
)  # fmt: skip
def test_destinations_that_are_refused(tmp_path: Path, url: str) -> None:
    with serving(tmp_path / "data") as peer:
        answer = peer.client.post("/webhooks", json={"url": url, "events": ["session.ended"]})
        assert (answer.status_code, error_code(answer)) == (400, "invalid_request")


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(tmp_path / "service.db", KEY)
    yield database
    database.close()


def queued(database: Database, url: str, now: float) -> None:
    session = Session("ses_a", "folder", now, now)
    with database.writing() as records:
        records.add_webhook(Webhook("wh_a", url, ("session.ended",), SECRET, now))
        queue_event(records, "session.started", session, Status.CREATED, now)
        queue_event(records, "session.ended", session, Status.PROCESSING, now)


def test_a_refused_event_is_sent_again_later_and_then_no_more(database: Database) -> None:
    clock = 1_700_000_000.0
    with receiving(500, 302) as receiver:
        queued(database, receiver.url, clock)
        deliverer = Deliverer(database, lambda: clock)
        first: dict[str, Any] | None = None
        for wait in (0, 5, 10):
            clock += wait
            deliverer.deliver_due()
            event = receiver.next()
            assert event == (first := first or event)
            deliverer.deliver_due()
            assert receiver.got.empty()
    with database.reading() as records:
        assert records.next_delivery_at() is None


def test_a_destination_that_is_never_there_is_given_up(database: Database) -> None:
    clock = 1_700_000_000.0
    with receiving() as receiver:
        url = receiver.url
    queued(database, url, clock)
    deliverer = Deliverer(database, lambda: clock)
    for _ in range(MAX_ATTEMPTS):
        with database.reading() as records:
            assert records.next_delivery_at() is not None
        deliverer.deliver_due()
        clock += 4000
    with database.reading() as records:
        assert records.next_delivery_at() is None
