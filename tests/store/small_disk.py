"""A disk that really refuses: no file may grow beyond a size, so that a write is cut short by the kernel."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

needs_small_disk = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit on a file's size")


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """While this lasts, what would make a file larger than ``size`` is written in part, then refused."""
    assert sys.platform != "win32"
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
