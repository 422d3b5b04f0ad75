"""What goes into the stand-alone program, and the making of it; the values are read by ``build.spec``.

Single-threaded, run by ``dev.py package`` on the system that the program is for.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
NAME = "ScribeDesk"
FOLDER = ROOT / "dist" / NAME


@dataclass(frozen=True)
class Executable:
    """One of the programs in the folder; all of them share the rest."""

    name: str
    has_console: bool


def executables(platform: str) -> tuple[Executable, ...]:
    """Windows wants a program for the window and another for the command line; elsewhere one is both."""
    if platform == "win32":
        return Executable(NAME, has_console=False), Executable("scribedesk-cli", has_console=True)
    return (Executable("scribedesk", has_console=platform != "darwin"),)


# Imported by name at run time, so that no analysis finds them.
HIDDEN_IMPORTS = ("app.service.sphinx_worker", "keyring.backends")
# Their versions or entry points are looked up at run time.
WITH_METADATA = ("pocketsphinx", "keyring", "opentelemetry-api")
# Data that belongs to a library, with the part of it that is never read.
WITH_DATA = {"pocketsphinx": ("**/en-us-phone.lm.bin",)}

# Optional friends of our libraries, and what only their tests need.
EXCLUDED_MODULES = (
    *("tkinter", "lib2to3", "pydoc", "doctest", "setuptools", "pip", "PIL"),
    *("chardet", "charset_normalizer", "rich", "pygments", "trio", "h2", "socksio", "uvloop", "watchfiles"),
    *("numpy.f2py", "numpy.testing", "numpy.distutils"),
    *("PySide6.QtDBus", "PySide6.QtOpenGL", "PySide6.QtOpenGLWidgets", "PySide6.QtQml", "PySide6.QtQuick"),
)

# Parts of Qt that a window with widgets never loads, and what they drag in from the machine that builds.
_DROPPED = re.compile(
    r"""(
      PySide6/(Qt/)?plugins/(
          platformthemes/libqgtk3 | platforms/libq(eglfs|linuxfb|minimal|minimalegl|vkkhrdisplay|vnc)
        | egldeviceintegrations/ | generic/ | platforminputcontexts/libqtvirtualkeyboard
        | imageformats/(lib)?q(pdf|tiff|tga|wbmp|webp|icns|gif) | networkinformation/
        | wayland-graphics-integration-server/ )
    | PySide6/(Qt/)?translations/(?!qtbase_(en|hi|ta|bn|te|ur|fr|de|es))
    | Qt6?(EglFS|Eglfs|WaylandCompositor|Qml|Quick|VirtualKeyboard|Pdf|OpenGL)
    | /opengl32sw\.dll$
    | ^lib(gtk-3|gdk-3|gdk_pixbuf|cairo|pango|atk|atspi|epoxy|harfbuzz|pixman|fribidi|thai|datrie|graphite2
        |Xcomposite|Xcursor|Xdamage|Xi\.|Xinerama|Xrandr|gio-2|gobject-2|gmodule-2|jpeg|mount|blkid|selinux
        |drm|gbm|wayland-server)
    )""",
    re.VERBOSE,
)

# Shown by macOS when it asks the user for the microphone.
MAC_PROPERTIES: dict[str, Any] = {
    "CFBundleDisplayName": NAME,
    "NSMicrophoneUsageDescription": "ScribeDesk records the consultation when you press Record.",
    "NSHighResolutionCapable": True,
    "LSMinimumSystemVersion": "13.0",
}
MAC_IDENTIFIER = "org.scribedesk.ScribeDesk"


def is_kept(destination: str) -> bool:
    """Whether a file that the analysis found goes into the program."""
    return _DROPPED.search(destination.replace("\\", "/")) is None


def is_strippable(path: Path) -> bool:
    """Whether a library can lose its symbols: those that a wheel's maker patched no longer load without."""
    is_library = path.suffix == ".so" or ".so." in path.name
    is_patched = any(part.endswith(".libs") for part in path.parts) or re.search(r"-[0-9a-f]{8}", path.name)
    return is_library and not is_patched


def strip(folder: Path) -> None:
    """Take the symbols out of the libraries; PyInstaller's own way breaks numpy."""
    libraries = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    subprocess.run(["strip", "--strip-unneeded", *filter(is_strippable, libraries)], check=True)


def megabytes(files: Iterable[Path]) -> float:
    """What files take together."""
    return sum(path.stat().st_size for path in files if path.is_file() and not path.is_symlink()) / 1e6


def prove(program: Path) -> None:
    """See that the program starts: its service imports most of what there is, and answers."""
    with tempfile.TemporaryDirectory() as home:
        environment = {**os.environ, "SCRIBEDESK_HOME": home}
        service = subprocess.Popen([program, "serve"], env=environment, stdout=subprocess.PIPE)
        with service:
            assert service.stdout is not None
            line = service.stdout.readline()
            service.terminate()
    if b"base_url" not in line:
        raise SystemExit(f"{program} was built, but does not work.")


def main() -> int:
    """Build the program in ``dist``, and see that it works."""
    build = [sys.executable, "-m", "PyInstaller", "--noconfirm", "--clean", "--log-level", "WARN", "build.spec"]
    if failed := subprocess.call(build, cwd=ROOT):
        return failed
    if sys.platform.startswith("linux"):
        strip(FOLDER)
    console = next(each for each in executables(sys.platform) if each.has_console or sys.platform == "darwin")
    prove(FOLDER / (f"{console.name}.exe" if sys.platform == "win32" else console.name))
    print(f"{FOLDER.relative_to(ROOT)}: {megabytes(FOLDER.rglob('*')):.0f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
