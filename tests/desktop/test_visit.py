"""One visit as a doctor has it: a voice in a real microphone, real buttons of the real window, the notes at the end.

Everything is real: the app and its local service are processes of their own, the microphone is a PulseAudio source,
the window is on an X screen, and the test uses it as a screen reader does.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.desktop.app import ROOT, App
from tests.rig.desktop import Desktop
from tests.rig.pulse import PulseRig
from tests.rig.screen_reader import ScreenReader

PICTURES = ROOT / "build" / "screens"
pytestmark = [
    pytest.mark.desktop,
    pytest.mark.timeout(240),
    pytest.mark.skipif(sys.platform != "linux", reason="needs an X screen and PulseAudio"),
]


def test_a_visit_from_microphone_to_notes(
    start_app: Callable[[], App], screen: Desktop, microphone: PulseRig, voice: Path
) -> None:
    app = start_app()
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


def test_an_app_that_is_killed_has_the_visit_back_at_its_next_start(
    start_app: Callable[[], App], screen: Desktop, microphone: PulseRig, voice: Path
) -> None:
    app = start_app()
    with ScreenReader(screen.environment) as reader:
        reader.wait_for("status-service", "ready", seconds=30)
        reader.press("record")
        reader.wait_for("state-word", "Recording")
        microphone.play(voice).wait(60)
        app.kill()
    start_app()
    with ScreenReader(screen.environment) as reader:
        reader.wait_for("state-word", "Paused", seconds=30)
        screen.photograph(PICTURES / "8-back-after-a-crash.png")
        reader.press("stop")
        reader.press("tab-transcript", seconds=90)
        transcript = reader.wait_for("transcript-text", "one week", seconds=30).lower()
        assert "dry cough" in transcript
        assert "recording interrupted" in transcript
