"""What a capture process recorded after its app had died: taken over by the next app.

Runs on whichever thread calls it; waiting is for workers.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from app.audio.signal import Block, Conditioner, Samples
from app.audio.survivor import FORM, LIVE, STOP

_LOOK_SECONDS = 0.05


def end_orphan(path: Path, timeout_seconds: float = 2.0) -> bool:
    """Ask the process that records to this path to end; whether it has, or there is none.

    One that was killed leaves its file under the name of one at work: that is put right here once it has had its
    time to answer.
    """
    live, stop = Path(f"{path}{LIVE}"), Path(f"{path}{STOP}")
    if not live.exists():
        return True
    stop.touch()
    ends_at = time.monotonic() + timeout_seconds
    while live.exists() and time.monotonic() < ends_at:
        time.sleep(_LOOK_SECONDS)
    has_ended = not live.exists()
    if not has_ended:
        live.replace(path)
    stop.unlink(missing_ok=True)
    return has_ended


def orphan_blocks(records: Iterable[bytes]) -> Iterator[tuple[int, float, Block]]:
    """Rate, wall time at the end, and frames, of each record of the sealed file."""
    for record in records:
        rate_hz, channels, at = FORM.unpack_from(record)
        yield rate_hz, at, np.frombuffer(record, np.int16, offset=FORM.size).reshape(-1, channels)


def orphan_samples(records: Iterable[bytes], after: float) -> Iterator[tuple[float, Samples]]:
    """Samples, and the wall time at their end, of what was heard later than ``after``.

    The app had most of the first blocks already; the time at which its own last sample was heard tells which.
    """
    conditioner: Conditioner | None = None
    at = after
    for rate_hz, at, block in orphan_blocks(records):
        conditioner = conditioner or Conditioner(rate_hz)
        fresh = min(len(block), round((at - after) * rate_hz))
        if fresh > 0:
            yield at, conditioner.push(block[len(block) - fresh :])
    if conditioner:
        yield at, conditioner.flush()
