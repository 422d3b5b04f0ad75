"""The runner's decisions; that its commands work on a bare machine is proven on one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import dev


@pytest.mark.parametrize(
    ("platform", "variables", "expected"),
    [
        ("win32", {}, True),
        ("darwin", {}, True),
        ("linux", {"DISPLAY": ":0"}, True),
        ("linux", {"WAYLAND_DISPLAY": "wayland-0"}, True),
        ("linux", {"DISPLAY": ""}, False),
        ("linux", {}, False),
    ],
)
def test_a_screen_is_noticed(platform: str, variables: dict[str, str], expected: bool) -> None:
    assert dev.has_screen(platform, variables) is expected


def test_only_what_is_missing_is_installed() -> None:
    listing = "libgl1 ii \nlibegl1 rc \nxvfb un \n"
    assert dev.not_installed(["libgl1", "libegl1", "xvfb", "flite"], listing) == ["libegl1", "xvfb", "flite"]


def test_a_library_is_known_by_the_name_of_a_newer_debian() -> None:
    assert dev.not_installed(["libglib2.0-0"], "libglib2.0-0t64 ii \n") == []


def test_without_the_right_to_install_the_one_line_to_type_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(dev, "elevation", lambda: None)
    dev.install_system_packages(["libgl1", "xvfb"])
    said = capsys.readouterr()
    assert "sudo apt-get install -y --no-install-recommends libgl1 xvfb" in said.err
    assert said.out == ""


@pytest.fixture
def locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the locks of the app and of its tests, in place of the repository."""
    monkeypatch.setattr(dev, "ROOT", tmp_path)
    for kind in ("run", "test"):
        (tmp_path / f"{kind}.lock").write_text(f"{kind} 1")
    return tmp_path


def test_the_packages_of_the_tests_include_those_of_the_app(locks: Path) -> None:
    assert not dev.is_installed(locks, "run")
    dev.mark_installed(locks, "test")
    assert dev.is_installed(locks, "test")
    assert dev.is_installed(locks, "run")


def test_a_changed_lock_is_installed_again(locks: Path) -> None:
    dev.mark_installed(locks, "test")
    (locks / "run.lock").write_text("run 2")
    assert not dev.is_installed(locks, "run")
    dev.mark_installed(locks, "run")
    assert dev.is_installed(locks, "run")
    assert not dev.is_installed(locks, "test")  # whose packages may have been replaced


def test_an_unknown_command_is_answered_with_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert dev.main(["rum"]) == 2
    assert "python3 dev.py run" in capsys.readouterr().err


def test_the_app_is_found_from_any_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "elsewhere")
    assert dev.environment()["PYTHONPATH"].split(os.pathsep) == [str(dev.ROOT), "elsewhere"]
