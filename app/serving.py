"""``scribedesk serve``: the local scribe service by hand, or as the companion of a running app.

Two apps of one user share one service. The second one's companion finds the folder taken, tells the address of the
service that has it, and stays until that service is gone.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

from app.store.durable import write_whole
from app.store.places import find_places

_ADDRESS = "address.json"
_LOOK_AGAIN_SECONDS = 1.0


def serve(host: str, port: int, token: str | None, data: Path | None, *, is_with_app: bool) -> int:
    """Serve until stopped; the exit code."""
    from app.service.database import DatabaseProblem
    from app.service.engines import ConfigurationProblem
    from app.service.server import FolderInUse, run, write_line

    folder = data or find_places().local_service

    def announce(line: str) -> None:
        _keep_private(folder / _ADDRESS, line)
        write_line(line)

    try:
        run(folder, host=host, port=port, token=token, announce=announce, until_stdin_closes=is_with_app)
    except FolderInUse as taken:
        if is_with_app:
            return _stand_by(folder)
        return _fail(str(taken))
    except (ValueError, ConfigurationProblem, DatabaseProblem) as error:
        return _fail(str(error))
    return 0


def _fail(words: str) -> int:
    print(words, file=sys.stderr)  # noqa: T201 - a terminal program
    return 2


def _keep_private(path: Path, line: str) -> None:
    """The token lets whoever has it read what is on the service: the file is the user's alone."""
    path.touch(mode=0o600)
    before = os.umask(0o077)
    try:
        write_whole(path, line.encode())
    finally:
        os.umask(before)


def _stand_by(folder: Path) -> int:
    """Tell the other service's address; end when it, or the app, does."""
    from app.service.server import write_line

    try:
        line = (folder / _ADDRESS).read_text()
        address = urlsplit(json.loads(line)["base_url"])
    except (OSError, ValueError, KeyError):
        return 1  # It is only just starting: the app asks again.
    write_line(line)
    threading.Thread(target=_end_with_stdin, daemon=True).start()
    while _answers(address.hostname or "", address.port or 0):
        time.sleep(_LOOK_AGAIN_SECONDS)
    return 1


def _end_with_stdin() -> None:
    while os.read(0, 1024):
        pass
    os._exit(0)


def _answers(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=2.0).close()
    except OSError:
        return False
    return True
