"""A capture process whose callback raises, once: the first process of a test does so after a while.

The argument is a file that is there once that has happened.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from app.audio import capture_child

_SECONDS = 2.0


class _Raising(capture_child._Recording):
    _began: float | None = None

    def _on_block(self, frames: Any, count: int, at: Any, status: Any) -> None:
        has_raised = Path(sys.argv[1])
        self._began = self._began or capture_child.now()
        if capture_child.now() - self._began > _SECONDS and not has_raised.exists():
            has_raised.touch()
            raise RuntimeError("planted")
        super()._on_block(frames, count, at, status)


if __name__ == "__main__":
    capture_child._Recording = _Raising  # type: ignore[misc]
    capture_child.main()
