"""States, stages and places in words."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from app.core.problems import Problem, ProblemKind
from app.core.transcript import Mark
from app.core.views import Gap, Phase
from app.ui import phrases, standing
from app.ui.finishing_page import stages_of
from app.ui.icons import RESOURCES
from tests.ui.samples import NOTES, NOW, PENDING_NOTE, session, view


@pytest.mark.parametrize("phase", list(Phase))
def test_each_phase_has_a_word_and_a_shape(phase: Phase) -> None:
    state = phrases.state_of(session(phase))
    assert state.word
    assert (RESOURCES / "icons" / f"{state.icon}.svg").is_file()


def test_states_that_differ_differ_in_word_and_in_shape() -> None:
    shown = [
        Phase.RECORDING,
        Phase.PAUSED,
        Phase.DRAINING,
        Phase.COMPLETED,
        Phase.PARTIAL,
        Phase.FAILED,
        Phase.EXPIRED,
    ]
    states = [phrases.state_of(session(phase)) for phase in shown]
    assert len({state.word for state in states}) == len(states)
    assert len({state.icon for state in states}) == len(states)


def test_unsent_audio_is_said_to_be_kept_here() -> None:
    state = phrases.state_of(session(Phase.DRAINING, problem=Problem(ProblemKind.UNREACHABLE)))
    assert state.word == "Kept on this computer"


def test_times() -> None:
    assert phrases.clock_time(3852.9) == "01:04:12"
    assert phrases.position(250) == "04:10"
    assert phrases.position(3850) == "1:04:10"
    assert phrases.length(31) == "31 s"
    assert phrases.length(724) == "12 min"


def test_days() -> None:
    today = date(2026, 3, 2)
    assert phrases.day_name(today, today) == "Today"
    assert phrases.day_name(date(2026, 3, 1), today) == "Yesterday"
    assert "2026" in phrases.day_name(date(2026, 2, 1), today)


def test_where_the_audio_is() -> None:
    one = session(Phase.RECORDING, chunks_sealed=1, chunks_uploaded=0, seconds_to_upload=9.6)
    assert phrases.where_audio(one) == "1 piece on this computer, 0 on the service, 10 s behind"
    assert "all of them" in phrases.where_audio(session(Phase.RECORDING, chunks_uploaded=25))


def test_what_waits_is_counted_over_all_sessions() -> None:
    assert standing.queue(view(session(Phase.COMPLETED))) == "Nothing waits to be sent"
    waiting = view(
        session(Phase.RECORDING), session(Phase.DRAINING, number=2, chunks_uploaded=70, seconds_to_upload=20.0)
    )
    assert standing.queue(waiting) == "3 pieces to send (23 s)"


def test_names() -> None:
    assert phrases.language_name("hi") == "Hindi"
    assert phrases.language_name("zz-nobody") == "zz-nobody"
    assert phrases.template_name(view(), "hpi") == "History of present illness"
    assert phrases.template_name(view(), "op_note") == "Op note"


def _now(phase: Phase, **changes: Any) -> str:
    return next((stage.title for stage in stages_of(session(phase, **changes)) if stage.is_now), "")


def test_the_stages_are_the_true_ones() -> None:
    assert _now(Phase.DRAINING, is_capturing=True) == "Saved on this computer"
    assert _now(Phase.DRAINING, chunks_uploaded=71) == "Uploaded"
    assert _now(Phase.DRAINING, is_created=False) == "Uploaded"
    assert _now(Phase.ENDING) == "Session ended"
    assert _now(Phase.PROCESSING, notes=(PENDING_NOTE,)) == "Transcript"
    assert _now(Phase.PROCESSING, notes=(NOTES[0], PENDING_NOTE)) == "Notes"


def test_a_stage_never_looks_done_before_it_is() -> None:
    stages = stages_of(session(Phase.DRAINING, is_created=False))
    assert [stage.is_done for stage in stages] == [True, False, False, False, False]


@pytest.mark.parametrize("takes_up_recording", [False, True])
def test_a_moment_without_sound_is_no_stretch_from_a_second_to_the_same(*, takes_up_recording: bool) -> None:
    gap = Gap(25.0, 0.4, "silent", NOW, takes_up_recording)
    assert phrases.gap_words(gap) == "00:25 Microphone silent for under 1 s"
    assert phrases.mark_words(Mark(25.0, 0.4, "silent", takes_up_recording=takes_up_recording)).endswith("under 1 s")
    assert "\u2013" not in phrases.gap_on_the_clock(gap)
