"""The commands of whoever works on ScribeDesk, on nothing but Python's standard library.

``python3 dev.py run`` starts the app and ``python3 dev.py test`` checks everything; on Windows say ``py dev.py``.
Each installs what it needs, system libraries too where it may, and notices in a moment when all is there already.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent
IS_WINDOWS = os.name == "nt"

# Every locked package has a wheel for these; the check of `dev.py lock` keeps it true.
PYTHONS = ("3.11", "3.12", "3.13")
PLATFORMS = ("x86_64-manylinux_2_34", "windows", "aarch64-apple-darwin")

# Debian's names. Elsewhere than on Linux the wheels carry all of this themselves.
SYSTEM_PACKAGES = {
    "run": (
        *("libgl1", "libegl1", "libglib2.0-0", "libxkbcommon0", "libdbus-1-3", "libfontconfig1"),
        *("libxcb-cursor0", "libxcb-icccm4", "libxcb-keysyms1", "libxcb-shape0", "libxkbcommon-x11-0"),
        *("libportaudio2", "libasound2-plugins", "fonts-noto-core"),
    ),
    "test": (
        *("xvfb", "openbox", "imagemagick", "dbus", "at-spi2-core", "gir1.2-atspi-2.0", "python3-gi"),
        *("pulseaudio", "pulseaudio-utils", "flite"),
        *("gnome-keyring", "iproute2", "nftables", "fiu-utils", "e2fsprogs"),
    ),
    "package": ("binutils", f"libpython3.{sys.version_info.minor}"),
}

# One file's tests share what they start. In the order of the files the longest ones do not come last.
SIDE_BY_SIDE = ("-n", "auto", "--dist", "loadfile", "--no-loadscope-reorder")

# The tests and the stand-alone program get the very versions that the app runs with.
WITH_THE_APP = ("pyproject.toml", "--constraint", "run.lock", "--group")
LOCKS = {
    "run": ("pyproject.toml",),
    "test": (*WITH_THE_APP, "test"),
    "package": (*WITH_THE_APP, "package"),
    "install": ("--group", "install"),
}

HELP = """\
python3 dev.py run [ARGUMENTS]   start the app; arguments go to scribedesk: run send visit.wav --json
python3 dev.py test [ARGUMENTS]  check everything; arguments go to pytest: --slow adds what takes minutes
python3 dev.py lint              the checks that take seconds
python3 dev.py bench             measure how fast and how well it works here
python3 dev.py package           build the program that needs no Python, in dist/
python3 dev.py lock [--upgrade]  choose the versions of all libraries anew
"""


def main(arguments: Sequence[str]) -> int:
    """Run the command that the arguments name."""
    commands: dict[str, Callable[[Sequence[str]], int]] = {
        "run": run,
        "test": test,
        "lint": lint,
        "bench": bench,
        "package": package,
        "lock": lock,
    }
    name, *rest = arguments or [""]
    if name not in commands:
        is_asked = name in {"", "help", "-h", "--help"}
        print(HELP, end="", file=sys.stdout if is_asked else sys.stderr)
        return 0 if is_asked else 2
    use_a_known_python()
    return commands[name](rest)


# --- the commands ---------------------------------------------------------------------------------------------


def run(arguments: Sequence[str]) -> int:
    """Start the app: the window, or where there is no screen a practice run without one."""
    python = set_up("run")
    default = () if has_screen(sys.platform, os.environ) else ("practise",)
    command = [str(python), "-m", "app", *(arguments or default)]
    if not IS_WINDOWS:  # where it would give the console back before the app is done
        os.execve(python, command, environment())
    return subprocess.call(command, env=environment())


def test(arguments: Sequence[str]) -> int:
    """Every check there is."""
    python = set_up("test")
    are_clean = check_code(python)
    tests = call(python, "-m", "pytest", *SIDE_BY_SIDE, *arguments)
    return 0 if are_clean and tests == 0 else 1


def lint(_arguments: Sequence[str]) -> int:
    """The checks that read the code, and those that read the repository."""
    python = set_up("test")
    are_clean = check_code(python)
    hygiene = call(python, "-m", "pytest", "-q", "tests/test_repository.py")
    return 0 if are_clean and hygiene == 0 else 1


def bench(arguments: Sequence[str]) -> int:
    """Measure."""
    return call(set_up("test"), "-m", "tests.bench", *arguments)


def package(_arguments: Sequence[str]) -> int:
    """Build the stand-alone program."""
    python = set_up("package")
    return call(python, "packaging/bundle.py")


def lock(arguments: Sequence[str]) -> int:
    """Write the locks from pyproject.toml, then see that every system we serve finds its wheels in them."""
    # Neither uv's own settings nor this machine's places of wheels belong in a lock.
    uv = (set_up("test"), "-m", "uv", "--no-config", "pip")
    form = (
        *("compile", "--quiet", "--universal", "--python-version", PYTHONS[0], "--generate-hashes"),
        *("--no-annotate", "--no-header", "--no-emit-index-url", "--no-emit-find-links", *arguments),
    )
    for kind, sources in LOCKS.items():
        if failed := call(*uv, *form, *sources, "-o", f"{kind}.lock"):
            return failed
    for version in PYTHONS:
        for platform in PLATFORMS:
            target = ("--python-version", version, "--python-platform", platform, "--target", ".venv/none")
            if failed := call(*uv, "install", "--dry-run", *target, *only_locked("run")):
                say(f"Not every library has a wheel for Python {version} on {platform}: see above.")
                return failed
    return 0


def check_code(python: Path) -> bool:
    """Let the tools that only read the code do so side by side, and tell what they found."""
    scripts = python.parent
    checks: dict[str, list[str | Path]] = {
        "ruff check": [python, "-m", "ruff", "check", "--quiet", "."],
        "ruff format": [python, "-m", "ruff", "format", "--quiet", "--diff", "."],
        "mypy": [python, "-m", "mypy"],
        "import contracts": [scripts / "lint-imports"],
    }
    running = {
        name: subprocess.Popen(
            command, cwd=ROOT, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        for name, command in checks.items()
    }
    are_clean = True
    for name, process in running.items():
        report, _ = process.communicate()
        print(f"{name}: {'clean' if process.returncode == 0 else 'NOT CLEAN'}", flush=True)
        if process.returncode:
            print(report, flush=True)
            are_clean = False
    return are_clean


# --- setting up -----------------------------------------------------------------------------------------------


def set_up(kind: str) -> Path:
    """See that all that ``kind`` needs is installed; return the Python to use."""
    home = ROOT / (".venv-package" if kind == "package" else ".venv")
    python = home / ("Scripts/python.exe" if IS_WINDOWS else "bin/python")
    missing = missing_system_packages(("run",) if kind == "run" else ("run", kind))
    is_ready = python.exists() and is_installed(home, kind)
    if not missing and is_ready:
        return python

    began = time.monotonic()
    if not python.exists() and not works(sys.executable, "-c", "import ensurepip"):
        install_system_packages(["python3-venv"])  # Debian and its kin keep apart what a venv takes
    with ThreadPoolExecutor(1) as beside:
        installing = None if is_ready else beside.submit(install_python_packages, home, python, kind)
        install_system_packages(missing)
        if not is_ready and sys.platform.startswith("linux") and not has_apt():
            names = ", ".join(SYSTEM_PACKAGES["run"])
            say(f"This system has no apt. Please see that it has what Debian calls {names}.")
        if installing:
            installing.result()
            say(f"Set up in {time.monotonic() - began:.0f} s.")
    return python


def install_python_packages(home: Path, python: Path, kind: str) -> None:
    """Put what the lock of ``kind`` names into the venv, which is made if need be."""
    if not works(python, "-m", "pip", "--version"):  # no venv yet, or one whose making was cut off
        made = quietly(sys.executable, "-m", "venv", home)
        if made.returncode:
            raise SystemExit(f"{made.stdout}{made.stderr}Python could not make a virtual environment here.")
    say(f"Installing the Python packages of {kind}.lock.")
    pip = (python, "-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--no-user")
    uv = (python, "-m", "uv", "pip", "install", "--system-certs", "--python", python)
    # uv takes a fraction of the time. But it does not read pip's settings, which may name the only way out of
    # this network, and then pip does the work.
    is_done = works(*pip, *only_locked("install")) and works(*uv, *only_locked(kind))
    if not is_done and call(*pip, *only_locked(kind)):
        raise SystemExit("The Python packages could not be installed: see above.")
    mark_installed(home, kind)


def only_locked(kind: str) -> tuple[str | Path, ...]:
    """What tells pip and uv alike to take the wheels of a lock and nothing else."""
    return "--quiet", "--require-hashes", "--only-binary=:all:", "-r", ROOT / f"{kind}.lock"


def is_installed(home: Path, kind: str) -> bool:
    """Whether the venv holds the present lock of ``kind``."""
    stamp = home / f".installed-{kind}"
    return stamp.exists() and stamp.read_text(encoding="utf-8") == fingerprint(kind)


def mark_installed(home: Path, kind: str) -> None:
    """Remember that the lock of ``kind`` is in the venv: with it ``run``'s, which each of the others contains."""
    for stamp in home.glob(".installed-*"):
        stamp.unlink()
    for each in {"run", kind}:
        (home / f".installed-{each}").write_text(fingerprint(each), encoding="utf-8")


