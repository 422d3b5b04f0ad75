"""What the stand-alone program is made of."""

from __future__ import annotations

from pathlib import Path

import bundle
import pytest


@pytest.mark.parametrize(
    "destination",
    [
        "PySide6/Qt/plugins/platforms/libqxcb.so",
        "PySide6/Qt/plugins/platforms/libqoffscreen.so",
        "PySide6/Qt/plugins/imageformats/libqsvg.so",
        "PySide6\\plugins\\platforms\\qwindows.dll",
        "PySide6/Qt/translations/qtbase_hi.qm",
        "PySide6/Qt/lib/libQt6Widgets.so.6",
        "resources/icons/record.svg",
        "pocketsphinx/model/en-us/cmudict-en-us.dict",
        "libportaudio.so.2",
    ],
)
def test_what_the_window_and_the_microphone_need_is_kept(destination: str) -> None:
    assert bundle.is_kept(destination)


@pytest.mark.parametrize(
    "destination",
    [
        "PySide6/Qt/plugins/platformthemes/libqgtk3.so",
        "PySide6\\plugins\\imageformats\\qtiff.dll",
        "PySide6/Qt/translations/qtbase_ko.qm",
        "PySide6\\opengl32sw.dll",
        "PySide6/Qt/lib/libQt6Quick.so.6",
        "libgtk-3.so.0",
    ],
)
def test_what_no_window_of_ours_loads_is_left_out(destination: str) -> None:
    assert not bundle.is_kept(destination)


def test_windows_has_a_program_for_the_window_and_one_for_the_command_line() -> None:
    consoles = {each.name: each.has_console for each in bundle.executables("win32")}
    assert consoles == {"ScribeDesk": False, "scribedesk-cli": True}
    assert len({name.lower() for name in consoles}) == len(consoles)  # or one file would replace the other


def test_elsewhere_one_program_is_both() -> None:
    assert [each.name for each in bundle.executables("linux")] == ["scribedesk"]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("numpy/_core/_multiarray_umath.cpython-311-x86_64-linux-gnu.so", True),
        ("PySide6/Qt/lib/libQt6Core.so.6", True),
        ("numpy.libs/libscipy_openblas64_-ff651d7f.so", False),
        ("libgfortran-040039e1.so.5.0.0", False),
        ("resources/scribedesk.svg", False),
    ],
)
def test_only_libraries_that_survive_it_are_stripped(path: str, expected: bool) -> None:
    assert bundle.is_strippable(Path(path)) is expected
