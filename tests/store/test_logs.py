from __future__ import annotations

import logging
import subprocess
import sys
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.store.logs import clean, described, start_log

ROOT = Path(__file__).resolve().parents[2]
CANARY = "Zanzibarsky"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "logs"


@pytest.fixture
def log(folder: Path) -> Iterator[logging.Logger]:
    root = logging.getLogger()
    level = root.level
    handler = start_log(folder)
    yield logging.getLogger("app.somewhere")
    root.removeHandler(handler)
    handler.close()
    root.setLevel(level)


def lines(folder: Path) -> list[str]:
    return (folder / "scribedesk.log").read_text(encoding="utf-8").splitlines()


# What stands in a line


@pytest.mark.fault("X9")
@given(st.text(max_size=3000))
def test_a_line_is_one_line_of_plain_characters(text: str) -> None:
    shown = clean(text)
    assert len(shown) <= 2000
    assert not {unicodedata.category(c) for c in shown} & {"Cc", "Cf", "Cs", "Zl", "Zp"}


@pytest.mark.fault("X9")
@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("red \x1b[31malarm\x1b[0m", r"red \x1b[31malarm\x1b[0m"),
        ("one\nFORGED two\r\n", r"one\nFORGED two\r\n"),
        ("file \u202egpj.exe", r"file \u202egpj.exe"),
        ("\u2066hidden\u2069 \u200b", r"\u2066hidden\u2069 \u200b"),
        ("a\u2028b\x00", r"a\u2028b\x00"),
        ("half \ud800", r"half \ud800"),
        ("Fieber über 39 °C, मधुमेह", "Fieber über 39 °C, मधुमेह"),
    ],
)
def test_marks_that_deceive_are_shown_by_number(text: str, shown: str) -> None:
    assert clean(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "GET https://files.example.com/up/7.ogg?X-Amz-Signature=SECRET&x=SECRET failed",
        "see https://asha:SECRET@example.com/path",
        "at https://example.com/#access_token=SECRET",
        "'Authorization': 'Bearer SECRETSECRET'",
        "authorization: Basic SECRET==",
        "headers {'X-API-Key': 'SECRET'}",
        "Cookie: a=SECRET; b=SECRET",
        'refresh_token="SECRET"',
        "sent Bearer SECRET-SECRET.SECRET",
        "token eyJSECRETSECRET.SECRET.SECRET is old",
        "password=SECRET",
    ],
)
def test_what_looks_like_a_secret_is_left_out(text: str) -> None:
    assert "SECRET" not in clean(text)
    assert "…" in clean(text)


def test_what_helps_stays() -> None:
    text = "PUT https://api.example.com/sessions/7/upload: HTTP 503 service_unavailable (try 3)"
    assert clean(text) == text


def test_a_long_line_is_cut(log: logging.Logger, folder: Path) -> None:
    log.error("x" * 1_000_000)
    (line,) = lines(folder)
    assert len(line) == 2000
    assert line.endswith("x…")


# Exceptions


def raise_in_turn() -> None:
    try:
        int(CANARY)
    except ValueError as error:
        raise LookupError(CANARY) from error


@pytest.mark.fault("P7")
def test_an_exception_is_told_without_its_words(log: logging.Logger, folder: Path) -> None:
    try:
        raise_in_turn()
    except LookupError as error:
        log.exception("could not do it")
        told = described(error)
    assert CANARY not in (folder / "scribedesk.log").read_text(encoding="utf-8")
    written = lines(folder)
    assert written[0].endswith("ERROR MainThread app.somewhere: could not do it")
    assert written[1:] == told.splitlines()
    assert told.startswith("LookupError\n")
    assert "\ncaused by ValueError\n" in told
    assert f"{Path(__file__).name}:" in told
    assert " in raise_in_turn" in told


def test_a_long_fall_is_shortened() -> None:
    def fall() -> None:
        fall()

    try:
        fall()
    except RecursionError as error:
        told = described(error).splitlines()
    assert len(told) == 1 + 5 + 1 + 20
    assert "more" in told[6]


def test_chained_exceptions_come_to_an_end() -> None:
    first, second = ValueError(), KeyError()
    first.__cause__, second.__cause__ = second, first
    assert described(first).count("caused by") == 4


