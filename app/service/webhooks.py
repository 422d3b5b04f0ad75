"""Events for those who registered: queued in the database, sent from a thread of their own, signed, retried.

An event names the session and its status and carries nothing that was said. Runs on the ``scribe-webhooks`` thread.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import ipaddress
import json
import logging
import secrets
import threading
import time
from collections.abc import Callable
from urllib.parse import SplitResult, urlsplit

from app.service.database import Database, Delivery, Records, StoreError
from app.service.sessions import Refused, Session, Status
from app.service.times import iso

logger = logging.getLogger(__name__)

EVENTS = ("session.started", "session.ended", "session.completed", "session.failed", "session.expired")
MAX_WEBHOOKS = 20
MAX_ATTEMPTS = 12
_FIRST_RETRY_SECONDS = 5.0
_LAST_RETRY_SECONDS = 3600.0
_TIMEOUT_SECONDS = 10.0
_MAX_URL = 2048


def queue_event(records: Records, event: str, session: Session, status: Status, now: float) -> None:
    """Queue an event for everyone who asked for it, in the transaction that makes it true."""
    for webhook in records.webhooks():
        if event in webhook.events:
            delivery_id = "evt_" + secrets.token_hex(12)
            payload = {
                "id": delivery_id,
                "event": event,
                "created_at": iso(now),
                "session_id": session.id,
                "status": status,
            }
            records.add_delivery(delivery_id, webhook.id, json.dumps(payload), now)


def check_url(url: str) -> None:
    """Refuse a destination that is neither https nor on this computer."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
        url.encode("ascii")
    except ValueError as exc:
        raise Refused("invalid_request", "The webhook's url cannot be read.") from exc
    plain = all("!" <= character <= "~" for character in url)
    if not plain or not host or parts.username is not None or len(url) > _MAX_URL:
        raise Refused("invalid_request", "A webhook's url names a host, without user, spaces or controls.")
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(host)):
        raise Refused("invalid_request", "A webhook's url is https, or http on this computer.")


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this computer."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def signature(secret: str, payload: str, moment: int) -> str:
    """The value of ``X-MSA-Signature``."""
    digest = hmac.new(secret.encode(), f"{moment}.{payload}".encode(), hashlib.sha256).hexdigest()
    return f"t={moment},v1={digest}"


def retry_delay(attempts: int) -> float:
    """Seconds to wait after so many failed attempts."""
    return min(_LAST_RETRY_SECONDS, _FIRST_RETRY_SECONDS * 2.0 ** (attempts - 1))


class Deliverer:
    """Sends queued events until each has arrived or was given up."""

    def __init__(self, database: Database, now: Callable[[], float] = time.time) -> None:
        self._database = database
        self._now = now
        self._woken = threading.Event()
        self._stopping = False
        # A delivery may hang for seconds; the process may leave without it, since it is queued on disk.
        self._thread = threading.Thread(target=self._run, name="scribe-webhooks", daemon=True)

    def start(self) -> None:
        """Begin to deliver."""
        self._thread.start()

    def wake(self) -> None:
        """An event may have been queued."""
        self._woken.set()

    def close(self) -> None:
        """Stop after the delivery under way."""
        self._stopping = True
        self._woken.set()
        self._thread.join(_TIMEOUT_SECONDS / 2)

    def _run(self) -> None:
        while not self._stopping:
            self._woken.clear()
            try:
                self.deliver_due()
                with self._database.reading() as records:
                    due_at = records.next_delivery_at()
                wait = None if due_at is None else max(0.0, due_at - self._now())
            except (OSError, StoreError):
                logger.exception("Webhook deliveries could not be read; trying again.")
                wait = _FIRST_RETRY_SECONDS
            if not self._stopping:
                self._woken.wait(wait)

    def deliver_due(self) -> None:
        """Send everything that is due now."""
        with self._database.reading() as records:
            due = records.due_deliveries(self._now())
        for delivery in due:
            if self._stopping:
                return
            arrived = send(delivery, int(self._now()))
            attempts = delivery.attempts + 1
            with self._database.writing() as records:
                if arrived or attempts >= MAX_ATTEMPTS:
                    records.remove_delivery(delivery.id)
                else:
                    records.postpone_delivery(delivery.id, self._now() + retry_delay(attempts))


def send(delivery: Delivery, moment: int) -> bool:
    """Send one event once; True when the destination answered 2xx."""
    parts = urlsplit(delivery.url)
    headers = {
        "Content-Type": "application/json",
        "X-MSA-Signature": signature(delivery.secret, delivery.payload, moment),
    }
    connection = _connect(parts)
    try:
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request("POST", path, body=delivery.payload.encode(), headers=headers)
        return connection.getresponse().status // 100 == 2  # noqa: PLR2004 - the 2xx class
    except (OSError, http.client.HTTPException, ValueError) as exc:
        logger.info("A webhook could not be delivered: %s", type(exc).__name__)
        return False
    finally:
        connection.close()


def _connect(parts: SplitResult) -> http.client.HTTPConnection:
    assert parts.hostname is not None
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    return kind(parts.hostname, parts.port, timeout=_TIMEOUT_SECONDS)
