"""A proxy that a test puts in front of a service, and that treats requests badly while it is told to.

It speaks HTTP/1.1 in clear on this computer, one request at a time on each connection. Its own thread runs it; all of
its interface may be called from any thread.
"""

from __future__ import annotations

import asyncio
import re
import socket
import struct
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, auto
from types import TracebackType
from typing import Any

_PIECE = 64 * 1024
_DRIP_SECONDS = 0.5
_READY_SECONDS = 10.0


class Mode(Enum):
    """What becomes of a request."""

    PASS = auto()
    RESET = auto()
    """The connection is reset when the request's head has come."""
    CUT_UP = auto()
    """The connection is reset when half of the request's body has gone to the service."""
    CUT_DOWN = auto()
    """The service has answered; the client gets half of the answer."""
    LOST = auto()
    """The service has done it; the client gets nothing."""
    LATE = auto()
    """The service has done it; the client gets the answer after ``seconds``."""
    SLOW = auto()
    """``bytes_per_second`` both ways."""
    BLACK_HOLE = auto()
    """Everything is taken and nothing comes back, for as long as the client waits."""
    DRIP = auto()
    """The answer comes one byte at a time, each after ``seconds``."""


@dataclass
class Rule:
    """Requests whose line ``when`` picks suffer so, the next ``times`` of them or all."""

    mode: Mode
    when: Callable[[str], bool] = lambda _line: True
    times: int | None = None
    seconds: float = _DRIP_SECONDS
    bytes_per_second: float = 8000.0
    suffered: int = 0

    def takes(self, line: str) -> bool:
        """Whether it is this request's turn to suffer."""
        return (self.times is None or self.suffered < self.times) and self.when(line)


class FaultProxy:
    """The proxy, while the context lasts. Give the client ``url`` in place of the service's own."""

    def __init__(self, service_url: str) -> None:
        match = re.fullmatch(r"http://([^:/]+):(\d+)(/.*)?", service_url)
        assert match, "it can only read what is in clear"
        self._service = (match[1], int(match[2]))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._port = int(self._listener.getsockname()[1])
        self.url = f"http://127.0.0.1:{self._port}{match[3] or ''}"
        self.seen: list[str] = []
        """The lines of all requests that came: ``POST /v1/sessions``."""
        self.connections = 0
        self.changed = threading.Condition()
        self._rules: list[Rule] = []
        self._loop = asyncio.new_event_loop()
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fault-proxy")

    def __enter__(self) -> FaultProxy:
        self._thread.start()
        self._do(self._listen(self._listener))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._do(self._hang_up())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(_READY_SECONDS)

    # What a test does -------------------------------------------------------------------------------------------

    def treat(
        self,
        mode: Mode,
        when: Callable[[str], bool] = lambda _line: True,
        times: int | None = None,
        *,
        seconds: float = _DRIP_SECONDS,
        bytes_per_second: float = 8000.0,
    ) -> Rule:
        """Treat requests so from now on; a later rule comes before an earlier one."""
        rule = Rule(mode, when, times, seconds, bytes_per_second)
        self._rules.insert(0, rule)
        return rule

    def until(self, is_so: Callable[[], object], seconds: float = 20.0) -> None:
        """Wait until it is so; it is looked at with each request."""
        with self.changed:
            assert self.changed.wait_for(is_so, seconds), f"it never came to that; seen: {self.seen[-20:]}"

    def calm(self) -> None:
        """Pass everything again; those that suffer already are hung up on."""
        self._rules.clear()
        self._do(self._drop_all())

    def go_down(self) -> None:
        """Refuse connections and hang up on all there are: the cable is out."""
        self._do(self._hang_up())

    def come_back(self) -> None:
        """Listen again, at the same address."""
        self._do(self._listen(socket.create_server(("127.0.0.1", self._port))))

    # Its own thread ---------------------------------------------------------------------------------------------

    async def _listen(self, listener: socket.socket) -> None:
        self._server = await asyncio.start_server(self._meet, sock=listener)

    async def _hang_up(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        await self._drop_all()

    async def _drop_all(self) -> None:
        tasks = set(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        try:
            while await self._exchange(reader, writer):
                pass
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.transport.abort()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One request; whether another may follow on this connection."""
        head = await reader.readuntil(b"\r\n\r\n")
        line = head.split(b"\r\n", 1)[0].decode("latin-1").rpartition(" ")[0]
        rule = next((r for r in self._rules if r.takes(line)), Rule(Mode.PASS))
        with self.changed:
            rule.suffered += 1
            self.seen.append(line)
            self.changed.notify_all()
        if rule.mode is Mode.RESET:
            return _reset(writer)
        size = _content_length(head)
        if rule.mode is Mode.CUT_UP:
            await self._give_half(head, await reader.readexactly(size // 2))
            return _reset(writer)
        body = await _read_slowly(reader, size, rule) if rule.mode is Mode.SLOW else await reader.readexactly(size)
        if rule.mode is Mode.BLACK_HOLE:
            await reader.read()
            return False
        return await _give_back(writer, await self._ask(head, body), rule)

    async def _give_half(self, head: bytes, half: bytes) -> None:
        _, service = await asyncio.open_connection(*self._service)
        service.write(head + half)
        await service.drain()
        service.close()
        await service.wait_closed()

    async def _ask(self, head: bytes, body: bytes) -> bytes:
        """The service's whole answer."""
        answers, service = await asyncio.open_connection(*self._service)
        try:
            first, rest = head.split(b"\r\n", 1)
            service.write(first + b"\r\nConnection: close\r\n" + _without_connection(rest) + body)
            await service.drain()
            return _without_connection(await answers.read())
        finally:
            service.close()
            with suppress(OSError):
                await service.wait_closed()


async def _read_slowly(reader: asyncio.StreamReader, size: int, rule: Rule) -> bytes:
    body = b""
    while len(body) < size:
        piece = await reader.readexactly(min(size - len(body), max(1, int(rule.bytes_per_second / 10))))
        body += piece
        await asyncio.sleep(len(piece) / rule.bytes_per_second)
    return body


async def _give_back(writer: asyncio.StreamWriter, answer: bytes, rule: Rule) -> bool:
    match rule.mode:
        case Mode.LOST:
            return _reset(writer)
        case Mode.CUT_DOWN:
            head = answer.index(b"\r\n\r\n") + 4
            writer.write(answer[: head + (len(answer) - head) // 2])
            await writer.drain()
            return False
        case Mode.LATE:
            await asyncio.sleep(rule.seconds)
        case Mode.DRIP:
            return await _write_slowly(writer, answer, 1, rule.seconds)
        case Mode.SLOW:
            piece = max(1, int(rule.bytes_per_second / 10))
            return await _write_slowly(writer, answer, piece, piece / rule.bytes_per_second)
    writer.write(answer)
    await writer.drain()
    return True


async def _write_slowly(writer: asyncio.StreamWriter, answer: bytes, piece: int, seconds: float) -> bool:
    for first in range(0, len(answer), piece):
        writer.write(answer[first : first + piece])
        await writer.drain()
        await asyncio.sleep(seconds)
    return True


def _reset(writer: asyncio.StreamWriter) -> bool:
    line = writer.get_extra_info("socket")
    line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
    return False


def _content_length(head: bytes) -> int:
    match = re.search(rb"\r\ncontent-length:\s*(\d+)", head, re.IGNORECASE)
    return int(match[1]) if match else 0


def _without_connection(head_and_body: bytes) -> bytes:
    return re.sub(rb"(?i)(^|\r\n)connection:[^\r]*\r\n", rb"\1", head_and_body, count=1)
