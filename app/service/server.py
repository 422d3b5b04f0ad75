"""The local scribe service as a process: puts its parts together, listens, says where, and stops cleanly.

:func:`run` blocks the thread it is called on, the main thread of a process of its own.
"""

from __future__ import annotations

import asyncio
import errno
import json
import os
import signal
import socket
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

import uvicorn
from starlette.types import ASGIApp

from app.service.api import BASE, PUBLIC_PATHS, is_audio_path, make_app
from app.service.changes import Changes
from app.service.engines import Engines, load_engines
from app.service.intake import Intake
from app.service.limits import Limits
from app.service.security import Gate, loopback_hosts, require_loopback
from app.service.store import open_store
from app.service.webhooks import Deliverer
from app.service.worker import Worker

_PORTS_TRIED = 20
_KEEP_ALIVE_SECONDS = 130
"""Longer than a client keeps an idle connection, so that it never sends into one that is being closed."""


class FolderInUse(Exception):
    """Another service works on the same folder."""


@dataclass
class Service:
    """The parts of a running service; :func:`opened` makes one."""

    app: ASGIApp
    changes: Changes
    token: str = field(repr=False)


@contextmanager
def opened(
    folder: Path, key: bytes, engines: Engines, *, token: str | None, hosts: frozenset[str], limits: Limits
) -> Iterator[Service]:
    """The service on a folder, working while the block runs: queue, deliveries and the application to serve."""
    with ExitStack() as closing:
        closing.callback(engines.close)
        database, files = open_store(folder, key)
        closing.callback(database.close)
        if token is None:
            with database.writing() as records:
                token = records.token()
        changes = Changes()
        deliverer = Deliverer(database)

        def changed() -> None:
            worker.wake()
            deliverer.wake()
            changes.announce()

        worker = Worker(database=database, files=files, engines=engines, limits=limits, changed=changed)
        deliverer.start()
        closing.callback(deliverer.close)
        worker.start()
        closing.callback(worker.close)
        intake = Intake(database=database, files=files, engines=engines, limits=limits, changed=changed)
        inner = make_app(intake, changes)
        gate = Gate(inner, token=token, hosts=hosts, public=PUBLIC_PATHS, limits=limits, is_audio=is_audio_path)
        yield Service(gate, changes, token)


def write_line(line: str) -> None:
    """Print one line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def run(
    data_dir: Path,
    *,
    key: bytes,
    host: str = "127.0.0.1",
    port: int = 0,
    token: str | None = None,
    announce: Callable[[str], None] = write_line,
    until_stdin_closes: bool = False,
    make_engines: Callable[[Path], Engines] = load_engines,
    limits: Limits | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT, or until stdin ends where that is asked for.

    Args:
        data_dir: where everything is kept; made when it is not there.
        key: 32 bytes that seal what is kept; what they do not open is set aside.
        host: an address of this computer.
        port: the port to listen on, or the next free one; 0 for any free one.
        token: what callers must show; by default one that is made once and kept, sealed.
        announce: gets one JSON line with ``base_url`` and ``token`` when the service answers.
        until_stdin_closes: stop when stdin ends, so that the service does not outlive the one who started it.
        make_engines: makes the transcriber and the note maker.
        limits: other limits than the usual ones.

    Raises:
        ValueError: ``host`` is not on this computer.
        FolderInUse: another service works on ``data_dir``.
        ConfigurationProblem: ``service.toml`` cannot be followed.
        DatabaseProblem: the database is from a newer version, or the disk does not give it.
    """
    require_loopback(host)
    limits = limits or Limits()
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    with only_one(data_dir), _bound(host, port) as listener:
        name, actual = listener.getsockname()[:2]
        base_url = f"http://{f'[{name}]' if ':' in name else name}:{actual}{BASE}"
        engines = make_engines(data_dir)
        hosts = loopback_hosts(host, actual)
        with opened(data_dir, key, engines, token=token, hosts=hosts, limits=limits) as service:
            line = json.dumps({"base_url": base_url, "token": service.token})
            server = _Server(service, lambda: announce(line))
            with _stopped_by_signals(server):
                if until_stdin_closes:
                    _watch_stdin(server)
                asyncio.run(server.serve(sockets=[listener]))


class _Server(uvicorn.Server):
    """Says when it answers, and sends waiting polls home when it stops."""

    def __init__(self, service: Service, started: Callable[[], None]) -> None:
        config = uvicorn.Config(
            service.app,
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            h11_max_incomplete_event_size=16 * 1024,
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=5,
        )
        super().__init__(config)
        self._changes = service.changes
        self._announce = started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, then say so."""
        await super().startup(sockets)
        self._announce()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let waiting polls answer, then close."""
        self._changes.close()
        await super().shutdown(sockets)


@contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Hold the folder for this process. The system lets go of it when the process dies in whatever way.

    Raises:
        FolderInUse: another process holds it.
    """
    lock = sqlite3.connect(folder / "service.lock", timeout=0, isolation_level=None)
    try:
        lock.execute("BEGIN EXCLUSIVE")
        yield
    except sqlite3.OperationalError as exc:
        raise FolderInUse(f"Another scribe service is at work on {folder}.") from exc
    finally:
        lock.close()


@contextmanager
def _bound(host: str, port: int) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    candidates = [*range(port, min(port + _PORTS_TRIED, 65536)), 0] if port else [0]
    # Named outright, the protocol lets the server switch off Nagle's algorithm: it would hold each answer for 40 ms.
    with socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        if os.name == "posix":
            # On Windows the option would let two programs listen on one port.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        for candidate in candidates:
            try:
                listener.bind((host, candidate))
                break
            except OSError as exc:
                if exc.errno != errno.EADDRINUSE or candidate == candidates[-1]:
                    raise
        yield listener


@contextmanager
def _stopped_by_signals(server: uvicorn.Server) -> Iterator[None]:
    """SIGTERM and SIGINT stop the server and then are done with, wherever in its life they come."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(_signal: int, _frame: FrameType | None) -> None:
        server.should_exit = True

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _watch_stdin(server: uvicorn.Server) -> None:
    def watch() -> None:
        # The raw descriptor: a thread that waits inside sys.stdin would hold its lock at exit.
        while os.read(0, 1024):
            pass
        server.should_exit = True

    threading.Thread(target=watch, name="scribe-stdin", daemon=True).start()
