"""The seam through which audio comes in: a microphone, a file, or a process of its own that holds the microphone.

All of a source is used by one thread, save ``end``, which any thread may call at any time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from app.audio.signal import Block
from app.core.problems import Problem


class SourceFailed(Exception):
    """A source cannot go on, or cannot begin."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(f"{problem.kind}: {problem.detail}")
        self.problem = problem


class Source(Protocol):
    """Blocks of audio, one after the other, until the end."""

    @property
    def name(self) -> str:
        """What a person calls it; known for good once it is open."""

    def open(self) -> int:
        """Begin, and tell the sample rate in Hz. Raises :class:`SourceFailed`."""

    def read(self, timeout_seconds: float) -> Block | None:
        """The next block, or None after the last one.

        Raises :class:`SourceFailed`, and ``TimeoutError`` when nothing came in time.
        """

    def end(self) -> None:
        """Ask for the end, at once and from any thread: what is there is still read, then None."""

    def close(self) -> None:
        """Let go. Returns soon, whatever the driver does; harmless when not open."""


@dataclass(frozen=True)
class Stamp:
    """When a block was heard, by whoever heard it."""

    heard_at: float
    """When the block was complete, by a clock that is never set and goes on while the computer sleeps."""
    wall_time: float
    """The same in seconds since 1970 UTC."""
    asleep_seconds: float = 0.0
    """How long the listener had not been allowed to run by then, all in all."""
    has_lost: bool = False
    """The driver or the listener says that audio was lost before the block."""


@runtime_checkable
class LiveSource(Source, Protocol):
    """A source that hears the world as it happens: what it misses is gone, and its silence is a fault."""

    @property
    def stamp(self) -> Stamp:
        """Of the block that was read last."""
