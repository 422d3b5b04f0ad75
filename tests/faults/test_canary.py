"""Nothing that a patient said, is called or sounds like lies anywhere in clear; nor does what signs the user in.

The real app runs from end to end. Meanwhile and after it, its folder, the temporary files, logs and crash reports are
searched, and what every program on the computer can see of its processes and windows.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from app.audio.files import decode
from app.audio.signal import Samples
from app.store.spool import Spool
from tests.desktop.app import ROOT, App, guarded, opened_keys, service_address
from tests.faults.desk import RATE_HZ, speech
from tests.rig.answers import Asked, Kept, Kind, Reply, Scribe, reply
from tests.rig.canary import Canary, bytes_canary, scan, sound_canary, text_canary
from tests.rig.desktop import Desktop
from tests.rig.pulse import PulseRig, is_available
from tests.rig.screen_reader import ScreenReader

TOKEN = "tk-8Zr2vQm4Xn7Lp1-nobody-may-see-this"
SIGNATURE = "X-Amz-Signature=5c1f0e77ab934d2290cafe"
TRANSCRIPT = "The patient reports palpitations since Michaelmas."
LABEL, NUMBER = "Venkatalakshmi Quattlebaum", "MRN-90417725"
SAMPLE = ROOT / "resources" / "sample"
SECONDS = 150.0

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


class Places:
    """Where the app could leave something: its folder, the temporary one, and where it is started."""

    def __init__(self, home: Path, temp: Path, folder: Path) -> None:
        self.home = home
        self.work = folder / "work"
        self.seen = folder / "seen"
        self.work.mkdir()
        self.seen.mkdir()
        self._folders = [home, temp, self.work, self.seen]
        path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH", ""))))
        self.environment = {**os.environ, **guarded(home), "PYTHONPATH": path}

    def run(self, *arguments: str, told: str = "") -> subprocess.Popen[str]:
        """Start the app with these arguments."""
        process = subprocess.Popen(
            [sys.executable, "-m", "app", *arguments],
            cwd=self.work,
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdin is not None
        process.stdin.write(told)
        process.stdin.close()
        process.stdin = None
        return process

    def look_at(self, process: int) -> None:
        """Keep what the system tells everybody about a process and those below it."""
        below = [process]
        for parent in below:
            for thread in Path(f"/proc/{parent}/task").iterdir():
                below += map(int, (thread / "children").read_text().split())
        assert len(below) > 1, "the app has no process of its own for anything"
        for pid in below:
            for name in ("environ", "cmdline"):
                (self.seen / f"{pid}-{name}").write_bytes(Path(f"/proc/{pid}/{name}").read_bytes())

    def assert_clean(self, *canaries: Canary) -> None:
        """Nothing of it is anywhere."""
        assert sum(path.is_file() for path in self.home.rglob("*")) > 3, "the app has kept nothing at all"
        hits = scan(self._folders, canaries)
        assert not hits, "in clear: " + "; ".join(f"{h.path} holds {h.canary!r} as {h.guise}" for h in hits[:10])


def _no_files(folder: str, names: list[str]) -> list[str]:
    """What cannot be copied, and holds nothing: sockets."""
    return [name for name in names if (Path(folder) / name).is_socket()]


@pytest.fixture
def places(home: Path, temp: Path, tmp_path: Path) -> Places:
    return Places(home, temp, tmp_path)


def end(process: subprocess.Popen[str]) -> str:
    told, trouble = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, trouble
    return told


def sign_uploads(scribe: Scribe) -> list[Asked]:
    """Have the service take audio at a signed address; what was sent there."""
    taken: list[Asked] = []

    def take(asked: Asked) -> Reply | None:
        if "/signed/audio/" not in asked.path:
            return None
        taken.append(asked)
        (kept,) = scribe.sessions.values()
        kept.uploads.append((len(kept.uploads), asked.body))
        return reply(200)

    scribe.alters[Kind.CREATE] = {"upload_url": f"{scribe.url}/signed/audio?{SIGNATURE}"}
    scribe.refuses = take
    return taken


def sounds_of(kept: Kept) -> list[Canary]:
    """What a chunk is like: its middle as it was sent, and as it sounds."""
    chunk = kept.chunks[0]
    return [bytes_canary("chunk", chunk[len(chunk) // 2 :][:48]), sound_canary("sound", decode(chunk))]


@pytest.mark.fault("D12")
def test_a_file_that_is_sent_leaves_nothing_in_clear(places: Places, scribe: Scribe, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "visit.wav", speech(6.0), RATE_HZ)
    scribe.tokens = {TOKEN}
    scribe.transcript = TRANSCRIPT
    scribe.is_thinking = True
    signed = sign_uploads(scribe)
    end(places.run("token", scribe.url, told=f"{TOKEN}\n"))

    sending = places.run("send", str(tmp_path / "visit.wav"), "--service", scribe.url, "--json")
    scribe.until(lambda: scribe.sessions and scribe.only.ended_with is not None, 60)
    canaries = [text_canary(t) for t in (TOKEN, SIGNATURE, TRANSCRIPT, "Michaelmas")] + sounds_of(scribe.only)
    for name in ("environ", "cmdline"):
        (places.seen / name).write_bytes(Path(f"/proc/{sending.pid}/{name}").read_bytes())
    places.assert_clean(*canaries)
    scribe.is_thinking = False
    assert TRANSCRIPT in end(sending)
    assert signed, "the signed address was not used"
    assert all(SIGNATURE in asked.path for asked in signed)
    places.assert_clean(*canaries)


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.fault("D12")
def test_the_service_on_this_computer_leaves_nothing_in_clear(places: Places) -> None:
    samples, _ = soundfile.read(SAMPLE / "consultation.flac", dtype="int16")
    sending = places.run("send", str(SAMPLE / "consultation.flac"), "--json")
    assert sending.stderr is not None
    for line in sending.stderr:
        if "Ended" in line:
            break
    places.look_at(sending.pid)
    _, token = service_address(places.home)
    told = end(sending).lower()
    assert "paracetamol" in told
    words = [text_canary(word) for word in ("paracetamol", "paracetamol".capitalize(), "phlegm, and", token)]
    places.assert_clean(*words, sound_canary("the sample", np.asarray(samples)))


@pytest.mark.slow
@pytest.mark.desktop
@pytest.mark.timeout(300)
@pytest.mark.skipif(not (is_available() and shutil.which("flite")), reason="needs PulseAudio and a voice")
@pytest.mark.fault("D12", "P2")
def test_a_visit_in_the_window_leaves_nothing_in_clear_and_neither_does_its_crash(
    places: Places, tmp_path: Path
) -> None:
    voice = tmp_path / "voice.wav"
    said = "I have had palpitations for three days. I will give you paracetamol five hundred milligrams."
    subprocess.run(["flite", "-voice", "rms", "-t", said, "-o", str(voice)], check=True, timeout=60)
    with PulseRig() as microphone, Desktop() as screen:
        app = App(places.home, {**places.environment, **microphone.environment, **screen.environment})
        with ScreenReader(screen.environment) as reader:
            reader.wait_for("status-service", "ready", seconds=30)
            reader.write("patient-label", LABEL)
            reader.write("patient-id", NUMBER)
            reader.press("record")
            reader.wait_for("state-word", "Recording")
            microphone.play(voice).wait(60)
            places.look_at(app.process.pid)
            keep_titles(places, screen, "while-it-records")
            reader.press("stop")
            reader.press("tab-transcript", seconds=90)
            reader.wait_for("transcript-text", "milligrams", seconds=30)
            keep_titles(places, screen, "with-the-transcript")
        _, token = service_address(places.home)
        app.process.send_signal(signal.SIGSEGV)
        assert app.process.wait(20) == -signal.SIGSEGV
        home_of_user = Path(screen.environment["HOME"])
        shutil.copytree(home_of_user, places.seen / "home", ignore_dangling_symlinks=True, ignore=_no_files)
    words = (LABEL, NUMBER, "Quattlebaum", "milligrams", "paracetamol", token)
    places.assert_clean(*map(text_canary, words), sound_canary("what was said", recorded(places.home)))


def keep_titles(places: Places, screen: Desktop, when: str) -> None:
    """Keep what every program on the screen can see of its windows."""
    environment = {**os.environ, **screen.environment}
    seen = subprocess.run(
        ["xwininfo", "-root", "-tree"], env=environment, capture_output=True, check=True, timeout=20
    )
    assert b"ScribeDesk" in seen.stdout
    (places.seen / f"titles-{when}").write_bytes(seen.stdout)


def recorded(home: Path) -> Samples:
    """The sound of the only visit, as its key opens it."""
    (folder,) = (home / "sessions").iterdir()
    spool = Spool.open(folder, opened_keys(home).open_envelope)
    try:
        return decode(spool.chunk(0))
    finally:
        spool.close()
