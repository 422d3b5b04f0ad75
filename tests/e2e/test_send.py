"""``scribedesk send`` as a user runs it, with the real local service and the real transcriber behind it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from measure_transcriber import error_rate

ROOT = Path(__file__).resolve().parents[2]
SPOKEN = (
    "Good morning. What can I do for you today. I have had a dry cough for three days. "
    "Do you have any fever. No fever. Your blood pressure is one hundred and thirty over eighty five. "
    "I will give you paracetamol five hundred milligrams three times a day for five days. "
    "Please drink plenty of water and come back in one week."
)
pytestmark = [
    pytest.mark.timeout(240),
    pytest.mark.skipif(sys.platform != "linux", reason="speaks with flite, finds processes in /proc"),
]


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("voice") / "visit.wav"
    subprocess.run(["flite", "-voice", "slt", "-t", SPOKEN, "-o", str(path)], check=True, timeout=60)
    return path


class Sending:
    """A running ``send``."""

    def __init__(self, home: Path, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "app", "send", *arguments, "--json"],
            cwd=ROOT,
            env={**os.environ, "SCRIBEDESK_HOME": str(home)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def lines(self) -> Iterator[str]:
        """Its progress, as it is told."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            yield line.strip()

    def until(self, words: str) -> None:
        """Wait until it has told this."""
        told = []
        for line in self.lines():
            told.append(line)
            if words in line:
                return
        pytest.fail(f"never said {words!r}: {told}")

    def kill_service(self) -> None:
        """Kill the service that it has started, as a crash would."""
        [child] = [
            int(pid.name)
            for pid in Path("/proc").iterdir()
            if pid.name.isdecimal() and _is_service_of(pid, self.process.pid)
        ]
        os.kill(child, signal.SIGKILL)

    def result(self) -> tuple[int, dict[str, object]]:
        """Its exit code and the object that it prints."""
        out, err = self.process.communicate(timeout=200)
        assert out, err
        return self.process.returncode, json.loads(out)


def _is_service_of(process: Path, parent: int) -> bool:
    try:
        words = (process / "cmdline").read_bytes().split(b"\0")
        stat = (process / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return False
    return b"serve" in words and int(stat[1]) == parent


@pytest.fixture(scope="module")
def undisturbed(recording: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """What comes of the recording when nothing goes wrong."""
    code, result = Sending(tmp_path_factory.mktemp("home"), str(recording), "--template", "medications").result()
    assert code == 0
    return result


def test_a_file_becomes_a_transcript_and_notes(undisturbed: dict[str, object]) -> None:
    transcript = str(undisturbed["transcript"]).lower()
    assert "dry cough" in transcript
    assert undisturbed["audio_files_sent"] == undisturbed["audio_files_received"]
    assert undisturbed["processing_errors"] == []
    templates = undisturbed["templates"]
    assert isinstance(templates, dict)
    [paracetamol] = templates["medications"]["data"]
    assert paracetamol["name"].lower() == "paracetamol"
    assert paracetamol["dosage"] == "500 mg"


def test_a_killed_service_changes_nothing(recording: Path, undisturbed: dict[str, object], tmp_path: Path) -> None:
    sending = Sending(tmp_path, str(recording), "--template", "medications")
    sending.until("1 sent")
    sending.kill_service()
    sending.until("Ended")
    sending.kill_service()
    code, result = sending.result()
    assert code == 0
    for part in ("transcript", "audio_files_received", "templates", "processing_errors"):
        assert result[part] == undisturbed[part]


def test_a_file_that_is_no_audio_is_refused_in_words(tmp_path: Path) -> None:
    letter = tmp_path / "letter.wav"
    letter.write_text("Dear colleague")
    sending = Sending(tmp_path / "home", str(letter))
    _, told = sending.process.communicate(timeout=60)
    assert sending.process.returncode == 4
    assert "not audio" in told


def test_an_address_where_nobody_answers_ends_with_its_own_code(recording: Path, tmp_path: Path) -> None:
    sending = Sending(tmp_path, str(recording), "--service", "http://127.0.0.1:9/voice/v1")
    _, told = sending.process.communicate(timeout=60)
    assert sending.process.returncode == 6
    assert "cannot be reached" in told


def test_the_sample_is_understood_and_its_notes_hold_what_was_said(tmp_path: Path) -> None:
    sample = ROOT / "resources" / "sample"
    expected = json.loads((sample / "expected.json").read_text())
    code, result = Sending(
        tmp_path, str(sample / "consultation.flac"), "--template", "medications", "--template", "vitals"
    ).result()
    assert code == 0
    assert error_rate((sample / "consultation.txt").read_text(), str(result["transcript"])) <= 0.12
    templates = result["templates"]
    assert isinstance(templates, dict)
    drugs = {entry["name"].lower(): entry for entry in templates["medications"]["data"]}
    assert set(drugs) == {medication["name"] for medication in expected["medications"]}
    assert all(drugs[m["name"]]["dosage"] == m["dose"] for m in expected["medications"])
    vitals = {entry["name"]: entry["value"] for entry in templates["vitals"]["data"]}
    assert vitals == {
        "blood pressure": expected["vitals"]["blood_pressure"],
        "pulse": str(expected["vitals"]["pulse"]),
        "temperature": str(expected["vitals"]["temperature"]),
        "oxygen saturation": str(expected["vitals"]["oxygen_saturation"]),
        "weight": str(expected["vitals"]["weight_kg"]),
    }
