"""How a long poll learns that something changed. Waited for on the event loop, announced from any thread."""

from __future__ import annotations

import asyncio
from contextlib import suppress


class Changes:
    """A counter that can be waited for."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._next = asyncio.Event()
        self.count = 0
        self.is_closed = False

    def announce(self) -> None:
        """Something changed. Callable from any thread."""
        loop = self._loop
        if loop is not None:
            with suppress(RuntimeError):  # The loop has closed: nobody waits any more.
                loop.call_soon_threadsafe(self._release)

    def close(self) -> None:
        """Nobody shall wait any more. Called on the event loop."""
        self.is_closed = True
        self._release()

    def watch(self) -> int:
        """The count as of now; to be taken before looking at what may change."""
        self._loop = asyncio.get_running_loop()
        return self.count

    async def wait(self, seen: int, seconds: float) -> None:
        """Return when something changed since ``seen``, or after so many seconds."""
        if self.count == seen and not self.is_closed:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._next.wait(), seconds)

    def _release(self) -> None:
        self.count += 1
        self._next.set()
        self._next = asyncio.Event()
