"""What was not heard is said where it was not heard."""

from __future__ import annotations

from app.core.events import SessionId, Visit
from app.core.scribe import Utterance
from app.core.transcript import MISSING, Mark, transcript_lines
from app.core.views import Gap, Phase, SessionView


def _session(**parts: object) -> SessionView:
    return SessionView(SessionId("ses_1"), Phase.PARTIAL, Visit(), **parts)  # type: ignore[arg-type]


def test_a_pause_and_a_missing_stretch_stand_between_the_lines_they_parted() -> None:
    before, between, after = Utterance("one", 0.0, 4.0), Utterance("two", 12.0, 15.0), Utterance("three", 41.0, 44.0)
    session = _session(
        utterances=(before, between, after), gaps=(Gap(10.0, 60.0, "paused"),), missing_spans=((20.0, 40.0),)
    )
    assert transcript_lines(session) == (
        before,
        Mark(10.0, 60.0, "paused"),
        between,
        Mark(20.0, 20.0, MISSING),
        after,
    )


def test_a_gap_at_the_end_comes_last() -> None:
    said = Utterance("one", 0.0, 4.0)
    session = _session(utterances=(said,), gaps=(Gap(9.0, None, "interrupted"),))
    assert transcript_lines(session) == (said, Mark(9.0, None, "interrupted"))


def test_without_times_every_line_is_kept_and_the_marks_follow() -> None:
    session = _session(transcript="one\ntwo", gaps=(Gap(3.0, 5.0, "microphone"),))
    assert transcript_lines(session) == (Utterance("one"), Utterance("two"), Mark(3.0, 5.0, "microphone"))
