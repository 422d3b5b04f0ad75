"""A take from its first block to its last: nothing is lost, and no end goes untold."""

from __future__ import annotations

import errno
import logging
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.audio.capture import Patience
from app.audio.keeping import DiskPatience
from app.audio.signal import Block
from app.audio.source import SourceFailed, Stamp
from app.core.events import (
    CaptureEnded,
    CaptureLost,
    CaptureStarted,
    ChunkSealed,
    DiskRecovered,
    DiskRefused,
    GapFound,
    SoundNoticed,
)
from app.core.problems import Problem, ProblemKind
from tests.audio.stand_ins import (
    RATE_HZ,
    MemorySpool,
    ScriptedMicrophone,
    ScriptedSource,
    Take,
    blocks_of,
    noise,
    talk,
    tone,
)

_SPOKEN = talk(22.0).samples
_UNPLUGGED = SourceFailed(Problem(ProblemKind.MICROPHONE_LOST, "unplugged"))
_NO_PATIENCE = Patience(before_first_seconds=0.02, between_seconds=0.01)


@given(sizes=st.lists(st.integers(1, 40_000), min_size=1, max_size=40))
@settings(max_examples=15, deadline=None)
def test_chunks_decoded_and_joined_are_what_was_captured(sizes: list[int]) -> None:
    edges = np.cumsum(sizes)
    blocks: list[Block] = [part[:, None] for part in np.split(_SPOKEN, edges[edges < len(_SPOKEN)])]
    spool = MemorySpool()
    take = Take(ScriptedSource(blocks), spool)
    take.capture.start()
    take.capture.end()
    assert take.await_end() == CaptureEnded(1, 1_000.0)
    np.testing.assert_array_equal(spool.decoded, _SPOKEN)
    np.testing.assert_array_equal(spool.pcm, _SPOKEN)


def test_opus_chunks_joined_are_as_long_as_what_was_captured_and_sound_like_it() -> None:
    smooth = np.convolve(_SPOKEN, np.ones(8) / 8, "same").astype(np.int16)
    spool = MemorySpool()
    take = Take(ScriptedSource(blocks_of(smooth, 1_600)), spool, media_type="audio/ogg")
    take.capture.start()
    take.capture.end()
    take.await_end()
    assert len(spool.sealed) >= 2
    assert len(spool.decoded) == len(smooth)
    assert np.corrcoef(spool.decoded, smooth)[0, 1] > 0.8


def test_chunks_are_numbered_and_counted_from_where_the_session_stands() -> None:
    spool = MemorySpool()
    take = Take(ScriptedSource(blocks_of(_SPOKEN, 1_600)), spool, first_chunk=9, first_sample=1_000)
    take.capture.start()
    take.capture.end()
    take.await_end()
    assert take.facts[0] == CaptureStarted(1, "scripted", 1_000.0)
    assert [chunk.index for chunk in take.chunks] == list(range(9, 9 + len(take.chunks)))
    ends = [chunk.first_sample + chunk.sample_count for chunk in take.chunks]
    assert [chunk.first_sample for chunk in take.chunks] == [1_000, *ends[:-1]]
    assert ends[-1] == 1_000 + len(_SPOKEN)
    assert [(c.index, c.first_sample, c.sample_count, c.byte_count) for c in take.chunks] == [
        (index, first, count, len(data)) for index, first, count, data in spool.sealed
    ]


def test_chunks_are_sealed_while_the_talk_goes_on() -> None:
    take = Take(ScriptedSource(blocks_of(_SPOKEN, 1_600)), MemorySpool())
    take.capture.start()
    assert take.await_fact(ChunkSealed, CaptureEnded) == take.chunks[0]
    take.capture.end()
    take.await_end()


def test_the_block_that_was_under_way_at_the_end_is_not_lost() -> None:
    spool = MemorySpool()
    last = noise(0.07)
    take = Take(ScriptedSource(blocks_of(tone(1.0), 1_600), last_words=last[:, None]), spool)
    take.capture.start()
    take.capture.end()
    take.await_end()
    np.testing.assert_array_equal(spool.decoded, np.concatenate((tone(1.0), last)))


def test_the_resampler_gives_its_rest_at_the_end() -> None:
    spool = MemorySpool()
    take = Take(ScriptedSource(blocks_of(tone(1.0, rate_hz=48_000), 480), rate_hz=48_000), spool)
    take.capture.start()
    take.capture.end()
    take.await_end()
    assert len(spool.decoded) == RATE_HZ


