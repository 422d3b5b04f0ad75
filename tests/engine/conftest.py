"""A desk for each test; what still runs on it is switched off at the end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engine.stand_ins import Desk


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path)
    yield desk
    desk.switch_off()
    assert not desk.collisions, "a microphone was opened while another one was still open"
