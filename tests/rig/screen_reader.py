"""Using a running app as a screen reader does: by the identifiers of its controls, over the accessibility bus.

The library for it comes with the system's Python, not from a wheel; so a small program runs under that Python and
answers questions, a JSON line each. This module is both: imported it asks, run it answers.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from types import TracebackType
from typing import Any

SYSTEM_PYTHON = "/usr/bin/python3"
_LOOK_SECONDS = 0.1


class ScreenReader:
    """A context manager. Each method waits for what it needs, and fails with words when it does not come."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._environment = {**os.environ, **environment}
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> ScreenReader:
        self._process = subprocess.Popen(
            [SYSTEM_PYTHON, __file__],
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None
        with self._process as process:
            process.kill()

    def press(self, identifier: str, seconds: float = 10.0) -> None:
        """Press a button once it is there and enabled."""
        self._ask("press", identifier, seconds)

    def write(self, identifier: str, text: str, seconds: float = 10.0) -> None:
        """Put text into a field."""
        self._ask("write", identifier, seconds, text)

    def read(self, identifier: str, seconds: float = 10.0) -> str:
        """What a control that can be seen says: its text, or its name."""
        return str(self._ask("read", identifier, seconds))

    def wait_for(self, identifier: str, text: str = "", seconds: float = 10.0) -> str:
        """Wait until a control can be seen and says ``text`` somewhere."""
        return str(self._ask("wait", identifier, seconds, text))

    def outline(self) -> list[str]:
        """Identifier, role, name of all that can be seen."""
        lines = self._ask("outline", "", 10.0)
        assert isinstance(lines, list)
        return lines

    def _ask(self, what: str, identifier: str, seconds: float, text: str = "") -> object:
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        question = {"what": what, "identifier": identifier, "seconds": seconds, "text": text}
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        answer = json.loads(line) if line else {"error": "the screen reader died"}
        if "error" in answer:
            raise AssertionError(f"{what} {identifier} {text!r}: {answer['error']}")
        return answer["value"]


# Under the system's Python ----------------------------------------------------------------------------------------


def _answer_questions() -> None:
    import gi  # type: ignore[import-not-found,unused-ignore]

    gi.require_version("Atspi", "2.0")
    from gi.repository import Atspi  # type: ignore[import-not-found,unused-ignore]

    for line in sys.stdin:
        question = json.loads(line)
        try:
            answer = {"value": _carry_out(Atspi, question)}
        except Exception as error:  # noqa: BLE001 - the asker is told
            answer = {"error": f"{type(error).__name__}: {error}"}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def _carry_out(atspi: Any, question: dict[str, Any]) -> object:
    deadline = time.monotonic() + question["seconds"]
    trouble = "no app on the accessibility bus"
    while time.monotonic() < deadline:
        try:
            return _try(atspi, question)
        except LookupError as error:
            trouble = str(error)
        except Exception as error:  # noqa: BLE001 - a widget that went away while it was looked at: look again
            trouble = f"{type(error).__name__}: {error}"
        time.sleep(_LOOK_SECONDS)
    raise TimeoutError(trouble)


def _try(atspi: Any, question: dict[str, Any]) -> object:
    app = _app(atspi)
    if question["what"] == "outline":
        return [f"{n.get_accessible_id()} | {n.get_role_name()} | {n.get_name()}" for n in _walk(atspi, app)]
    node = _find(atspi, app, question["identifier"])
    said = _text(atspi, node)
    match question["what"]:
        case "press":
            if not node.get_state_set().contains(atspi.StateType.ENABLED):
                raise LookupError("it is not enabled")
            _act(atspi, node)
        case "write":
            atspi.EditableText.set_text_contents(node, question["text"])
        case "wait" if question["text"].lower() not in said.lower():
            raise LookupError(f"it says {said!r}")
    return said


def _act(atspi: Any, node: Any) -> None:
    count = atspi.Action.get_n_actions(node)
    names = [atspi.Action.get_action_name(node, i) for i in range(count)]
    if "Press" not in names:
        raise LookupError(f"it cannot be pressed: {names}")
    atspi.Action.do_action(node, names.index("Press"))


def _app(atspi: Any) -> Any:
    desktop = atspi.get_desktop(0)
    for index in range(desktop.get_child_count()):
        app = desktop.get_child_at_index(index)
        if app and app.get_child_count() and "ScribeDesk" in (app.get_name() or ""):
            return app
    raise LookupError("no app on the accessibility bus")


def _walk(atspi: Any, node: Any) -> Any:
    for index in range(node.get_child_count()):
        child = node.get_child_at_index(index)
        if child is not None and child.get_state_set().contains(atspi.StateType.SHOWING):
            yield child
        if child is not None:
            yield from _walk(atspi, child)


def _find(atspi: Any, app: Any, identifier: str) -> Any:
    for node in _walk(atspi, app):
        if node.get_accessible_id().rpartition(".")[2] == identifier:
            return node
    raise LookupError("it cannot be seen")


def _text(atspi: Any, node: Any) -> str:
    if "Text" in node.get_interfaces():
        return str(atspi.Text.get_text(node, 0, -1))
    return str(node.get_name())


if __name__ == "__main__":
    _answer_questions()