def test_samples_reach_the_spool_every_quarter_of_a_second_and_before_their_chunk() -> None:
    spool = MemorySpool()
    take = Take(ScriptedSource(blocks_of(_SPOKEN, 160)), spool)
    take.capture.start()
    take.capture.end()
    take.await_end()
    assert {len(pcm) for pcm in spool.appended[:-1]} == {2 * 4_000}


def test_a_take_without_a_single_sample_ends_without_a_chunk() -> None:
    spool = MemorySpool()
    take = Take(ScriptedSource([]), spool)
    take.capture.start()
    take.capture.end()
    assert take.await_end() == CaptureEnded(1, 1_000.0)
    assert take.facts == [CaptureEnded(1, 1_000.0)]
    assert not spool.appended
    assert not spool.sealed


def test_the_level_is_live_while_blocks_arrive_and_not_after() -> None:
    take = Take(ScriptedSource(blocks_of(tone(9.0), 1_600)), MemorySpool())
    take.capture.start()
    take.await_fact(ChunkSealed)
    assert take.tap.read().is_live
    take.capture.end()
    take.await_end()
    assert not take.tap.read().is_live
    assert take.tap.read().captured_seconds == pytest.approx(9.0)


# Trouble ------------------------------------------------------------------------------------------------------


def test_a_microphone_that_dies_loses_nothing_that_it_gave() -> None:
    spool = MemorySpool()
    source = ScriptedSource([*blocks_of(_SPOKEN, 1_600), _UNPLUGGED])
    take = Take(source, spool)
    take.capture.start()
    assert take.await_end() == CaptureLost(1, _UNPLUGGED.problem, 1_000.0)
    assert isinstance(take.facts[-2], ChunkSealed)
    np.testing.assert_array_equal(spool.decoded, _SPOKEN)
    assert source.close_count == 1


def test_a_microphone_that_falls_silent_without_a_word_is_lost() -> None:
    spool = MemorySpool()
    take = Take(ScriptedSource(blocks_of(tone(0.5), 1_600)), spool, patience=_NO_PATIENCE)
    take.capture.start()
    lost = take.await_end()
    assert isinstance(lost, CaptureLost)
    assert lost.problem.kind is ProblemKind.MICROPHONE_LOST
    np.testing.assert_array_equal(spool.decoded, tone(0.5))


def test_a_microphone_that_never_says_anything_is_lost() -> None:
    take = Take(ScriptedSource([]), MemorySpool(), patience=_NO_PATIENCE)
    take.capture.start()
    lost = take.await_end()
    assert isinstance(lost, CaptureLost)
    assert lost.problem.kind is ProblemKind.MICROPHONE_LOST
    assert take.facts == [lost]


def test_a_microphone_that_cannot_be_opened_is_told_with_its_own_words() -> None:
    class Unopenable(ScriptedSource):
        def open(self) -> int:
            raise SourceFailed(Problem(ProblemKind.NO_MICROPHONE, "Device unavailable"))

    take = Take(Unopenable([]), MemorySpool())
    take.capture.start()
    assert take.await_end() == CaptureLost(1, Problem(ProblemKind.NO_MICROPHONE, "Device unavailable"), 1_000.0)


_FULL = OSError(errno.ENOSPC, "disk")
_NO_DISK = Patience(disk=DiskPatience(held_seconds=5.0, try_again_seconds=0.0, at_end_seconds=0.0))
_SOME_DISK = Patience(disk=DiskPatience(try_again_seconds=0.0))


@pytest.mark.parametrize("media_type", ["audio/wav", "audio/ogg"])
@pytest.mark.parametrize(("at_append", "at_seal"), [(5, -1), (-1, 0)], ids=["append", "seal"])
def test_a_disk_that_refuses_for_a_while_costs_nothing(media_type: str, at_append: int, at_seal: int) -> None:
    spool = MemorySpool(_FULL, at_append, at_seal, refusals=9)
    take = Take(ScriptedSource(blocks_of(_SPOKEN, 1_600)), spool, media_type=media_type, patience=_SOME_DISK)
    take.capture.start()
    take.capture.end()
    assert take.await_end() == CaptureEnded(1, 1_000.0)
    np.testing.assert_array_equal(spool.pcm, _SPOKEN)
    assert len(spool.decoded) == len(_SPOKEN)
    told = [fact for fact in take.facts if isinstance(fact, DiskRefused | DiskRecovered)]
    assert told == [DiskRefused(1, Problem(ProblemKind.DISK_FULL, "ENOSPC"), 1_000.0), DiskRecovered(1, 1_000.0)]


