"""Makes ``resources/sample/consultation.flac``: the script beside it, spoken by two voices of flite.

    python packaging/make_sample.py

Needs ``flite`` (Debian: ``apt-get install flite``). The same script makes the same sound.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile as sf
from numpy.typing import NDArray

SAMPLE = Path(__file__).resolve().parents[1] / "resources" / "sample"
SAMPLE_RATE_HZ = 16_000
VOICES = {"Doctor": "rms", "Patient": "slt"}
TURN_GAP_SECONDS = 0.6
ENDS_SECONDS = 0.5

Samples = NDArray[np.int16]


def main() -> int:
    """Speak the script and write it down as FLAC."""
    script = (SAMPLE / "consultation.txt").read_text(encoding="utf-8")
    samples = read_aloud(script, VOICES)
    target = SAMPLE / "consultation.flac"
    sf.write(target, samples, SAMPLE_RATE_HZ, subtype="PCM_16")
    print(f"{target}: {len(samples) / SAMPLE_RATE_HZ:.0f} s, {target.stat().st_size / 1e6:.1f} MB")
    return 0


def turns(script: str) -> Iterator[tuple[str, str]]:
    """Who speaks and what they say, turn by turn."""
    for line in script.splitlines():
        speaker, _, text = line.partition(": ")
        if text:
            yield speaker, text


def read_aloud(script: str, voices: dict[str, str]) -> Samples:
    """A script as 16 kHz mono samples, with a pause between the turns."""
    ends = np.zeros(int(ENDS_SECONDS * SAMPLE_RATE_HZ), np.int16)
    gap = np.zeros(int(TURN_GAP_SECONDS * SAMPLE_RATE_HZ), np.int16)
    parts: list[Samples] = [ends]
    for speaker, text in turns(script):
        parts += [speak(text, voices[speaker]), gap]
    return np.concatenate([*parts[:-1], ends])


def speak(text: str, voice: str) -> Samples:
    """One turn in one of flite's voices."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "turn.wav"
        subprocess.run(["flite", "-voice", voice, "-t", text, "-o", str(path)], check=True)
        samples, rate = sf.read(path, dtype="int16")
    assert rate == SAMPLE_RATE_HZ
    return np.asarray(samples, np.int16)


if __name__ == "__main__":
    sys.exit(main())