def fingerprint(kind: str) -> str:
    """Changes when the lock does, or the Python that a venv is made of."""
    version = ".".join(map(str, sys.version_info[:2]))
    return f"{version} {hashlib.sha256((ROOT / f'{kind}.lock').read_bytes()).hexdigest()}\n"


def missing_system_packages(kinds: Iterable[str]) -> list[str]:
    """The Debian packages that are not here; none on a system without dpkg."""
    if not has_apt():
        return []
    wanted = [name for kind in kinds for name in SYSTEM_PACKAGES[kind]]
    form = "-f=${Package} ${db:Status-Abbrev}\n"
    return not_installed(wanted, quietly("dpkg-query", "-W", form, *wanted, *map(newer_name, wanted)).stdout)


def has_apt() -> bool:
    """Whether this system is Debian or one of its kin."""
    return shutil.which("dpkg-query") is not None and shutil.which("apt-get") is not None


def not_installed(wanted: Iterable[str], listing: str) -> list[str]:
    """Which of the packages ``dpkg-query``'s listing does not show as installed, under either name."""
    installed = {line.split()[0] for line in listing.splitlines() if line.split()[1:] == ["ii"]}
    return [name for name in wanted if name not in installed and newer_name(name) not in installed]


def newer_name(name: str) -> str:
    """The name that a library got in Debian 13 and Ubuntu 24.04, if its interface holds a time."""
    return f"{name}t64"


