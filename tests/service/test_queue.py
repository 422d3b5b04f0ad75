"""The queue: engines that are away, break, or come back; sessions that run out of time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.service.audiofiles import AudioFiles
from app.service.database import Database, DatabaseProblem
from app.service.engines import Engines
from app.service.intake import Intake, NewSession, Snapshot
from app.service.limits import Limits
from app.service.ports import EngineUnavailable
from app.service.sessions import NoteStatus, Refused, Session, Status
from app.service.store import open_store
from app.service.worker import Worker
from tests.service.peer import KEY, ScriptedNoteMaker, ScriptedTranscriber, wav
from tests.store.syncs import watched_syncs


class Desk:
    """Intake and worker on one folder with a clock that the test turns; the worker steps when told to."""

    def __init__(self, folder: Path) -> None:
        self.clock = 1_700_000_000.0
        self.folder = folder
        self.database, self.files = open_store(folder, KEY)
        self.transcriber = ScriptedTranscriber()
        self.notes = ScriptedNoteMaker()
        engines = Engines(self.transcriber, self.notes)
        self.limits = Limits()
        self.intake = Intake(
            database=self.database,
            files=self.files,
            engines=engines,
            limits=self.limits,
            changed=lambda: None,
            now=lambda: self.clock,
        )
        self.worker = Worker(
            database=self.database,
            files=self.files,
            engines=engines,
            limits=self.limits,
            changed=lambda: None,
            now=lambda: self.clock,
            monotonic=lambda: self.clock,
        )

    def session(self, chunks: int = 1, ended: bool = False) -> Session:
        session = self.intake.create(NewSession(templates=["plain"]))
        for number in range(chunks):
            self.upload(session, number)
        if ended:
            self.intake.end(session.id, chunks)
        return session

    def upload(self, session: Session, number: int) -> None:
        self.intake.accept_chunk(session.id, f"audio_{number}.wav", "audio/wav", wav(number))

    def work(self) -> None:
        """Do all that can be done now."""
        while self.worker.step():
            pass

    def look(self, session: Session) -> Snapshot:
        return self.intake.look(session.id)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path)
    yield desk
    desk.database.close()


def away(number: int) -> None:
    raise EngineUnavailable("the model is missing")


def test_an_ended_session_is_transcribed_before_open_ones(desk: Desk) -> None:
    desk.session(chunks=1)
    later = desk.session(chunks=0)
    desk.upload(later, 7)
    desk.intake.end(later.id, 8)
    desk.work()
    assert desk.transcriber.heard == [7, 0]


def test_an_engine_that_is_away_is_tried_again_later_and_later(desk: Desk) -> None:
    tries: list[float] = []

    def is_away(number: int) -> None:
        tries.append(desk.clock)
        away(number)

    desk.transcriber.before = is_away
    session = desk.session(ended=True)
    start = desk.clock
    for _ in range(40):
        desk.work()
        desk.clock += 0.5
    assert [moment - start for moment in tries] == [0, 1, 3, 7, 15]

    desk.transcriber.before = lambda number: None
    desk.clock += 60
    desk.work()
    assert desk.look(session).session.status is Status.COMPLETED
    assert desk.transcriber.heard == [0]


def test_an_engine_that_stays_away_makes_the_result_partial(desk: Desk) -> None:
    desk.transcriber.before = away
    session = desk.session(ended=True)
    desk.work()
    assert desk.look(session).session.status is Status.PROCESSING
    desk.clock += desk.limits.patience_seconds + 1
    desk.work()
    snapshot = desk.look(session)
    assert snapshot.session.status is Status.PARTIAL
    assert snapshot.chunks[0].problem == "the transcriber was not available"


def test_one_chunk_that_breaks_the_engine_leaves_the_others(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    def breaks(number: int) -> None:
        if number == 1:
            raise RuntimeError("words of a patient")

    desk.transcriber.before = breaks
    session = desk.session(chunks=3, ended=True)
    desk.work()
    snapshot = desk.look(session)
    assert snapshot.session.status is Status.PARTIAL
    assert [chunk.problem is None for chunk in snapshot.chunks] == [True, False, True]
    assert "RuntimeError" in caplog.text
    assert "patient" not in caplog.text


def test_one_chunk_that_must_wait_holds_no_other_up(desk: Desk) -> None:
    desk.transcriber.before = lambda number: away(number) if number == 0 else None
    desk.session(chunks=3)
    desk.work()
    assert desk.transcriber.heard == [1, 2]


def test_audio_that_is_lost_on_disk_is_named(desk: Desk) -> None:
    session = desk.session(ended=True)
    for path in desk.folder.rglob("*.sealed"):
        path.unlink()
    desk.work()
    assert desk.look(session).chunks[0].problem == "the stored audio could not be read"
    assert desk.look(session).session.status is Status.PARTIAL


def test_open_sessions_expire_with_what_they_have(desk: Desk) -> None:
    session = desk.session(chunks=2)
    desk.work()
    desk.clock += desk.limits.session_seconds
    with pytest.raises(Refused, match="expired"):
        desk.upload(session, 2)
    snapshot = desk.look(session)
    assert snapshot.session.status is Status.EXPIRED
    assert [chunk.heard is not None for chunk in snapshot.chunks] == [True, True]


def test_an_ended_session_does_not_expire(desk: Desk) -> None:
    session = desk.session(ended=True)
    desk.clock += desk.limits.session_seconds * 2
    desk.worker.tidy()
    desk.work()
    assert desk.look(session).session.status is Status.COMPLETED


def test_audio_is_gone_an_hour_after_it_was_of_use(desk: Desk) -> None:
    done = desk.session(chunks=2, ended=True)
    desk.work()
    desk.clock += desk.limits.audio_seconds
    going_on = desk.session(chunks=2)
    desk.worker.tidy()
    assert len(list(desk.folder.rglob("*.sealed"))) == 4
    desk.clock += 1
    desk.worker.tidy()
    assert {path.parent.name for path in desk.folder.rglob("*.sealed")} == {going_on.folder}
    assert desk.look(done).chunks[0].heard is not None


def test_sessions_and_their_audio_are_gone_after_their_retention(desk: Desk) -> None:
    kept_open = desk.session()
    done, expiring = desk.session(ended=True), desk.session()
    desk.work()
    desk.clock += desk.limits.session_seconds
    desk.worker.tidy()
    desk.clock += desk.limits.retention_seconds + 1
    desk.worker.tidy()
    for session in (kept_open, done, expiring):
        with pytest.raises(Refused, match="no such session"):
            desk.look(session)
    assert list(desk.folder.rglob("*.sealed")) == []


def test_a_note_asked_for_again_is_made_anew(desk: Desk) -> None:
    session = desk.session(ended=True)
    desk.work()
    first = desk.look(session).notes[0]
    asked = desk.intake.ask_document(session.id, "plain")
    assert desk.intake.ask_document(session.id, "plain") == asked
    desk.work()
    (note,) = desk.look(session).notes
    assert (note.status, note.document_id) == (NoteStatus.SUCCESS, asked.document_id)
    assert note.document_id != first.document_id
    assert desk.notes.made == ["plain", "plain"]


def test_what_was_cut_off_before_its_record_is_swept_up(desk: Desk) -> None:
    session = desk.session()
    desk.files.write(session.folder, 1, b"half")
    desk.files.write("ab" * 16, 0, b"half")
    with desk.database.reading() as records:
        known = records.stored_files()
    desk.files.remove_all_but(known)
    assert [path.parent.name for path in desk.folder.rglob("*.sealed")] == [session.folder]
    desk.work()
    assert desk.transcriber.heard == [0]


def test_the_store_refuses_what_a_newer_version_made(tmp_path: Path) -> None:
    database = Database(tmp_path / "service.db", KEY)
    with database.writing() as records:
        records._db.execute("PRAGMA user_version=99")
    database.close()
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(DatabaseProblem, match="newer version"):
        open_store(tmp_path, KEY)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_stored_audio_has_been_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced = watched_syncs(monkeypatch)
    name = AudioFiles(tmp_path / "audio", KEY).write("session", 0, b"audio")
    folder = tmp_path / "audio" / "session"
    assert synced[(folder / name).stat().st_ino] == (folder / name).stat().st_size > len(b"audio")
    if os.name != "nt":
        assert {folder.stat().st_ino, folder.parent.stat().st_ino} <= synced.keys()
