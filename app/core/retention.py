"""How long what is on this computer stays, and what is to be deleted now. Pure: the clock is told, not read.

The rule. Audio is kept until the service has all of it, has made a result of it, and nothing more is awaited. Then it
goes when the notes have been reviewed, and in any case some days after the visit. Transcript and notes go after their
own time, if they have one. **What was not delivered, or came to no result, is never deleted by age**: a person
decides about that.

Since a deletion cannot be taken back, a clock that is not to be believed deletes nothing. It is not believed when it
shows a time before the newest one that was seen, or one more than a day and a half after it, until the app has then
run for an hour. A computer that was off over a weekend deletes an hour late; one whose clock is set to another year
and back deletes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

from app.core.events import SessionId
from app.core.problems import ProblemKind
from app.core.scribe import TemplateStatus
from app.core.settings import Settings
from app.core.views import Phase, SessionView

_DAY_SECONDS: Final = 86_400.0
_LONGEST_STEP_SECONDS: Final = 36 * 3600.0
_EARLIEST: Final = 1_577_836_800.0
"""The beginning of 2020: no visit was recorded before."""
_CORRECTION_SECONDS: Final = 300.0
"""How far a clock may be set back without a doubt: what time servers correct."""
_STEADY_SECONDS: Final = 3600.0
_LONGEST_STEADY_STEP_SECONDS: Final = 600.0


@dataclass(frozen=True)
class SeenTime:
    """The time of day as the app has seen it go by. Kept between starts; told at least every ten minutes."""

    newest_at: float
    steady_seconds: float = _STEADY_SECONDS
    """For how long it has gone by without a jump, as far as that matters."""

    @property
    def is_believed(self) -> bool:
        """Whether something may be deleted by this clock."""
        return self.steady_seconds >= _STEADY_SECONDS

    def then(self, now: float) -> SeenTime:
        """After the clock has shown ``now``."""
        step = now - self.newest_at
        if not -_CORRECTION_SECONDS <= step <= _LONGEST_STEP_SECONDS:
            return SeenTime(now, 0.0)
        steady = self.steady_seconds + min(max(step, 0.0), _LONGEST_STEADY_STEP_SECONDS)
        return SeenTime(max(now, self.newest_at), min(steady, _STEADY_SECONDS))


class Due(NamedTuple):
    """What is to be deleted now."""

    audio: tuple[SessionId, ...] = ()
    """Only the recording."""
    sessions: tuple[SessionId, ...] = ()
    """All that there is of a session, with its key."""


def is_delivered(view: SessionView) -> bool:
    """The service has the whole recording and has made something of it."""
    is_heard = view.problem is None or view.problem.kind is not ProblemKind.HEARD_FEWER
    has_all = view.is_ended and view.chunks_uploaded >= view.chunks_sealed and not view.missing_chunks
    return view.phase in (Phase.COMPLETED, Phase.PARTIAL) and has_all and is_heard


def is_settled(view: SessionView) -> bool:
    """No note is awaited."""
    return view.phase.is_final and all(note.status is not TemplateStatus.PROCESSING for note in view.notes)


def audio_until(view: SessionView, keep_audio_days: float) -> float | None:
    """When the recording is deleted; None while nobody can say, and when it is gone."""
    if not (view.has_audio and view.chunks_sealed and is_delivered(view) and is_settled(view)):
        return None
    ended_at = _ended_at(view)
    by_age = None if ended_at is None else ended_at + keep_audio_days * _DAY_SECONDS
    return min((at for at in (view.reviewed_at, by_age) if at is not None), default=None)


def notes_until(view: SessionView, keep_notes_days: float) -> float | None:
    """When all of a session is deleted; None where it stays until somebody deletes it. 0 days are for ever."""
    is_empty = view.phase is Phase.FAILED and view.chunks_sealed == 0
    is_safe = is_empty or (is_settled(view) and is_delivered(view))
    ended_at = _ended_at(view)
    if keep_notes_days <= 0 or ended_at is None or not is_safe:
        return None
    return ended_at + keep_notes_days * _DAY_SECONDS


def _ended_at(view: SessionView) -> float | None:
    """When a visit was over; None where the clock cannot have been right, and so nothing is known of its age."""
    if view.ended_at is None:
        return None
    latest = max(view.ended_at, view.started_at or 0.0)
    return latest if latest >= _EARLIEST else None


def due(views: Iterable[SessionView], settings: Settings, now: float, seen: SeenTime) -> Due:
    """What is to be deleted now. ``seen`` has been told of ``now``."""
    if not seen.is_believed:
        return Due()
    audio: list[SessionId] = []
    sessions: list[SessionId] = []
    for view in views:
        if _is_past(notes_until(view, settings.keep_notes_days), now):
            sessions.append(view.id)
        elif _is_past(audio_until(view, settings.keep_audio_days), now):
            audio.append(view.id)
    return Due(tuple(audio), tuple(sessions))


def _is_past(until: float | None, now: float) -> bool:
    return until is not None and until <= now
