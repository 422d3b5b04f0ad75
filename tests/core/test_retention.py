"""What is deleted by age, what never is, and what a clock that jumps can do."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app.core.events import SessionId, Visit
from app.core.problems import Problem, ProblemKind
from app.core.retention import Due, SeenTime, audio_until, due, notes_until
from app.core.scribe import TemplateResult, TemplateStatus
from app.core.settings import Settings
from app.core.views import Phase, SessionView

HOUR, DAY = 3600.0, 86_400.0
ENDED = 1_700_000_000.0
WEEK = Settings(keep_audio_days=7.0)
STEADY = SeenTime(ENDED)
DONE = SessionView(
    SessionId("ses_1"),
    Phase.COMPLETED,
    Visit(),
    chunks_sealed=3,
    chunks_uploaded=3,
    is_ended=True,
    ended_at=ENDED,
    notes=(TemplateResult("soap", TemplateStatus.SUCCESS),),
)


def test_audio_goes_after_its_days_or_once_the_notes_are_reviewed() -> None:
    assert audio_until(DONE, 7.0) == ENDED + 7 * DAY
    reviewed = replace(DONE, reviewed_at=ENDED + 60)
    assert audio_until(reviewed, 7.0) == ENDED + 60
    assert audio_until(replace(DONE, reviewed_at=ENDED + 9 * DAY), 7.0) == ENDED + 7 * DAY
    assert due([DONE], WEEK, ENDED + 7 * DAY - 1, STEADY) == Due()
    assert due([DONE], WEEK, ENDED + 7 * DAY, STEADY) == Due(audio=(DONE.id,))
    assert due([reviewed], WEEK, ENDED + 60, STEADY) == Due(audio=(DONE.id,))


@pytest.mark.parametrize(
    "kept",
    [
        replace(DONE, phase=Phase.RECORDING),
        replace(DONE, phase=Phase.DRAINING, chunks_uploaded=2),
        replace(DONE, phase=Phase.PROCESSING),
        replace(DONE, phase=Phase.FAILED),
        replace(DONE, phase=Phase.EXPIRED),
        replace(DONE, phase=Phase.DISCARDED),
        replace(DONE, is_ended=False),
        replace(DONE, phase=Phase.PARTIAL, chunks_uploaded=2),
        replace(DONE, phase=Phase.PARTIAL, missing_chunks=(1,)),
        replace(DONE, phase=Phase.PARTIAL, problem=Problem(ProblemKind.HEARD_FEWER, "2 of 3")),
        replace(DONE, notes=(TemplateResult("soap", TemplateStatus.PROCESSING),)),
    ],
)
def test_what_was_not_delivered_or_came_to_nothing_is_never_deleted_by_age(kept: SessionView) -> None:
    old = replace(kept, reviewed_at=ENDED + 60)
    settings = Settings(keep_audio_days=7.0, keep_notes_days=30.0)
    assert due([old], settings, ENDED + 4000 * DAY, STEADY) == Due()
    assert audio_until(old, 7.0) is None
    assert notes_until(old, 30.0) is None


def test_notes_stay_for_ever_unless_they_are_given_a_time_and_then_all_goes() -> None:
    gone = replace(DONE, has_audio=False)
    assert audio_until(gone, 7.0) is None
    assert notes_until(gone, 0.0) is None
    month = Settings(keep_audio_days=7.0, keep_notes_days=30.0)
    assert due([gone, DONE], month, ENDED + 29 * DAY, STEADY) == Due(audio=(DONE.id,))
    assert due([gone], month, ENDED + 30 * DAY, STEADY) == Due(sessions=(DONE.id,))


def test_a_partial_result_of_all_that_was_recorded_has_served_its_purpose() -> None:
    failed_note = TemplateResult("soap", TemplateStatus.FAILED)
    assert audio_until(replace(DONE, phase=Phase.PARTIAL, notes=(failed_note,)), 7.0) == ENDED + 7 * DAY


def test_a_visit_in_which_nothing_was_recorded_goes_with_the_notes() -> None:
    empty = replace(DONE, phase=Phase.FAILED, chunks_sealed=0, chunks_uploaded=0, is_ended=False)
    assert audio_until(empty, 7.0) is None
    assert notes_until(empty, 30.0) == ENDED + 30 * DAY


# The clock --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("jump", [400 * DAY, 37 * HOUR, -HOUR, -ENDED])
def test_a_clock_that_jumps_deletes_nothing_for_an_hour(jump: float) -> None:
    now = ENDED + 8 * DAY
    seen = SeenTime(now).then(now + 60)
    assert due([DONE], WEEK, now + 60, seen) == Due(audio=(DONE.id,))
    old = replace(DONE, ended_at=1_580_000_000.0)
    jumped = seen.then(now + jump)
    assert due([old], WEEK, now + jump, jumped) == Due()
    for minute in range(59):
        jumped = jumped.then(now + jump + 60 * (minute + 1))
    assert not jumped.is_believed
    assert jumped.then(now + jump + HOUR).is_believed


def test_a_clock_that_is_set_back_right_after_deletes_nothing_either() -> None:
    there = STEADY.then(ENDED + 400 * DAY)
    back = there.then(ENDED + 60)
    assert not there.is_believed
    assert not back.is_believed
    assert due([DONE], WEEK, ENDED + 60, back) == Due()


def test_steps_in_which_nobody_looked_are_no_steady_time() -> None:
    doubted = STEADY.then(ENDED + 40 * HOUR).then(ENDED + 60 * HOUR)
    assert not doubted.is_believed


def test_a_night_switched_off_and_a_corrected_second_are_no_jumps() -> None:
    assert STEADY.then(ENDED + 14 * HOUR).then(ENDED + 14 * HOUR - 2).is_believed


def test_a_visit_that_ended_before_its_time_by_a_clock_that_was_wrong_is_no_older_than_its_start() -> None:
    set_back = replace(DONE, started_at=ENDED, ended_at=600.0)
    assert audio_until(set_back, 7.0) == ENDED + 7 * DAY


def test_of_a_visit_recorded_in_1970_nobody_knows_the_age() -> None:
    view = replace(DONE, started_at=0.0, ended_at=600.0)
    assert audio_until(view, 7.0) is None
    assert notes_until(view, 30.0) is None
    assert audio_until(replace(view, reviewed_at=ENDED), 7.0) == ENDED
