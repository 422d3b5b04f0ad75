"""The transcript as it is read: what was said, and where something was not heard, in the order of the visit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from app.core.scribe import Utterance
from app.core.views import SessionView

MISSING = "missing"
"""Reason of a mark for audio that the service does not have; the others are those of a gap."""

WORDS: Final = {
    "paused": "The recording was paused",
    "microphone": "No microphone could be read",
    "lost": "Sound was lost on its way to the disk",
    "silent": "No sound from the microphone",
    "asleep": "The computer was asleep",
    "interrupted": "The recording was interrupted",
    MISSING: "Missing at the service",
}
"""What a reader is told of a place where something was not heard."""


@dataclass(frozen=True)
class Mark:
    """A place in the recording where the transcript has a hole.

    ``seconds`` is how long it lasted, None where that is not known yet.
    """

    position_seconds: float
    seconds: float | None
    reason: str
    began_at: float | None = None
    """Seconds since 1970 UTC, where it is known."""
    takes_up_recording: bool = False
    """The stretch is in the recording, with nothing in it; else it stands between two of its samples."""

    def sentence(self, time_of_day: Callable[[float], str] | None = None) -> str:
        """In words, for what is copied: ``No sound from the microphone, 04:10-04:40``.

        ``time_of_day`` puts a time since 1970 as the reader's clock showed it.
        """
        return f"{WORDS.get(self.reason, self.reason)}, {self._where()}{self._when(time_of_day)}"

    def _where(self) -> str:
        start = clock(self.position_seconds)
        if self.seconds is None:
            return f"from {start} on"
        if self.takes_up_recording:
            return f"{start}-{clock(self.position_seconds + self.seconds)}"
        return f"at {start} for {max(1.0, self.seconds):.0f} s"

    def _when(self, time_of_day: Callable[[float], str] | None) -> str:
        if time_of_day is None or self.began_at is None:
            return ""
        began = time_of_day(self.began_at)
        ended = began if self.seconds is None else time_of_day(self.began_at + self.seconds)
        return f" ({began})" if ended == began else f" ({began}-{ended})"


def clock(seconds: float) -> str:
    """A place in a recording: ``04:10``, or ``1:04:10`` from the first hour on."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes:02d}:{rest:02d}"


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
    gaps = [Mark(g.position_seconds, g.seconds, g.reason, g.began_at, g.takes_up_recording) for g in session.gaps]
    missing = [Mark(first, end - first, MISSING, takes_up_recording=True) for first, end in session.missing_spans]
    return sorted([*gaps, *missing], key=lambda m: m.position_seconds)
