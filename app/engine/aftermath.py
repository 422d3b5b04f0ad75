"""What the capture process recorded after the app had died, brought into the visit at the next start.

Runs on the engine's thread, before anything else is done about the session. A crash in the middle does no harm: the
spool tells how far it had come, and the rest is brought in at the start after that.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from app.audio.orphan import end_orphan, orphan_samples
from app.audio.signal import Samples
from app.audio.survivor import PURPOSE
from app.core.recording import SAMPLE_RATE_HZ
from app.store.durable import sync_folder
from app.store.sealed import SealedLog
from app.store.spool import Spool

_APPEND_SAMPLES = SAMPLE_RATE_HZ


def bring_in(spool: Spool, path: Path, until: float) -> float:
    """Add to a spool what was recorded behind its end, and remove the file; the time to which that went, or 0.

    ``until`` is when the visit was paused or stopped, if it was: what was heard after that is nobody's.

    Raises:
        OSError: the disk refuses; to be called again, with the spool opened anew.
    """
    end_orphan(path)
    if not path.exists():
        return 0.0
    at = kept_until = spool.heard_until
    records = [record.body for record in SealedLog(path, spool.key, PURPOSE).records()]
    pending: list[Samples] = []
    for at, samples in orphan_samples(records, kept_until, until):
        pending.append(samples)
        if sum(map(len, pending)) >= _APPEND_SAMPLES:
            _append(spool, pending, at)
    if pending:
        _append(spool, pending, at)
    path.unlink()
    sync_folder(path.parent)
    return at


def _append(spool: Spool, pending: list[Samples], at: float) -> None:
    spool.append(np.concatenate(pending).astype("<i2", copy=False).tobytes(), at)
    pending.clear()
