"""Records until a line comes on stdin, in a process of its own; each fact is a line on stdout.

A sound server that is killed or frozen can leave PortAudio hanging for good, and with it the process: the tests
that do such things need one to spare.
"""

from __future__ import annotations

import os
import sys
import threading

from app.audio.microphone import MicrophoneSource
from app.core.events import CaptureEnded, CaptureLost, CaptureStarted, ChunkSealed, Fact
from tests.audio.stand_ins import MemorySpool, Take


def _say(fact: Fact, spool: MemorySpool) -> None:
    kind = fact.problem.kind.value if isinstance(fact, CaptureLost) else ""
    kept = len(spool.decoded) == len(spool.pcm) > 0
    sys.stdout.write(f"{type(fact).__name__} {kind or '-'} {'kept' if kept else 'open'}\n")
    sys.stdout.flush()


def _end_when_told(take: Take) -> None:
    sys.stdin.readline()
    take.capture.end()


def main() -> None:
    """Record, then leave without asking PortAudio."""
    spool = MemorySpool()
    take = Take(MicrophoneSource(), spool)
    take.capture.start()
    threading.Thread(target=_end_when_told, args=(take,), daemon=True).start()
    fact = None
    while not isinstance(fact, CaptureEnded | CaptureLost):
        fact = take.await_fact(CaptureStarted, ChunkSealed, CaptureEnded, CaptureLost)
        _say(fact, spool)
    os._exit(0)


if __name__ == "__main__":
    main()
