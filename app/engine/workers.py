"""A few threads for calls that block: one HTTP call, one look at the devices, each as a job."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable

Job = Callable[[], None]


class Workers:
    """Runs jobs on ``count`` threads. A job posts its outcome itself and lets no exception out."""

    def __init__(self, count: int) -> None:
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._threads = [threading.Thread(target=self._work, name=f"net-{n}", daemon=True) for n in range(count)]
        for thread in self._threads:
            thread.start()

    def submit(self, job: Job) -> None:
        """Run a job on the first free thread."""
        self._jobs.put(job)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()

    def close(self, timeout_seconds: float) -> None:
        """Take no more jobs; wait a while for those under way. They are on daemon threads and hold up no exit."""
        deadline = time.monotonic() + timeout_seconds
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
