"""A session in the engine's hands when the disk refuses: it goes on, and nothing of the journal is left out."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from app.core.events import (
    CaptureEnded,
    CaptureStarted,
    ChunkSealed,
    Pause,
    RequestFailed,
    Resume,
    Send,
    SessionCreated,
    Start,
    StartCapture,
    UploadChunk,
    Visit,
)
from app.core.problems import Problem, ProblemKind
from app.core.views import Phase
from app.engine.held import Held, disk_problem
from app.store.keys import Keys
from app.store.spool import SpoolInUse
from tests.store.small_disk import largest_file, needs_small_disk

START = Start(Visit(), "local", "audio/wav", 20.0, 1_000.0)


def test_an_event_is_on_the_disk_before_anything_is_done_about_it(tmp_path: Path) -> None:
    keys = Keys(tmp_path / "keys.json")
    held = Held.begin(tmp_path / "s", keys)
    assert held.handle(START)
    held.let_go()
    again = Held.take_up(tmp_path / "s", keys)
    assert again.spool.events == [START]
    again.let_go()


@needs_small_disk
def test_what_the_disk_refused_is_written_with_the_next_event(tmp_path: Path) -> None:
    keys = Keys(tmp_path / "keys.json")
    held = Held.begin(tmp_path / "s", keys)
    with largest_file(100):
        commands = held.handle(START)
        held.handle(CaptureStarted(0, "USB", 1_001.0))
    assert isinstance(commands[0], StartCapture)
    refused = held.problem
    held.handle(SessionCreated("ses"))
    assert refused is not None
    assert held.problem is None
    before = held.view
    held.let_go()
    again = Held.take_up(tmp_path / "s", keys)
    assert again.view == before
    again.let_go()


def test_failed_requests_that_changed_what_is_sent_are_remembered(tmp_path: Path) -> None:
    keys = Keys(tmp_path / "keys.json")
    held = Held.begin(tmp_path / "s", keys)
    for event in (START, CaptureStarted(0, "USB", 1_001.0), SessionCreated("ses"), ChunkSealed(0, 0, 16_000, 9)):
        held.handle(event)
    held.handle(RequestFailed(UploadChunk(0), Problem(ProblemKind.CHUNK_REFUSED)))
    held.handle(Pause(1_002.0))
    held.handle(CaptureEnded(0, 1_002.0))
    held.let_go()
    again = Held.take_up(tmp_path / "s", keys)
    assert again.view.missing_chunks == (0,)
    assert Send(UploadChunk(0)) not in again.recover()
    assert again.view.phase is Phase.PAUSED
    again.let_go()


def test_killed_before_the_first_sample_the_gap_is_as_long_as_the_absence(tmp_path: Path) -> None:
    keys = Keys(tmp_path / "keys.json")
    held = Held.begin(tmp_path / "s", keys)
    held.handle(START)
    held.let_go()
    again = Held.take_up(tmp_path / "s", keys)
    written_at = again.spool.last_written_at
    again.recover()
    again.handle(CaptureEnded(0, 0.0))  # Late, and without effect.
    (gap,) = again.view.gaps
    assert (gap.reason, gap.seconds) == ("interrupted", None)
    again.handle(Resume(written_at + 60.0))
    again.handle(CaptureStarted(1, "USB", written_at + 61.0))
    (gap,) = again.view.gaps
    assert gap.seconds == pytest.approx(61.0)
    again.let_go()


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (OSError(errno.ENOSPC, "full"), ProblemKind.DISK_FULL),
        (OSError(errno.EDQUOT, "full"), ProblemKind.DISK_FULL),
        (OSError(errno.EIO, "broken"), ProblemKind.DISK_FAILED),
        (OSError(), ProblemKind.DISK_FAILED),
        (SpoolInUse("ses"), ProblemKind.DISK_FAILED),
    ],
)
def test_a_disks_refusal_has_its_words(error: Exception, kind: ProblemKind) -> None:
    assert disk_problem(error).kind is kind
