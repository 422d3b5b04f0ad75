"""Sign-in tokens in the operating system's keystore.

A keystore may wait for a person, or hang; it is asked on a thread of its own and given up on after a few seconds.
Only the systems' own keystores are used: a library that is installed by chance must not turn a token into a
readable file.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

_SERVICE = "ScribeDesk"
_TRUSTED = (
    "keyring.backends.Windows",
    "keyring.backends.macOS",
    "keyring.backends.SecretService",
    "keyring.backends.libsecret",
    "keyring.backends.kwallet",
)


class KeystoreUnavailable(Exception):
    """There is no trusted keystore, or it is locked, or it did not answer in time."""


class KeystoreAbsent(KeystoreUnavailable):
    """This system has no keystore that may be trusted: nothing was ever kept in one."""


def read_token(service_id: str, *, timeout_seconds: float = 5.0) -> str | None:
    """The token kept for a service, if any.

    Raises:
        KeystoreUnavailable: it cannot be told whether there is one.
    """

    def read() -> str | None:
        import keyring

        _require_trusted(keyring.get_keyring())
        return keyring.get_password(_SERVICE, service_id)

    return _ask(read, timeout_seconds)


def keep_token(service_id: str, token: str, *, timeout_seconds: float = 5.0) -> None:
    """Keep a token for a service.

    Raises:
        KeystoreUnavailable: it was not kept.
    """

    def keep() -> None:
        import keyring

        _require_trusted(keyring.get_keyring())
        keyring.set_password(_SERVICE, service_id, token)

    _ask(keep, timeout_seconds)


def _require_trusted(backend: object) -> None:
    candidates = getattr(backend, "backends", None) or [backend]
    for candidate in candidates:
        if not type(candidate).__module__.startswith(_TRUSTED):
            raise KeystoreAbsent(f"no trusted keystore ({type(candidate).__module__})")


def _ask(question: Callable[[], str | None], timeout_seconds: float) -> str | None:
    answers: queue.Queue[str | Exception | None] = queue.Queue()

    def ask() -> None:
        try:
            answers.put(question())
        except Exception as error:  # noqa: BLE001 - a keystore raises whatever its system does
            answers.put(error)

    threading.Thread(target=ask, name="keystore", daemon=True).start()
    try:
        answer = answers.get(timeout=timeout_seconds)
    except queue.Empty as error:
        raise KeystoreUnavailable("the keystore did not answer") from error
    if isinstance(answer, KeystoreUnavailable):
        raise answer
    if isinstance(answer, Exception):
        raise KeystoreUnavailable(type(answer).__name__) from answer
    return answer
