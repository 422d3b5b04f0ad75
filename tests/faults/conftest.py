"""What the tests of faults share.

Each test says which faults it is about: ``@pytest.mark.fault("N3")``, with several ids where it shows several. One
that takes more than five seconds is marked ``slow``, too.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.rig.canary import Canary, scan


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The app's own folder."""
    folder = tmp_path / "home"
    folder.mkdir(mode=0o700)
    return folder


@pytest.fixture
def temp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where this process, and those that it starts, put temporary files."""
    folder = tmp_path / "tmp"
    folder.mkdir(mode=0o700)
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return folder


@dataclass
class Watch:
    """What must lie nowhere in clear: a test adds ``canaries``, and ``folders`` where the app writes elsewhere."""

    folders: list[Path]
    canaries: list[Canary] = field(default_factory=list)


@pytest.fixture
def no_plain_text(home: Path, temp: Path) -> Iterator[Watch]:
    """After the test, home (logs included) and temporary folder are searched for what the test added."""
    watch = Watch([home, temp])
    yield watch
    assert watch.canaries, "the test has not said what to look for"
    hits = scan(watch.folders, watch.canaries)
    assert not hits, "in clear: " + "; ".join(f"{h.path} holds {h.canary!r} as {h.guise}" for h in hits[:10])
