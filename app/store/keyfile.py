"""``keys.json``: what is on the disk of the store's key pairs. None of it opens anything without a secret."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from app.store.durable import write_whole
from app.store.keypair import Wrapping, id_of


@dataclass(frozen=True)
class KeptPair:
    """A key pair whose private half is somewhere safe."""

    public_key: bytes
    keystore: str = ""
    """The keystore that the private key was given to; empty when none was."""
    wrapping: Wrapping | None = None
    sealed: bytes = b""
    """The private key in an envelope, sealed to the pair that is used for what is new."""
    is_code_noted: bool = False

    @property
    def id(self) -> str:
        """Its name."""
        return id_of(self.public_key)


@dataclass(frozen=True)
class _Content:
    pairs: tuple[KeptPair, ...]


def load_pairs(path: Path) -> tuple[KeptPair, ...]:
    """The pairs, the one that is used for what is new last.

    A file that cannot be read is kept beside, and its copy used.

    Raises:
        OSError: the disk cannot be read.
    """
    return next(filter(None, _readable(path, _copy_of(path))), ())


def _readable(*paths: Path) -> Iterator[tuple[KeptPair, ...]]:
    for path in paths:
        if path.exists():
            try:
                yield msgspec.json.decode(path.read_bytes(), type=_Content).pairs
            except msgspec.MsgspecError:
                path.replace(path.with_name(path.name + ".unreadable"))


def save_pairs(path: Path, pairs: tuple[KeptPair, ...]) -> None:
    """Keep the pairs, and a copy of the file beside it.

    Raises:
        OSError: the disk refused.
    """
    content = msgspec.json.format(msgspec.json.encode(_Content(pairs)))
    for each in (path, _copy_of(path)):
        write_whole(each, content)


def _copy_of(path: Path) -> Path:
    return path.with_name(path.name + ".bak")
