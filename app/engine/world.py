"""What the engine reaches beyond itself, as functions that the composition root hands in and tests replace."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from app.audio.source import Source
from app.core.views import MicrophoneInfo
from app.engine.local_service import Address
from app.engine.requests import ScribeService


@dataclass(frozen=True)
class World:
    """Devices, services, clock and chance."""

    list_microphones: Callable[[], tuple[MicrophoneInfo, ...]]
    open_microphone: Callable[[str], Source]
    """A source for the microphone of that name; the empty name follows the system."""
    open_files: Callable[[Sequence[Path], float | None, int], Source]
    """A source for files, one after the other, at a pace, from a sample on. Raises ``SourceFailed``."""
    sample: Path
    """The sample consultation."""
    connect: Callable[[Address], ScribeService]
    find_address: Callable[[str], Address]
    """Address and token of a service that is not the local one. May block on the keystore."""
    local_command: Sequence[str]
    """How the local service is started."""
    wall_clock: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic
    chance: Callable[[], float] = random.random
    """A number from 0 to 1, for jitter."""
