"""What the service keeps in its folder: a sealed database and sealed audio, opened together or set aside together."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from pathlib import Path

from app.service.audiofiles import AudioFiles
from app.service.database import Database, DatabaseUnreadable

logger = logging.getLogger(__name__)

_DATABASE, _AUDIO = "service.db", "audio"


def open_store(folder: Path, key: bytes) -> tuple[Database, AudioFiles]:
    """Open what is kept in a folder; what this key does not open is set aside, and the folder begins empty.

    Raises:
        DatabaseProblem: it was made by a newer version, or the disk does not give it.
    """
    database = _open_database(folder, key)
    try:
        files = AudioFiles(folder / _AUDIO, key)
        with database.reading() as records:
            known = records.stored_files()
        files.remove_all_but(known)
    except BaseException:
        database.close()
        raise
    return database, files


def _open_database(folder: Path, key: bytes) -> Database:
    path = folder / _DATABASE
    if not path.exists():
        _set_aside(folder)  # Audio whose records are gone.
    try:
        return Database(path, key)
    except DatabaseUnreadable:
        _set_aside(folder)
        logger.warning("What the scribe service kept could not be opened. It was set aside in %s.", folder)
    return Database(path, key)


def _set_aside(folder: Path) -> None:
    """Rename, never delete: whoever has the key, or a way to mend it, finds it as it was.

    The database goes last. Without it, the next start would take the audio for leftovers.
    """
    mark = f".sealed-{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}"
    for name, tail in ((_AUDIO, ""), (_DATABASE, "-wal"), (_DATABASE, "-shm"), (_DATABASE, "")):
        source = folder / (name + tail)
        if source.exists():
            source.rename(folder / (name + mark + tail))
