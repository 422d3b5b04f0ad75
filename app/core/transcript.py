"""The transcript as it is read: what was said, and where something was not heard, in the order of the visit."""

from __future__ import annotations

from dataclasses import dataclass

from app.core.scribe import Utterance
from app.core.views import SessionView

MISSING = "missing"
"""Reason of a mark for audio that the service does not have; the others are those of a gap."""


@dataclass(frozen=True)
class Mark:
    """A place in the recording where the transcript has a hole.

    ``seconds`` is how long it lasted, None where that is not known yet.
    """

    position_seconds: float
    seconds: float | None
    reason: str


def transcript_lines(session: SessionView) -> tuple[Utterance | Mark, ...]:
    """What was said with the marks among it (behaviours 6 and 10).

    A service that tells no times gets its marks behind the text: each says where in the recording it belongs.
    """
    said = session.utterances
    if not any(u.start_seconds is not None for u in said):
        return (*(Utterance(line) for line in session.transcript.splitlines()), *_marks(session))
    lines: list[Utterance | Mark] = []
    marks = _marks(session)
    for utterance in said:
        start = utterance.start_seconds
        while marks and start is not None and marks[0].position_seconds <= start:
            lines.append(marks.pop(0))
        lines.append(utterance)
    return (*lines, *marks)


def _marks(session: SessionView) -> list[Mark]:
    gaps = [Mark(g.position_seconds, g.seconds, g.reason) for g in session.gaps]
    missing = [Mark(first, end - first, MISSING) for first, end in session.missing_spans]
    return sorted([*gaps, *missing], key=lambda m: m.position_seconds)
