"""An app to be stopped and killed: listens to a microphone that gives numbers until a line comes on stdin.

It says ``ready`` with the first block, and at the end how many seconds it heard and how often a number was missing.
With a path as its argument, its capture process is to record there when the app is killed, and ``KEY`` seals it.
"""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import numpy as np

from app.audio.microphone import ChildMicrophone, Will
from app.audio.signal import Samples
from tests.audio.stand_ins import CAPTURE, RATE_HZ

KEY = bytes(range(32))
_SURVIVING = (sys.executable, "-m", "tests.audio.surviving_worker")


def breaks(samples: Samples) -> int:
    """How often a number does not follow the one before."""
    steps = np.diff(samples.astype(np.int32))
    return int(np.count_nonzero((steps != 1) & (steps != 1 - 0x8000)))


def main() -> None:
    """Listen as a take does: a second without a block is a failure."""
    will = Will(Path(sys.argv[1]), KEY, seconds=float(sys.argv[2])) if len(sys.argv) > 1 else None
    microphone = ChildMicrophone(_SURVIVING if will else CAPTURE, will=will)
    microphone.open()
    heard = [microphone.read(3.0)]
    _say("ready")
    threading.Thread(target=_end_when_told, args=(microphone,), daemon=True).start()
    while (block := microphone.read(1.0)) is not None:
        heard.append(block)
    microphone.close()
    samples = np.concatenate([block[:, 0] for block in heard if block is not None]).astype(np.int16)
    _say(f"{len(samples) / RATE_HZ:.3f} {breaks(samples)}")


def _end_when_told(microphone: ChildMicrophone) -> None:
    sys.stdin.readline()
    microphone.end()


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
