"""An app in a process of its own, with a microphone that says what it is told to, for faults of whole processes.

Says ``begins`` before there is anything on the disk.
Reads words from stdin: ``speak`` a second, ``trouble`` until there is some, ``stop`` and wait for the result.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from app.core.events import Stop
from tests.engine.stand_ins import Desk
from tests.faults.desk import speech

_SECOND = 16_000


def main(home: Path) -> None:
    """Record one visit."""
    desk = Desk(home)
    _say("begins")
    desk.switch_on()
    visit, microphone = desk.record()
    desk.session(visit, lambda s: s.is_created)
    spoken, at = speech(60.0), 0
    _say("recording")
    for line in sys.stdin:
        word = line.strip()
        if word == "speak":
            microphone.speak(spoken[at : at + _SECOND])
            at += _SECOND
            microphone.await_kept()
            _say("spoken")
        elif word == "trouble":
            problem = desk.session(visit, lambda s: s.problem).problem
            assert problem
            _say(f"{problem.kind} {problem.detail}")
        elif word == "stop":
            desk.intend(visit, Stop(0.0))
            done = desk.completed(visit)
            is_whole = np.array_equal(desk.heard(visit), spoken[:at])
            _say(f"{'whole' if is_whole else 'broken'} {len(done.gaps)} gaps {done.problem}")
    desk.switch_off()


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
