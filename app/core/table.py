"""What may be wished of a session when, and the phase that it leads to: one literal table."""

from __future__ import annotations

from typing import Final

from app.core.events import (
    ChangePatient,
    CheckAgain,
    Discard,
    Intent,
    MakeNote,
    MarkReviewed,
    Pause,
    Resume,
    SendAgain,
    Start,
    Stop,
    TryNow,
    UndoDiscard,
)
from app.core.views import Phase

_FINISHING: Final = (Phase.DRAINING, Phase.ENDING, Phase.PROCESSING)
_FINAL: Final = (Phase.COMPLETED, Phase.PARTIAL, Phase.FAILED, Phase.EXPIRED)

TABLE: Final[dict[tuple[Phase, type[Intent]], Phase]] = {
    (Phase.IDLE, Start): Phase.RECORDING,
    (Phase.RECORDING, Pause): Phase.PAUSED,
    (Phase.PAUSED, Resume): Phase.RECORDING,
    (Phase.RECORDING, Stop): Phase.DRAINING,
    (Phase.PAUSED, Stop): Phase.DRAINING,
    (Phase.RECORDING, Discard): Phase.DISCARDED,
    (Phase.PAUSED, Discard): Phase.DISCARDED,
    (Phase.DISCARDED, UndoDiscard): Phase.PAUSED,
    **{(phase, ChangePatient): phase for phase in (Phase.RECORDING, Phase.PAUSED, *_FINISHING, *_FINAL)},
    **{(phase, TryNow): phase for phase in (Phase.RECORDING, Phase.PAUSED, *_FINISHING, *_FINAL)},
    **{(phase, CheckAgain): phase for phase in (Phase.PARTIAL, Phase.FAILED)},
    **{(phase, SendAgain): Phase.DRAINING for phase in (Phase.PARTIAL, Phase.FAILED, Phase.EXPIRED)},
    **{(phase, MakeNote): phase for phase in (Phase.COMPLETED, Phase.PARTIAL)},
    **{(phase, MarkReviewed): phase for phase in _FINAL},
}
"""Anything that is not here is :class:`~app.core.session.NotAllowed`; some of it has a condition of its own there."""
