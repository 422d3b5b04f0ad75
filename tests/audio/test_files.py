"""Files in place of a microphone: every format, every pace, and plain words for what is no audio."""

from __future__ import annotations

import io
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from app.audio.files import FileSource, decode
from app.audio.source import SourceFailed
from app.core.events import CaptureEnded, CaptureLost, CaptureStarted
from app.core.problems import ProblemKind
from tests.audio.stand_ins import RATE_HZ, MemorySpool, Take, noise, talk, tone


def _captured(path: Path) -> tuple[MemorySpool, Take, CaptureEnded | CaptureLost]:
    spool = MemorySpool()
    take = Take(FileSource(path, None), spool)
    take.capture.start()
    return spool, take, take.await_end()


@pytest.mark.parametrize(
    ("name", "subtype", "rate_hz", "channels"),
    [
        ("a.wav", "PCM_16", 44_100, 2),
        ("a.wav", "PCM_24", 96_000, 1),
        ("a.wav", "ULAW", 8_000, 1),
        ("a.flac", "PCM_16", 48_000, 2),
        ("a.ogg", "VORBIS", 44_100, 2),
        ("a.ogg", "OPUS", 48_000, 1),
        ("a.mp3", "MPEG_LAYER_III", 44_100, 2),
    ],
)
def test_every_format_arrives_whole(tmp_path: Path, name: str, subtype: str, rate_hz: int, channels: int) -> None:
    played = np.repeat(tone(2.0, 440.0, 0.5, rate_hz)[:, None], channels, axis=1) / 32_768
    soundfile.write(tmp_path / name, played.astype(np.float32), rate_hz, subtype=subtype)
    spool, take, end = _captured(tmp_path / name)
    assert end == CaptureEnded(1, 1_000.0)
    assert take.facts[0] == CaptureStarted(1, name, 1_000.0)
    assert len(spool.decoded) == pytest.approx(2.0 * RATE_HZ, abs=0.1 * RATE_HZ)
    loudness = np.sqrt(np.mean(spool.decoded[RATE_HZ // 2 : RATE_HZ].astype(float) ** 2)) / 32_768
    assert loudness == pytest.approx(0.3535, rel=0.03)


def test_a_wav_file_is_captured_sample_for_sample(tmp_path: Path) -> None:
    spoken = talk(30.0).samples
    soundfile.write(tmp_path / "a.wav", spoken, RATE_HZ)
    spool, take, _ = _captured(tmp_path / "a.wav")
    np.testing.assert_array_equal(spool.decoded, spoken)
    np.testing.assert_array_equal(spool.pcm, spoken)
    assert len(take.chunks) >= 3


@pytest.mark.parametrize("content", [b"", b"Dear colleague, ...", b"RIFF\x00\x00\x00\x00WAVE", bytes(1_000)])
def test_what_is_no_audio_is_refused_in_words(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "visit of somebody.wav"
    path.write_bytes(content)
    with pytest.raises(SourceFailed) as failure:
        FileSource(path, None)
    assert failure.value.problem.kind is ProblemKind.AUDIO_UNREADABLE
    assert failure.value.problem.detail
    assert "somebody" not in failure.value.problem.detail


def test_a_missing_file_and_one_without_sound_are_refused(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "empty.wav", np.empty(0, np.int16), RATE_HZ)
    for name in ("missing.wav", "empty.wav", "."):
        with pytest.raises(SourceFailed) as failure:
            FileSource(tmp_path / name, None)
        assert failure.value.problem.kind is ProblemKind.AUDIO_UNREADABLE


def test_a_wav_file_cut_short_is_refused_at_once(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, tone(2.0), RATE_HZ)
    path.write_bytes(path.read_bytes()[:30_000])
    with pytest.raises(SourceFailed) as failure:
        FileSource(path, None)
    assert failure.value.problem.kind is ProblemKind.AUDIO_UNREADABLE


def test_a_wav_file_written_into_a_pipe_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, tone(2.0), RATE_HZ)
    data = bytearray(path.read_bytes())
    data[4:8] = data[40:44] = b"\xff\xff\xff\xff"
    path.write_bytes(data)
    spool, _, end = _captured(path)
    assert isinstance(end, CaptureEnded)
    np.testing.assert_array_equal(spool.decoded, tone(2.0))


def test_a_flac_file_cut_short_gives_what_it_has_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "a.flac"
    soundfile.write(path, noise(4.0), RATE_HZ)
    path.write_bytes(path.read_bytes()[:60_000])
    spool, _, end = _captured(path)
    assert isinstance(end, CaptureLost)
    assert end.problem.kind is ProblemKind.AUDIO_UNREADABLE
    assert len(spool.decoded) > RATE_HZ
    np.testing.assert_array_equal(spool.decoded, noise(4.0)[: len(spool.decoded)])


def test_pace_holds_the_file_back(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", tone(1.0), RATE_HZ)
    began = time.monotonic()
    take = Take(FileSource(tmp_path / "a.wav", 4.0), MemorySpool())
    take.capture.start()
    take.await_end()
    assert time.monotonic() - began >= 0.25


def test_no_pace_is_far_faster_than_speech(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", noise(60.0), RATE_HZ)
    began = time.monotonic()
    _captured(tmp_path / "a.wav")
    assert time.monotonic() - began < 20.0


def test_a_slow_file_ends_at_once_when_asked(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", tone(1.0), RATE_HZ)
    take = Take(FileSource(tmp_path / "a.wav", 0.001), MemorySpool())
    take.capture.start()
    take.capture.end()
    assert isinstance(take.await_end(), CaptureEnded)


def test_the_length_is_known_beforehand(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", tone(1.5, rate_hz=44_100), 44_100)
    assert FileSource(tmp_path / "a.wav", None).seconds == pytest.approx(1.5)


def test_decode_brings_any_file_to_16_khz_mono() -> None:
    memory = io.BytesIO()
    soundfile.write(memory, np.repeat(tone(1.0, rate_hz=48_000)[:, None], 2, axis=1), 48_000, format="FLAC")
    samples = decode(memory.getvalue())
    assert samples.dtype == np.int16
    assert len(samples) == pytest.approx(RATE_HZ, abs=2)


def test_decode_refuses_what_is_no_audio() -> None:
    with pytest.raises(SourceFailed) as failure:
        decode(b"not audio")
    assert failure.value.problem.kind is ProblemKind.AUDIO_UNREADABLE
