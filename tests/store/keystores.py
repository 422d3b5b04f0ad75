"""A keystore in memory, which is there, locked, absent or forgetful as a test wants it."""

from __future__ import annotations

from app.store.keystore import KeystoreAbsent, KeystoreUnavailable


class StandInKeystore:
    """Keeps secrets in memory. Complains when an entry is overwritten."""

    def __init__(self, trouble: Exception | None = None, *, name: str = "Secret Service") -> None:
        self.kept: dict[str, bytes] = {}
        self.trouble = trouble
        self.forgets = False
        self._told_name = name

    @property
    def name(self) -> str:
        return "" if isinstance(self.trouble, KeystoreAbsent) else self._told_name

    def read(self, entry: str) -> bytes | None:
        if self.trouble:
            raise self.trouble
        return self.kept.get(entry)

    def keep(self, entry: str, secret: bytes) -> None:
        if self.trouble:
            raise self.trouble
        assert entry not in self.kept, "an entry must never be overwritten"
        if not self.forgets:
            self.kept[entry] = secret


def locked() -> KeystoreUnavailable:
    return KeystoreUnavailable("KeyringLocked")


def absent() -> KeystoreAbsent:
    return KeystoreAbsent("this system has no keystore that may be trusted")
