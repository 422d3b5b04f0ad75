"""Timers in order; workers that run and end."""

from __future__ import annotations

import queue
import threading

from hypothesis import given
from hypothesis import strategies as st

from app.engine.timers import Timers
from app.engine.workers import Workers


def test_the_earliest_is_next_and_each_goes_off_once() -> None:
    timers: Timers[str] = Timers()
    assert timers.next_due() is None
    timers.set("late", 5.0)
    timers.set("early", 1.0)
    timers.set("middle", 3.0)
    assert timers.next_due() == 1.0
    assert timers.pop_due(0.9) == []
    assert timers.pop_due(3.0) == ["early", "middle"]
    assert timers.pop_due(3.0) == []
    assert timers.next_due() == 5.0


def test_a_timer_can_be_moved_and_forgotten() -> None:
    timers: Timers[str] = Timers()
    timers.set("a", 1.0)
    timers.set("a", 9.0)
    timers.set("b", 2.0)
    timers.cancel("b")
    timers.cancel("never set")
    assert (timers.due("a"), timers.due("b")) == (9.0, None)
    assert timers.pop_due(8.0) == []
    assert timers.next_due() == 9.0
    timers.cancel("a")
    assert timers.next_due() is None


@given(st.lists(st.tuples(st.sampled_from("abc"), st.none() | st.integers(0, 20)), max_size=30))
def test_they_agree_with_a_plain_table(steps: list[tuple[str, int | None]]) -> None:
    timers: Timers[str] = Timers()
    table: dict[str, float] = {}
    for key, due in steps:
        if due is None:
            timers.cancel(key)
            table.pop(key, None)
        else:
            timers.set(key, float(due))
            table[key] = float(due)
        assert timers.next_due() == min(table.values(), default=None)
    assert set(timers.pop_due(10.0)) == {key for key, due in table.items() if due <= 10.0}
    assert set(timers.pop_due(20.0)) == {key for key, due in table.items() if due > 10.0}


def test_jobs_run_side_by_side_and_closing_lets_them_end() -> None:
    workers = Workers(2)
    meeting = threading.Barrier(2)
    done: queue.SimpleQueue[int] = queue.SimpleQueue()
    for number in range(2):
        workers.submit(lambda number=number: done.put(number * meeting.wait(10) ** 0))  # type: ignore[misc]
    workers.close(10.0)
    assert {done.get_nowait(), done.get_nowait()} == {0, 1}


def test_closing_does_not_wait_for_a_job_that_hangs() -> None:
    workers = Workers(1)
    hangs, goes_on = threading.Event(), threading.Event()

    def hang() -> None:
        hangs.set()
        goes_on.wait(30)

    workers.submit(hang)
    assert hangs.wait(10)
    workers.close(0.01)
    goes_on.set()
