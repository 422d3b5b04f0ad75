"""Whatever the keystore does, a visit can be recorded, nothing is sealed to a key that was replaced, and the state
that is told is the true one."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.views import KeyState
from app.store.keypair import as_code, from_code
from app.store.keys import Answer, Keys, KeysLocked, SessionKey, key_id_of
from tests.store.keystores import StandInKeystore, absent, locked
from tests.store.small_disk import largest_file, needs_small_disk
from tests.store.spools import damage


def ask(keys: Keys, keystore: StandInKeystore, passphrase: str = "") -> KeyState:
    keys.take(keys.ask(keystore, passphrase)())
    return keys.view().state


def tell(keys: Keys, secret: str) -> KeyState:
    keys.take(keys.try_secret(secret)())
    return keys.view().state


def guard(keys: Keys, passphrase: str) -> KeyState:
    keys.take(keys.set_passphrase(passphrase)())
    return keys.view().state


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


@dataclasses.dataclass
class Store:
    """One that was begun with a keystore, and in which a session was recorded."""

    path: Path
    keystore: StandInKeystore
    code: str
    session: SessionKey
    library: bytes

    def start(self) -> Keys:
        return Keys(self.path)

    def can_read(self, keys: Keys) -> bool:
        try:
            return keys.open_envelope("s", self.session.envelope) == self.session
        except KeysLocked:
            return False


@pytest.fixture
def store(path: Path) -> Store:
    keys, keystore = Keys(path), StandInKeystore()
    ask(keys, keystore)
    library = keys.derive("library")
    assert library is not None
    return Store(path, keystore, keys.view().recovery_code, keys.new_session_key("s"), library)


# The first start --------------------------------------------------------------------------------------------------


def test_before_the_keystore_has_answered_a_visit_can_be_recorded_and_is_readable_ever_after(path: Path) -> None:
    keys, keystore = Keys(path), StandInKeystore()
    assert keys.view().state is KeyState.WAITING
    session = keys.new_session_key("s")
    assert not path.exists()
    assert ask(keys, keystore) is KeyState.PROTECTED
    again = Keys(path)
    assert ask(again, keystore) is KeyState.PROTECTED
    assert again.open_envelope("s", session.envelope) == session


def test_the_key_is_in_the_keystore_before_anything_is_said_of_it_on_the_disk(path: Path) -> None:
    keys, keystore = Keys(path), StandInKeystore()
    answer = keys.ask(keystore)()
    assert len(keystore.kept) == 1
    assert not path.exists()
    keys.take(answer)
    assert [pair["keystore"] for pair in json.loads(path.read_bytes())["pairs"]] == ["Secret Service"]


@pytest.mark.parametrize("trouble", [absent(), locked()], ids=["absent", "locked"])
def test_without_a_keystore_nothing_about_keys_is_written_and_the_session_can_be_read_meanwhile(
    path: Path, trouble: Exception
) -> None:
    keys = Keys(path)
    assert ask(keys, StandInKeystore(trouble)) is KeyState.SESSION_ONLY
    session = keys.new_session_key("s")
    assert keys.open_envelope("s", session.envelope) == session
    assert keys.view().recovery_code == ""
    assert list(path.parent.iterdir()) == []
    with pytest.raises(KeysLocked):
        Keys(path).open_envelope("s", session.envelope)


def test_a_keystore_that_does_not_give_back_what_it_was_given_guards_nothing(path: Path) -> None:
    keystore = StandInKeystore()
    keystore.forgets = True
    assert ask(Keys(path), keystore) is KeyState.SESSION_ONLY
    assert not path.exists()


def test_a_keystore_that_comes_later_makes_the_key_durable(path: Path) -> None:
    keys, keystore = Keys(path), StandInKeystore(locked())
    ask(keys, keystore)
    session = keys.new_session_key("s")
    keystore.trouble = None
    assert ask(keys, keystore) is KeyState.PROTECTED
    again = Keys(path)
    ask(again, keystore)
    assert again.open_envelope("s", session.envelope) == session


def test_a_passphrase_makes_it_durable_where_there_is_no_keystore(path: Path) -> None:
    keys = Keys(path)
    ask(keys, StandInKeystore(absent()))
    session = keys.new_session_key("s")
    assert guard(keys, "correct horse") is KeyState.PASSPHRASE
    again = Keys(path)
    assert again.view().state is KeyState.LOCKED  # No keystore has to be asked to know that.
    assert ask(again, StandInKeystore(absent())) is KeyState.LOCKED
    assert tell(again, "correct horse") is KeyState.PASSPHRASE
    assert again.open_envelope("s", session.envelope) == session


def test_a_prescribed_passphrase_guards_a_new_store_and_opens_it_at_each_start(path: Path) -> None:
    keys = Keys(path)
    assert ask(keys, StandInKeystore(absent()), "from outside") is KeyState.PASSPHRASE
    session = keys.new_session_key("s")
    again = Keys(path)
    assert ask(again, StandInKeystore(absent()), "from outside") is KeyState.PASSPHRASE
    assert again.open_envelope("s", session.envelope) == session
    assert ask(Keys(path), StandInKeystore(absent()), "another") is KeyState.LOCKED


def test_a_prescribed_passphrase_is_not_needed_where_there_is_a_keystore(path: Path) -> None:
    keys = Keys(path)
    assert ask(keys, StandInKeystore(), "from outside") is KeyState.PROTECTED
    assert not keys.view().has_passphrase


# Later starts -----------------------------------------------------------------------------------------------------


def test_at_the_next_start_the_keystore_opens_everything(store: Store) -> None:
    keys = store.start()
    assert keys.view().state is KeyState.WAITING
    assert (keys.has_private, keys.derive("library")) == (False, None)
    assert ask(keys, store.keystore) is KeyState.PROTECTED
    assert store.can_read(keys)
    assert keys.derive("library") == store.library != keys.derive("audit")


@pytest.mark.parametrize("trouble", [absent(), locked()], ids=["absent", "locked"])
def test_a_keystore_that_does_not_open_keeps_nobody_from_recording(store: Store, trouble: Exception) -> None:
    before = store.path.read_bytes()
    keys = store.start()
    keystore = StandInKeystore(trouble)
    assert ask(keys, keystore) is KeyState.LOCKED
    assert not store.can_read(keys)
    session = keys.new_session_key("new")
    assert store.path.read_bytes() == before
    later = store.start()
    assert ask(later, store.keystore) is KeyState.PROTECTED
    assert later.open_envelope("new", session.envelope) == session


@pytest.mark.parametrize("wrong", [None, b"", b"w" * 32], ids=["gone", "empty", "another"])
def test_a_key_that_the_keystore_has_lost_or_changed_is_never_made_anew(store: Store, wrong: bytes | None) -> None:
    before = store.path.read_bytes()
    other = StandInKeystore(name="KWallet")
    if wrong is not None:
        other.kept = dict.fromkeys(store.keystore.kept, wrong)
    kept = dict(other.kept)
    keys = store.start()
    assert ask(keys, other) is KeyState.MISSING
    assert (other.kept, store.path.read_bytes()) == (kept, before)
    session = keys.new_session_key("new")
    assert tell(keys, store.code) in (KeyState.PROTECTED, KeyState.PASSPHRASE)
    assert store.can_read(keys)
    assert keys.open_envelope("new", session.envelope) == session
    assert keys.derive("library") == store.library
    assert other.kept == (store.keystore.kept if wrong is None else kept)


def test_the_recovery_code_gives_the_key_back_to_a_keystore_that_had_lost_it(store: Store) -> None:
    emptied = StandInKeystore()
    keys = store.start()
    ask(keys, emptied)
    assert tell(keys, store.code) is KeyState.PROTECTED
    assert ask(store.start(), emptied) is KeyState.PROTECTED


def test_the_recovery_code_opens_a_store_whose_keystore_is_locked(store: Store) -> None:
    keys = store.start()
    ask(keys, StandInKeystore(locked()))
    assert tell(keys, store.code.lower().replace("-", " ")) is KeyState.PASSPHRASE
    assert store.can_read(keys)
    assert ask(keys, store.keystore) is KeyState.PROTECTED


def test_a_new_store_is_begun_beside_the_one_that_is_lost(store: Store) -> None:
    emptied = StandInKeystore()
    keys = store.start()
    ask(keys, emptied)
    keys.take(keys.begin_new(emptied)())
    assert keys.view().state is KeyState.PROTECTED
    assert keys.derive("library") != store.library
    session = keys.new_session_key("new")
    assert not store.can_read(keys)
    again = store.start()
    assert ask(again, emptied) is KeyState.PROTECTED
    assert again.open_envelope("new", session.envelope) == session
    assert keys.view().recovery_code != store.code
    tell(again, store.code)
    assert store.can_read(again)


def test_the_older_keys_are_fetched_too(store: Store) -> None:
    emptied = StandInKeystore()
    keys = store.start()
    ask(keys, emptied)
    keys.take(keys.begin_new(emptied)())
    emptied.kept.update(store.keystore.kept)
    again = store.start()
    ask(again, emptied)
    assert store.can_read(again)


def test_a_new_store_may_be_begun_without_a_keystore_and_guarded_by_a_passphrase(store: Store) -> None:
    keystore = StandInKeystore(absent())
    keys = store.start()
    ask(keys, keystore)
    keys.take(keys.begin_new(keystore)())
    assert keys.view().state is KeyState.SESSION_ONLY
    session = keys.new_session_key("new")
    assert guard(keys, "new one") is KeyState.PASSPHRASE
    again = store.start()
    assert ask(again, keystore, "new one") is KeyState.PASSPHRASE
    assert again.open_envelope("new", session.envelope) == session


def test_nobody_begins_a_new_store_over_one_that_is_open(store: Store) -> None:
    keys = store.start()
    ask(keys, store.keystore)
    assert not keys.take(keys.begin_new(store.keystore)())
    assert (len(store.keystore.kept), store.can_read(keys)) == (1, True)


# Passphrases ------------------------------------------------------------------------------------------------------


def test_a_passphrase_is_a_second_way_in_until_it_is_taken_away(store: Store) -> None:
    keys = store.start()
    ask(keys, store.keystore)
    assert guard(keys, "pässphrase") is KeyState.PROTECTED
    assert keys.view().has_passphrase
    again = store.start()
    assert ask(again, StandInKeystore(locked())) is KeyState.LOCKED
    assert tell(again, "pa\u0308ssphrase") is KeyState.PASSPHRASE
    assert store.can_read(again)
    guard(keys, "")
    assert not keys.view().has_passphrase
    third = store.start()
    ask(third, StandInKeystore(locked()))
    assert tell(third, "pässphrase") is KeyState.LOCKED


def test_the_only_way_in_is_not_taken_away(path: Path) -> None:
    keys = Keys(path)
    ask(keys, StandInKeystore(absent()), "only way")
    guard(keys, "")
    assert keys.view().has_passphrase
    assert ask(Keys(path), StandInKeystore(absent()), "only way") is KeyState.PASSPHRASE


def test_what_is_locked_cannot_be_given_a_passphrase(store: Store) -> None:
    keys = store.start()
    assert guard(keys, "too late") is KeyState.WAITING
    assert not keys.view().has_passphrase


def test_wrong_secrets_are_waited_for_longer_and_longer_but_nobody_is_locked_out(store: Store) -> None:
    now = 1_000.0
    keys = Keys(store.path, wall_clock=lambda: now)
    ask(keys, StandInKeystore(locked()))
    delays = []
    for _ in range(10):
        assert tell(keys, "wrong") is KeyState.LOCKED
        assert keys.view().was_refused
        next_try_at = keys.view().next_try_at
        delays.append(0.0 if next_try_at is None else next_try_at - now)
        if next_try_at is not None:
            now = next_try_at - 0.5
            assert tell(keys, store.code) is KeyState.LOCKED  # Too early, so it is not looked at.
            keys.new_session_key("recorded all the same")
            now = next_try_at
    assert delays == [0, 0, 1, 2, 4, 8, 16, 32, 60, 60]
    assert tell(keys, store.code) is KeyState.PASSPHRASE
    assert (keys.view().was_refused, keys.view().next_try_at) == (False, None)


# The recovery code ------------------------------------------------------------------------------------------------


def test_the_recovery_code_is_shown_until_it_is_noted(store: Store) -> None:
    assert re.fullmatch(r"([0-9A-HJKMNP-TV-Z]{4}-){13}[0-9A-HJKMNP-TV-Z]{4}", store.code)
    keys = store.start()
    assert keys.view().recovery_code == ""
    ask(keys, store.keystore)
    assert keys.view().recovery_code == store.code
    keys.note_recovery_code()
    assert keys.view().recovery_code == ""
    again = store.start()
    ask(again, store.keystore)
    assert again.view().recovery_code == ""


@given(st.binary(min_size=32, max_size=32), st.integers(0, 55), st.sampled_from("0123456789ABCDEFGHJKMNPQRSTVWXYZ"))
def test_a_code_is_read_as_people_write_and_a_slip_is_noticed(private: bytes, place: int, slip: str) -> None:
    code = as_code(private)
    assert from_code(code) == private
    assert from_code(f" {code.lower().replace('0', 'o').replace('1', 'l').replace('-', ' ')}\n") == private
    plain = code.replace("-", "")
    changed = plain[:place] + slip + plain[place + 1 :]
    assert from_code(changed) == (private if changed == plain else None)


@given(st.text())
def test_whatever_else_is_typed_is_no_code(typed: str) -> None:
    assert from_code(typed) is None


# Envelopes and the file -------------------------------------------------------------------------------------------


def test_each_session_has_a_key_of_its_own_and_its_envelope_tells_nothing(store: Store) -> None:
    keys = store.start()
    first, second = keys.new_session_key("s"), keys.new_session_key("s")
    assert first.key != second.key
    assert first.envelope != second.envelope
    assert first.key not in first.envelope
    assert key_id_of(first.envelope) == keys.key_id
    assert repr(first) == "SessionKey()"


def test_an_envelope_opens_for_its_session_only_and_not_when_a_byte_was_changed(store: Store) -> None:
    keys = store.start()
    ask(keys, store.keystore)
    envelope = store.session.envelope
    with pytest.raises(ValueError, match="damaged"):
        keys.open_envelope("t", envelope)
    for position in range(len(envelope)):
        changed = bytearray(envelope)
        changed[position] ^= 1
        with pytest.raises((ValueError, KeysLocked)):
            keys.open_envelope("s", bytes(changed))
        with pytest.raises(ValueError, match="damaged"):
            keys.open_envelope("s", envelope[:position])


def test_no_secret_is_in_the_file_or_in_what_may_be_logged(path: Path) -> None:
    keys, keystore = Keys(path), StandInKeystore()
    answer = keys.ask(keystore)()
    keys.take(answer)
    guard(keys, "a passphrase")
    (private,) = keystore.kept.values()
    said = path.read_text() + repr(answer) + repr(keys.view()) + repr(keys.new_session_key("s"))
    for secret in (private.hex(), repr(private)[2:-1], keys.view().recovery_code, "a passphrase"):
        assert secret not in said


@pytest.mark.parametrize(
    "damaged", [b"", b"{", b"[]", b'{"pairs": 1}', b"\0" * 300, b'{"pairs": [{"public_key": 1}]}']
)
def test_a_file_that_cannot_be_read_is_kept_beside_and_its_copy_used(store: Store, damaged: bytes) -> None:
    store.path.write_bytes(damaged)
    keys = store.start()
    assert ask(keys, store.keystore) is KeyState.PROTECTED
    assert store.can_read(keys)
    assert store.path.with_name("keys.json.unreadable").read_bytes() == damaged


def test_where_file_and_copy_are_gone_the_key_is_found_by_what_was_sealed_to_it(store: Store) -> None:
    for name in ("keys.json", "keys.json.bak"):
        store.path.with_name(name).unlink()
    keys = store.start()
    keys.expect([key_id_of(store.session.envelope)])
    meanwhile = keys.new_session_key("meanwhile")
    assert ask(keys, store.keystore) is KeyState.PROTECTED
    assert len(store.keystore.kept) == 1
    assert keys.derive("library") == store.library
    again = store.start()
    ask(again, store.keystore)
    assert store.can_read(again)
    assert again.open_envelope("meanwhile", meanwhile.envelope) == meanwhile


def test_where_it_is_not_found_no_new_one_is_begun_unasked(store: Store) -> None:
    for name in ("keys.json", "keys.json.bak"):
        store.path.with_name(name).unlink()
    emptied = StandInKeystore()
    keys = store.start()
    keys.expect([key_id_of(store.session.envelope)])
    assert ask(keys, emptied) is KeyState.MISSING
    assert (emptied.kept, store.path.exists()) == ({}, False)
    keys.take(keys.begin_new(emptied)())
    assert keys.view().state is KeyState.PROTECTED
    assert len(emptied.kept) == 1
    tell(keys, store.code)
    assert store.can_read(keys)


@needs_small_disk
def test_a_disk_that_does_not_take_the_file_is_told_and_asking_again_repeats_it(path: Path) -> None:
    keys, keystore = Keys(path), StandInKeystore()
    answer = keys.ask(keystore)()
    with largest_file(20), pytest.raises(OSError, match="large"):
        keys.take(answer)
    assert keys.view().state is KeyState.SESSION_ONLY
    assert ask(keys, keystore) is KeyState.PROTECTED


def test_it_is_told_whether_an_answer_changed_anything(store: Store) -> None:
    keys = store.start()
    assert keys.take(keys.ask(store.keystore)())
    assert not keys.take(keys.ask(store.keystore)())
    assert isinstance(keys.try_secret("x")(), Answer)


def test_an_answer_that_comes_late_guards_no_other_key(store: Store) -> None:
    emptied = StandInKeystore()
    keys = store.start()
    ask(keys, emptied)
    tell(keys, store.code)
    late = keys.set_passphrase("late")()
    other = Keys(store.path.with_name("other.json"))
    ask(other, StandInKeystore())
    other.take(late)
    assert not other.view().has_passphrase


def test_a_damaged_wrapping_opens_nothing(path: Path) -> None:
    keys = Keys(path)
    ask(keys, StandInKeystore(absent()), "passphrase")
    at = path.read_bytes().index(b'"sealed": "U') + 20
    damage(path, at, 0x01)
    assert ask(Keys(path), StandInKeystore(absent()), "passphrase") is KeyState.LOCKED
