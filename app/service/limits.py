"""The figures that bound the service: what it accepts, how long it waits, how long it keeps."""

from __future__ import annotations

from dataclasses import dataclass

HOUR = 3600.0


@dataclass(frozen=True)
class Limits:
    """All limits of one running service, in seconds and bytes."""

    session_seconds: float = HOUR
    """How long a session may stay open after it was created."""
    retention_seconds: float = 7 * 24 * HOUR
    """How long a session, its transcript and its notes are kept after it was finished or expired."""
    audio_seconds: float = HOUR
    """How long audio is kept after its session was finished or expired. Nothing reads it any more."""
    patience_seconds: float = HOUR / 2
    """How long after End an unavailable engine is waited for, before the result goes out without it."""
    chunk_seconds: float = 20.0
    chunk_tolerance_seconds: float = 0.5
    """Codecs pad the last frame; nobody's chunk is refused for that."""
    chunk_bytes: int = 10 * 1024 * 1024
    body_bytes: int = 64 * 1024
    """Bodies other than audio."""
    body_read_seconds: float = 60.0
    long_poll_seconds: int = 25
    templates: int = 2
