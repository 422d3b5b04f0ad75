"""The offline transcriber's own process, with the real decoder for words and a stand-in for trouble."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile

from app.service.ports import EngineUnavailable, Word
from app.service.sphinx import SphinxTranscriber, split_at_pauses, spoken_words, worker_command

SAMPLE = Path(__file__).resolve().parents[2] / "resources" / "sample" / "consultation.flac"
SECOND = np.zeros(16_000, np.int16)

STAND_IN = """
import struct, sys, time
from itertools import pairwise
from pathlib import Path
behaviour, starts = sys.argv[1], Path(sys.argv[2])
starts.write_text(starts.read_text() + "." if starts.exists() else ".")
while head := sys.stdin.buffer.read(4):
    sys.stdin.buffer.read(struct.unpack("<I", head)[0])
    is_first = len(starts.read_text()) == 1
    if behaviour == "dies" or (behaviour == "dies once" and is_first):
        sys.exit(3)
    if behaviour == "hangs" or (behaviour == "hangs once" and is_first):
        starts.with_suffix(".hung").touch()
        time.sleep(60)
    answer = b'[["well", 0.0, 0.5]]'
    sys.stdout.buffer.write(struct.pack("<I", len(answer)) + answer)
    sys.stdout.buffer.flush()
"""


class StandIn(SphinxTranscriber):
    """The real parent with a child that behaves as told."""

    def __init__(self, behaviour: str, folder: Path, limit_seconds: float = 20.0) -> None:
        script = folder / "stand_in.py"
        script.write_text(STAND_IN)
        self.starts = folder / "starts.txt"
        command = (sys.executable, str(script), behaviour, str(self.starts))
        super().__init__(command, start_limit_seconds=limit_seconds, seconds_per_audio_second=0.0)

    def text(self) -> str:
        return " ".join(u.text for u in self.transcribe(SECOND, "en").utterances)

    def count_of_starts(self) -> int:
        return len(self.starts.read_text())


@pytest.fixture(scope="module")
def real() -> Iterator[SphinxTranscriber]:
    transcriber = SphinxTranscriber()
    yield transcriber
    transcriber.close()


def test_speech_becomes_lines_with_a_time_for_each_word(real: SphinxTranscriber) -> None:
    samples, _ = soundfile.read(SAMPLE, frames=10 * 16_000, dtype="int16")
    lines = real.transcribe(samples, "en").utterances
    assert "good morning" in lines[0].text.lower()
    assert len(lines) > 1
    words = [word for line in lines for word in line.words]
    assert all(0 <= word.start_seconds < word.end_seconds <= 10 for word in words)
    assert all(a.end_seconds <= b.start_seconds for a, b in pairwise(words))
    assert [w.text for w in words] == " ".join(line.text for line in lines).lower().split()


@pytest.mark.parametrize("seconds", [0.0, 0.01, 1.0])
@pytest.mark.parametrize("loudness", [0, 30, 300])
def test_silence_and_noise_say_nothing(real: SphinxTranscriber, seconds: float, loudness: int) -> None:
    noise = np.random.default_rng(1).normal(0, loudness, int(seconds * 16_000)).astype(np.int16)
    assert real.transcribe(noise, "en").utterances == ()


def test_the_same_chunk_is_heard_the_same_whatever_came_before(real: SphinxTranscriber) -> None:
    samples, _ = soundfile.read(SAMPLE, frames=6 * 16_000, dtype="int16")
    before = real.transcribe(samples[:48_000], "en")
    real.transcribe((samples[48_000:] // 4).astype(np.int16), "en")
    assert real.transcribe(samples[:48_000], "en") == before


def test_the_process_ends_with_its_parent() -> None:
    with subprocess.Popen(worker_command(), stdin=subprocess.PIPE, stdout=subprocess.PIPE) as worker:
        said, _ = worker.communicate(b"", timeout=30)
    assert (worker.returncode, said) == (0, b"")


def test_a_process_that_died_is_started_again(tmp_path: Path) -> None:
    transcriber = StandIn("dies once", tmp_path)
    assert transcriber.text() == "Well"
    assert transcriber.count_of_starts() == 2
    transcriber.close()


def test_one_process_serves_all_chunks(tmp_path: Path) -> None:
    transcriber = StandIn("works", tmp_path)
    transcriber.start()
    assert [transcriber.text() for _ in range(3)] == ["Well"] * 3
    assert transcriber.count_of_starts() == 1
    transcriber.close()


def test_audio_that_always_ends_the_process_is_given_up(tmp_path: Path) -> None:
    transcriber = StandIn("dies", tmp_path)
    with pytest.raises(EngineUnavailable, match="twice"):
        transcriber.text()
    assert transcriber.count_of_starts() == 2
    transcriber.close()


def test_a_process_that_hangs_is_ended_and_the_next_chunk_is_heard(tmp_path: Path) -> None:
    transcriber = StandIn("hangs once", tmp_path, limit_seconds=2.0)
    with pytest.raises(EngineUnavailable, match="longer than 2 seconds"):
        transcriber.text()
    assert transcriber.text() == "Well"
    transcriber.close()


def test_a_program_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    transcriber = SphinxTranscriber((str(tmp_path / "missing"),))
    with pytest.raises(EngineUnavailable, match="could not be started"):
        transcriber.transcribe(SECOND, "en")
    transcriber.close()


def test_close_ends_a_chunk_that_is_under_way(tmp_path: Path) -> None:
    transcriber = StandIn("hangs", tmp_path)
    outcome: list[str] = []

    def transcribe() -> None:
        try:
            outcome.append(transcriber.text())
        except EngineUnavailable as exc:
            outcome.append(str(exc))

    caller = threading.Thread(target=transcribe, name="caller")
    caller.start()
    hung = tmp_path / "starts.hung"
    while caller.is_alive() and not hung.exists():
        caller.join(0.01)
    transcriber.close()
    caller.join(5)
    assert outcome == ["The offline transcriber was closed."]
    with pytest.raises(EngineUnavailable, match="closed"):
        transcriber.text()


def test_only_words_are_kept() -> None:
    heard = [("<s>", 0, 0.1), ("read(2)", 0.1, 0.4), ("[NOISE]", 0.4, 0.5), ("++UH++", 0.5, 0.6), ("x.", 0.6, 0.8)]
    assert spoken_words(heard) == (Word("read", 0.1, 0.4), Word("x", 0.6, 0.8))


def test_a_pause_begins_a_new_line() -> None:
    words = (Word("no", 0.0, 0.3), Word("fever", 0.6, 0.9), Word("good", 1.3, 1.5))
    first, second = split_at_pauses(words, pause_seconds=0.4)
    assert (first.text, first.start_seconds, first.end_seconds, first.words) == ("No fever", 0.0, 0.9, words[:2])
    assert (second.text, second.words) == ("Good", words[2:])
    assert split_at_pauses(()) == ()
