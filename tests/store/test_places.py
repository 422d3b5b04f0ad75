"""Where everything lies."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from app.store.places import find_places


def test_one_variable_moves_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "stick" / "desk"
    monkeypatch.setenv("SCRIBEDESK_HOME", str(home))
    places = find_places()
    assert home.is_dir()
    for path in (places.sessions, places.settings, places.services, places.local_service, places.logs):
        assert path.is_relative_to(home)


def test_a_place_named_from_here_stays_where_it_is_when_the_program_goes_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SCRIBEDESK_HOME", "desk")
    assert find_places().home == tmp_path / "desk"


def test_without_it_the_systems_own_place_for_a_users_data_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SCRIBEDESK_HOME", raising=False)
    for variable in ("XDG_DATA_HOME", "HOME", "LOCALAPPDATA"):
        monkeypatch.setenv(variable, str(tmp_path))
    if sys.platform != "win32":  # Windows asks its registry, which a test leaves alone.
        assert find_places().home.is_relative_to(tmp_path)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows keeps a user's folders to the user by itself")
def test_nobody_else_can_look_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCRIBEDESK_HOME", str(tmp_path / "desk"))
    assert find_places().home.stat().st_mode & 0o777 == 0o700
