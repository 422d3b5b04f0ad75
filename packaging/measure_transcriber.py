"""How well the offline transcriber understands readings aloud.

    PYTHONPATH=. python packaging/measure_transcriber.py [--model general|words|clinic] [SCRIPT…]

Needs flite. Prints the word error rate of the sample and of the readings in ``tests/data/readings`` (none of which
the language model was made from) in three voices, after Ogg/Opus and cut into chunks at pauses, as the app sends
them. One to two minutes of processor time a script.
"""

from __future__ import annotations

import argparse
import io
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jiwer
import numpy as np
import soundfile
import soxr
from make_sample import read_aloud, turns
from numpy.typing import NDArray
from pocketsphinx import Decoder, get_model_path

from app.service.sphinx import spoken_words
from app.service.sphinx_worker import decode, open_decoder

ROOT = Path(__file__).resolve().parents[1]
SAMPLE = ROOT / "resources" / "sample" / "consultation.txt"
READINGS = sorted((ROOT / "tests" / "data" / "readings").glob("*.txt"))
VOICES = ("slt", "rms", "awb")
RATE_HZ = 16_000
SHORTEST_SECONDS, LONGEST_SECONDS = 8, 12

Samples = NDArray[np.int16]


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", choices=("general", "words", "clinic"), default="clinic")
    parser.add_argument("scripts", nargs="*", type=Path, default=[SAMPLE, *READINGS])
    options = parser.parse_args()
    decoder = _decoder(options.model)
    for path in options.scripts:
        script = path.read_text(encoding="utf-8")
        began, seconds, rates = time.process_time(), 0.0, []
        for voice in VOICES:
            samples = through_opus(read_aloud(script, {"Doctor": voice, "Patient": voice}))
            seconds += len(samples) / RATE_HZ
            rates.append(f"{voice} {error_rate(script, heard(decoder, samples)):6.1%}")
        speed = seconds / (time.process_time() - began)
        print(f"{path.stem:24} {'  '.join(rates)}   {speed:.1f} times real time", flush=True)
    return 0


def error_rate(script: str, said: str) -> float:
    """Word error rate against the spoken part of a script; case and punctuation count for nothing."""
    return float(jiwer.wer(_plain(" ".join(text for _, text in turns(script))), _plain(said)))


def heard(decoder: Any, samples: Samples) -> str:
    """What the decoder makes of a reading, chunk by chunk."""
    words = (w.text for chunk in chunks(samples) for w in spoken_words(decode(decoder, chunk.tobytes())))
    return " ".join(words)


def through_opus(samples: Samples) -> Samples:
    """Samples as they are after the way to the service."""
    file = io.BytesIO()
    soundfile.write(file, samples, RATE_HZ, format="OGG", subtype="OPUS")
    file.seek(0)
    decoded, rate = soundfile.read(file, dtype="float32")
    if rate != RATE_HZ:
        decoded = soxr.resample(decoded, rate, RATE_HZ)
    return np.asarray(np.clip(decoded, -1, 1) * 32767, np.int16)


def chunks(samples: Samples) -> Iterator[Samples]:
    """Cut where it is quietest between the shortest and the longest chunk."""
    shortest, longest, window = SHORTEST_SECONDS * RATE_HZ, LONGEST_SECONDS * RATE_HZ, RATE_HZ // 5
    while len(samples) > longest:
        loudness = np.convolve(samples[shortest:longest].astype(np.float64) ** 2, np.ones(window), "valid")
        cut = shortest + int(np.argmin(loudness)) + window // 2
        yield samples[:cut]
        samples = samples[cut:]
    yield samples


def _plain(text: str) -> str:
    return " ".join(re.sub(r"[^a-z0-9' ]", " ", text.lower()).split())


def _decoder(model: str) -> Any:
    if model == "clinic":
        return open_decoder()
    general = Decoder(
        hmm=get_model_path("en-us/en-us"),
        dict=get_model_path("en-us/cmudict-en-us.dict"),
        lm=get_model_path("en-us/en-us.lm.bin"),
        loglevel="FATAL",
    )
    if model == "words":
        for line in (ROOT / "resources/transcriber/clinical.dict").read_text(encoding="utf-8").splitlines():
            if not line.startswith("#"):
                general.add_word(*line.split(" ", 1), update=True)
    return general


if __name__ == "__main__":
    sys.exit(main())
