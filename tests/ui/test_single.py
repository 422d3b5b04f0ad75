"""There is one ScribeDesk for each user and folder, and it is found and taken over as it should be."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.ui import single
from app.ui.single import FrontDoor, claim

ROOT = Path(__file__).resolve().parents[2]
FIRST = """
import sys
from pathlib import Path
from PySide6.QtCore import QCoreApplication
from app.ui.single import FrontDoor, claim
app = QCoreApplication([])
folder = Path(sys.argv[1])
assert claim(folder)
door = FrontDoor(folder, lambda: print("shown", flush=True))
print("ready", flush=True)
app.exec()
"""
ASK = """
import sys
from pathlib import Path
from PySide6.QtCore import QCoreApplication
app = QCoreApplication([])
from app.ui.single import claim
print(claim(Path(sys.argv[1])))
"""


@pytest.fixture(autouse=True)
def _nobody_holds_it() -> Iterator[None]:
    yield
    single.let_go()


def begin(script: str, folder: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(folder)}
    return subprocess.Popen(
        [sys.executable, "-c", script, str(folder)], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
    )


@pytest.fixture
def first(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    running = begin(FIRST, tmp_path)
    assert running.stdout is not None
    assert running.stdout.readline() == "ready\n"
    yield running
    running.kill()
    running.wait()
    running.stdout.close()


@pytest.mark.fault("M1")
def test_a_second_one_is_refused_and_the_first_is_shown(first: subprocess.Popen[str], tmp_path: Path) -> None:
    with begin(ASK, tmp_path) as second:
        said, _ = second.communicate(timeout=30)
    assert said == "False\n"
    assert first.stdout is not None
    assert first.stdout.readline() == "shown\n"
    assert first.poll() is None


@pytest.mark.fault("M2")
def test_the_lock_of_one_that_was_killed_is_taken_over(first: subprocess.Popen[str], tmp_path: Path) -> None:
    first.kill()
    first.wait()
    assert (tmp_path / "instance.lock").exists()
    assert claim(tmp_path)


@pytest.mark.fault("M2")
def test_so_is_one_whose_process_number_another_program_has_now(first: subprocess.Popen[str], tmp_path: Path) -> None:
    first.kill()
    first.wait()
    lock = tmp_path / "instance.lock"
    owner, name, *rest = lock.read_text(encoding="utf-8").split("\n")
    assert int(owner) == first.pid
    with subprocess.Popen(["sleep", "60"]) as stranger:
        lock.write_text("\n".join([str(stranger.pid), name, *rest]), encoding="utf-8")
        taken = claim(tmp_path)
        stranger.kill()
    assert taken


def test_another_folder_is_another_app(first: subprocess.Popen[str], tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    assert claim(other)
    assert single.address(other) != single.address(tmp_path)


def test_claiming_takes_no_time_that_a_start_would_feel(tmp_path: Path) -> None:
    began = time.perf_counter()
    assert claim(tmp_path)
    assert time.perf_counter() - began < 0.05


@pytest.mark.skipif(sys.platform == "win32", reason="a pipe there, whose access Qt sets")
@pytest.mark.usefixtures("dressed")
def test_only_the_same_user_reaches_the_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    door = FrontDoor(tmp_path, lambda: None)
    mode = stat.S_IMODE(Path(single.address(tmp_path)).stat().st_mode)
    door.close()
    assert mode & 0o077 == 0