@pytest.fixture
def lone(log: logging.Logger) -> logging.Logger:
    """A logger whose lines go into our file alone."""
    lone = logging.Logger("app.lone")
    lone.addHandler(logging.getLogger().handlers[-1])
    return lone


def test_values_that_cannot_be_shown_do_no_harm(lone: logging.Logger, folder: Path) -> None:
    lone.error("%d chunks", CANARY)
    (line,) = lines(folder)
    assert line.endswith("%d chunks (its values cannot be shown)")


def run(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    start = (
        "import sys, threading\nfrom pathlib import Path\nfrom app.store import logs\n"
        "folder = Path(sys.argv[1]); logs.start_log(folder); logs.catch_bugs()\n"
    )
    command = [sys.executable, "-c", start + code, str(folder)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


UNCAUGHT = {
    "main": f"raise ValueError('{CANARY}')",
    "thread": f"""
def work(): raise ValueError('{CANARY}')
thread = threading.Thread(target=work, name='busy'); thread.start(); thread.join()
""",
    "finalizer": f"""
class Thing:
    def __del__(self): raise ValueError('{CANARY}')
    def __repr__(self): return '{CANARY}'
Thing()
""",
}


@pytest.mark.fault("P7")
@pytest.mark.parametrize("where", UNCAUGHT)
def test_what_nobody_caught_is_logged_without_its_words(folder: Path, where: str) -> None:
    done = run(UNCAUGHT[where], folder)
    assert done.returncode == (1 if where == "main" else 0)
    assert CANARY not in done.stdout + done.stderr
    written = "\n".join(lines(folder))
    assert CANARY not in written
    assert "\nValueError\n" in written
    assert "busy" in written if where == "thread" else "MainThread" in written


def test_an_interrupt_is_no_bug(folder: Path) -> None:
    done = run("raise KeyboardInterrupt", folder)
    assert (done.stdout, done.stderr) == ("", "")
    assert not (folder / "scribedesk.log").exists()


# Files


def test_the_log_does_not_grow_for_ever_and_is_private(lone: logging.Logger, folder: Path) -> None:
    for _ in range(2600):
        lone.error("x" * 1900)
    sizes = {path.name: path.stat().st_size for path in folder.iterdir()}
    assert len(sizes) == 4
    assert max(sizes.values()) <= 1_000_000
    if sys.platform != "win32":
        assert {path.stat().st_mode & 0o077 for path in folder.iterdir()} == {0}
        assert folder.stat().st_mode & 0o077 == 0


def test_without_a_disk_the_program_goes_on(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    handler = start_log(tmp_path / "file" / "logs")
    try:
        logging.getLogger("app.somewhere").error(CANARY)
    finally:
        logging.getLogger().removeHandler(handler)
        handler.close()
    assert capfd.readouterr().err == ""


def test_addresses_of_requests_are_not_logged(log: logging.Logger, folder: Path) -> None:
    logging.getLogger("httpx").info("HTTP Request: PUT https://example.com/%s", CANARY)
    log.warning("mark")
    assert len(lines(folder)) == 1


# Crashes


@pytest.mark.fault("D12")
def test_a_crash_leaves_places_and_no_values(folder: Path) -> None:
    done = run(
        f"""
logs.forbid_dumps(); logs.watch_for_crashes(folder)
import os, signal
def visit(patient):
    note = patient * 3
    os.kill(os.getpid(), signal.SIGSEGV) if os.name != 'nt' else __import__('faulthandler')._sigsegv()
visit('{CANARY}')
""",
        folder,
    )
    assert done.returncode != 0
    crash = (folder / "crash.log").read_text(encoding="utf-8")
    assert crash.startswith("Process ")
    assert "in visit" in crash
    assert CANARY not in crash + done.stderr
    assert {path.name for path in folder.iterdir()} == {"crash.log"}


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have other ways")
@pytest.mark.parametrize("is_hidden", [False, True])
def test_no_memory_goes_into_a_dump(folder: Path, is_hidden: bool) -> None:
    done = run(
        f"""
logs.forbid_dumps(is_hidden={is_hidden})
import ctypes, resource
print(resource.getrlimit(resource.RLIMIT_CORE), Path('/proc/self/coredump_filter').read_text().strip('0\\n'))
print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))
""",
        folder,
    )
    assert done.stdout == f"(0, 0) \n{0 if is_hidden else 1}\n"
