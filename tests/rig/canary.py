"""Looks for what must never lie on a disk in clear: words, tokens and sound, in every guise in which they could.

A *canary* is something that a test let into the app and that is unlike anything else; a *hit* is a place where a
file, or a file's name, holds it. Reads files only.
"""

from __future__ import annotations

import base64
import json
import mmap
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, quote_plus

import numpy as np
import numpy.typing as npt

_SHORTEST = 8
"""Bytes that a pattern must have: a shorter one is found anywhere by chance."""
_WINDOW_SAMPLES = 16
_WINDOWS = 24
_LIVELY = 12
"""Different samples that a window must hold: silence is in many files."""


@dataclass(frozen=True)
class Canary:
    """Something to look for, in each of its guises."""

    name: str
    guises: tuple[tuple[str, bytes], ...]


@dataclass(frozen=True)
class Hit:
    """A place where a canary was found."""

    path: Path
    canary: str
    guise: str
    offset: int


def text_canary(text: str) -> Canary:
    """Words or a token."""
    return Canary(text, tuple(dict.fromkeys(_guises_of_text(text))))


def _guises_of_text(text: str) -> Iterator[tuple[str, bytes]]:
    yield "json", json.dumps(text)[1:-1].encode()
    yield "url", quote(text).encode()
    yield "form", quote_plus(text).encode()
    for encoding in ("utf-8", "utf-16-le", "utf-16-be"):
        yield from _guises_of_bytes(encoding, text.encode(encoding))


def bytes_canary(name: str, data: bytes) -> Canary:
    """Raw bytes, such as a stretch from the middle of an encoded chunk."""
    return Canary(name, tuple(_guises_of_bytes("raw", data)))


def sound_canary(name: str, samples: npt.NDArray[np.int16]) -> Canary:
    """A stretch of sound as samples of 16 bits and as floats, wherever a piece of it may begin."""
    guises: list[tuple[str, bytes]] = []
    for first in np.linspace(0, max(0, len(samples) - _WINDOW_SAMPLES), _WINDOWS).astype(int):
        window = samples[first : first + _WINDOW_SAMPLES]
        if len(np.unique(window)) < _LIVELY:
            continue
        guises += _guises_of_bytes("pcm", window.astype("<i2").tobytes())
        guises.append(("pcm big-endian", window.astype(">i2").tobytes()))
        guises.append(("pcm float", (window / np.float32(32768)).astype("<f4").tobytes()))
    assert guises, "this stretch of sound is like any other"
    return Canary(name, tuple(dict.fromkeys(guises)))


def _guises_of_bytes(name: str, data: bytes) -> Iterator[tuple[str, bytes]]:
    yield name, data
    yield f"{name} hex", data.hex().encode()
    yield f"{name} HEX", data.hex().upper().encode()
    for alignment in range(3):
        for alphabet, encode in (("base64", base64.b64encode), ("base64url", base64.urlsafe_b64encode)):
            yield f"{name} {alphabet}+{alignment}", _certain(encode(bytes(alignment) + data), alignment)


def _certain(encoded: bytes, alignment: int) -> bytes:
    """What of a base64 text does not depend on the bytes before and behind."""
    whole = encoded.rstrip(b"=")
    is_partial = len(whole) < len(encoded)
    return whole[-(-alignment * 8 // 6) : -1 if is_partial else None]


def scan(folders: Iterable[Path], canaries: Iterable[Canary]) -> list[Hit]:
    """All places below these folders, files' names included, that hold any of the canaries."""
    wanted = tuple(canaries)
    for canary in wanted:
        assert all(len(guise) >= _SHORTEST for _, guise in canary.guises), f"too short to look for: {canary.name}"
    return [hit for folder in folders for path in _below(folder) for hit in _hits_in(path, wanted)]


def _below(folder: Path) -> Iterator[Path]:
    yield from sorted(folder.rglob("*")) if folder.is_dir() else (folder,)


def _hits_in(path: Path, canaries: Iterable[Canary]) -> Iterator[Hit]:
    yield from _hits_in_bytes(path, str(path).encode("utf-8", "surrogateescape"), canaries, "name: ")
    try:
        if not stat.S_ISREG(path.lstat().st_mode) or not path.lstat().st_size:
            return
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            yield from _hits_in_bytes(path, content, canaries)
    except FileNotFoundError:
        return  # It went away while we looked.


def _hits_in_bytes(
    path: Path, content: bytes | mmap.mmap, canaries: Iterable[Canary], where: str = ""
) -> Iterator[Hit]:
    for canary in canaries:
        for name, guise in canary.guises:
            if (offset := content.find(guise)) >= 0:
                yield Hit(path, canary.name, where + name, offset)
