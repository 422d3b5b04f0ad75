"""What holds for the repository as a whole, and would go unnoticed until it hurts somebody else."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
LOCKS = ("run.lock", "test.lock", "package.lock", "install.lock")
TOP_LEVEL = {
    *("pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "dev.py", "build.spec", *LOCKS),
    *("app", "resources", "tests", "packaging"),
    *(".ci", ".github", ".editorconfig", ".gitattributes", ".gitignore"),
}

# Written in pieces, so that this file does not hold what it looks for.
FOREIGN = {
    "a path of somebody's machine": re.compile(
        r"(?<![\w.])/" + r"(?:work|root|home/[a-z]\w*|Users/[a-z]\w*|opt/wheels|opt/pypi)/", re.IGNORECASE
    ),
    "a package registry": re.compile(
        r"pypi" + r"\.org|pythonhosted" + r"\.org|npmjs" + r"\.(?:org|com)|deb\.debian" + r"\.org|pkg" + r"\.dev"
    ),
}

LOCKED = re.compile(r"^(?P<name>[a-z0-9-]+)==(?P<version>[\w.+!]+)(?: ; [^/@]+?)? \\$")
HASH = re.compile(r"^    --hash=sha256:[0-9a-f]{64}(?: \\)?$")


def tracked_files() -> list[Path]:
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True).stdout
    return [Path(name) for name in listing.split("\0") if name]


def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("what", FOREIGN)
def test_no_tracked_file_names(what: str) -> None:
    found = []
    for name in tracked_files():
        content = (ROOT / name).read_bytes() if (ROOT / name).is_file() else b""
        if b"\0" in content:
            continue
        for number, line in enumerate(content.decode("utf-8").splitlines(), start=1):
            if FOREIGN[what].search(line):
                found.append(f"{name}:{number}: {line.strip()[:120]}")
    assert not found, f"{what} is named:\n" + "\n".join(found)


def test_the_top_level_holds_only_what_belongs_there() -> None:
    assert {name.parts[0] for name in tracked_files()} - TOP_LEVEL == set()


def locked(lock: str) -> dict[str, set[str]]:
    """Each package of a lock with its versions, of which there may be one for each Python or system."""
    versions: dict[str, set[str]] = {}
    for line in (ROOT / lock).read_text(encoding="utf-8").splitlines():
        if match := LOCKED.match(line):
            versions.setdefault(match["name"], set()).add(match["version"])
        else:
            assert HASH.match(line), f"{lock} holds more than names, versions and hashes: {line}"
    return versions


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_holds_what_the_project_asks_for(lock: str) -> None:
    groups = project()["dependency-groups"]
    asked = [
        *groups.get(lock.removesuffix(".lock"), []),
        *(project()["project"]["dependencies"] if lock != "install.lock" else []),
    ]
    pins = locked(lock)
    for requirement in map(Requirement, asked):
        versions = pins.get(canonicalize_name(requirement.name), set())
        assert versions, f"{lock} lacks {requirement.name}: run dev.py lock"
        assert all(requirement.specifier.contains(version) for version in versions), f"{requirement}: {versions}"


@pytest.mark.parametrize("lock", ["test.lock", "package.lock"])
def test_the_other_locks_contain_that_of_the_app(lock: str) -> None:
    """So that what is tested and packaged is what runs."""
    assert locked("run.lock").items() <= locked(lock).items()


def test_every_package_of_the_app_is_placed_in_an_import_contract() -> None:
    placed = {
        name for contract in project()["tool"]["importlinter"]["contracts"] for name in contract["source_modules"]
    }
    packages = {f"app.{folder.parent.name}" for folder in (ROOT / "app").glob("*/__init__.py")}
    assert packages <= placed


IMPORT_ALL = """
import importlib, pkgutil, threading
import app
guilty = []
for module in pkgutil.walk_packages(app.__path__, "app."):
    if not module.name.endswith("__main__"):
        before = set(threading.enumerate())
        importlib.import_module(module.name)
        guilty += [f"{module.name} starts {thread.name}" for thread in set(threading.enumerate()) - before]
assert not guilty, guilty
"""


def test_importing_the_app_does_nothing() -> None:
    done = subprocess.run([sys.executable, "-c", IMPORT_ALL], cwd=ROOT, check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
