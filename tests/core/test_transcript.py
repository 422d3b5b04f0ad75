"""What was not heard is said where it was not heard."""

from __future__ import annotations

import pytest

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
        Mark(20.0, 20.0, MISSING, takes_up_recording=True),
        after,
    )


def test_a_gap_at_the_end_comes_last() -> None:
    said = Utterance("one", 0.0, 4.0)
    session = _session(utterances=(said,), gaps=(Gap(9.0, None, "interrupted"),))
    assert transcript_lines(session) == (said, Mark(9.0, None, "interrupted"))


def test_without_times_every_line_is_kept_and_the_marks_follow() -> None:
    session = _session(transcript="one\ntwo", gaps=(Gap(3.0, 5.0, "microphone"),))
    assert transcript_lines(session) == (Utterance("one"), Utterance("two"), Mark(3.0, 5.0, "microphone"))


def _at(seconds: float) -> str:
    return f"{int(seconds) // 3600 % 24:02d}:{int(seconds) // 60 % 60:02d}:{int(seconds) % 60:02d}"


@pytest.mark.parametrize(
    ("gap", "words"),
    [
        (Gap(250.0, 30.0, "silent", 36_000.0, True), "No sound from the microphone, 04:10-04:40 (10:00:00-10:00:30)"),
        (Gap(250.0, 61.0, "paused", 36_000.0), "The recording was paused, at 04:10 for 61 s (10:00:00-10:01:01)"),
        (Gap(3850.0, 0.4, "lost", 36_000.0), "Sound was lost on its way to the disk, at 1:04:10 for 1 s (10:00:00)"),
        (Gap(250.0, 600.0, "asleep"), "The computer was asleep, at 04:10 for 600 s"),
        (Gap(250.0, None, "interrupted", 36_000.0), "The recording was interrupted, from 04:10 on (10:00:00)"),
    ],
)  # fmt: skip
def test_a_mark_says_what_was_not_heard_and_when(gap: Gap, words: str) -> None:
    (mark,) = transcript_lines(_session(gaps=(gap,)))
    assert isinstance(mark, Mark)
    assert mark.sentence(_at) == words


def test_what_the_service_lacks_is_a_stretch_of_the_recording() -> None:
    (mark,) = transcript_lines(_session(missing_spans=((20.0, 40.0),)))
    assert isinstance(mark, Mark)
    assert mark.sentence() == "Missing at the service, 00:20-00:40"
