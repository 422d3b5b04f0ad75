"""What a capture process recorded after its app had died: taken over by the next app.

Runs on whichever thread calls it; waiting is for whoever can afford it.
"""

from __future__ import annotations

import logging
import math
import os
import signal
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np

from app.audio.signal import Block, Conditioner, Samples
from app.audio.survivor import FORM, LIVE, LOCK, STOP, hold

_log = logging.getLogger(__name__)

_LOOK_SECONDS = 0.02
_KILL_SECONDS = 1.0


def end_orphan(path: Path, timeout_seconds: float = 2.0) -> bool:
    """See to it that no process records to this path any more; whether the last one has ended in order.

    One that does not end when it is asked to is killed. What it wrote then lies under the name of one at work: that
    is put right here.
    """
    live, stop, lock = (Path(f"{path}{ending}") for ending in (LIVE, STOP, LOCK))
    if lock.exists() and not _is_free(lock, 0.0):
        stop.touch()
        if not _is_free(lock, timeout_seconds):
            _kill(lock)
    has_ended = not live.exists()
    if not has_ended:
        live.replace(path)
    for mark in (stop, lock):
        mark.unlink(missing_ok=True)
    return has_ended


def _is_free(lock: Path, timeout_seconds: float) -> bool:
    ends_at = time.monotonic() + timeout_seconds
    while (descriptor := hold(lock)) is None:
        if time.monotonic() >= ends_at:
            return False
        time.sleep(_LOOK_SECONDS)
    os.close(descriptor)
    return True


def _kill(lock: Path) -> None:
    """End the process whose number is in its lock: nobody else holds that."""
    _log.warning("A capture process did not end when it was asked to")
    with suppress(OSError, ValueError):
        os.kill(int(lock.read_bytes()), getattr(signal, "SIGKILL", signal.SIGTERM))
    _is_free(lock, _KILL_SECONDS)


def orphan_blocks(records: Iterable[bytes]) -> Iterator[tuple[int, float, Block]]:
    """Rate, wall time at the end, and frames, of each record of the sealed file."""
    for record in records:
        rate_hz, channels, at = FORM.unpack_from(record)
        yield rate_hz, at, np.frombuffer(record, np.int16, offset=FORM.size).reshape(-1, channels)


def orphan_samples(
    records: Iterable[bytes], after: float, until: float = math.inf
) -> Iterator[tuple[float, Samples]]:
    """Samples, and the wall time at their end, of what the app had not kept yet, as far as ``until``.

    ``after`` is the wall time at the end of the last block that it had kept, from which that block is known again: a
    clock may have been set back since. Only where that block is not among these do later times tell the rest.
    """
    blocks = list(orphan_blocks(records))
    kept = [number for number, (_, at, _) in enumerate(blocks, 1) if at == after]
    blocks = blocks[kept[-1] :] if kept else [block for block in blocks if block[1] > after]
    conditioner: Conditioner | None = None
    for rate_hz, at, block in blocks:
        conditioner = conditioner or Conditioner(rate_hz)
        late_seconds = min(max(0.0, at - until), len(block) / rate_hz)
        wanted = len(block) - math.ceil(late_seconds * rate_hz)
        if wanted > 0:
            yield at, conditioner.push(block[:wanted])
    if conditioner and len(rest := conditioner.flush()):
        yield blocks[-1][1], rest
