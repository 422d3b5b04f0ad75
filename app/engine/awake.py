"""The computer does not go to sleep during a visit.

Whoever grants that (a desktop's session manager, the system) may hang; it is asked on a thread of its own, which
nothing waits for.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager

_log = logging.getLogger(__name__)


class Awake:
    """Holds off sleep between :meth:`hold` and :meth:`let_go`. Owned by the engine's thread."""

    def __init__(self, keep_awake: Callable[[], AbstractContextManager[object]]) -> None:
        """``keep_awake`` holds off sleep for as long as it is entered."""
        self._keep_awake = keep_awake
        self._is_over: threading.Event | None = None

    def settle(self, *, is_wanted: bool) -> None:
        """Have sleep held off exactly while that is wanted."""
        if is_wanted and self._is_over is None:
            self._is_over = threading.Event()
            threading.Thread(target=self._hold, args=(self._is_over,), name="awake", daemon=True).start()
        elif not is_wanted and self._is_over is not None:
            self._is_over.set()
            self._is_over = None

    def _hold(self, is_over: threading.Event) -> None:
        try:
            with self._keep_awake():
                is_over.wait()
        except Exception as error:  # noqa: BLE001 - each system refuses in its own way; the visit goes on
            _log.warning("The computer may go to sleep during the visit: %s", type(error).__name__)
