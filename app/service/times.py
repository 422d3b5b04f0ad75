"""Times on the wire."""

from __future__ import annotations

from datetime import UTC, datetime


def iso(moment: float) -> str:
    """Seconds since the epoch as ``2024-05-01T09:30:00.000Z``."""
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
