"""One encrypted SQLite file: how it is opened, backed up, told from a newer or a damaged one, and set aside.

Every page carries a checksum that nobody can make without the key, so rot is found when a page is read; but where
the page holds the rest of a long value, SQLCipher hands over zeros and says nothing. Such values are therefore kept
with their ``checksum``, a function that every connection has. No other code of this process may open the file while
it is in use: closing it anywhere gives up SQLite's locks.
"""

from __future__ import annotations

import contextlib
import errno
import zlib
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import sqlcipher3.dbapi2 as sqlcipher  # type: ignore[import-untyped]

from app.store.durable import sync_folder
from app.store.migrations import STEPS, Step, migrate, version_of

if TYPE_CHECKING:
    from sqlite3 import Connection

Error: type[Exception] = sqlcipher.Error
"""Whatever the database says no with."""

_SECONDS_FOR_OTHERS = 2.0
"""How long another process of ours may hold the file."""
_CORRUPT, _FULL, _NOT_A_DATABASE = 11, 13, 26
_SETTINGS = (
    "journal_mode = WAL",
    "synchronous = FULL",
    # macOS reports a write as done while the drive still holds it, unless asked for more.
    "fullfsync = ON",
    "checkpoint_fullfsync = ON",
    "secure_delete = ON",
    "temp_store = MEMORY",
    "trusted_schema = OFF",
    "journal_size_limit = 4194304",
)


class Newer(Exception):
    """A newer version of the app has written the file."""


def open_in_memory() -> Connection:
    """A database that is gone when it is closed."""
    db = _connect(":memory:", None)
    migrate(db, STEPS, lambda _version: None)
    return db


def open_file(path: Path, key: bytes, steps: tuple[Step, ...]) -> Connection:
    """The database at ``path``, made if need be and brought up to date.

    Raises:
        Newer: it was left untouched.
        Error: it cannot be read, or not be brought up to date; then it is as it was.
        OSError: the disk refused.
    """
    if path.exists() and path.stat().st_size:
        _refuse_newer(path, key, len(steps))
    path.touch(mode=0o600)
    db = _connect(str(path), key)
    try:
        for setting in _SETTINGS:
            db.execute(f"PRAGMA {setting}")
        migrate(db, steps, lambda version: _back_up(path, key, version))
    except BaseException:
        db.close()
        raise
    return db


def open_to_read(path: Path, key: bytes) -> Connection:
    """A file that nobody writes to: a backup, or one that was set aside.

    After damage was met, ask for a new connection: this one may give the page again, filled with zeros.
    """
    log = path.with_name(path.name + "-wal")
    how = "mode=ro" if log.exists() and log.stat().st_size else "immutable=1"  # The latter leaves no files beside.
    return _connect(f"{path.absolute().as_uri()}?{how}", key)


def _connect(place: str, key: bytes | None) -> Connection:
    db: Connection = sqlcipher.connect(
        place, isolation_level=None, timeout=_SECONDS_FOR_OTHERS, uri=place.startswith("file:")
    )
    db.create_function("checksum", 1, checksum, deterministic=True)
    if key is not None:
        db.execute("PRAGMA cipher_log_level = NONE")  # It would write on the terminal.
        db.execute(f"PRAGMA key = \"x'{key.hex()}'\"")
    return db


def _refuse_newer(path: Path, key: bytes, known: int) -> None:
    """Look before anything is opened for writing: even closing a file that was may change it."""
    try:
        with contextlib.closing(_connect(f"{path.absolute().as_uri()}?mode=ro", key)) as db:
            version = version_of(db)
    except sqlcipher.OperationalError:
        return  # It cannot be opened in this way; the usual one will tell.
    if version > known:
        raise Newer


def _back_up(path: Path, key: bytes, version: int) -> None:
    """A copy beside, as encrypted as the original, on the disk before anything is changed."""
    backup = path.with_name(f"{path.stem}.before-{version + 1}")
    unfinished = backup.with_name(backup.name + ".new")
    unfinished.unlink(missing_ok=True)
    unfinished.touch(mode=0o600)
    with contextlib.closing(_connect(str(unfinished), key)) as copy:
        copy.execute("PRAGMA synchronous = FULL")
        copy.execute("PRAGMA fullfsync = ON")
        # Read through a connection of its own: the other is in the midst of the transaction that changes it.
        with contextlib.closing(_connect(str(path), key)) as source:
            if source.execute("PRAGMA cipher_integrity_check").fetchall():
                raise damaged()
            source.backup(copy)
    unfinished.replace(backup)
    sync_folder(path.parent)


def checksum(text: str) -> int:
    """What a long value is checked by."""
    return zlib.crc32(text.encode("utf-8", "surrogatepass"))


def backups(path: Path) -> list[Path]:
    """Copies made before changes to the tables, finished or not."""
    return list(path.parent.glob(f"{path.stem}.before-*"))


def set_aside(path: Path) -> Path:
    """Put a file that cannot be read out of the way, with its log; tells its new name.

    Raises:
        OSError: it is where it was.
    """
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    aside = path.with_name(f"{path.stem}.unreadable-{stamp}")
    count = 1
    while aside.exists():
        count += 1
        aside = path.with_name(f"{path.stem}.unreadable-{stamp}-{count}")
    # The log goes first: it must never be taken for that of the file which comes after.
    for ending in ("-journal", "-wal", "-shm", ""):
        beside = path.with_name(path.name + ending)
        if beside.exists():
            beside.replace(aside.with_name(aside.name + ending))
    sync_folder(path.parent)
    return aside


def is_damage(error: Exception) -> bool:
    """Whether the file has rotted, or is none of ours; otherwise it is the disk that refuses, for now."""
    return _code(error) in (_NOT_A_DATABASE, _CORRUPT)


def damaged() -> Exception:
    """What the database says when a page has rotted, for rot that we found."""
    error: Exception = sqlcipher.DatabaseError("a checksum is wrong")
    error.__dict__.update(sqlite_errorcode=_CORRUPT, sqlite_errorname="SQLITE_CORRUPT")
    return error


def refusal(error: Exception) -> OSError:
    """The database's no in the words of the rest of the store."""
    if isinstance(error, OSError):
        return error
    return OSError(
        errno.ENOSPC if _code(error) == _FULL else errno.EIO, getattr(error, "sqlite_errorname", "database")
    )


def _code(error: Exception) -> int:
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF
