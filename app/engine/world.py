"""What the engine reaches beyond itself, as functions that the composition root hands in and tests replace."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from app.audio.microphone import Will
from app.audio.signal import Samples
from app.audio.source import Source
from app.core.views import MicrophoneInfo
from app.engine.local_service import Address
from app.engine.requests import ScribeService
from app.store.keystore import Keystore


class Watch(Protocol):
    """Looks out for changes of the devices."""

    def start(self) -> None:
        """Begin; returns at once."""

    def close(self) -> None:
        """End; returns soon."""


@dataclass(frozen=True)
class World:
    """Devices, services, clock and chance."""

    open_microphone: Callable[[str, str, Will | None], Source]
    """A source for the microphone of that name and host API; the empty name follows the system."""
    watch_microphones: Callable[[Callable[[tuple[MicrophoneInfo, ...]], None]], Watch]
    """Something that tells of each change of the devices, on a thread of its own."""
    play: Callable[[Samples, threading.Event], None]
    """Play 16 kHz samples through the loudspeaker until they or the wait is over. Raises ``SourceFailed``."""
    open_files: Callable[[Sequence[Path], float | None, int], Source]
    """A source for files, one after the other, at a pace, from a sample on. Raises ``SourceFailed``."""
    sample: Path
    """The sample consultation."""
    connect: Callable[[Address], ScribeService]
    local_command: Callable[[str], Sequence[str]]
    """How the local service is started with its data under a name."""
    keystore: Keystore
    """Where the system guards the key to what is kept here."""
    keep_awake: Callable[[], AbstractContextManager[object]]
    """Holds off sleep for as long as it is entered."""
    free_bytes: Callable[[Path], int | None]
    """How much fits onto a folder's disk; None where nobody can tell."""
    folder_refusal: Callable[[Path], str]
    """Why visits should not be kept in a folder, as in :class:`~app.core.views.StorageView`; may block."""
    token: str = field(default="", repr=False)
    """Signs in at any service that is not the local one, in place of those that are kept."""
    passphrase: str = field(default="", repr=False)
    """Unlocks the key where there is no keystore."""
    wall_clock: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic
    chance: Callable[[], float] = random.random
    """A number from 0 to 1, for jitter."""
