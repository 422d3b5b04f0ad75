"""Keystores that are away, locked, hung or have lost the key: every visit is recorded, and no key is ever replaced.

With the system's own keystore, on a bus of the test's own.
"""

from __future__ import annotations

import gc
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from app.core.events import SessionId, Stop
from app.core.views import AskKeystoreAgain, BeginNewStore, KeyState, KeysView, LookAtStored, UnlockWith
from app.engine.world import World
from app.store.keystore import KeystoreUnavailable, SystemKeystore
from tests.engine.stand_ins import Desk
from tests.faults.desk import speech
from tests.store.secret_service import needs_secret_service

_BUS = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN" "busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:tmpdir=/tmp</listen>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>
"""
"""A bus that starts nothing by itself."""

# The library that speaks to the keystore leaves its connections to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")


class Keyring:
    """The desktop's keystore, on a bus of its own to which this process listens meanwhile."""

    def __init__(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("data", "run"):
            (home / name).mkdir(mode=0o700, parents=True, exist_ok=True)
        environment = {k: v for k, v in os.environ.items() if k != "DISPLAY"}
        self._environment = environment | {
            "HOME": str(home),
            "XDG_DATA_HOME": str(home / "data"),
            "XDG_RUNTIME_DIR": str(home / "run"),
        }
        configuration = home / "bus.conf"
        configuration.write_text(_BUS)
        self._bus = subprocess.Popen(
            ["dbus-daemon", f"--config-file={configuration}", "--nofork", "--print-address=1"],
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._bus.stdout
        address = self._bus.stdout.readline().strip()
        self._environment["DBUS_SESSION_BUS_ADDRESS"] = address
        monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", address)
        monkeypatch.delenv("DISPLAY", raising=False)
        self._daemon: subprocess.Popen[bytes] | None = None

    def start(self, *, is_unlocked: bool = True) -> None:
        """Begin; it is there when this returns."""
        unlock = ["--unlock"] if is_unlocked else []
        self._daemon = subprocess.Popen(
            ["gnome-keyring-daemon", *unlock, "--components=secrets", "--foreground"],
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        assert self._daemon.stdin
        self._daemon.stdin.write(b"testpass")
        self._daemon.stdin.close()
        subprocess.run(
            ["gdbus", "wait", "--session", "--timeout", "20", "org.freedesktop.secrets"],
            env=self._environment,
            check=True,
            timeout=30,
        )

    def end(self) -> None:
        """Be away."""
        if self._daemon:
            self._daemon.send_signal(signal.SIGCONT)
            self._daemon.kill()
            self._daemon.wait()
            self._daemon = None

    def signal(self, number: signal.Signals) -> None:
        """Stop it, or let it go on."""
        assert self._daemon
        self._daemon.send_signal(number)

    def close(self) -> None:
        self.end()
        self._bus.terminate()  # It takes its socket with it.
        self._bus.communicate()


class KeystoreDesk(Desk):
    """A computer with the system's own keystore, which is given up on after two seconds."""

    def _world(self) -> World:
        return replace(super()._world(), keystore=SystemKeystore(timeout_seconds=2.0))


@pytest.fixture
def keyring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Keyring]:
    keyring = Keyring(tmp_path / "keyring", monkeypatch)
    yield keyring
    keyring.close()
    gc.collect()


@pytest.fixture
def desk(home: Path) -> Iterator[KeystoreDesk]:
    desk = KeystoreDesk(home)
    yield desk
    desk.switch_off()


def keys(desk: Desk, *states: KeyState) -> KeysView:
    return desk.views.until(lambda v: v.keys.state in states).keys


def record_at_once(desk: Desk, seconds: float = 2.0) -> SessionId:
    """A visit that begins within a second, whatever the keystore does."""
    began = time.monotonic()
    visit, microphone = desk.record()
    microphone.speak(speech(seconds))
    desk.session(visit, lambda s: s.is_capturing)
    assert time.monotonic() - began < 1.0
    microphone.await_kept()
    desk.intend(visit, Stop(0.0))
    return visit


@needs_secret_service
@pytest.mark.fault("K1")
@pytest.mark.parametrize("trouble", ["absent", "locked", "hung"])
def test_a_visit_begins_at_once_whatever_the_keystore_does_and_is_readable_when_it_opens(
    keyring: Keyring, desk: KeystoreDesk, trouble: str
) -> None:
    keyring.start()
    desk.switch_on()
    keys(desk, KeyState.PROTECTED)
    old = record_at_once(desk)
    desk.completed(old)
    desk.switch_off()
    if trouble == "hung":
        keyring.signal(signal.SIGSTOP)
    else:
        keyring.end()
    if trouble == "locked":
        keyring.start(is_unlocked=False)
    desk.switch_on()
    during = record_at_once(desk)
    keys(desk, KeyState.LOCKED)
    assert desk.views.until(lambda v: v.keys.state is KeyState.LOCKED).session(old) is None
    if trouble == "hung":
        keyring.signal(signal.SIGCONT)
    else:
        keyring.end()
        keyring.start()
    desk.wish(AskKeystoreAgain())
    keys(desk, KeyState.PROTECTED)
    desk.completed(old)
    desk.completed(during)
    desk.switch_off()
    desk.switch_on()
    desk.completed(old)
    desk.completed(during)


@needs_secret_service
@pytest.mark.fault("K1")
def test_a_first_start_without_a_keystore_is_said_and_one_that_comes_later_takes_the_key(
    keyring: Keyring, desk: KeystoreDesk
) -> None:
    desk.switch_on()
    keys(desk, KeyState.SESSION_ONLY)
    visit = record_at_once(desk)
    desk.completed(visit)
    keyring.start()
    desk.wish(AskKeystoreAgain())
    keys(desk, KeyState.PROTECTED)
    desk.switch_off()
    desk.switch_on()
    desk.completed(visit)


@needs_secret_service
@pytest.mark.fault("K2")
def test_a_keystore_that_was_emptied_makes_no_new_key_and_the_code_opens_all(
    keyring: Keyring, desk: KeystoreDesk, tmp_path: Path
) -> None:
    keyring.start()
    desk.switch_on()
    code = keys(desk, KeyState.PROTECTED).recovery_code
    visit = record_at_once(desk)
    desk.completed(visit)
    desk.switch_off()
    kept = desk.places.keys.read_bytes()
    keyring.end()
    shutil.rmtree(tmp_path / "keyring" / "data" / "keyrings")
    keyring.start()
    desk.switch_on()
    keys(desk, KeyState.MISSING)
    during = record_at_once(desk)
    assert desk.places.keys.read_bytes() == kept
    desk.wish(UnlockWith(code))
    keys(desk, KeyState.PROTECTED)
    desk.completed(visit)
    desk.completed(during)
    desk.wish(BeginNewStore())  # There is nothing to begin anew.
    desk.switch_off()
    assert len(list(desk.places.home.glob("library-*.db"))) == 1
    desk.switch_on()
    assert keys(desk, KeyState.PROTECTED).recovery_code == code
    desk.completed(visit)


@pytest.mark.fault("K3")
def test_a_keystore_that_is_a_readable_file_is_not_used(
    desk: KeystoreDesk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package, leaked = tmp_path / "elsewhere", str(tmp_path / "leaked")
    package.mkdir()
    (package / "readable_keyring.py").write_text(
        "from pathlib import Path\n"
        "from keyring.backend import KeyringBackend\n"
        "class Readable(KeyringBackend):\n"
        "    priority = 99\n"
        "    def get_password(self, service, username): return None\n"
        f"    def set_password(self, service, username, password): Path({leaked!r}).touch()\n"
    )
    monkeypatch.syspath_prepend(package)
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "readable_keyring.Readable")
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent")
    desk.switch_on()
    keys(desk, KeyState.SESSION_ONLY)
    desk.completed(record_at_once(desk))
    desk.switch_off()
    assert not Path(leaked).exists()
    assert not desk.places.keys.exists()


@pytest.mark.fault("K4")
def test_wrong_recovery_codes_are_slowed_down_and_keep_nobody_from_recording(home: Path) -> None:
    now = [1_800_000_000.0]

    class ClockDesk(Desk):
        def _world(self) -> World:
            return replace(super()._world(), wall_clock=lambda: now[0])

    desk = ClockDesk(home)
    desk.switch_on()
    code = keys(desk, KeyState.PROTECTED).recovery_code
    desk.switch_off()
    desk.keystore.refusal = KeystoreUnavailable
    desk.switch_on()
    keys(desk, KeyState.LOCKED)
    waits: list[float] = []
    for number in range(10):
        desk.wish(UnlockWith(f"{number}0000-WRONG"))
        desk.views.until(lambda v: v.keys.was_refused)
        if number < 2:  # Anybody may mistype.
            continue
        next_try_at = desk.views.until(lambda v: (v.keys.next_try_at or 0.0) > now[0]).keys.next_try_at
        assert next_try_at
        waits.append(next_try_at - now[0])
        if number == 2:
            desk.wish(UnlockWith(code))  # Too early: not even the right one is tried.
            desk.wish(LookAtStored())
            desk.views.until(lambda v: v.stored)
        now[0] = next_try_at
    assert waits == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]
    assert desk.views.until(lambda v: v.keys).keys.state is KeyState.LOCKED
    visit = record_at_once(desk)
    desk.completed(visit)
    desk.wish(UnlockWith(code))
    keys(desk, KeyState.PASSPHRASE, KeyState.PROTECTED)
    desk.switch_off()