def install_system_packages(missing: Sequence[str]) -> None:
    """Install with apt where that is ours to do; else say the one line to type."""
    if not missing:
        return
    command = ["apt-get", "install", "-y", "--no-install-recommends", *missing]
    if (prefix := elevation()) is None:
        say(f"Some system packages are missing. Please run:\n  sudo {' '.join(command)}")
        return
    say(f"Installing system packages: {' '.join(missing)}.")
    apt = [*prefix, "env", "DEBIAN_FRONTEND=noninteractive"]
    patient = [*apt, command[0], "-qq", "-o", "DPkg::Lock::Timeout=300", *command[1:]]
    if works(*patient):
        return
    # The lists of packages are missing or old.
    subprocess.call([*apt, "apt-get", "update", "-qq"], stdout=subprocess.DEVNULL)
    if subprocess.call(patient, stdout=subprocess.DEVNULL):
        say(f"These could not be installed: see above. Please run:\n  sudo {' '.join(command)}")


def elevation() -> list[str] | None:
    """What goes before a command that changes the system; None where we may not."""
    if not has_apt():
        return None
    if os.geteuid() == 0:
        return []
    if (sudo := shutil.which("sudo")) is None:
        return None
    if works(sudo, "-n", "true"):
        return [sudo, "-n"]
    return [sudo] if sys.stdin.isatty() else None


# --- small things ---------------------------------------------------------------------------------------------


def use_a_known_python() -> None:
    """Go on under a Python that the libraries are built for, if this is not one."""
    if ".".join(map(str, sys.version_info[:2])) in PYTHONS:
        return
    for version in reversed(PYTHONS):
        for command in ([f"python{version}"], ["py", f"-{version}"]):
            if works(*command, "-c", ""):
                raise SystemExit(subprocess.call([*command, *sys.argv]))
    raise SystemExit(f"ScribeDesk needs Python {PYTHONS[0]} to {PYTHONS[-1]}; this is {sys.version.split()[0]}.")


def has_screen(platform: str, variables: Mapping[str, str]) -> bool:
    """Whether a window can be shown."""
    return platform in {"win32", "darwin"} or bool(variables.get("DISPLAY") or variables.get("WAYLAND_DISPLAY"))


def environment() -> dict[str, str]:
    """The caller's environment, from which the app is found whatever the caller's folder."""
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


def call(*command: str | Path) -> int:
    """Run a tool in the repository; return what it returned."""
    return subprocess.call(command, cwd=ROOT, env=environment())


def quietly(*command: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a command and keep what it says."""
    return subprocess.run(command, check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL)


def works(*command: str | Path) -> bool:
    """Whether a command is there and succeeds."""
    return shutil.which(command[0]) is not None and quietly(*command).returncode == 0


def say(text: str) -> None:
    """Tell the person; standard output is the app's."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
