"""The local service's process is started, believed only when it tells an address, started again, and ended."""

from __future__ import annotations

import queue
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from app.core.problems import Problem, ProblemKind
from app.engine.local_service import Address, LocalService
from tests.engine.stand_ins import LOCAL_COMMAND

_PYTHON = (sys.executable, "-I", "-S", "-c")
_SECONDS = 20.0
KEY = bytes(range(32))


@contextmanager
def running(*command: str) -> Iterator[queue.SimpleQueue[Address | Problem]]:
    """What is told of a service while it is kept running."""
    told: queue.SimpleQueue[Address | Problem] = queue.SimpleQueue()
    service = LocalService(command, KEY, on_up=told.put, on_down=told.put)
    service.start()
    yield told
    service.close(_SECONDS)


def test_its_address_is_what_it_prints_and_its_token_is_never_shown() -> None:
    with running(*LOCAL_COMMAND) as told:
        address = told.get(timeout=_SECONDS)
    assert isinstance(address, Address)
    assert address.base_url == "http://local/voice/v1"
    assert address.token not in repr(address)


def test_its_key_is_the_first_line_that_it_reads_and_is_in_no_place_where_others_look() -> None:
    repeats = (
        "import json, os, sys; key = sys.stdin.readline(); "
        "seen = [*sys.argv, *sys.orig_argv, *os.environ, *os.environ.values()]; "
        "hidden = not any(key.strip() in place for place in seen); "
        "print(json.dumps({'base_url': key.strip() + str(hidden)}), flush=True); sys.stdin.read()"
    )
    with running(*_PYTHON, repeats) as told:
        assert told.get(timeout=_SECONDS) == Address(KEY.hex() + "True", "")


@pytest.mark.parametrize("line", ["not json", "[]", "{}", '{"token": "t"}', ""])
def test_anything_else_is_not_an_address_and_it_is_started_again(line: str) -> None:
    with running(*_PYTHON, f"print({line!r}, flush=True); import sys; sys.stdin.read()") as told:
        for _ in range(2):
            problem = told.get(timeout=_SECONDS)
            assert isinstance(problem, Problem)
            assert problem.kind is ProblemKind.LOCAL_SERVICE_DOWN
            assert "did not start" in problem.detail


def test_a_program_that_is_not_there_is_told() -> None:
    with running("/nowhere/scribe") as told:
        problem = told.get(timeout=_SECONDS)
    assert isinstance(problem, Problem)
    assert problem.kind is ProblemKind.LOCAL_SERVICE_DOWN


def test_one_that_ran_and_died_is_started_again() -> None:
    with running(*_PYTHON, 'print(\'{"base_url": "http://local"}\', flush=True)') as told:
        for expected in (Address("http://local", ""), Problem(ProblemKind.LOCAL_SERVICE_DOWN)) * 2:
            assert told.get(timeout=_SECONDS) == expected


def test_closing_ends_one_that_says_nothing() -> None:
    with running(*_PYTHON, "import sys; sys.stderr.close(); sys.stdin.read()"):
        pass
