"""How the library's tables came to be: a list of steps, each taken once, whole or not at all.

``user_version`` says how many of them a library has behind it. A step that has been published is never changed; a
new one is added behind it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    # The encrypting library has the same connections under another name.
    from sqlite3 import Connection

Step: TypeAlias = tuple[str, ...]
"""The statements of one step."""

STEPS: tuple[Step, ...] = (
    (
        """CREATE TABLE session (
            number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, started_at REAL, phase TEXT NOT NULL
        ) STRICT""",
        "CREATE INDEX session_by_time ON session (started_at)",
        # Apart, so that a look through all sessions does not read what was said in them.
        "CREATE TABLE view (number INTEGER PRIMARY KEY, view TEXT NOT NULL, checksum INTEGER NOT NULL) STRICT",
        # Each word once, folded: which sessions hold it is all that a search asks.
        "CREATE VIRTUAL TABLE words USING fts5(said, detail = none, tokenize = ascii)",
        # A block of the index must fit into a page, where rot is found.
        "INSERT INTO words (words, rank) VALUES ('pgsz', 3000)",
        # What is removed leaves nothing behind.
        "INSERT INTO words (words, rank) VALUES ('secure-delete', 1)",
        "CREATE TABLE token (service_id TEXT PRIMARY KEY, token TEXT NOT NULL) STRICT",
        "CREATE TABLE fact (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT",
    ),
)


def version_of(db: Connection) -> int:
    """How many steps a library has behind it."""
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def migrate(db: Connection, steps: tuple[Step, ...], back_up: Callable[[int], None]) -> None:
    """Take the steps that are missing, each in a transaction of its own; what fails is rolled back and raised.

    ``back_up`` is called with the version that is about to be left, when there is something to lose.
    """
    for number in range(version_of(db) + 1, len(steps) + 1):
        with transaction(db):
            version = version_of(db)
            if version >= number:  # Another process was faster.
                continue
            if version:
                back_up(version)
            for statement in steps[number - 1]:
                db.execute(statement)
            db.execute(f"PRAGMA user_version = {number}")


@contextmanager
def transaction(db: Connection) -> Iterator[None]:
    """All of what is done inside, on the disk, or nothing of it."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:  # Some failures have rolled back already.
            db.execute("ROLLBACK")
        raise
