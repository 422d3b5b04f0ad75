"""The reference for recording: PortAudio's callback copies into a queue, a thread takes out, nothing else."""

from __future__ import annotations

import queue
import sys
from typing import Any

import sounddevice

from tests.bench.telling import tell


def main() -> int:
    """Listen until terminated."""
    blocks: queue.SimpleQueue[bytes] = queue.SimpleQueue()

    def copy(block: Any, *_: object) -> None:
        blocks.put(bytes(block))

    with sounddevice.RawInputStream(samplerate=16_000, channels=1, dtype="int16", latency=0.1, callback=copy):
        blocks.get()
        tell("recording")
        while True:
            blocks.get()


if __name__ == "__main__":
    sys.exit(main())
