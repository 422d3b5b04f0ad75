"""Everything the service remembers, in one file sealed by SQLCipher. Usable from any thread.

Each transaction has a connection to itself, so nothing is shared between threads and no lock of ours is needed;
SQLite lets one writer in at a time. A committed transaction survives a power cut (WAL, ``synchronous=FULL``).
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import sqlcipher3.dbapi2 as sqlcipher  # type: ignore[import-untyped]

from app.service.ports import NoteContent, Source, Utterance, Word
from app.service.sealing import derive
from app.service.sessions import Chunk, Note, NoteStatus, Session, Status

_VERSION = 1
_SCHEMA = """
CREATE TABLE session (
    id TEXT PRIMARY KEY, folder TEXT NOT NULL UNIQUE, status TEXT NOT NULL, user_status TEXT,
    created_at REAL NOT NULL, expires_at REAL NOT NULL, ended_at REAL, finished_at REAL,
    audio_files_sent INTEGER, languages TEXT NOT NULL, additional_data TEXT NOT NULL, patient_details TEXT
) STRICT;
CREATE TABLE chunk (
    session_id TEXT NOT NULL REFERENCES session ON DELETE CASCADE, number INTEGER NOT NULL,
    name TEXT NOT NULL, file TEXT NOT NULL UNIQUE, sha256 TEXT NOT NULL, duration_seconds REAL NOT NULL,
    heard TEXT, heard_by TEXT, problem TEXT,
    PRIMARY KEY (session_id, number)
) STRICT;
CREATE TABLE note (
    session_id TEXT NOT NULL REFERENCES session ON DELETE CASCADE, template_id TEXT NOT NULL,
    document_id TEXT NOT NULL, status TEXT NOT NULL, data TEXT, sources TEXT NOT NULL DEFAULT '[]',
    made_by TEXT, error_code TEXT, error_message TEXT,
    PRIMARY KEY (session_id, template_id)
) STRICT;
CREATE TABLE webhook (
    id TEXT PRIMARY KEY, url TEXT NOT NULL, events TEXT NOT NULL, secret TEXT NOT NULL, created_at REAL NOT NULL
) STRICT;
CREATE TABLE delivery (
    id TEXT PRIMARY KEY, webhook_id TEXT NOT NULL REFERENCES webhook ON DELETE CASCADE,
    payload TEXT NOT NULL, attempts INTEGER NOT NULL DEFAULT 0, due_at REAL NOT NULL
) STRICT;
CREATE TABLE kept (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE INDEX chunk_unsettled ON chunk (session_id) WHERE heard IS NULL AND problem IS NULL;
CREATE INDEX note_unmade ON note (session_id) WHERE status = 'processing';
CREATE INDEX session_status ON session (status);
"""
_UNSETTLED = "heard IS NULL AND problem IS NULL"
_SETTINGS = (
    "synchronous=FULL",
    # macOS alone: else its disks only say that they have it.
    "fullfsync=ON",
    "checkpoint_fullfsync=ON",
    "foreign_keys=ON",
    "secure_delete=ON",
    # A temporary file would not be sealed.
    "temp_store=MEMORY",
)
_IDLE_KEPT = 4

StoreError = sqlcipher.Error
"""Anything that goes wrong between us and the database."""
StoreUnavailable = sqlcipher.OperationalError
"""The disk is full, or fails, or another holds the file: later it may do."""


@dataclass(frozen=True)
class Webhook:
    """A registered destination."""

    id: str
    url: str
    events: tuple[str, ...]
    secret: str
    created_at: float


@dataclass(frozen=True)
class Delivery:
    """One event on its way to one destination."""

    id: str
    url: str
    secret: str
    payload: str
    attempts: int


class DatabaseProblem(Exception):
    """The database cannot be used; nothing is touched."""


class DatabaseUnreadable(DatabaseProblem):
    """The key does not open it, or it is damaged."""


class Database:
    """The door to the records.

    Raises:
        DatabaseUnreadable: the key does not open what is there, or it is damaged.
        DatabaseProblem: it was made by a newer version, or the disk does not give it.
    """

    def __init__(self, path: Path, key: bytes) -> None:
        self._path = path
        self._key = derive(key, "database").hex()
        self._idle: list[sqlcipher.Connection] = []
        # Kept open so that SQLite does not fold the write-ahead log away when no other connection is.
        self._keeper = self._prepared()

    def close(self) -> None:
        """Let go of the file."""
        while self._idle:
            self._idle.pop().close()
        self._keeper.close()

    @contextmanager
    def reading(self) -> Iterator[Records]:
        """A consistent view."""
        with self._transaction("BEGIN") as records:
            yield records

    @contextmanager
    def writing(self) -> Iterator[Records]:
        """A transaction that is durable when the block is left, and undone when the block raises."""
        with self._transaction("BEGIN IMMEDIATE") as records:
            yield records

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[Records]:
        connection = self._free_connection()
        try:
            connection.execute(begin)
            yield Records(connection)
            connection.execute("COMMIT")
        except BaseException:
            connection.close()  # Which undoes what was begun, whatever state it is in.
            raise
        if len(self._idle) < _IDLE_KEPT:
            self._idle.append(connection)
        else:
            connection.close()

    def _free_connection(self) -> sqlcipher.Connection:
        try:
            return self._idle.pop()
        except IndexError:
            return self._connect()

    def _connect(self) -> sqlcipher.Connection:
        connection = sqlcipher.connect(self._path, timeout=30, isolation_level=None, check_same_thread=False)
        try:
            connection.row_factory = sqlcipher.Row
            # Else a wrong key is told on stderr, which is for our own words.
            connection.execute("PRAGMA cipher_log_level=NONE")
            connection.execute(f"PRAGMA key=\"x'{self._key}'\"")
            for setting in _SETTINGS:
                connection.execute(f"PRAGMA {setting}")
        except BaseException:
            connection.close()
            raise
        return connection

    def _prepared(self) -> sqlcipher.Connection:
        """A connection to a database that is sound and has our tables."""
        try:
            connection = self._connect()
            try:
                _prepare(connection)
            except BaseException:
                connection.close()
                raise
        except sqlcipher.OperationalError as exc:
            raise DatabaseProblem(f"The service's database cannot be used: {exc}") from exc
        except sqlcipher.DatabaseError as exc:
            raise DatabaseUnreadable(f"The service's database cannot be read: {exc}") from exc
        return connection


def _prepare(connection: sqlcipher.Connection) -> None:
    connection.execute("PRAGMA journal_mode=WAL")
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > _VERSION:
        raise DatabaseProblem(f"The service's database was made by a newer version of this program ({version}).")
    if version == 0:
        connection.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA user_version={_VERSION}; COMMIT;")
    if (found := connection.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
        raise DatabaseUnreadable(f"The service's database is damaged: {found.splitlines()[0]}")


class Records:
    """The records as one transaction sees them."""

    def __init__(self, connection: sqlcipher.Connection) -> None:
        self._db = connection

    def token(self) -> str:
        """What callers show, made when it is first asked for."""
        self._db.execute("INSERT OR IGNORE INTO kept VALUES ('token', ?)", (secrets.token_urlsafe(32),))
        return str(self._db.execute("SELECT value FROM kept WHERE name = 'token'").fetchone()[0])

    # -- sessions -----------------------------------------------------------------------------------------

    def session(self, session_id: str) -> Session | None:
        """One session, or None."""
        row = self._db.execute("SELECT * FROM session WHERE id = ?", (session_id,)).fetchone()
        return _session(row) if row else None

    def sessions(self, *statuses: Status) -> list[Session]:
        """All sessions in these states, oldest first."""
        marks = ",".join("?" * len(statuses))
        sql = f"SELECT * FROM session WHERE status IN ({marks}) ORDER BY created_at, id"  # noqa: S608 - marks only
        return [_session(row) for row in self._db.execute(sql, statuses)]

    def add_session(self, session: Session) -> None:
        """Store a new session."""
        self._db.execute(
            "INSERT INTO session (id, folder, status, created_at, expires_at, languages, additional_data,"
            " patient_details) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                session.id,
                session.folder,
                session.status,
                session.created_at,
                session.expires_at,
                json.dumps(session.languages),
                json.dumps(session.additional_data),
                None if session.patient_details is None else json.dumps(session.patient_details),
            ),
        )

    def set_status(self, session_id: str, status: Status) -> None:
        """Move a session that goes on."""
        self._db.execute("UPDATE session SET status = ? WHERE id = ?", (status, session_id))

    def commit_session(self, session_id: str, audio_files_sent: int, now: float) -> None:
        """Close a session for uploads and queue it for processing."""
        self._db.execute(
            "UPDATE session SET status = ?, user_status = 'commit', audio_files_sent = ?, ended_at = ? WHERE id = ?",
            (Status.PROCESSING, audio_files_sent, now, session_id),
        )

    def finish_session(self, session_id: str, status: Status, now: float) -> None:
        """Note how a session came out."""
        self._db.execute("UPDATE session SET status = ?, finished_at = ? WHERE id = ?", (status, now, session_id))

    def finished_before(self, moment: float) -> list[Session]:
        """Sessions that came out before a moment."""
        rows = self._db.execute("SELECT * FROM session WHERE finished_at < ?", (moment,))
        return [_session(row) for row in rows]

    def folders_needed(self, moment: float) -> set[str]:
        """The audio folders of all sessions but those that came out before a moment."""
        rows = self._db.execute("SELECT folder FROM session WHERE finished_at IS NULL OR finished_at >= ?", (moment,))
        return {str(row[0]) for row in rows}

    def remove_session(self, session_id: str) -> None:
        """Forget a session, its chunks and its notes."""
        self._db.execute("DELETE FROM session WHERE id = ?", (session_id,))

    # -- chunks -------------------------------------------------------------------------------------------

    def chunks(self, session_id: str) -> list[Chunk]:
        """A session's chunks by number."""
        rows = self._db.execute("SELECT * FROM chunk WHERE session_id = ? ORDER BY number", (session_id,))
        return [_chunk(row) for row in rows]

    def chunk(self, session_id: str, number: int) -> Chunk | None:
        """One chunk, or None."""
        row = self._db.execute(
            "SELECT * FROM chunk WHERE session_id = ? AND number = ?", (session_id, number)
        ).fetchone()
        return _chunk(row) if row else None

    def count_chunks(self, session_id: str) -> int:
        """How many chunks a session has."""
        row = self._db.execute("SELECT count(*) FROM chunk WHERE session_id = ?", (session_id,)).fetchone()
        return int(row[0])

    def add_chunk(self, chunk: Chunk) -> None:
        """Store a new chunk's record."""
        self._db.execute(
            "INSERT INTO chunk (session_id, number, name, file, sha256, duration_seconds) VALUES (?, ?, ?, ?, ?, ?)",
            (chunk.session_id, chunk.number, chunk.name, chunk.file, chunk.sha256, chunk.duration_seconds),
        )

    def set_heard(self, chunk: Chunk, heard: tuple[Utterance, ...], heard_by: str) -> None:
        """Keep what was said in a chunk; the first text stands."""
        self._db.execute(
            "UPDATE chunk SET heard = ?, heard_by = ?"  # noqa: S608 - a constant
            f" WHERE session_id = ? AND number = ? AND {_UNSETTLED}",
            (json.dumps([asdict(u) for u in heard]), heard_by, chunk.session_id, chunk.number),
        )

    def set_problem(self, chunk: Chunk, problem: str) -> None:
        """Keep why a chunk could not be transcribed."""
        self._db.execute(
            f"UPDATE chunk SET problem = ? WHERE session_id = ? AND number = ? AND {_UNSETTLED}",  # noqa: S608
            (problem, chunk.session_id, chunk.number),
        )

    def unsettled_chunks(self) -> list[tuple[Session, int]]:
        """What waits for the transcriber: ended sessions first, then by age and number."""
        rows = self._db.execute(
            f"SELECT session.*, chunk.number FROM chunk JOIN session ON session.id = chunk.session_id"  # noqa: S608
            f" WHERE {_UNSETTLED} AND status IN ('created', 'recording', 'processing')"
            " ORDER BY status = 'processing' DESC, created_at, id, number"
        )
        return [(_session(row), int(row["number"])) for row in rows]

    def stored_files(self) -> set[str]:
        """Our names of all files that belong to a chunk."""
        rows = self._db.execute(
            "SELECT folder || '/' || file FROM chunk JOIN session ON session.id = chunk.session_id"
        )
        return {str(row[0]) for row in rows}

    # -- notes --------------------------------------------------------------------------------------------

    def notes(self, session_id: str) -> list[Note]:
        """A session's notes in the order in which they were asked for."""
        rows = self._db.execute("SELECT * FROM note WHERE session_id = ? ORDER BY rowid", (session_id,))
        return [_note(row) for row in rows]

    def ask_note(self, note: Note) -> None:
        """Queue a note; one that exists for the template is made anew."""
        self._db.execute(
            "INSERT INTO note (session_id, template_id, document_id, status) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (session_id, template_id) DO UPDATE SET document_id = excluded.document_id,"
            " status = excluded.status, data = NULL, sources = '[]', made_by = NULL, error_code = NULL,"
            " error_message = NULL",
            (note.session_id, note.template_id, note.document_id, NoteStatus.PROCESSING),
        )

    def set_note(self, document_id: str, content: NoteContent, made_by: str) -> None:
        """Keep a finished note."""
        self._db.execute(
            "UPDATE note SET status = ?, data = ?, sources = ?, made_by = ? WHERE document_id = ?",
            (
                NoteStatus.SUCCESS,
                json.dumps(content.data, allow_nan=False),
                json.dumps([asdict(source) for source in content.sources], allow_nan=False),
                made_by,
                document_id,
            ),
        )

    def fail_note(self, document_id: str, code: str, message: str) -> None:
        """Keep why a note could not be made."""
        self._db.execute(
            "UPDATE note SET status = ?, error_code = ?, error_message = ? WHERE document_id = ?",
            (NoteStatus.FAILED, code, message, document_id),
        )

    def unmade_notes(self) -> list[tuple[Session, Note]]:
        """What waits for the note maker: notes of sessions whose every chunk is settled."""
        settled = f"NOT EXISTS (SELECT 1 FROM chunk WHERE session_id = session.id AND {_UNSETTLED})"  # noqa: S608
        ids = self._db.execute(
            "SELECT DISTINCT session.id FROM note JOIN session ON session.id = note.session_id"  # noqa: S608
            " WHERE note.status = 'processing' AND (session.status IN ('completed', 'partial')"
            f" OR session.status = 'processing' AND {settled}) ORDER BY session.ended_at"
        ).fetchall()
        waiting: list[tuple[Session, Note]] = []
        for row in ids:
            session = self.session(row[0])
            assert session is not None
            notes = [note for note in self.notes(session.id) if note.status is NoteStatus.PROCESSING]
            waiting += [(session, note) for note in notes]
        return waiting

    def finishable_sessions(self) -> list[Session]:
        """Ended sessions with nothing left to wait for."""
        rows = self._db.execute(
            "SELECT * FROM session WHERE status = 'processing'"  # noqa: S608
            f" AND NOT EXISTS (SELECT 1 FROM chunk WHERE session_id = session.id AND {_UNSETTLED})"
            " AND NOT EXISTS (SELECT 1 FROM note WHERE session_id = session.id AND status = 'processing')"
        )
        return [_session(row) for row in rows]

    # -- webhooks -----------------------------------------------------------------------------------------

    def webhooks(self) -> list[Webhook]:
        """All registered destinations, oldest first."""
        rows = self._db.execute("SELECT * FROM webhook ORDER BY created_at, id")
        return [
            Webhook(row["id"], row["url"], tuple(json.loads(row["events"])), row["secret"], row["created_at"])
            for row in rows
        ]

    def add_webhook(self, webhook: Webhook) -> None:
        """Register a destination."""
        self._db.execute(
            "INSERT INTO webhook VALUES (?, ?, ?, ?, ?)",
            (webhook.id, webhook.url, json.dumps(webhook.events), webhook.secret, webhook.created_at),
        )

    def remove_webhook(self, webhook_id: str) -> bool:
        """Forget a destination and what was on its way to it."""
        return int(self._db.execute("DELETE FROM webhook WHERE id = ?", (webhook_id,)).rowcount) > 0

    def add_delivery(self, delivery_id: str, webhook_id: str, payload: str, due_at: float) -> None:
        """Queue an event for a destination."""
        self._db.execute(
            "INSERT INTO delivery (id, webhook_id, payload, due_at) VALUES (?, ?, ?, ?)",
            (delivery_id, webhook_id, payload, due_at),
        )

    def due_deliveries(self, now: float) -> list[Delivery]:
        """Events to send now, the longest due first."""
        rows = self._db.execute(
            "SELECT delivery.*, url, secret FROM delivery JOIN webhook ON webhook.id = webhook_id"
            " WHERE due_at <= ? ORDER BY due_at, delivery.rowid",
            (now,),
        )
        return [Delivery(row["id"], row["url"], row["secret"], row["payload"], row["attempts"]) for row in rows]

    def next_delivery_at(self) -> float | None:
        """When the next event is due, or None when there is none."""
        row = self._db.execute("SELECT min(due_at) FROM delivery").fetchone()
        return None if row[0] is None else float(row[0])

    def postpone_delivery(self, delivery_id: str, due_at: float) -> None:
        """Try an event again later."""
        self._db.execute(
            "UPDATE delivery SET attempts = attempts + 1, due_at = ? WHERE id = ?", (due_at, delivery_id)
        )

    def remove_delivery(self, delivery_id: str) -> None:
        """An event has arrived, or was given up."""
        self._db.execute("DELETE FROM delivery WHERE id = ?", (delivery_id,))


def _session(row: sqlcipher.Row) -> Session:
    return Session(
        id=row["id"],
        folder=row["folder"],
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        status=Status(row["status"]),
        languages=tuple(json.loads(row["languages"])),
        additional_data=json.loads(row["additional_data"]),
        patient_details=_json_or_none(row["patient_details"]),
        ended_at=row["ended_at"],
        finished_at=row["finished_at"],
        audio_files_sent=row["audio_files_sent"],
    )


def _chunk(row: sqlcipher.Row) -> Chunk:
    return Chunk(
        session_id=row["session_id"],
        number=row["number"],
        name=row["name"],
        file=row["file"],
        sha256=row["sha256"],
        duration_seconds=row["duration_seconds"],
        heard=None if row["heard"] is None else tuple(_utterance(item) for item in json.loads(row["heard"])),
        heard_by=row["heard_by"],
        problem=row["problem"],
    )


def _utterance(item: dict[str, Any]) -> Utterance:
    words = tuple(Word(**word) for word in item["words"])
    return Utterance(item["text"], item["start_seconds"], item["end_seconds"], words)


def _note(row: sqlcipher.Row) -> Note:
    return Note(
        session_id=row["session_id"],
        template_id=row["template_id"],
        document_id=row["document_id"],
        status=NoteStatus(row["status"]),
        data=_json_or_none(row["data"]),
        sources=tuple(Source(**source) for source in json.loads(row["sources"])),
        made_by=row["made_by"],
        error_code=row["error_code"],
        error_message=row["error_message"],
    )


def _json_or_none(text: str | None) -> Any:
    return None if text is None else json.loads(text)
