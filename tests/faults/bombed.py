"""Asks a service for one bomb after the other; tells what came of each and how much memory this process took at most.

``python -m tests.faults.bombed BASE NAME...``, on Linux: a process of its own, whose memory nobody else touches.
"""

from __future__ import annotations

import ctypes
import json
import re
import sys
from pathlib import Path

from app.core.events import Visit
from app.protocol.answer import RequestRefused
from app.protocol.client import ScribeClient

_libc = ctypes.CDLL(None)


def resident_kib(what: str) -> int:
    found = re.search(rf"{what}:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="ascii"))
    assert found
    return int(found[1])


def met(client: ScribeClient, name: str) -> tuple[str, int]:
    """The kind of refusal, or that it was taken, and the largest size of the process meanwhile, in KiB."""
    _libc.malloc_trim(0)  # What the C library keeps for next time is not this bomb's doing.
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    try:
        if name.startswith("create"):
            client.create(name, Visit(), [])
        else:
            client.status(name)
        outcome = "taken"
    except RequestRefused as refused:
        outcome = refused.problem.kind.value
    return outcome, resident_kib("VmHWM")


def main(base: str, names: list[str]) -> None:
    client = ScribeClient(base, "token")
    met(client, "warm-up")
    start = resident_kib("VmRSS")
    outcomes = {name: met(client, name) for name in names}
    sys.stdout.write(json.dumps({name: (outcome, most - start) for name, (outcome, most) in outcomes.items()}))
    client.close()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
