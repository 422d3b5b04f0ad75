"""What the capture process recorded after the app had died, brought into the visit at the next start.

Runs on the engine's thread, before anything else is done about the session.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from app.audio.signal import Conditioner, Samples
from app.audio.survivor import FORM, LIVE, PURPOSE, STOP
from app.store.sealed import SealedLog
from app.store.spool import Spool

_log = logging.getLogger(__name__)

_END_SECONDS = 2.0
_LOOK_SECONDS = 0.02


def bring_in(spool: Spool, path: Path, key: bytes) -> None:
    """Add to a spool what was recorded behind its end, and remove the file.

    Raises:
        OSError: the disk refuses; to be called again.
    """
    _end(path)
    if not path.exists():
        return
    log = SealedLog(path, key, PURPOSE)
    try:
        for samples, at in _recorded(log, after=spool.last_written_at):
            spool.append(samples.astype("<i2", copy=False).tobytes(), at)
    finally:
        log.close()
    path.unlink()


def _end(path: Path) -> None:
    """Ask a capture process that is still at it to stop; one that does not answer has died."""
    live, stop = path.with_name(path.name + LIVE), path.with_name(path.name + STOP)
    if not live.exists():
        return
    stop.touch()
    ends_at = time.monotonic() + _END_SECONDS
    while live.exists() and time.monotonic() < ends_at:
        time.sleep(_LOOK_SECONDS)
    if live.exists():
        _log.warning("A capture process had died, too")
        live.replace(path)
    stop.unlink()


def _recorded(log: SealedLog, after: float) -> Iterator[tuple[Samples, float]]:
    """Blocks that were complete after ``after``, as samples, with the time of the last one's end."""
    conditioner: Conditioner | None = None
    for record in log.records():
        rate_hz, channels, at = FORM.unpack_from(record.body)
        if at <= after:
            continue
        conditioner = conditioner or Conditioner(rate_hz)
        block = np.frombuffer(record.body, np.int16, offset=FORM.size).reshape(-1, channels)
        yield conditioner.push(block), at
