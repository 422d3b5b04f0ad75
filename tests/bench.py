"""How fast and how well it works on this machine: ``python3 dev.py bench``.

Each figure is taken from outside, from processes such as a user starts: the median of a few, and the range.
"""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import jiwer
import soundfile

ROOT = Path(__file__).resolve().parent.parent
SAMPLE = ROOT / "resources" / "sample" / "consultation.flac"
SCRIPT = SAMPLE.with_suffix(".txt")
APP = (sys.executable, "-m", "app")

PAINT = """
import sys
from app.core.views import Level
from app.ui.application import create_application
from app.ui.window import MainWindow
application = create_application(sys.argv)
window = MainWindow(lambda wish: None, Level)
window.show()
application.processEvents()
print("painted", flush=True)
"""


def main() -> int:
    """Measure everything and print a line for each."""
    with tempfile.TemporaryDirectory() as home:
        os.environ |= {"SCRIBEDESK_HOME": home, "QT_QPA_PLATFORM": "offscreen"}
        report("command line answers", lambda: until_first_line(*APP, "--version"))
        report("window painted", lambda: until_first_line(sys.executable, "-c", PAINT))
        report("local service answers", lambda: until_first_line(*APP, "serve"))
        transcribe_the_sample()
    return 0


def report(what: str, measure: Callable[[], float], times: int = 5) -> None:
    """Measure once to warm up, then ``times`` times."""
    measure()
    taken = sorted(measure() for _ in range(times))
    print(f"{what}: {statistics.median(taken):.2f} s [{taken[0]:.2f} to {taken[-1]:.2f}]", flush=True)


def until_first_line(*command: str) -> float:
    """Seconds from the start of a program until it says something."""
    began = time.perf_counter()
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as program:
        assert program.stdout is not None
        line = program.stdout.readline()
        taken = time.perf_counter() - began
        program.terminate()
    assert line, f"nothing came from {command}"
    return taken


def transcribe_the_sample() -> None:
    """Send the sample as a user would, and compare what comes back with what was spoken."""
    began = time.perf_counter()
    command = [*APP, "send", str(SAMPLE), "--json"]
    done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    taken = time.perf_counter() - began
    length = soundfile.info(SAMPLE).duration
    print(f"sample consultation: {length:.0f} s of talk in {taken:.1f} s, {length / taken:.1f} times as fast")
    spoken = re.sub(r"^\w+: ", "", SCRIPT.read_text(encoding="utf-8"), flags=re.MULTILINE)
    errors = jiwer.wer(plain(spoken), plain(json.loads(done.stdout)["transcript"]))
    print(f"word error rate: {errors:.1%}")


def plain(text: str) -> str:
    """Words alone: no case, no marks."""
    return " ".join(re.findall(r"[a-z0-9']+", text.lower()))


if __name__ == "__main__":
    sys.exit(main())
