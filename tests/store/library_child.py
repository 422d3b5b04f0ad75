"""A process to be killed: keeps sessions, or brings a library up to date, and says so after each step."""

from __future__ import annotations

import sys
from pathlib import Path

from app.core.events import Patient, SessionId, Visit
from app.core.views import Phase, SessionView
from app.store.library import Library
from app.store.migrations import STEPS, Step

KEY = bytes(range(32))
SECOND: Step = (
    "ALTER TABLE session ADD COLUMN label TEXT NOT NULL DEFAULT ''",
    "UPDATE session SET label = (SELECT view ->> '$.visit.patient.label' FROM view WHERE number = session.number)",
    "CREATE INDEX session_by_label ON session (label)",
    "UPDATE view SET view = json_set(view, '$.microphone', 'moved')",
    "UPDATE view SET checksum = checksum(view)",
)


def visit_no(number: int, microphone: str = "") -> SessionView:
    visit = Visit(Patient(label=f"Asha {number}"))
    words = f"visit{number} " * 500
    return SessionView(
        SessionId(f"s{number}"), Phase.COMPLETED, visit, float(number), transcript=words, microphone=microphone
    )


def say(what: str) -> None:
    sys.stdout.write(f"{what}\n")
    sys.stdout.flush()


def main() -> None:
    path, task = Path(sys.argv[1]), sys.argv[2]
    if task == "keep":
        library = Library.open(path, KEY)
        number = len(library.settled_ids())
        while True:
            library.keep(visit_no(number))
            say(str(number))
            number += 1
    say("begins")
    Library.open(path, KEY, steps=(*STEPS, SECOND)).close()
    say("done")


if __name__ == "__main__":
    main()
