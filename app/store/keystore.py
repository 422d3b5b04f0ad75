"""The operating system's keystore, as far as it may be trusted and as long as it answers.

A keystore may wait for a person, or hang; it is asked on a thread of its own and given up on after a few seconds.
Only the systems' own keystores are used: a library that is installed by chance must not turn a key into a readable
file. To be called by workers.
"""

from __future__ import annotations

import base64
import queue
import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from keyring.backend import KeyringBackend

_T = TypeVar("_T")

_SERVICE = "ScribeDesk"
_TRUSTED = {
    "keyring.backends.Windows": "Windows Credential Manager",
    "keyring.backends.macOS": "macOS Keychain",
    "keyring.backends.SecretService": "Secret Service",
    "keyring.backends.libsecret": "Secret Service",
    "keyring.backends.kwallet": "KWallet",
}


class KeystoreUnavailable(Exception):
    """The keystore is locked, did not answer in time, or was not allowed to."""


class KeystoreAbsent(KeystoreUnavailable):
    """This system has no keystore that may be trusted: nothing was ever kept in one."""


class Keystore(Protocol):
    """Keeps small secrets. Its calls may block for some seconds."""

    @property
    def name(self) -> str:
        """What people call it; empty before it has answered for the first time."""

    def read(self, entry: str) -> bytes | None:
        """What was kept under that name, if anything.

        Raises:
            KeystoreUnavailable: it cannot be told.
        """

    def keep(self, entry: str, secret: bytes) -> None:
        """Keep a secret.

        Raises:
            KeystoreUnavailable: it cannot be told whether it was kept.
        """


class SystemKeystore:
    """The best of the keystores that this system has and that may be trusted."""

    def __init__(
        self,
        *,
        timeout_seconds: float = 5.0,
        find_backends: Callable[[], Iterable[KeyringBackend]] | None = None,
    ) -> None:
        self._timeout_seconds = timeout_seconds
        self._find_backends = find_backends or _viable_backends
        self._name = ""

    @property
    def name(self) -> str:
        """What people call it; empty before it was found for the first time."""
        return self._name

    def read(self, entry: str) -> bytes | None:
        """What was kept under that name, if anything.

        Raises:
            KeystoreUnavailable: it cannot be told.
        """
        text = self._ask(lambda backend: backend.get_password(_SERVICE, entry))
        if text is None:
            return None
        try:
            return base64.b64decode(text, validate=True)
        except ValueError:
            return text.encode()  # Not ours, or changed; it is not for us to say that nothing is there.

    def keep(self, entry: str, secret: bytes) -> None:
        """Keep a secret.

        Raises:
            KeystoreUnavailable: it cannot be told whether it was kept.
        """
        text = base64.b64encode(secret).decode("ascii")
        self._ask(lambda backend: backend.set_password(_SERVICE, entry, text))

    def _ask(self, question: Callable[[KeyringBackend], _T]) -> _T:
        answers: queue.Queue[tuple[_T] | Exception] = queue.Queue()

        def ask() -> None:
            try:
                answers.put((question(self._choose()),))
            except Exception as error:  # noqa: BLE001 - a keystore raises whatever its system does
                answers.put(error)

        threading.Thread(target=ask, name="keystore", daemon=True).start()
        try:
            answer = answers.get(timeout=self._timeout_seconds)
        except queue.Empty as error:
            raise KeystoreUnavailable("the keystore did not answer") from error
        if isinstance(answer, KeystoreUnavailable):
            raise answer
        if isinstance(answer, Exception):  # It goes no further: its text may hold what it was given.
            raise KeystoreUnavailable(type(answer).__name__)
        return answer[0]

    def _choose(self) -> KeyringBackend:
        trusted = [backend for backend in self._find_backends() if type(backend).__module__ in _TRUSTED]
        if not trusted:
            raise KeystoreAbsent("this system has no keystore that may be trusted")
        best = max(trusted, key=lambda backend: float(backend.priority))
        self._name = _TRUSTED[type(best).__module__]
        return best


def _viable_backends() -> Iterable[KeyringBackend]:
    """What there is now, or what the environment or the user's configuration of the library prescribes instead."""
    import keyring.backend
    import keyring.core

    if prescribed := keyring.core.load_env() or keyring.core.load_config():
        return [prescribed]
    keyring.backend.get_all_keyring()  # Brings in the classes. Its answer never changes: a keystore may come later.
    viable = keyring.backend.KeyringBackend.get_viable_backends()
    return [backend() for backend in viable if backend.__module__ in _TRUSTED]
