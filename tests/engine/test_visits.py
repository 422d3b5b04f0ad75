"""The engine among stand-ins: what somebody at the desk sees of each visit, and what the service was given."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from app.audio.signal import Samples
from app.core.events import CheckAgain, Discard, MakeNote, Pause, Resume, SessionId, Stop, TryNow, Visit
from app.core.problems import Problem, ProblemKind
from app.core.scribe import TemplateStatus
from app.core.settings import LOCAL_SERVICE, Settings
from app.core.views import (
    ChangeSettings,
    ForSession,
    KeyState,
    Phase,
    Practise,
    SendFiles,
    ServiceState,
    SessionView,
    SetPassphrase,
    UnlockWith,
)
from app.store.journal import encode
from app.store.keystore import KeystoreAbsent
from tests.audio.stand_ins import talk
from tests.engine.stand_ins import LOCAL_COMMAND, OTHER, REMOTE, Desk, Microphone
from tests.store.small_disk import largest_file, needs_small_disk

ROOT = Path(__file__).resolve().parents[2]
SECOND = 16_000
SPOKEN = talk(26.0).samples[: 26 * SECOND]


def assert_heard(desk: Desk, session_id: SessionId, *parts: Samples) -> None:
    """The service got these samples, no more and no less."""
    np.testing.assert_array_equal(desk.heard(session_id), np.concatenate(parts))


def finish(desk: Desk, session_id: SessionId) -> SessionView:
    desk.intend(session_id, Stop(0.0))
    return desk.completed(session_id)


def test_a_visit_from_record_to_result(desk: Desk) -> None:
    desk.switch_on()
    visit, microphone = desk.record()
    assert not desk.session(visit, lambda s: s.phase is Phase.RECORDING).is_capturing
    microphone.speak(SPOKEN)
    before_stop = desk.session(visit, lambda s: s.is_capturing and s.chunks_uploaded >= 2)
    assert before_stop.phase is Phase.RECORDING
    assert before_stop.microphone == "USB"
    assert before_stop.service_name == "The scribe"
    desk.intend(visit, Stop(0.0))
    done = desk.completed(visit)
    assert_heard(desk, visit, SPOKEN)
    assert desk.server.only.ended_with == done.chunks_sealed == done.chunks_uploaded
    assert done.recorded_seconds == 26.0
    assert done.transcript == f"{26 * SECOND} samples"
    assert [(n.id, n.status) for n in done.notes] == [("soap", "success"), ("medications", "success")]
    assert done.problem is None
    assert microphone.is_closed.is_set()
    level = desk.engine.level()
    assert (level.is_live, level.captured_seconds) == (False, 26.0)


def test_three_templates_where_the_service_takes_two(desk: Desk) -> None:
    desk.switch_on()
    visit, microphone = desk.record(Visit(templates=("soap", "medications", "vitals")))
    microphone.speak(SPOKEN[:SECOND])
    desk.intend(visit, Stop(0.0))
    done = desk.session(visit, lambda s: len([n for n in s.notes if n.status is TemplateStatus.SUCCESS]) == 3)
    assert done.phase is Phase.COMPLETED


def test_a_clinic_without_a_network_records_and_sends_when_it_is_back(desk: Desk) -> None:
    desk.server.refusal = ProblemKind.UNREACHABLE
    desk.switch_on()
    visit, microphone = desk.record()
    microphone.speak(SPOKEN)
    desk.views.until(lambda v: v.service.state is ServiceState.UNREACHABLE)
    waiting = desk.session(visit, lambda s: s.chunks_sealed >= 2 and s.problem)
    assert waiting.problem == Problem(ProblemKind.UNREACHABLE)
    assert (waiting.phase, waiting.is_capturing, waiting.chunks_uploaded) == (Phase.RECORDING, True, 0)
    desk.server.let_go()
    desk.session(visit, lambda s: s.chunks_uploaded == s.chunks_sealed)
    assert desk.views.until(lambda v: v.service.state is ServiceState.READY)
    finish(desk, visit)
    assert_heard(desk, visit, SPOKEN)


def test_the_next_try_is_told(desk: Desk) -> None:
    desk.server.refusal = ProblemKind.SERVICE_BUSY
    desk.switch_on()
    visit, _ = desk.record()
    assert desk.session(visit, lambda s: s.next_try_at is not None).problem == Problem(ProblemKind.SERVICE_BUSY)


def test_how_long_until_the_next_try_is_left_to_chance(desk: Desk) -> None:
    desk.chance = 600.0
    desk.server.refusal = ProblemKind.SERVICE_BUSY
    desk.switch_on()
    visit, _ = desk.record()
    next_try_at = desk.session(visit, lambda s: s.next_try_at is not None).next_try_at
    assert next_try_at == pytest.approx(time.time() + 600.0, abs=60.0)


@pytest.mark.parametrize("call", ["create", "upload", "status", "end"])
def test_an_answer_that_is_lost_costs_nothing_and_doubles_nothing(desk: Desk, call: str) -> None:
    desk.server.lost = [call]
    desk.switch_on()
    visit, microphone = desk.record()
    microphone.speak(SPOKEN)
    finish(desk, visit)
    assert_heard(desk, visit, SPOKEN)
    assert len(desk.server.sessions) == 1
    assert desk.server.lost == []


def test_without_sign_in_it_records_on_and_sends_when_told_to(desk: Desk) -> None:
    desk.switch_on()
    visit, microphone = desk.record()
    desk.session(visit, lambda s: s.is_created)
    desk.server.refusal = ProblemKind.NOT_SIGNED_IN
    microphone.speak(SPOKEN)
    stuck = desk.session(visit, lambda s: s.problem and s.chunks_sealed >= 2)
    assert stuck.is_capturing
    assert "TryNow" in stuck.allowed
    desk.server.let_go()
    desk.intend(visit, TryNow())
    finish(desk, visit)
    assert_heard(desk, visit, SPOKEN)


def test_a_refused_sign_in_stops_no_recording_and_is_tried_again_when_a_person_wishes(desk: Desk) -> None:
    desk.server.refusal = ProblemKind.NOT_SIGNED_IN
    desk.switch_on()
    visit, microphone = desk.record()
    microphone.speak(SPOKEN)
    told = desk.session(visit, lambda s: s.problem and s.problem.kind is ProblemKind.NOT_SIGNED_IN)
    assert told.phase is Phase.RECORDING
    desk.server.let_go()
    desk.intend(visit, TryNow())
    finish(desk, visit)
    assert_heard(desk, visit, SPOKEN)


def test_the_service_loses_the_session_and_gets_all_of_it_again(desk: Desk) -> None:
    desk.switch_on()
    visit, microphone = desk.record()
    microphone.speak(SPOKEN[: 20 * SECOND])
    desk.session(visit, lambda s: s.chunks_uploaded >= 1)
    with desk.server.changed:
        desk.server.sessions.clear()
    microphone.speak(SPOKEN[20 * SECOND :])
    finish(desk, visit)
    again = SessionId(visit + "01")
    assert_heard(desk, again, SPOKEN)


def test_late_answers_about_a_session_that_was_lost_change_nothing(desk: Desk) -> None:
    desk.server.held.add("upload")
    desk.switch_on()
    visit, microphone = desk.record()
    microphone.speak(SPOKEN)
    desk.session(visit, lambda s: s.chunks_sealed >= 2)
    with desk.server.changed:
        desk.server.sessions.clear()
    desk.server.held.add("create")
    desk.let_pass(5.0)  # The service is asked how the session stands, and knows none.
    desk.session(visit, lambda s: not s.is_created)
    desk.server.let_go()
    finish(desk, visit)
    assert list(desk.server.sessions) == [visit + "01"]
    assert_heard(desk, SessionId(visit + "01"), SPOKEN)


# The disk and the end of the program -----------------------------------------------------------------------------


def test_closed_in_the_middle_of_a_visit_it_is_paused_when_it_is_opened_again(desk: Desk) -> None:
    desk.switch_on()
    visit, microphone = desk.record()
    microphone.speak(SPOKEN[: 10 * SECOND + 123])
    desk.switch_off()
    assert microphone.is_closed.is_set()
    desk.switch_on()
    back = desk.session(visit, lambda s: s.phase is Phase.PAUSED)
    assert desk.views.until(lambda v: v.live == visit)
    assert back.recorded_seconds == pytest.approx(10 + 123 / SECOND)
    desk.intend(visit, Resume(0.0))
    desk.microphone().speak(SPOKEN[10 * SECOND + 123 :])
    desk.session(visit, lambda s: s.is_capturing)
    finish(desk, visit)
    assert_heard(desk, visit, SPOKEN)
    (gap,) = desk.completed(visit).gaps
    assert gap.reason == "paused"
    assert gap.seconds is not None


def test_killed_in_the_middle_of_a_visit_nothing_is_lost_but_the_last_quarter_second(
    desk: Desk, tmp_path: Path
) -> None:
    count = 15 * SECOND
    command = [sys.executable, "-m", "tests.engine.crashing", str(tmp_path), str(count)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as app:
        assert app.stdout is not None
        assert app.stdout.readline().strip() == b"kept"
        app.kill()
    spoken = (np.arange(count) % 30_000).astype(np.int16)
    desk.switch_on()
    visit = desk.views.until(lambda v: v.live).live
    assert visit is not None
    back = desk.session(visit, lambda s: s.phase is Phase.PAUSED)
    assert back.recorded_seconds == 15.0
    assert [gap.reason for gap in back.gaps] == ["interrupted"]
    desk.intend(visit, Resume(0.0))
    desk.microphone().speak(SPOKEN)
    desk.session(visit, lambda s: s.is_capturing)
    finish(desk, visit)
    assert_heard(desk, visit, spoken, SPOKEN)


def test_what_was_unsent_goes_out_at_the_next_start(desk: Desk) -> None:
    desk.server.held.add("upload")
    desk.switch_on()
    visit, microphone = desk.record()
    microphone.speak(SPOKEN)
    desk.intend(visit, Stop(0.0))
    desk.session(visit, lambda s: s.phase is Phase.DRAINING and not s.is_capturing)
    desk.switch_off()
    desk.server.let_go()
    desk.switch_on()
    desk.completed(visit)
    assert_heard(desk, visit, SPOKEN)


def test_results_are_there_again_at_the_next_start_without_a_network(desk: Desk) -> None:
    desk.switch_on()
    visit, microphone = desk.record()
    microphone.speak(SPOKEN[:SECOND])
    desk.intend(visit, Stop(0.0))
    before = desk.completed(visit)
    desk.switch_off()
    desk.server.refusal = ProblemKind.UNREACHABLE
    desk.switch_on()
    after = desk.completed(visit)
    assert (after.transcript, after.notes, after.visit) == (before.transcript, before.notes, before.visit)


@needs_small_disk
def test_a_disk_that_refuses_for_a_while_costs_nothing(desk: Desk) -> None:
    desk.switch_on()
    visit, microphone = desk.record()
    with largest_file(100_000):
        microphone.speak(SPOKEN[: 6 * SECOND])
        full = desk.session(visit, lambda s: s.problem)
        assert full.phase is Phase.RECORDING
        assert full.problem
        assert full.problem.kind is ProblemKind.DISK_WAITING
    microphone.speak(SPOKEN[6 * SECOND :])
    assert finish(desk, visit).problem is None
    assert_heard(desk, visit, SPOKEN)


def test_a_last_chunk_that_cannot_be_written_is_waited_for(desk: Desk) -> None:
    desk.switch_on()
    visit, microphone = desk.record()
    microphone.speak(SPOKEN[: 7 * SECOND])
    microphone.await_kept()
    in_the_way = desk.folder(visit) / "cut-000000"
    in_the_way.touch()
    desk.intend(visit, Stop(0.0))
    desk.session(visit, lambda s: s.phase is Phase.PAUSED and s.problem)
    desk.intend(visit, Stop(0.0))
    told = desk.views.until(lambda v: v.problem)
    assert told.problem
    assert told.problem.kind is ProblemKind.DISK_FAILED
    assert told.live == visit
    in_the_way.unlink()
    desk.intend(visit, Stop(0.0))
    desk.completed(visit)
    assert desk.views.until(lambda v: v.problem is None)
    assert_heard(desk, visit, SPOKEN[: 7 * SECOND])


def test_one_session_that_cannot_be_read_keeps_no_other_back(desk: Desk) -> None:
    desk.switch_on()
    visit, microphone = desk.record()
    microphone.speak(SPOKEN[:SECOND])
    finish(desk, visit)
    desk.switch_off()
    broken = desk.places.sessions / "ses_0000000000000000000000"
    broken.mkdir()
    (broken / "journal").write_bytes(encode(Stop(0.0)))  # It was never started.
    (desk.places.sessions / "a file").write_bytes(b"")
    desk.switch_on()
    desk.completed(visit)


def test_a_discarded_visit_is_gone_from_the_disk(desk: Desk) -> None:
    desk.switch_on()
    visit, microphone = desk.record()
    microphone.speak(SPOKEN)
    desk.session(visit, lambda s: s.chunks_uploaded)
    desk.intend(visit, Discard(0.0))
    desk.session(visit, lambda s: "UndoDiscard" in s.allowed and not s.is_capturing)
    assert desk.views.until(lambda v: v.live is None)
    desk.let_pass(30.0)
    desk.views.until(lambda v: not v.sessions)
    assert list(desk.places.sessions.iterdir()) == []
    assert microphone.is_closed.is_set()


# Microphones ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "kind"),
    [(None, ProblemKind.MICROPHONE_LOST), (ZeroDivisionError("a bug in the driver's wrapper"), ProblemKind.BUG)],
)
def test_a_microphone_that_fails_is_a_gap_and_the_visit_goes_on_with_the_next(
    desk: Desk, error: Exception | None, kind: ProblemKind
) -> None:
    desk.switch_on()
    broken = Microphone.broken(Problem(ProblemKind.NO_MICROPHONE, "none"))
    visit, microphone = desk.record()
    desk.next_microphones = [broken]
    microphone.speak(SPOKEN[: 13 * SECOND])
    microphone.fail(error)
    lost = desk.session(visit, lambda s: s.problem)
    assert lost.problem is not None
    assert lost.problem.kind is kind
    assert lost.phase is Phase.RECORDING
    assert not lost.is_capturing
    assert desk.microphone() is broken
    desk.microphone().speak(SPOKEN[13 * SECOND :])
    desk.session(visit, lambda s: s.is_capturing)
    finish(desk, visit)
    (gap,) = desk.completed(visit).gaps
    assert (gap.position_seconds, gap.reason) == (13.0, "microphone")
    assert gap.seconds is not None
    assert_heard(desk, visit, SPOKEN)


def test_pause_and_resume(desk: Desk) -> None:
    desk.switch_on()
    visit, microphone = desk.record()
    microphone.speak(SPOKEN[:SECOND])
    desk.session(visit, lambda s: s.is_capturing)
    desk.intend(visit, Pause(0.0))
    paused = desk.session(visit, lambda s: s.phase is Phase.PAUSED and not s.is_capturing and s.gaps)
    assert paused.recorded_seconds == 1.0
    assert microphone.is_closed.is_set()
    desk.intend(visit, Resume(0.0))
    desk.microphone().speak(SPOKEN[SECOND:])
    desk.session(visit, lambda s: s.is_capturing)
    finish(desk, visit)
    assert_heard(desk, visit, SPOKEN)


def test_the_next_patient_is_recorded_while_the_last_one_is_being_sent(desk: Desk) -> None:
    desk.switch_on()
    first, microphone = desk.record()
    desk.server.held.add("upload")
    microphone.speak(SPOKEN[: 12 * SECOND])
    desk.intend(first, Stop(0.0))
    desk.session(first, lambda s: s.phase is Phase.DRAINING)
    second, microphone = desk.record()
    microphone.speak(SPOKEN)
    view = desk.views.until(lambda v: (s := v.session(second)) and s.is_capturing and s.chunks_sealed >= 2)
    assert view.live == second
    assert [s.id for s in view.sessions] == [second, first]
    assert view.sessions[1].phase is Phase.DRAINING
    desk.server.let_go()
    desk.completed(first)
    finish(desk, second)
    assert_heard(desk, first, SPOKEN[: 12 * SECOND])
    assert_heard(desk, second, SPOKEN)


def test_only_one_visit_is_recorded_at_a_time(desk: Desk) -> None:
    desk.switch_on()
    desk.record()
    desk.wish(Practise(Visit()))
    desk.let_pass(0.0)
    assert len(desk.views.until(lambda v: v.sessions).sessions) == 1


# Files ------------------------------------------------------------------------------------------------------------


def test_files_are_a_visit_that_ends_by_itself(desk: Desk, tmp_path: Path) -> None:
    half = len(SPOKEN) // 2
    paths = (str(tmp_path / "a.wav"), str(tmp_path / "b.flac"))
    soundfile.write(paths[0], SPOKEN[:half], SECOND)
    soundfile.write(paths[1], SPOKEN[half:], SECOND)
    desk.switch_on()
    desk.wish(SendFiles(Visit(), paths))
    done = desk.views.until(lambda v: v.sessions and v.sessions[0].phase is Phase.COMPLETED).sessions[0]
    assert done.microphone == "2 files"
    assert_heard(desk, done.id, SPOKEN)


def test_practice_is_the_sample_in_place_of_a_microphone(desk: Desk) -> None:
    soundfile.write(desk.sample, SPOKEN, SECOND)
    desk.switch_on()
    desk.wish(Practise(Visit(), pace=None))
    done = desk.views.until(lambda v: v.sessions and v.sessions[0].phase is Phase.COMPLETED).sessions[0]
    assert_heard(desk, done.id, SPOKEN)
    assert desk.has_opened_no_more()


def test_practice_that_was_closed_away_never_turns_into_a_recording_of_the_room(desk: Desk) -> None:
    soundfile.write(desk.sample, SPOKEN, SECOND)
    desk.switch_on()
    desk.wish(Practise(Visit(), pace=1.0))
    visit = desk.views.until(lambda v: v.sessions and v.sessions[0].is_capturing).sessions[0].id
    desk.switch_off()
    desk.switch_on()
    desk.session(visit, lambda s: s.phase is Phase.PAUSED)
    desk.intend(visit, Resume(0.0))
    done = desk.session(visit, lambda s: s.phase is Phase.PARTIAL)
    assert done.problem is not None
    assert done.problem.kind is ProblemKind.AUDIO_CUT_SHORT
    assert desk.has_opened_no_more()
    heard = desk.heard(visit)
    np.testing.assert_array_equal(heard, SPOKEN[: len(heard)])


def test_a_file_that_is_no_audio_says_so(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "letter.wav").write_bytes(b"Dear doctor, this is not audio. " * 20)
    desk.switch_on()
    desk.wish(SendFiles(Visit(), (str(tmp_path / "letter.wav"),)))
    failed = desk.views.until(lambda v: v.sessions and v.sessions[0].phase is Phase.FAILED).sessions[0]
    assert failed.problem is not None
    assert failed.problem.kind is ProblemKind.AUDIO_UNREADABLE
    assert "not audio" in failed.problem.sentence
    assert not any(kept.chunks for kept in desk.server.sessions.values())


def test_a_file_that_breaks_off_is_sent_as_far_as_it_goes_and_never_called_whole(desk: Desk, tmp_path: Path) -> None:
    noise = np.random.default_rng(7).integers(-3000, 3000, 6 * SECOND).astype(np.int16)
    path = tmp_path / "visit.flac"
    soundfile.write(path, noise, SECOND)
    path.write_bytes(path.read_bytes()[:100_000])
    desk.switch_on()
    desk.wish(SendFiles(Visit(), (str(path),)))
    done = desk.views.until(lambda v: v.sessions and v.sessions[0].phase.is_final).sessions[0]
    assert done.phase is Phase.PARTIAL
    assert done.problem is not None
    assert done.problem.kind is ProblemKind.AUDIO_CUT_SHORT
    heard = desk.heard(done.id)
    assert len(heard) > SECOND
    np.testing.assert_array_equal(heard, noise[: len(heard)])


# Services ---------------------------------------------------------------------------------------------------------


def test_an_old_visit_goes_to_its_own_service_whatever_is_chosen_now(desk: Desk) -> None:
    desk.switch_on(OTHER)
    visit, microphone = desk.record()
    microphone.speak(SPOKEN[:SECOND])
    finish(desk, visit)
    desk.switch_off()
    desk.switch_on(REMOTE)
    desk.completed(visit)
    desk.views.until(lambda v: v.service.state is ServiceState.READY)
    assert [a.base_url for a in desk.addresses] == [OTHER, REMOTE]
    desk.intend(visit, MakeNote("hpi"))
    desk.session(visit, lambda s: any(n.id == "hpi" and n.status is TemplateStatus.SUCCESS for n in s.notes))
    assert [a.base_url for a in desk.addresses] == [OTHER, REMOTE, OTHER]


def test_a_service_of_an_old_visit_can_be_chosen(desk: Desk) -> None:
    desk.switch_on(OTHER)
    visit, microphone = desk.record()
    microphone.speak(SPOKEN[:SECOND])
    finish(desk, visit)
    desk.switch_off()
    desk.switch_on(REMOTE)
    desk.completed(visit)
    desk.wish(ChangeSettings(Settings(service_id=OTHER)))
    desk.views.until(lambda v: v.service.id == OTHER and v.service.state is ServiceState.READY)


def test_a_wish_that_comes_too_late_changes_nothing(desk: Desk) -> None:
    desk.switch_on()
    visit, microphone = desk.record()
    microphone.speak(SPOKEN[:SECOND])
    finish(desk, visit)
    before = desk.completed(visit)
    desk.intend(visit, Pause(0.0))
    desk.intend(visit, CheckAgain())
    desk.wish(ForSession(SessionId("nobody's"), Stop(0.0)))
    desk.wish(ChangeSettings(Settings(service_id=REMOTE, theme="dark")))
    view = desk.views.until(lambda v: v.settings.theme == "dark")
    assert view.problem is None
    assert view.sessions == (before,)


def test_the_local_service_is_started_again_when_it_dies_and_the_visit_goes_on(desk: Desk) -> None:
    desk.switch_on(LOCAL_SERVICE)
    visit, microphone = desk.record()
    microphone.speak(SPOKEN[: 20 * SECOND])
    desk.session(visit, lambda s: s.chunks_uploaded)
    os.kill(int(desk.addresses[-1].token), signal.SIGTERM)
    down = desk.views.until(lambda v: v.service.problem)
    assert down.service.problem == Problem(ProblemKind.LOCAL_SERVICE_DOWN)
    microphone.speak(SPOKEN[20 * SECOND :])
    desk.views.until(lambda v: v.service.state is ServiceState.READY)
    finish(desk, visit)
    assert_heard(desk, visit, SPOKEN)
    assert len({address.token for address in desk.addresses}) == 2


def test_what_waits_for_a_service_is_sent_as_soon_as_it_is_there(desk: Desk, tmp_path: Path) -> None:
    desk.chance = 1_000.0
    mark = tmp_path / "tried"
    once = f"import pathlib, sys; m = pathlib.Path({str(mark)!r}); m.exists() or (m.touch(), sys.exit(1)); "
    desk.local_command = (*LOCAL_COMMAND[:-1], once + LOCAL_COMMAND[-1])
    desk.switch_on(LOCAL_SERVICE)
    visit, microphone = desk.record()
    microphone.speak(SPOKEN)
    finish(desk, visit)
    assert_heard(desk, visit, SPOKEN)


def test_a_service_that_is_only_starting_is_no_trouble(desk: Desk) -> None:
    desk.local_command = (sys.executable, "-I", "-S", "-c", "import sys; sys.stdin.read()")
    desk.switch_on(LOCAL_SERVICE)
    visit, microphone = desk.record()
    microphone.speak(SPOKEN)
    recording = desk.session(visit, lambda s: s.chunks_sealed >= 2)
    assert (recording.problem, recording.is_capturing, recording.chunks_uploaded) == (None, True, 0)
    assert desk.views.until(lambda v: v.service).service.state is ServiceState.STARTING


# Keys -------------------------------------------------------------------------------------------------------------


def test_what_was_recorded_without_a_keystore_is_gone_with_the_app_and_is_not_called_locked(desk: Desk) -> None:
    desk.keystore.refusal = KeystoreAbsent
    desk.switch_on()
    assert desk.views.until(lambda v: v.keys.state is not KeyState.WAITING).keys.state is KeyState.SESSION_ONLY
    visit, microphone = desk.record()
    microphone.speak(SPOKEN)
    finish(desk, visit)
    desk.switch_off()
    desk.keystore.refusal = None
    desk.switch_on()
    view = desk.views.until(lambda v: v.keys.state is KeyState.PROTECTED)
    assert view.keys.sealed_session_count == 0
    assert view.sessions == ()
    assert list(desk.places.sessions.iterdir()) == []


def test_what_was_recorded_before_a_passphrase_was_set_is_there_at_the_next_start(desk: Desk) -> None:
    desk.keystore.refusal = KeystoreAbsent
    desk.switch_on()
    desk.views.until(lambda v: v.keys.state is KeyState.SESSION_ONLY)
    visit, microphone = desk.record()
    microphone.speak(SPOKEN)
    finish(desk, visit)
    desk.wish(SetPassphrase("a long passphrase"))
    desk.views.until(lambda v: v.keys.state is KeyState.PASSPHRASE)
    desk.switch_off()
    desk.switch_on()
    locked = desk.views.until(lambda v: v.keys.state is KeyState.LOCKED)
    assert locked.sessions == ()
    desk.wish(UnlockWith("a long passphrase"))
    assert desk.completed(visit).transcript


def test_a_sign_in_that_is_refused_for_a_while_is_tried_again_without_anybody(desk: Desk) -> None:
    desk.switch_on()
    visit, microphone = desk.record()
    microphone.speak(SPOKEN)
    desk.server.refusal = ProblemKind.NOT_SIGNED_IN
    desk.intend(visit, Stop(0.0))
    desk.session(visit, lambda s: s.problem and s.problem.kind is ProblemKind.NOT_SIGNED_IN)
    desk.server.let_go()
    desk.let_pass(301.0)
    desk.completed(visit)
    assert_heard(desk, visit, SPOKEN)
