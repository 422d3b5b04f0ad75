"""The library: sessions with their transcripts and notes, sign-in tokens and small facts, encrypted and searchable.

Without a key it lives in memory. A file that has rotted is set aside, never deleted, and a new one takes over what
can be read of it; nothing here keeps a visit from being recorded. Owned and called by the engine's thread alone.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import json
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, TypeVar

import msgspec

from app.core.document import document, plain_text
from app.core.events import SessionId
from app.core.problems import Problem, ProblemKind
from app.core.views import Phase, SessionView
from app.store import database
from app.store.migrations import STEPS, Step, transaction

if TYPE_CHECKING:
    from sqlite3 import Connection

_T = TypeVar("_T")

_MOST_WORDS, _LONGEST_WORD = 32, 64
"""Of a search; and of what is kept to be found."""
_SETTLED = tuple(phase.value for phase in Phase if phase.is_final and phase is not Phase.DISCARDED)


class Library:
    """What is kept of all sessions."""

    def __init__(self, db: Connection, path: Path | None, key: bytes | None, problem: Problem | None = None) -> None:
        """Use :meth:`open`."""
        self.problem = problem
        """Why it is not as one would wish: a file was set aside, or is newer than this app."""
        self._db = db
        self._path = path
        self._key = key
        self._undecodable: set[str] = set()

    @classmethod
    def open(cls, path: Path | None, key: bytes | None, *, steps: tuple[Step, ...] = STEPS) -> Library:
        """The library at ``path``, made if need be; without path or key one in memory.

        Never fails. A file that cannot be read is set aside and a new one takes its place; one that a newer app
        wrote, or that cannot be brought up to date, stays as it is and a library in memory serves.
        """
        if path is None or key is None:
            return cls(database.open_in_memory(), None, None)
        try:
            return cls(database.open_file(path, key, steps), path, key)
        except database.Newer:
            return cls(database.open_in_memory(), None, None, Problem(ProblemKind.LIBRARY_NEWER))
        except (OSError, database.Error) as error:
            if database.is_damage(error):
                return cls._begin_anew(path, key, steps)
            return cls(database.open_in_memory(), None, None, _problem_of(error))

    @classmethod
    def _begin_anew(cls, path: Path, key: bytes, steps: tuple[Step, ...]) -> Library:
        """Set the file aside and begin a new one with what can be read of it."""
        try:
            aside = database.set_aside(path)
            library = cls(database.open_file(path, key, steps), path, key)
        except (OSError, database.Error, database.Newer) as error:
            return cls(database.open_in_memory(), None, None, _problem_of(error))
        taken = 0
        with contextlib.suppress(OSError, database.Error):
            taken = _take_over(library._db, lambda: contextlib.closing(database.open_to_read(aside, key)))
        library.problem = Problem(ProblemKind.LIBRARY_SET_ASIDE, f"{aside.name}; {taken} visits taken over")
        return library

    @property
    def is_durable(self) -> bool:
        """Whether it outlives the app."""
        return self._path is not None

    # Sessions

    def keep(self, session: SessionView) -> None:
        """Keep a session as it is now, in place of what was kept of it.

        Raises:
            OSError: the disk refused; what was kept before is still there.
        """
        row, words = _row(session), _words_of(session)

        def put(db: Connection) -> None:
            with transaction(db):
                _put(db, row, words)

        self._do(put)

    def session(self, session_id: SessionId) -> SessionView | None:
        """One session, if it is there and can be read.

        Raises:
            OSError: the disk refused.
        """
        views = self._views("WHERE id = ?", (session_id,))
        return views[0] if views else None

    def sessions(self, limit: int = 500, before: float | None = None) -> tuple[SessionView, ...]:
        """Sessions that started before ``before``, newest first.

        Raises:
            OSError: the disk refused.
        """
        which = "WHERE ?1 IS NULL OR started_at < ?1 ORDER BY started_at DESC, number DESC LIMIT ?2"
        return tuple(self._views(which, (before, limit)))

    def settled_ids(self) -> frozenset[SessionId]:
        """Sessions for which nothing is left to do: not those that were just thrown away, which may be had back.

        Raises:
            OSError: the disk refused.
        """
        rows = self._all("SELECT id, phase FROM session", ())
        return frozenset(SessionId(session_id) for session_id, phase in rows if phase in _SETTLED)

    @property
    def undecodable_count(self) -> int:
        """Sessions met so far that another version of the app wrote, and that this one cannot show."""
        return len(self._undecodable)

    def erase(self, session_id: SessionId) -> None:
        """Remove a session, and every backup that holds it. What was set aside is not touched.

        Raises:
            OSError: the disk refused.
        """

        def erase(db: Connection) -> None:
            with transaction(db):
                for (number,) in db.execute("SELECT number FROM session WHERE id = ?", (session_id,)).fetchall():
                    db.execute("DELETE FROM words WHERE rowid = ?", (number,))
                    db.execute("DELETE FROM view WHERE number = ?", (number,))
                    db.execute("DELETE FROM session WHERE number = ?", (number,))

        self._do(erase)
        self._leave_nothing_behind("SELECT 1 FROM session WHERE id = ?", session_id)

    def search(self, text: str, limit: int = 200) -> tuple[SessionId, ...]:
        """Sessions that hold every word of ``text``, or a word that begins so, newest first.

        Raises:
            OSError: the disk refused.
        """
        words = _words(text)[:_MOST_WORDS]
        if not words:
            return ()
        rows = self._all(
            "SELECT id FROM words JOIN session ON number = words.rowid WHERE words MATCH ?"
            " ORDER BY started_at DESC, number DESC LIMIT ?",
            (" ".join(f'"{word}"*' for word in words), limit),  # In quotes, nothing of it is grammar.
        )
        return tuple(SessionId(row[0]) for row in rows)

    # Tokens and facts

    def token(self, service_id: str) -> str | None:
        """The sign-in token kept for a service, if any.

        Raises:
            OSError: the disk refused.
        """
        return self._value("SELECT token FROM token WHERE service_id = ?", service_id)

    def keep_token(self, service_id: str, token: str) -> None:
        """Keep a token for a service.

        Raises:
            OSError: the disk refused.
        """
        self._all("INSERT OR REPLACE INTO token VALUES (?, ?)", (service_id, token))

    def forget_token(self, service_id: str) -> None:
        """Remove a service's token, and every backup that holds one for it.

        Raises:
            OSError: the disk refused.
        """
        self._all("DELETE FROM token WHERE service_id = ?", (service_id,))
        self._leave_nothing_behind("SELECT 1 FROM token WHERE service_id = ?", service_id)

    def remember(self, name: str, value: str) -> None:
        """Keep a small fact.

        Raises:
            OSError: the disk refused.
        """
        self._all("INSERT OR REPLACE INTO fact VALUES (?, ?)", (name, value))

    def recall(self, name: str) -> str | None:
        """A fact that was kept, if any.

        Raises:
            OSError: the disk refused.
        """
        return self._value("SELECT value FROM fact WHERE name = ?", name)

    # The whole

    def take_over(self, other: Library) -> int:
        """Take in what another library holds and this one has not; tells how many sessions that was.

        Raises:
            OSError: the disk refused; nothing was taken in.
        """
        return self._do(lambda db: _take_over(db, lambda: contextlib.nullcontext(other._db)))

    @property
    def size_bytes(self) -> int:
        """What it takes up on the disk, backups and files set aside included."""
        if self._path is None:
            return 0
        return sum(path.stat().st_size for path in self._path.parent.glob(f"{self._path.stem}.*"))

    def close(self) -> None:
        """Let go of the file."""
        with contextlib.suppress(database.Error):
            self._db.close()

    # How it is done

    def _do(self, work: Callable[[Connection], _T]) -> _T:
        """Do something with the file; where rot is met on the way, with a new one that takes over what is whole."""
        try:
            return work(self._db)
        except database.Error as error:
            if self._path is None or self._key is None or not database.is_damage(error):
                raise database.refusal(error) from error
        self.close()
        anew = self._begin_anew(self._path, self._key, STEPS)
        self._db, self._path, self._key, self.problem = anew._db, anew._path, anew._key, anew.problem
        try:
            return work(self._db)
        except database.Error as error:
            raise database.refusal(error) from error

    def _all(self, statement: str, values: tuple[Any, ...]) -> list[Any]:
        return self._do(lambda db: db.execute(statement, values).fetchall())

    def _value(self, query: str, name: str) -> str | None:
        rows = self._all(query, (name,))
        return str(rows[0][0]) if rows else None

    def _views(self, which: str, values: tuple[Any, ...]) -> list[SessionView]:
        def read(db: Connection) -> list[Any]:
            query = f"SELECT id, view, checksum = checksum(view) FROM session JOIN view USING (number) {which}"  # noqa: S608
            rows = db.execute(query, values).fetchall()
            if not all(is_whole for _, _, is_whole in rows):
                raise database.damaged()
            return rows

        decoded = {session_id: _decode(written) for session_id, written, _ in self._do(read)}
        self._undecodable |= {session_id for session_id, view in decoded.items() if view is None}
        return [view for view in decoded.values() if view is not None]

    def _leave_nothing_behind(self, query: str, name: str) -> None:
        """What was removed must not live on in the write-ahead log, nor in a backup."""
        self._all("PRAGMA wal_checkpoint(TRUNCATE)", ())
        if self._path is not None and self._key is not None:
            for backup in database.backups(self._path):
                if _may_hold(backup, self._key, query, name):
                    backup.unlink(missing_ok=True)


def _may_hold(backup: Path, key: bytes, query: str, name: str) -> bool:
    try:
        with contextlib.closing(database.open_to_read(backup, key)) as db:
            return bool(db.execute(query, (name,)).fetchall())
    except database.Error:
        return True


def _problem_of(error: Exception) -> Problem:
    no = (
        database.refusal(error)
        if not isinstance(error, database.Newer)
        else OSError(errno.EBUSY, "changed meanwhile")
    )
    kind = ProblemKind.DISK_LOW if no.errno == errno.ENOSPC else ProblemKind.LIBRARY_SET_ASIDE
    return Problem(kind, f"{errno.errorcode.get(no.errno or 0, '')} {no.strerror}")


# Rows -------------------------------------------------------------------------------------------------------------


_Opened: TypeAlias = "Callable[[], AbstractContextManager[Connection]]"
"""A new connection to a file at each call."""


class _Row(NamedTuple):
    id: str
    started_at: float | None
    phase: str
    view: str


def _row(session: SessionView) -> _Row:
    # A service may have said anything: numbers of any length, halves of characters. The standard library keeps both.
    written = json.dumps(msgspec.to_builtins(session), separators=(",", ":"))
    return _Row(session.id, session.started_at, session.phase.value, written)


def _decode(written: str) -> SessionView | None:
    try:
        return msgspec.convert(json.loads(written), SessionView)
    except (msgspec.MsgspecError, ValueError, TypeError, RecursionError):
        return None


def _put(db: Connection, row: _Row, words: str | None) -> None:
    """Keep a row and what it is found by; None leaves that as it is."""
    number = db.execute(
        "INSERT INTO session (id, started_at, phase) VALUES (?, ?, ?) ON CONFLICT (id) DO UPDATE"
        " SET started_at = excluded.started_at, phase = excluded.phase RETURNING number",
        row[:3],
    ).fetchone()[0]
    db.execute("INSERT OR REPLACE INTO view VALUES (?1, ?2, checksum(?2))", (number, row.view))
    known = db.execute("SELECT said FROM words WHERE rowid = ?", (number,)).fetchone()
    if words is not None and known != (words,):
        db.execute("DELETE FROM words WHERE rowid = ?", (number,))
        db.execute("INSERT INTO words (rowid, said) VALUES (?, ?)", (number, words))


def _take_over(db: Connection, other: _Opened) -> int:
    """Copy what can be read and is not here yet."""
    taken = 0
    with transaction(db):
        for written in _readable_views(other):
            told = json.loads(written)
            if not db.execute("SELECT 1 FROM session WHERE id = ?", (told["id"],)).fetchall():
                view = _decode(written)
                row = _Row(told["id"], told.get("started_at"), told["phase"], written)
                _put(db, row, None if view is None else _words_of(view))
                taken += 1
        for table in ("token", "fact"):
            pairs = list(_until_damage(other, f"SELECT * FROM {table}"))  # noqa: S608 - one of two names
            db.executemany(f"INSERT OR IGNORE INTO {table} VALUES (?, ?)", pairs)  # noqa: S608
    return taken


def _readable_views(other: _Opened) -> Iterator[str]:
    """Views in a file that may be damaged, skipping those that cannot be read."""
    tops = (_until_damage(other, f"SELECT max(number) FROM {table}") for table in ("view", "session"))  # noqa: S608
    top = max((number or 0 for rows in tops for (number,) in rows), default=0)
    start = 1
    while start <= top:
        query = "SELECT number, view, checksum = checksum(view) FROM view WHERE number >= ? ORDER BY number"
        next_start = start + 1
        # Behind one that is not whole, the same connection gives no other that is.
        for number, view, _ in itertools.takewhile(lambda row: row[2], _until_damage(other, query, start)):
            yield view
            next_start = number + 1
        start = next_start


def _until_damage(other: _Opened, query: str, *values: int) -> Iterator[tuple[Any, ...]]:
    with contextlib.suppress(database.Error), other() as db:
        yield from db.execute(query, values)


# Words ------------------------------------------------------------------------------------------------------------


class _Folding(dict[int, str | None]):
    """What each character counts as in a search: letters without what Latin, Greek and Cyrillic ones carry, digits,
    and the marks of other scripts, which belong to their words. Everything else stands between words."""

    def __missing__(self, code: int) -> str | None:
        character = chr(code)
        kind = unicodedata.category(character)
        folded: str | None = character if kind[0] in "LNM" or kind == "Co" else " "
        if kind == "Cf" or "\u0300" <= character <= "\u036f":  # Joiners and the like are within a word.
            folded = None
        self[code] = folded
        return folded


_FOLDING = _Folding()


def _words(text: str) -> list[str]:
    """Each word of a text once, folded."""
    folded = unicodedata.normalize("NFKD", text.casefold()).translate(_FOLDING)
    return list(dict.fromkeys(word[:_LONGEST_WORD] for word in dict.fromkeys(folded.split())))


def _words_of(session: SessionView) -> str:
    patient = session.visit.patient
    notes = "\n".join(f"{note.name}\n{plain_text(document(note.data))}" for note in session.notes)
    return " ".join(sorted(_words(f"{patient.label}\n{patient.id}\n{session.transcript}\n{notes}")))
