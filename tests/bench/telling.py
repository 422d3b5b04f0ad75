"""How a measured program tells of a moment. Imports next to nothing: what it costs is measured with the program."""

from __future__ import annotations

import sys
import time


def tell(word: str, *more: object) -> None:
    """Say that something has just happened, with the monotonic clock that all processes of a machine share."""
    sys.stdout.write(" ".join(map(str, (word, time.monotonic(), *more))) + "\n")
    sys.stdout.flush()
