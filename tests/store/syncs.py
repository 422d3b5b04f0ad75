"""Watches what the disk is waited for: nothing less than a power cut would show that it was not."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest


def watched_syncs(monkeypatch: pytest.MonkeyPatch) -> dict[int, int]:
    """The size that each file or folder had when it was last synced, by inode; filled as it happens."""
    synced: dict[int, int] = {}

    def watched(sync: Callable[[int], None]) -> Callable[[int], None]:
        def note(descriptor: int) -> None:
            sync(descriptor)
            told = os.fstat(descriptor)
            synced[told.st_ino] = told.st_size

        return note

    for name in ("fsync", "fdatasync"):
        if hasattr(os, name):
            monkeypatch.setattr(os, name, watched(getattr(os, name)))
    return synced
