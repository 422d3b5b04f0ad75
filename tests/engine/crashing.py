"""An app that records and is to be killed: says ``kept`` when all that was spoken is on the disk, and waits."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from tests.engine.stand_ins import Desk


def main(home: Path, count: int) -> None:
    """Record ``count`` samples that tell their own place."""
    desk = Desk(home)
    desk.server.held.add("create")
    desk.switch_on()
    _, microphone = desk.record()
    microphone.speak((np.arange(count) % 30_000).astype(np.int16))
    microphone.await_kept()
    print("kept", flush=True)  # noqa: T201  the test reads it
    sys.stdin.read()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
