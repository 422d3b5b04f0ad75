"""An app that records on a disk whose power is to be cut: says how many samples are acknowledged, and records on."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.faults.desk import BLOCK, FaultDesk

SPOKEN_SECONDS = 30.0


def main(home: Path, keystore: Path, url: str, blocks: int) -> None:
    """Tell of the samples on the disk once so many blocks are there."""
    desk = FaultDesk(home, url, keystore=keystore)
    desk.switch_on()
    desk.await_service()
    session_id = desk.begin()
    desk.begin_to_speak(session_id, SPOKEN_SECONDS)
    print(desk.kept_samples(session_id, at_least=blocks * BLOCK), flush=True)  # noqa: T201  the test reads it
    sys.stdin.read()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], int(sys.argv[4]))
