"""The list of faults that the app is to survive, and which test shows each.

The tests name the faults that they are about by marks; this only reads the tests.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).parents[1]
GROUPS = {
    "N": 15,  # the network
    "S": 17,  # what the service answers
    "X": 12,  # a service that means harm
    "D": 12,  # the disk
    "A": 15,  # the microphone
    "P": 8,  # the app's processes
    "C": 3,  # the clock
    "W": 4,  # power
    "T": 7,  # signing in
    "K": 4,  # the keystore
    "M": 3,  # several of the app
    "L": 4,  # the service on this computer
    "H": 4,  # people
}
FAULTS = [f"{group}{number}" for group, count in GROUPS.items() for number in range(1, count + 1)]
MOST_NOT_TESTED = 13
NOT_TESTED = {
    "X10": "Nothing is exported as a table that a spreadsheet would open.",
    "X11": "A token signs in; there is no way through a browser whose answer could be forged.",
    "T1": "Tokens are not renewed by the app: one that has expired is refused, which T2 and T6 show.",
    "W4": "The battery is not watched; what is recorded is on the disk within half a second, which P1 and W3 show.",
    "H3": "The screen's lock is the system's, and does not touch the window or the recording.",
}


def marked() -> dict[str, list[str]]:
    """Faults, and the tests that say that they show the app to survive them."""
    found: dict[str, list[str]] = defaultdict(list)
    for path in sorted(TESTS.rglob("test_*.py")):
        for name, fault in _marks_in(path):
            found[fault].append(f"{path.relative_to(TESTS)}::{name}")
    return found


def _marks_in(path: Path) -> Iterator[tuple[str, str]]:
    """Tests' names, and the faults that they, or all tests of the file, are marked with."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            yield from ((node.name, fault) for place in node.decorator_list for fault in _named_in(place))
        elif isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "pytestmark":
            yield from (("every test", fault) for fault in _named_in(node.value))


def _named_in(tree: ast.expr) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.fault":
            yield from (str(ast.literal_eval(argument)) for argument in node.args)


def test_every_fault_is_shown_by_a_test_or_has_a_reason_not_to_be() -> None:
    found = marked()
    missing = [fault for fault in FAULTS if fault not in found and fault not in NOT_TESTED]
    assert not missing, f"no test is marked with {', '.join(missing)}"
    assert len(FAULTS) == 108
    assert len(NOT_TESTED) <= MOST_NOT_TESTED


def test_no_fault_is_marked_or_excused_that_is_not_on_the_list() -> None:
    found = marked()
    foreign = {fault: tests for fault, tests in found.items() if fault not in FAULTS}
    assert not foreign
    assert set(NOT_TESTED) <= set(FAULTS)


def test_what_is_said_not_to_be_tested_is_not() -> None:
    assert not NOT_TESTED.keys() & marked().keys()
