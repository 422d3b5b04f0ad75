"""How fast a service in trouble may be asked by all sessions that wait for it. Pure; belongs to its caller's thread.

Each session waits between its own tries; a clinic day's worth of them would still be a storm together.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Bucket:
    """A token bucket that counts only while the service is in trouble: one that is well is asked at once."""

    seconds_each: float = 1.0
    size: int = 2
    """How many may go at once after a pause."""
    _is_in_trouble: bool = field(default=False, init=False)
    _next_at: float = field(default=0.0, init=False)

    def wait_seconds(self, now: float) -> float:
        """Take a token for one request: how long that request has to wait for it. ``now`` is monotonic."""
        if not self._is_in_trouble:
            return 0.0
        at = max(self._next_at, now - (self.size - 1) * self.seconds_each)
        self._next_at = at + self.seconds_each
        return max(0.0, at - now)

    def on_connected(self, now: float) -> None:
        """Nobody knows yet how the service is: a few may ask, the others wait for what comes of that."""
        self._is_in_trouble = True
        self._next_at = max(self._next_at, now - (self.size - 1) * self.seconds_each)

    def on_trouble(self, now: float) -> None:
        """The service could not be reached, or answered that it cannot serve now."""
        if not self._is_in_trouble:
            self._is_in_trouble = True
            self._next_at = now + self.seconds_each

    def on_answer(self) -> bool:
        """The service served, or refused for a reason that is no trouble of its own. Whether that is news."""
        was_in_trouble, self._is_in_trouble = self._is_in_trouble, False
        return was_in_trouble
