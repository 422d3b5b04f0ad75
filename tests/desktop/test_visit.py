"""One visit as a doctor has it: a voice in a real microphone, real buttons of the real window, the notes at the end.

Everything is real: the app and its local service are processes of their own, the microphone is a PulseAudio source,
the window is on an X screen, and the test uses it as a screen reader does.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.rig.desktop import Desktop
from tests.rig.pulse import PulseRig
from tests.rig.screen_reader import ScreenReader

ROOT = Path(__file__).resolve().parents[2]
PICTURES = ROOT / "build" / "screens"
SPOKEN = (
    "Good morning. What can I do for you today. "
    "I have had a dry cough for three days. "
    "Your blood pressure is one hundred and thirty over eighty five. "
    "I will give you paracetamol five hundred milligrams three times a day for five days. "
    "Please drink plenty of water and come back in one week."
)
pytestmark = [pytest.mark.desktop, pytest.mark.timeout(240)]


@pytest.fixture
def voice(tmp_path: Path) -> Path:
    path = tmp_path / "voice.wav"
    subprocess.run(["flite", "-voice", "rms", "-t", SPOKEN, "-o", str(path)], check=True, timeout=60)
    return path


@pytest.fixture
def microphone() -> Iterator[PulseRig]:
    with PulseRig() as rig:
        yield rig


@pytest.fixture
def screen() -> Iterator[Desktop]:
    with Desktop() as desktop:
        yield desktop


class App:
    """The app as a process."""

    def __init__(self, home: Path, environment: dict[str, str]) -> None:
        self.home = home
        self._environment = {**os.environ, **environment, "SCRIBEDESK_HOME": str(home)}
        self.process = subprocess.Popen([sys.executable, "-m", "app"], cwd=ROOT, env=self._environment)

    def service(self, path: str) -> dict[str, object]:
        """Ask the app's own local service, as its client does."""
        address = json.loads((self.home / "local-service" / "address.json").read_text())
        request = urllib.request.Request(
            f"{address['base_url']}/{path}", headers={"Authorization": f"Bearer {address['token']}"}
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            told: dict[str, object] = json.load(answer)
        return told

    def close(self) -> int:
        """Ask it to end, as a system that shuts down does; its exit code."""
        self.process.terminate()
        return self.process.wait(15)


@pytest.fixture
def app(tmp_path: Path, screen: Desktop, microphone: PulseRig) -> Iterator[App]:
    app = App(tmp_path / "home", {**microphone.environment, **screen.environment})
    yield app
    if app.process.poll() is None:
        app.process.kill()
        app.process.wait()


def test_a_visit_from_microphone_to_notes(app: App, screen: Desktop, microphone: PulseRig, voice: Path) -> None:
    with ScreenReader(screen.environment) as reader:
        reader.wait_for("status-service", "ready", seconds=30)
        reader.write("patient-label", "M.K.")
        screen.photograph(PICTURES / "1-ready.png")

        reader.press("record")
        reader.wait_for("state-word", "Recording")
        speech = microphone.play(voice)
        reader.wait_for("where-audio", "service", seconds=30)
        screen.photograph(PICTURES / "2-recording.png")
        reader.press("pause")
        reader.wait_for("state-word", "Paused")
        speech.wait(60)
        screen.photograph(PICTURES / "3-paused.png")
        reader.press("resume")
        reader.wait_for("state-word", "Recording")
        microphone.play(voice).wait(60)

        [session] = [p.name for p in (app.home / "sessions").iterdir()]
        before_stop = app.service(f"sessions/{session}")
        assert before_stop["audio_files_received"], "no chunk was on the service before Stop"

        reader.press("stop")
        reader.wait_for("next-patient", seconds=5)
        screen.photograph(PICTURES / "4-finishing.png")
        reader.press("tab-transcript", seconds=90)
        transcript = reader.wait_for("transcript-text", "milligrams", seconds=30).lower()
        screen.photograph(PICTURES / "5-transcript.png")
        assert "dry cough" in transcript
        assert "five hundred milligrams" in transcript

        reader.press("tab-medications", seconds=60)
        medications = reader.wait_for("note-text-medications", "500 mg", seconds=30).lower()
        screen.photograph(PICTURES / "6-medications.png")
        assert "paracetamol" in medications
        reader.press("tab-soap")
        assert "cough" in reader.wait_for("note-text-soap", "cough").lower()
        screen.photograph(PICTURES / "7-soap.png")
    assert app.close() == 0
