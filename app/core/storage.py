"""How much of the disk a visit takes, and from when on that is little."""

from __future__ import annotations

from typing import Final

from app.core.views import StorageView

_LOG_BYTES_PER_SECOND: Final = 32_000
"""16 kHz, 16 bits, as it is captured."""
_CHUNK_BYTES_PER_SECOND: Final = 32_000
"""The same once more in the chunks that are sent, which may be as large where the service takes nothing smaller."""
_SEALING: Final = 1.02
BYTES_PER_SECOND: Final = (_LOG_BYTES_PER_SECOND + _CHUNK_BYTES_PER_SECOND) * _SEALING
"""What a second of a visit takes at most."""

LOW_SECONDS: Final = 3600.0
CRITICAL_SECONDS: Final = 900.0
CRITICAL_BYTES: Final = 1_000_000_000


def storage_view(free_bytes: int | None, *, refusal: str = "", folder: str = "") -> StorageView:
    """The disk as a screen shows it; ``free_bytes`` is None while it is not known."""
    if free_bytes is None:
        return StorageView(refusal=refusal, folder=folder)
    seconds = free_bytes / BYTES_PER_SECOND
    return StorageView(
        free_seconds=seconds,
        is_low=seconds < LOW_SECONDS,
        is_critical=seconds < CRITICAL_SECONDS or free_bytes < CRITICAL_BYTES,
        refusal=refusal,
        folder=folder,
    )