@pytest.mark.parametrize(
    ("code", "kind"), [(errno.ENOSPC, ProblemKind.DISK_FULL), (errno.EIO, ProblemKind.DISK_FAILED)]
)
def test_a_disk_that_takes_no_more_ends_the_take_loudly_when_the_memory_is_full(code: int, kind: ProblemKind) -> None:
    source = ScriptedSource(blocks_of(_SPOKEN, 1_600))
    spool = MemorySpool(OSError(code, "disk"), fails_at_append=5)
    take = Take(source, spool, patience=_NO_DISK)
    take.capture.start()
    lost = take.await_end()
    assert isinstance(lost, CaptureLost)
    assert lost.problem == Problem(kind, errno.errorcode[code])
    assert source.close_count == 1
    assert not take.tap.read().is_live
    np.testing.assert_array_equal(spool.pcm, _SPOKEN[: len(spool.pcm)])


def test_a_disk_that_takes_no_chunk_still_takes_every_sample() -> None:
    spool = MemorySpool(_FULL, fails_at_seal=0)
    take = Take(ScriptedSource(blocks_of(_SPOKEN, 1_600)), spool, patience=_NO_DISK)
    take.capture.start()
    take.capture.end()
    lost = take.await_end()
    assert isinstance(lost, CaptureLost)
    assert lost.problem.kind is ProblemKind.DISK_FULL
    np.testing.assert_array_equal(spool.pcm, _SPOKEN)


def test_what_could_not_be_kept_counts_as_missing_from_when_it_was_heard() -> None:
    script = [(tone(0.25)[:, None], Stamp(10.0 + 0.25 * number, 5_000.0 + 0.25 * number)) for number in range(1, 61)]
    take = Take(ScriptedMicrophone(script), MemorySpool(_FULL, fails_at_append=8), patience=_NO_DISK)
    take.capture.start()
    lost = take.await_end()
    assert isinstance(lost, CaptureLost)
    assert lost.at == 5_002.0


@pytest.mark.fault("A6")
def test_a_microphone_s_gaps_and_silence_are_told_with_their_places() -> None:
    heard = _SPOKEN[: 20 * RATE_HZ].copy()
    heard[heard == 0] = 1
    heard[8 * RATE_HZ : 12 * RATE_HZ] = 0
    script: list[tuple[Block, Stamp]] = []
    for number, block in enumerate(blocks_of(heard, 1_600), 1):
        seconds = number / 10 + (2.5 if number > 50 else 0.0)
        script.append((block, Stamp(100.0 + seconds, 5_000.0 + seconds)))
    spool = MemorySpool()
    take = Take(ScriptedMicrophone(script), spool)
    take.capture.start()
    take.capture.end()
    take.await_end()
    gaps = [fact for fact in take.facts if isinstance(fact, GapFound)]
    assert [(gap.reason, gap.first_sample) for gap in gaps] == [("lost", 5 * RATE_HZ), ("silent", 8 * RATE_HZ)]
    assert [gap.seconds for gap in gaps] == pytest.approx([2.5, 4.0], abs=0.02)
    assert [gap.began_at for gap in gaps] == pytest.approx([5_005.0, 5_010.5], abs=0.02)
    notices = [(fact.notice, fact.at) for fact in take.facts if isinstance(fact, SoundNoticed)]
    assert [notice for notice, _ in notices] == ["no-sound", ""]
    assert notices[0][1] == pytest.approx(5_013.5, abs=0.5)
    assert spool.times[-1] == pytest.approx(5_022.5)


def test_silence_in_a_file_is_no_fault_of_a_microphone() -> None:
    take = Take(ScriptedSource(blocks_of(np.zeros(10 * RATE_HZ, np.int16), 1_600)), MemorySpool())
    take.capture.start()
    take.capture.end()
    take.await_end()
    assert not [fact for fact in take.facts if isinstance(fact, GapFound | SoundNoticed)]


def test_stop_waits_no_longer_than_it_must_for_a_disk_that_refuses() -> None:
    take = Take(ScriptedSource(blocks_of(tone(1.0), 1_600)), MemorySpool(_FULL, fails_at_append=0))
    take.capture.start()
    began = time.monotonic()
    take.capture.end()
    assert isinstance(take.await_end(), CaptureLost)
    assert time.monotonic() - began < 3.0


def test_a_bug_is_told_by_its_type_alone(caplog: pytest.LogCaptureFixture) -> None:
    source = ScriptedSource([*blocks_of(tone(0.5), 1_600), ValueError("the patient said")])
    take = Take(source, MemorySpool())
    with caplog.at_level(logging.DEBUG):
        take.capture.start()
        assert take.await_end() == CaptureLost(1, Problem(ProblemKind.BUG, "ValueError"), 1_000.0)
    assert "ValueError" in caplog.text
    assert "patient" not in caplog.text
    assert source.close_count == 1
