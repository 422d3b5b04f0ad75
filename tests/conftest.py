"""What holds for every test: no screen is needed, and no thread outlives the test that started it."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator

import pytest
from hypothesis import settings

# The same examples at each run. Whoever wants to search at random says --hypothesis-profile=default.
settings.register_profile("steady", derandomize=True)
settings.load_profile("steady")

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

_SECONDS_TO_END = 5.0


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="also run what takes more than a few seconds")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--slow"):
        return
    left_out = [item for item in items if item.get_closest_marker("slow")]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if not item.get_closest_marker("slow")]


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    deadline = time.monotonic() + _SECONDS_TO_END
    for thread in _started_since(before):
        thread.join(max(0.0, deadline - time.monotonic()))
    if left := _started_since(before):
        pytest.fail(f"left running: {', '.join(sorted(thread.name for thread in left))}", pytrace=False)


def _started_since(before: set[threading.Thread]) -> set[threading.Thread]:
    """The threads that Python started; one that a library in C only passed through is not ours to end."""
    return {
        thread for thread in set(threading.enumerate()) - before if not isinstance(thread, threading._DummyThread)
    }
