"""Timers of many sessions, kept in order. Owned by the engine's thread, which waits for the earliest."""

from __future__ import annotations

import heapq
import itertools
from typing import Generic, TypeVar

Key = TypeVar("Key")


class Timers(Generic[Key]):
    """Each key has at most one timer; setting it again moves it. Times are of one monotonic clock, in seconds."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Key]] = []
        self._current: dict[Key, int] = {}
        self._due: dict[Key, float] = {}
        self._numbers = itertools.count()

    def set(self, key: Key, due: float) -> None:
        """Wake ``key`` at ``due``."""
        number = next(self._numbers)
        self._current[key] = number
        self._due[key] = due
        heapq.heappush(self._heap, (due, number, key))

    def cancel(self, key: Key) -> None:
        """Forget a timer, if there is one."""
        self._current.pop(key, None)
        self._due.pop(key, None)

    def due(self, key: Key) -> float | None:
        """When ``key`` wakes."""
        return self._due.get(key)

    def next_due(self) -> float | None:
        """When the earliest timer wakes."""
        while self._heap and self._current.get(self._heap[0][2]) != self._heap[0][1]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def pop_due(self, now: float) -> list[Key]:
        """Take out all that are due by ``now``, earliest first."""
        keys = []
        while (due := self.next_due()) is not None and due <= now:
            key = heapq.heappop(self._heap)[2]
            self.cancel(key)
            keys.append(key)
        return keys
