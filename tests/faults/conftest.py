"""What the tests of faults share.

Each test says which faults it is about: ``@pytest.mark.fault("N3")``, with several ids where it shows several. One
that takes more than five seconds is marked ``slow``, too.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.faults.desk import FaultDesk
from tests.rig.answers import Scribe
from tests.rig.canary import Canary, scan
from tests.rig.fault_proxy import FaultProxy
from tests.rig.network import Network, is_available


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


@pytest.fixture
def scribe() -> Iterator[Scribe]:
    """A scribe service that does as it should until it is told otherwise."""
    with Scribe() as scribe:
        yield scribe


@pytest.fixture
def proxy(scribe: Scribe) -> Iterator[FaultProxy]:
    """What stands between the app and the service; passes everything until it is told otherwise."""
    with FaultProxy(scribe.url) as proxy:
        yield proxy


@pytest.fixture
def desk(home: Path, scribe: Scribe) -> Iterator[FaultDesk]:
    """A computer whose app speaks to the service; a test that wants the proxy between sets ``url`` first."""
    desk = FaultDesk(home, scribe.url)
    yield desk
    desk.switch_off()
    assert not desk.collisions, "a microphone was opened while another one was still open"


@pytest.fixture
def make_desk(home: Path) -> Iterator[Callable[[str], FaultDesk]]:
    """Gives a computer whose app speaks to the service at an address; it is switched off in the end."""
    made: list[FaultDesk] = []

    def make(url: str) -> FaultDesk:
        made.append(FaultDesk(home, url))
        return made[-1]

    yield make
    for desk in made:
        desk.switch_off()


@pytest.fixture
def network() -> Iterator[Network]:
    """A network of the test's own. Name it before what is to live in it."""
    if not is_available():
        pytest.skip("needs root on Linux, with ip, nft and tc")
    with Network() as network:
        yield network
