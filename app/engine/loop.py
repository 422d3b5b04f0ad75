"""The engine's loop: its inbox, its timers and its workers.

Jobs may be posted from any thread. Each is run on the one thread that calls :meth:`Loop.work`, and everything else
here belongs to that thread too, so that what jobs change needs no lock.
"""

from __future__ import annotations

import queue
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TypeVar

from app.core.problems import Problem
from app.engine.requests import bug_problem
from app.engine.timers import Timers
from app.engine.workers import Workers
from app.protocol.answer import RequestRefused

Job = Callable[[], object]
TimerKey = tuple[str, str]
"""Whose timer it is, and its name."""

_WORKERS = 4
_BURST = 200
_T = TypeVar("_T")


class Loop:
    """Runs jobs one after the other; a bug in one takes no other with it."""

    def __init__(self, report: Callable[[Problem], None], monotonic: Callable[[], float] = time.monotonic) -> None:
        """``report`` hears of every job that failed."""
        self.report = report
        self._monotonic = monotonic
        self._inbox: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._timers: Timers[TimerKey] = Timers()
        self._timer_jobs: dict[TimerKey, Job] = {}
        self._workers = Workers(_WORKERS)

    # From any thread ----------------------------------------------------------------------------------------------

    def post(self, job: Job) -> None:
        """Run a job when those before it are done; returns at once."""
        self._inbox.put(job)

    def end(self) -> None:
        """Have :meth:`work` return False once the jobs before this are done."""
        self._inbox.put(None)

    # From the loop's own thread -----------------------------------------------------------------------------------

    def work(self) -> bool:
        """Wait for news or for the next timer, take in what there is; False when it is to end."""
        timeout = self._seconds_to_next()
        with suppress(queue.Empty):
            for _ in range(_BURST):  # Timers have their turn, too, however much there is.
                job = self._inbox.get(timeout=timeout)
                if job is None:
                    return False
                self.guard(job)
                timeout = 0.0
        self._fire_timers()
        return True

    def work_until(self, is_so: Callable[[], bool], timeout_seconds: float) -> bool:
        """Do nothing but jobs until it is so; whether it came to that in time."""
        deadline = self._monotonic() + timeout_seconds
        while not is_so():
            try:
                job = self._inbox.get(timeout=max(0.0, deadline - self._monotonic()))
            except queue.Empty:
                return False
            if job is not None:
                self.guard(job)
        return True

    def guard(self, job: Job) -> None:
        """Run a job at once. A bug is reported and goes no further: it must not take a recording with it."""
        try:
            job()
        except Exception as bug:  # noqa: BLE001
            self.report(bug_problem("The engine", bug))

    def submit(self, question: Callable[[], _T], take: Callable[[_T], object]) -> None:
        """Have a worker find something out that raises nothing; what it finds is taken in as a job."""
        self._workers.submit(lambda: self.post(partial(take, question())))

    def ask(
        self, question: Callable[[], _T], take: Callable[[_T], object], otherwise: Callable[[Problem], object]
    ) -> None:
        """The same for a question that may be refused or fail. Whatever comes of it is taken in as a job."""

        def find_out() -> Job:
            try:
                return partial(take, question())
            except RequestRefused as refusal:
                return partial(otherwise, refusal.problem)
            except Exception as bug:  # noqa: BLE001 - a worker that dies in silence would be waited for
                return partial(otherwise, bug_problem("A worker", bug))

        self.submit(find_out, lambda job: job())

    def close_workers(self, timeout_seconds: float) -> None:
        """Ask no more; wait a while for what is being found out."""
        self._workers.close(timeout_seconds)

    # Timers -------------------------------------------------------------------------------------------------------

    def set_timer(self, key: TimerKey, seconds: float, job: Job) -> None:
        """Run a job in a while. Each key has one timer; setting it again moves it."""
        self._timers.set(key, self._monotonic() + seconds)
        self._timer_jobs[key] = job

    def cancel_timer(self, key: TimerKey) -> None:
        """Forget a timer, if there is one."""
        self._timers.cancel(key)
        self._timer_jobs.pop(key, None)

    def seconds_to(self, key: TimerKey) -> float | None:
        """How long until a timer fires; None without one."""
        due = self._timers.due(key)
        return None if due is None else due - self._monotonic()

    def _seconds_to_next(self) -> float | None:
        due = self._timers.next_due()
        return None if due is None else max(0.0, due - self._monotonic())

    def _fire_timers(self) -> None:
        jobs = [self._timer_jobs.pop(key) for key in self._timers.pop_due(self._monotonic())]
        for job in jobs:
            self.guard(job)
