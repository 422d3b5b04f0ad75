"""The capture process as the app starts it: with a sealed log for what comes after the app's death."""

from __future__ import annotations

from app.audio.capture_child import main
from app.store.sealed import SealedLog

PURPOSE = "orphan"

if __name__ == "__main__":
    main(lambda path, key: SealedLog(path, key, PURPOSE))
