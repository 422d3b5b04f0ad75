"""Measure everything, say so line by line, and write ``RESULTS.md``. Linux only: it reads ``/proc``."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.bench import recording, speech, startup, stopping
from tests.bench.figures import Row, as_document
from tests.bench.programs import Setting
from tests.rig import pulse

RESULTS = Path(__file__).with_name("RESULTS.md")


def main() -> int:
    """Run all parts, one after the other."""
    if not pulse.is_available():
        sys.stderr.write("The virtual microphone needs PulseAudio's server and tools on Linux.\n")
        return 2
    began, load_before = time.monotonic(), os.getloadavg()[0]
    rows = list(_measure())
    document = as_document(rows, time.monotonic() - began, (load_before, os.getloadavg()[0]))
    RESULTS.write_text(document, encoding="utf-8")
    sys.stdout.write(f"\n{document}")
    return 0


def _measure() -> Iterator[Row]:
    with pulse.PulseRig() as rig, tempfile.TemporaryDirectory(prefix="bench-") as folder:
        setting = Setting(rig, Path(folder))
        parts: tuple[Callable[[], Iterator[Row]], ...] = (
            lambda: startup.rows(setting),
            lambda: recording.rows(setting),
            lambda: stopping.rows(setting),
            speech.rows,
        )
        for part in parts:
            began = time.monotonic()
            for row in part():
                sys.stdout.write(f"{row.what}: {row.figure}; {row.reference}\n")
                yield row
            sys.stdout.write(f"({time.monotonic() - began:.0f} s)\n")
            sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
