"""``scribedesk serve``: the local scribe service by hand, or as the companion of a running app.

An app hands its companion the key to what the service keeps. By hand, the key is the user's own where a keystore or
a passphrase guards it, and otherwise one that ends with the program.

Apps with one key share one service. The second one's companion finds the folder taken, tells the address of the
service that has it, and stays until that service is gone.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from app.service.sealing import KEY_BYTES, KeyRefused, Seal, SealBroken, key_name, read_key
from app.store.durable import write_whole
from app.store.places import Places, find_places

UNTIL_CLOSED = "until-closed"
"""The folder for what is sealed with keys that nobody keeps: a folder for each in it."""
PASSPHRASE_VARIABLE = "SCRIBEDESK_PASSPHRASE"  # noqa: S105 - the variable's name
_ADDRESS = "address.json"
_KEYS = "keys.json"
_LOOK_AGAIN_SECONDS = 1.0
_LEFT_SECONDS = 24 * 3600.0


def serve(host: str, port: int, token: str | None, data: Path | None, *, is_with_app: bool) -> int:
    """Serve until stopped; the exit code."""
    _leave_no_memory_behind()
    places = find_places()
    if is_with_app:
        try:
            key, folder = read_key(), data or places.local_service
        except KeyRefused as refused:
            return _fail(str(refused))
        token = token or secrets.token_urlsafe(32)
    else:
        key, folder = _own_key(places, data)
    if folder.name == UNTIL_CLOSED:
        _clear_left(folder)
        folder /= key_name(key)
    return _serve(host, port, token, folder, key, is_with_app=is_with_app)


def _serve(host: str, port: int, token: str | None, folder: Path, key: bytes, *, is_with_app: bool) -> int:
    from app.service.database import DatabaseProblem
    from app.service.engines import ConfigurationProblem, load_engines
    from app.service.server import FolderInUse, run, write_line

    def announce(line: str) -> None:
        _keep_address(folder, key, line)
        write_line(line)

    try:
        run(
            folder,
            key=key,
            host=host,
            port=port,
            token=token,
            announce=announce,
            until_stdin_closes=is_with_app,
            make_engines=lambda data: load_engines(_configured_in(data)),
        )
    except FolderInUse as taken:
        if is_with_app:
            return _stand_by(folder, key)
        return _fail(str(taken))
    except (ValueError, ConfigurationProblem, DatabaseProblem) as error:
        return _fail(str(error))
    return 0


def _fail(words: str) -> int:
    print(words, file=sys.stderr)  # noqa: T201 - a terminal program
    return 2


def _leave_no_memory_behind() -> None:
    """A core file would hold what patients said, in clear."""
    if os.name == "posix":
        import resource

        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _configured_in(data: Path) -> Path:
    """One configuration for the services of all keys, in the folder that they have in common."""
    common = find_places().local_service
    return common if common in data.absolute().parents else data


# The key ----------------------------------------------------------------------------------------------------------


def _own_key(places: Places, data: Path | None) -> tuple[bytes, Path]:
    """The user's key and its folder; or one for this run."""
    from app.store.keys import Keys
    from app.store.keystore import SystemKeystore

    keys = Keys(places.home / _KEYS)
    # Where there are visits whose key is not known, the app looks for it: a new one is not to come in its way.
    if keys.is_durable or not places.sessions.exists():
        keys.take(keys.ask(SystemKeystore(), os.environ.get(PASSPHRASE_VARIABLE, ""))())
    if keys.is_durable and (key := keys.derive("local service")):
        return key, data or places.local_service / keys.key_id
    words = "There is no keystore and no passphrase to seal with: what the service keeps can be read until it ends."
    print(words, file=sys.stderr)  # noqa: T201 - a terminal program
    return secrets.token_bytes(KEY_BYTES), (data or places.local_service) / UNTIL_CLOSED


def _clear_left(folder: Path) -> None:
    """Delete what keys sealed that are gone since yesterday or longer: nothing and nobody can open it."""
    from app.service.server import FolderInUse, only_one

    for left in folder.iterdir() if folder.exists() else ():
        with suppress(FolderInUse, OSError):
            if max(file.stat().st_mtime for file in (left, *left.iterdir())) < time.time() - _LEFT_SECONDS:
                with only_one(left):
                    shutil.rmtree(left, ignore_errors=True)


# A second app's companion -----------------------------------------------------------------------------------------


def _keep_address(folder: Path, key: bytes, line: str) -> None:
    """The token lets whoever has it read what is on the service: it is for those alone who have the key."""
    told = json.loads(line)
    base_url = told["base_url"]
    sealed = Seal(key, "token").seal(told["token"].encode(), base_url)
    kept = json.dumps({"base_url": base_url, "sealed_token": sealed.hex()})
    before = os.umask(0o077)
    try:
        write_whole(folder / _ADDRESS, kept.encode())
    finally:
        os.umask(before)


def read_address(folder: Path, key: bytes) -> tuple[str, str]:
    """Base URL and token of the service on a folder.

    Raises:
        OSError, ValueError, KeyError: it has not told them yet.
        SealBroken: it works with another key.
    """
    kept = json.loads((folder / _ADDRESS).read_text())
    base_url = kept["base_url"]
    return base_url, Seal(key, "token").open(bytes.fromhex(kept["sealed_token"]), base_url).decode()


def _stand_by(folder: Path, key: bytes) -> int:
    """Tell the other service's address; end when it, or the app, does."""
    from app.service.server import write_line

    try:
        base_url, token = read_address(folder, key)
    except (OSError, ValueError, KeyError):
        return 1  # It is only just starting: the app asks again.
    except SealBroken:
        return _fail(f"The scribe service at work on {folder} was started with another key.")
    write_line(json.dumps({"base_url": base_url, "token": token}))
    threading.Thread(target=_end_with_stdin, daemon=True).start()
    address = urlsplit(base_url)
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
