"""Settings and what services said of themselves: kept whole, and never a reason not to start."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings

from app.core.problems import Problem, ProblemKind
from app.core.scribe import Discovery, ServiceModel
from app.core.settings import Settings
from app.store.places import Places
from app.store.remembered import load_discovery, load_settings, save_discovery, save_settings
from tests.store.journalled import values
from tests.store.small_disk import largest_file, needs_small_disk


def test_the_usual_settings_are_in_force_where_there_are_none(tmp_path: Path) -> None:
    assert load_settings(Places(tmp_path)) == (Settings(), None)


@given(kept=values(Settings))
@settings(max_examples=30, deadline=None)
def test_settings_come_back_as_they_were(kept: Settings, tmp_path_factory: pytest.TempPathFactory) -> None:
    places = Places(tmp_path_factory.mktemp("home"))
    save_settings(places, kept)
    assert load_settings(places) == (kept, None)


@pytest.mark.parametrize(
    "damaged",
    [b"", b"\0" * 200, b'{"microphone": "US', b"[]", b'{"templates": 7}', b'{"microphone": null}', b"\xff\xfe{}"],
)
def test_an_unreadable_file_is_told_of_and_kept_beside(tmp_path: Path, damaged: bytes) -> None:
    places = Places(tmp_path)
    places.settings.write_bytes(damaged)
    assert load_settings(places) == (Settings(), Problem(ProblemKind.SETTINGS_UNREADABLE, "settings.json"))
    assert (tmp_path / "settings.unreadable").read_bytes() == damaged
    save_settings(places, Settings(microphone="USB"))
    assert load_settings(places) == (Settings(microphone="USB"), None)
    assert (tmp_path / "settings.unreadable").read_bytes() == damaged


def test_what_another_version_wrote_is_read_as_far_as_it_is_known(tmp_path: Path) -> None:
    places = Places(tmp_path)
    places.settings.write_bytes(b'{"microphone": "USB", "holograms": true}')
    assert load_settings(places) == (Settings(microphone="USB"), None)


@needs_small_disk
def test_a_full_disk_leaves_the_old_settings(tmp_path: Path) -> None:
    places = Places(tmp_path)
    save_settings(places, Settings(microphone="old"))
    with largest_file(500), pytest.raises(OSError, match="large"):
        save_settings(places, Settings(microphone="new" * 500))
    assert load_settings(places)[0].microphone == "old"


def test_each_service_is_remembered_by_itself(tmp_path: Path) -> None:
    places = Places(tmp_path)
    near = Discovery("Near", ("audio/ogg",), 12.5, models=(ServiceModel("lite"),))
    assert load_discovery(places, "local") is None
    save_discovery(places, "local", near)
    save_discovery(places, "https://far.example/voice/v1", Discovery("Far"))
    assert load_discovery(places, "local") == near
    assert load_discovery(places, "https://far.example/voice/v1") == Discovery("Far")
    assert load_discovery(places, "https://far.example/voice/v2") is None


def test_a_damaged_memory_of_a_service_is_no_memory(tmp_path: Path) -> None:
    places = Places(tmp_path)
    save_discovery(places, "local", Discovery("Near"))
    for file in places.services.iterdir():
        file.write_bytes(b"{")
    assert load_discovery(places, "local") is None


def test_a_services_address_never_becomes_a_path(tmp_path: Path) -> None:
    places = Places(tmp_path / "home")
    places.home.mkdir()
    save_discovery(places, "../../../" + "x" * 5000, Discovery("Odd"))
    assert [p.parent for p in tmp_path.rglob("*.json")] == [places.services]
