"""Two apps at once, an app after one that was killed, folders that other computers write to."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from app.core.events import Stop
from app.core.views import KeyState
from app.engine.world import World
from app.store.places import Places
from app.store.space import folder_refusal
from tests.engine.stand_ins import Desk
from tests.faults.desk import choose_service, speech
from tests.rig.answers import Scribe
from tests.rig.desktop import Desktop

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_SECONDS = 30.0


# Windows ------------------------------------------------------------------------------------------------------------


class Windows:
    """The real app's processes, on a desktop of their own."""

    def __init__(self, folder: Path, desktop: Desktop, url: str) -> None:
        self._folder = folder
        self._url = url
        self._environment = {
            **os.environ,
            **desktop.environment,
            "XDG_RUNTIME_DIR": str(folder),
            "PULSE_SERVER": "unix:/nonexistent",
            "SCRIBEDESK_PASSPHRASE": "correct horse",
        }
        self.running: list[subprocess.Popen[bytes]] = []

    def open(self, name: str) -> subprocess.Popen[bytes]:
        """Start the app on the folder of that name."""
        home = self._folder / name
        home.mkdir(mode=0o700, exist_ok=True)
        choose_service(Places(home), self._url)
        environment = {**self._environment, "SCRIBEDESK_HOME": str(home)}
        app = subprocess.Popen([sys.executable, "-m", "app"], cwd=ROOT, env=environment)
        self.running.append(app)
        return app

    def until_in_front(self, app: subprocess.Popen[bytes]) -> None:
        """Wait until the app's window is the one that has the keyboard."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self._in_front() != app.pid:
            assert time.monotonic() < deadline, "it never came to the front"
            assert app.poll() is None, "it has ended"

    def _in_front(self) -> int | None:
        active = re.search(r"0x[0-9a-f]+", self._property("-root", "_NET_ACTIVE_WINDOW"))
        told = re.search(r"= (\d+)", self._property("-id", active[0], "_NET_WM_PID")) if active else None
        return int(told[1]) if told else None

    def _property(self, *which: str) -> str:
        return subprocess.run(
            ["xprop", *which], env=self._environment, capture_output=True, text=True, check=False, timeout=20
        ).stdout


@pytest.fixture
def windows(tmp_path: Path, scribe: Scribe) -> Iterator[Windows]:
    with Desktop() as desktop:
        windows = Windows(tmp_path, desktop, scribe.url)
        yield windows
        for app in windows.running:
            app.terminate()
            app.wait(PATIENCE_SECONDS)


needs_desktop = pytest.mark.skipif(
    not all(map(shutil.which, ("Xvfb", "openbox", "xprop", "dbus-daemon"))), reason="needs Xvfb, openbox and xprop"
)


@needs_desktop
@pytest.mark.slow
@pytest.mark.fault("M1", "M2")
def test_a_second_app_brings_the_first_to_the_front_and_one_that_was_killed_is_in_nobodys_way(
    windows: Windows,
) -> None:
    first = windows.open("mine")
    windows.until_in_front(first)
    other = windows.open("another")
    windows.until_in_front(other)
    second = windows.open("mine")
    assert second.wait(PATIENCE_SECONDS) == 0
    windows.until_in_front(first)
    assert other.poll() is None
    first.kill()
    first.wait()
    windows.until_in_front(windows.open("mine"))


# Engines on one folder ----------------------------------------------------------------------------------------------


@pytest.mark.fault("M1", "M3")
def test_two_engines_on_one_folder_take_no_visit_from_each_other(home: Path) -> None:
    spoken = speech(12.0)
    first, second = Desk(home), Desk(home)
    first.switch_on()
    first.views.until(lambda v: v.keys.state is KeyState.PROTECTED)
    visit, microphone = first.record()
    microphone.speak(spoken[: 6 * 16_000])
    microphone.await_kept()
    second.switch_on()
    second.views.until(lambda v: v.keys.state is KeyState.PROTECTED)
    assert second.views.until(lambda v: v.microphones_listed).live is None
    own, other_microphone = second.record()
    other_microphone.speak(spoken[::-1].copy())
    microphone.speak(spoken[6 * 16_000 :])
    for desk, session_id in ((first, visit), (second, own)):
        desk.intend(session_id, Stop(0.0))
        assert desk.completed(session_id).problem is None
    np.testing.assert_array_equal(first.heard(visit), spoken)
    np.testing.assert_array_equal(second.heard(own), spoken[::-1])
    assert (len(first.server.sessions), len(second.server.sessions)) == (1, 1)
    second.switch_off()
    first.switch_off()
    first.switch_on()
    for session_id in (visit, own):
        first.completed(session_id)
    first.switch_off()


@pytest.mark.fault("M3")
@pytest.mark.parametrize(
    ("kind", "name", "refusal"),
    [("nfs4", "home", "network"), ("cifs", "home", "network"), ("ext4", "Dropbox", "synced"), ("ext4", "home", "")],
)
def test_a_folder_that_other_computers_write_to_is_refused_before_a_visit(
    tmp_path: Path, kind: str, name: str, refusal: str
) -> None:
    mounts = f"/dev/root / ext4 rw 0 0\nserver:/export {tmp_path} {kind} rw 0 0\n"

    class Elsewhere(Desk):
        def _world(self) -> World:
            return replace(super()._world(), folder_refusal=partial(folder_refusal, platform="linux", mounts=mounts))

    folder = tmp_path / name
    folder.mkdir()
    desk = Elsewhere(folder)
    desk.switch_on()
    told = desk.views.until(lambda v: v.storage.free_seconds is not None and v.storage.refusal == refusal)
    assert told.storage.folder == str(folder)
    assert told.live is None
    desk.switch_off()
