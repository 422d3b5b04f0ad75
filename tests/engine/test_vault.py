"""The keys and the library, as the engine shows them: each state, what can be read in it, what outlives the app."""

from __future__ import annotations

import shutil

import pytest

from app.core.events import SessionId, Stop
from app.core.problems import ProblemKind
from app.core.views import (
    AskKeystoreAgain,
    BeginNewStore,
    KeyState,
    KeysView,
    Phase,
    RecoveryCodeNoted,
    SetPassphrase,
    UnlockWith,
)
from app.store.keystore import KeystoreAbsent, KeystoreUnavailable
from app.store.spool import keep_until_closed
from tests.audio.stand_ins import tone
from tests.engine.stand_ins import Desk


def keys(desk: Desk, *states: KeyState) -> KeysView:
    """The keys once they are in one of these states."""
    return desk.views.until(lambda v: v.keys.state in states).keys


def visit(desk: Desk, seconds: float = 1.0) -> SessionId:
    """A whole visit, until its result is there."""
    session_id, microphone = desk.record()
    microphone.speak(tone(seconds))
    desk.intend(session_id, Stop(0.0))
    desk.completed(session_id)
    return session_id


def test_a_first_start_keeps_the_key_in_the_keystore_and_shows_the_recovery_code_until_it_is_noted(
    desk: Desk,
) -> None:
    desk.switch_on()
    code = keys(desk, KeyState.PROTECTED).recovery_code
    assert len(code) > 50
    desk.switch_off()
    desk.switch_on()
    assert keys(desk, KeyState.PROTECTED).recovery_code == code
    desk.wish(RecoveryCodeNoted())
    desk.views.until(lambda v: v.keys.recovery_code == "")
    desk.switch_off()
    desk.switch_on()
    assert keys(desk, KeyState.PROTECTED).recovery_code == ""


def test_a_result_is_in_the_library_and_its_journal_is_not_read_again(desk: Desk) -> None:
    desk.switch_on()
    keys(desk, KeyState.PROTECTED)
    done = visit(desk)
    before = desk.completed(done)
    desk.switch_off()
    shutil.rmtree(desk.folder(done))
    desk.switch_on()
    after = desk.completed(done)
    assert (after.transcript, after.notes, after.visit) == (before.transcript, before.notes, before.visit)


def test_what_was_done_before_the_keystore_answered_is_in_the_library_after_that(desk: Desk) -> None:
    desk.switch_on()
    keys(desk, KeyState.PROTECTED)
    desk.switch_off()
    desk.keystore.refusal = KeystoreUnavailable
    desk.switch_on()
    keys(desk, KeyState.LOCKED)
    done = visit(desk)
    desk.keystore.refusal = None
    desk.wish(AskKeystoreAgain())
    keys(desk, KeyState.PROTECTED)
    desk.switch_off()
    shutil.rmtree(desk.folder(done))
    desk.switch_on()
    desk.completed(done)


def test_while_it_is_locked_older_visits_are_counted_and_come_back_by_themselves_when_it_opens(desk: Desk) -> None:
    desk.switch_on()
    keys(desk, KeyState.PROTECTED)
    desk.server.held.add("upload")
    unsent, microphone = desk.record()
    microphone.speak(tone(1.0))
    desk.intend(unsent, Stop(0.0))
    desk.session(unsent, lambda s: s.phase is Phase.DRAINING)
    desk.switch_off()
    desk.server.let_go()
    desk.keystore.refusal = KeystoreUnavailable
    desk.switch_on()
    locked = keys(desk, KeyState.LOCKED)
    assert locked.sealed_session_count == 1
    assert desk.views.until(lambda v: v.microphones_listed).sessions == ()
    desk.keystore.refusal = None
    desk.let_pass(15.0)
    desk.completed(unsent)
    assert keys(desk, KeyState.PROTECTED).sealed_session_count == 0


