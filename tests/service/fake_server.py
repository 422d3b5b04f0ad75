"""A service process whose engines do only what a test allows.

``python -m tests.service.fake_server FOLDER LEASH_PORT [PORT]``

The key comes on stdin, as from the app. Before each chunk and each note it says on the test's socket what it is about
to do, and waits for the word to go on.
"""

from __future__ import annotations

import socket
import sys
from pathlib import Path

from app.service.engines import Engines
from app.service.ports import NoteContent, Transcript
from app.service.sealing import read_key
from app.service.server import run
from tests.service.peer import TOKEN, ScriptedNoteMaker, ScriptedTranscriber


class Leash:
    """Asks the test before each step."""

    def __init__(self, port: int) -> None:
        self._port = port

    def ask(self, what: str) -> None:
        with socket.create_connection(("127.0.0.1", self._port), timeout=60) as line:
            line.sendall(what.encode() + b"\n")
            if not line.recv(16):
                raise SystemExit("the test has gone")


class LeashedNoteMaker(ScriptedNoteMaker):
    def __init__(self, leash: Leash) -> None:
        super().__init__()
        self._leash = leash

    def make(self, template_id: str, transcript: Transcript) -> NoteContent:
        self._leash.ask(f"note {template_id}")
        return super().make(template_id, transcript)


def main() -> None:
    leash = Leash(int(sys.argv[2]))
    engines = Engines(ScriptedTranscriber(lambda number: leash.ask(f"chunk {number}")), LeashedNoteMaker(leash))
    port = int(sys.argv[3]) if len(sys.argv) > 3 else 0
    run(
        Path(sys.argv[1]),
        key=read_key(),
        port=port,
        token=TOKEN,
        until_stdin_closes=True,
        make_engines=lambda _: engines,
    )


if __name__ == "__main__":
    main()
