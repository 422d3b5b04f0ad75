"""The loop: every job gets its turn, and what goes wrong in one is told and goes no further."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import pytest

from app.core.problems import Problem, ProblemKind
from app.engine.loop import Loop
from app.protocol.answer import refused

BUG = Problem(ProblemKind.BUG, "ZeroDivisionError")


class Bench:
    """A loop on the test's own thread, with a clock that a test moves."""

    def __init__(self) -> None:
        self.now = 0.0
        self.done: list[object] = []
        self.loop = Loop(self.done.append, lambda: self.now)

    def has_done(self, count: int) -> bool:
        return len(self.done) == count

    def do(self, *things: object) -> None:
        """Post jobs that leave these things behind."""
        for thing in things:
            self.loop.post(partial(self.done.append, thing))


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    bench.loop.close_workers(5.0)


def test_jobs_are_done_in_order_and_one_that_fails_keeps_no_other_back(bench: Bench) -> None:
    bench.do("first")
    bench.loop.post(lambda: 1 // 0)
    bench.do("last")
    assert bench.loop.work()
    assert bench.done == ["first", BUG, "last"]


def test_it_ends_behind_what_was_posted_before(bench: Bench) -> None:
    bench.do("before")
    bench.loop.end()
    bench.do("after")
    assert not bench.loop.work()
    assert bench.done == ["before"]


def test_timers_fire_when_they_are_due_each_one_whatever_the_others_do(bench: Bench) -> None:
    bench.loop.set_timer(("a", "t"), 2.0, lambda: bench.done.append("moved"))
    bench.loop.set_timer(("a", "t"), 3.0, lambda: 1 // 0)
    bench.loop.set_timer(("b", "t"), 3.0, lambda: bench.done.append("b"))
    bench.loop.set_timer(("c", "t"), 1.0, lambda: bench.done.append("cancelled"))
    bench.loop.cancel_timer(("c", "t"))
    assert bench.loop.seconds_to(("a", "t")) == 3.0
    assert bench.loop.seconds_to(("c", "t")) is None
    bench.now = 3.0
    assert bench.loop.work()
    assert bench.done == [BUG, "b"]


def test_whatever_comes_of_a_question_is_told_on_the_loops_thread(bench: Bench) -> None:
    def refuse() -> None:
        raise refused(ProblemKind.UNREACHABLE, "no way")

    questions: list[Callable[[], object]] = [lambda: 7, refuse, lambda: 1 // 0]
    for count, question in enumerate(questions, 1):
        bench.loop.ask(question, bench.done.append, bench.done.append)
        assert bench.loop.work_until(partial(bench.has_done, count), 20.0)
    assert bench.done == [7, Problem(ProblemKind.UNREACHABLE, "no way"), BUG]


def test_waiting_for_what_never_comes_has_an_end(bench: Bench) -> None:
    bench.do("something else")
    assert not bench.loop.work_until(lambda: False, 0.0)
    assert bench.done == ["something else"]
