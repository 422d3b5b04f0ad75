from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.store.audit import Action, Audit
from tests.store.syncs import watched_syncs

ROOT = Path(__file__).resolve().parents[2]
KEY = b"k" * 32


@contextmanager
def audit_at(path: Path, key: bytes | None = KEY) -> Iterator[Audit]:
    with closing(Audit(path, key, now=lambda: 1_700_000_000.25)) as audit:
        yield audit


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit"


def fill(path: Path, key: bytes | None = KEY, count: int = 5) -> list[bytes]:
    with audit_at(path, key) as audit:
        for number in range(count):
            audit.note(Action.RECORDED, f"s{number}", "12.5 s")
    return path.read_bytes().splitlines(keepends=True)


def first_misfit(path: Path, key: bytes | None = KEY) -> int | None:
    with audit_at(path, key) as audit:
        return audit.verify()


def test_who_did_what_when(path: Path) -> None:
    with audit_at(path) as audit:
        audit.note(Action.STARTED)
        audit.note(Action.KEYS, detail="locked")
    with audit_at(path) as audit:
        audit.note(Action.ERASED, "s1")
        entries = audit.entries()
    assert [(e.action, e.subject, e.detail) for e in entries] == [
        ("started", "", ""),
        ("keys", "", "locked"),
        ("erased", "s1", ""),
    ]
    assert {e.at for e in entries} == {"2023-11-14T22:13:20.250+00:00"}
    assert {bool(e.user) for e in entries} == {True}
    assert first_misfit(path) is None
    if sys.platform != "win32":
        assert path.stat().st_mode & 0o077 == 0


def test_each_line_is_on_the_disk_when_it_is_noted(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced = watched_syncs(monkeypatch)
    with audit_at(path) as audit:
        for _ in range(3):
            audit.note(Action.SENT, "s1")
            assert synced[path.stat().st_ino] == path.stat().st_size


@pytest.mark.parametrize("key", [KEY, None], ids=["keyed", "plain"])
@pytest.mark.parametrize(
    ("change", "at"),
    [
        (lambda lines: [*lines[:2], lines[2].replace(b"s2", b"s9"), *lines[3:]], 3),
        (lambda lines: [*lines[:1], *lines[2:]], 2),
        (lambda lines: [lines[1], lines[0], *lines[2:]], 1),
        (lambda lines: [*lines[:3], lines[2], *lines[3:]], 4),
        (lambda lines: [*lines[:4], b"nonsense\n", lines[4]], 5),
        (lambda lines: lines[1:], 1),
    ],
    ids=["changed", "removed", "swapped", "doubled", "inserted", "beginning gone"],
)
def test_what_was_tampered_with_shows(path: Path, key: bytes | None, change: object, at: int) -> None:
    assert callable(change)
    path.write_bytes(b"".join(change(fill(path, key))))
    assert first_misfit(path, key) == at
    with audit_at(path, key) as audit:
        audit.note(Action.STARTED)
        assert audit.verify() == at, "what is added does not heal it"
        assert audit.entries()[-1].action == "started"


def test_without_the_key_no_line_can_be_forged(path: Path) -> None:
    fill(path, b"another key of thirty-two bytes.")
    assert first_misfit(path) == 1
    assert first_misfit(path, None) is None, "it cannot be told"


def test_a_key_that_comes_later_seals_what_was_before_it(path: Path) -> None:
    with audit_at(path, None) as audit:
        audit.note(Action.STARTED)
        audit.use_key(KEY)
        audit.note(Action.UNLOCKED)
    assert first_misfit(path) is None
    lines = path.read_bytes().splitlines(keepends=True)
    with audit_at(path.with_name("other"), None) as forger:
        forger.note(Action.REVIEWED)
    path.write_bytes(path.with_name("other").read_bytes() + lines[1])
    assert first_misfit(path) == 2


def test_a_torn_last_line_is_cut_off(tmp_path: Path) -> None:
    whole = b"".join(fill(tmp_path / "whole", count=3))
    ends = [n + 1 for n, byte in enumerate(whole) if byte == 0x0A]
    for cut in sorted({*range(0, len(whole), 11), *(end + by for end in ends for by in (-2, -1, 0))}):
        path = tmp_path / "torn"
        path.write_bytes(whole[:cut])
        with audit_at(path) as audit:
            audit.note(Action.STARTED)
            assert audit.verify() is None
            assert len(audit.entries()) == 1 + sum(end <= cut for end in ends)


@given(st.text(max_size=300), st.text(max_size=300))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
def test_one_note_is_one_line_whatever_is_in_it(tmp_path: Path, subject: str, detail: str) -> None:
    path = tmp_path / "audit"
    path.unlink(missing_ok=True)
    with audit_at(path) as audit:
        audit.note(Action.SETTINGS_CHANGED, subject, detail)
        (entry,) = audit.entries()
        assert (entry.subject, entry.detail) == (subject, detail[:200])
        assert audit.verify() is None
    assert set(json.loads(path.read_bytes())) == {"at", "user", "action", "subject", "detail", "seal"}


CHILD = """
import sys
from pathlib import Path
from app.store.audit import Action, Audit
audit = Audit(Path(sys.argv[1]), None)
while True:
    audit.note(Action.SENT, "s")
    sys.stdout.write("noted\\n")
    sys.stdout.flush()
"""


@pytest.mark.fault("P6")
def test_a_kill_costs_no_line_that_was_noted(path: Path) -> None:
    noted = 0
    for count in (1, 17, 60):
        command = [sys.executable, "-c", CHILD, str(path)]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            for _ in range(count):
                process.stdout.readline()
            process.kill()
            noted += count + process.stdout.read().count(b"\n")
        with audit_at(path, None) as audit:
            assert audit.verify() is None
            assert len(audit.entries()) >= noted
            noted = len(audit.entries())