def test_without_a_keystore_a_visit_lasts_as_long_as_the_app_and_leaves_no_key(desk: Desk) -> None:
    desk.keystore.refusal = KeystoreAbsent
    desk.switch_on()
    keys(desk, KeyState.SESSION_ONLY)
    done = visit(desk)
    assert not desk.places.keys.exists()
    assert not list(desk.places.home.glob("library-*"))
    desk.switch_off()
    desk.switch_on()
    assert keys(desk, KeyState.SESSION_ONLY).sealed_session_count == 0
    assert desk.views.until(lambda v: v.microphones_listed).sessions == ()
    assert not desk.folder(done).exists()


def test_a_visit_whose_key_was_kept_just_before_a_crash_is_not_taken_for_one_that_is_lost(desk: Desk) -> None:
    desk.switch_on()
    keys(desk, KeyState.PROTECTED)
    done = visit(desk)
    desk.switch_off()
    keep_until_closed(desk.folder(done))
    (library,) = desk.places.home.glob("library-*.db")
    library.unlink()
    desk.keystore.refusal = KeystoreUnavailable
    desk.switch_on()
    assert keys(desk, KeyState.LOCKED).sealed_session_count == 1
    desk.keystore.refusal = None
    desk.wish(AskKeystoreAgain())
    desk.completed(done)


def test_a_passphrase_makes_what_was_recorded_without_a_keystore_last(desk: Desk) -> None:
    desk.keystore.refusal = KeystoreAbsent
    desk.switch_on()
    keys(desk, KeyState.SESSION_ONLY)
    done = visit(desk)
    desk.wish(SetPassphrase("correct horse"))
    assert keys(desk, KeyState.PASSPHRASE).has_passphrase
    desk.switch_off()
    desk.switch_on()
    assert keys(desk, KeyState.LOCKED).has_passphrase
    desk.wish(UnlockWith("wrong horse"))
    desk.views.until(lambda v: v.keys.was_refused)
    desk.wish(UnlockWith("correct horse"))
    keys(desk, KeyState.PASSPHRASE)
    desk.completed(done)


@pytest.mark.fault("K2")
def test_a_lost_key_is_never_replaced_and_the_recovery_code_opens_everything(desk: Desk) -> None:
    desk.switch_on()
    code = keys(desk, KeyState.PROTECTED).recovery_code
    done = visit(desk)
    desk.switch_off()
    kept = desk.places.keys.read_bytes()
    desk.keystore.lose()
    desk.switch_on()
    assert keys(desk, KeyState.MISSING)
    assert desk.places.keys.read_bytes() == kept
    desk.wish(UnlockWith(code))
    keys(desk, KeyState.PROTECTED)
    desk.completed(done)
    desk.switch_off()
    desk.switch_on()  # The keystore has it again.
    keys(desk, KeyState.PROTECTED)
    desk.completed(done)


@pytest.mark.fault("K2")
def test_a_new_store_begins_beside_the_lost_one_which_a_code_still_opens(desk: Desk) -> None:
    desk.switch_on()
    code = keys(desk, KeyState.PROTECTED).recovery_code
    old = visit(desk)
    desk.switch_off()
    desk.keystore.lose()
    desk.switch_on()
    keys(desk, KeyState.MISSING)
    desk.wish(BeginNewStore())
    fresh = keys(desk, KeyState.PROTECTED)
    assert fresh.recovery_code not in ("", code)
    new = visit(desk)
    assert desk.folder(old).is_dir()
    desk.switch_off()
    desk.switch_on()
    assert keys(desk, KeyState.PROTECTED).sealed_session_count == 1
    desk.completed(new)
    assert len(list(desk.places.home.glob("library-*.db"))) == 2
    desk.wish(UnlockWith(code))
    desk.completed(old)


def test_a_key_file_that_cannot_be_read_gets_no_other_key_and_stops_no_recording(desk: Desk) -> None:
    desk.places.keys.mkdir()  # Reading it is refused, whoever asks.
    desk.switch_on()
    told = desk.views.until(lambda v: v.problem and v.keys.state is KeyState.SESSION_ONLY)
    assert told.problem
    assert told.problem.kind is ProblemKind.FOLDER_UNSAFE
    visit, microphone = desk.record()
    microphone.speak(tone(3.0))
    desk.intend(visit, Stop(0.0))
    desk.completed(visit)
    assert list(desk.places.keys.iterdir()) == []
