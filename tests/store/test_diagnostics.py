from __future__ import annotations

import getpass
import logging
import socket
from pathlib import Path

import pytest

import app
from app.store.diagnostics import gather, save
from app.store.logs import start_log
from app.store.places import Places

CANARY = "Zanzibarsky"


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Places:
    """The user's home is the folder above that of the app."""
    monkeypatch.setenv("HOME", str(tmp_path / "users" / "asha"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "users" / "asha"))
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.setenv(name, "asha")
    places = Places(tmp_path / "users" / "asha" / "ScribeDesk")
    for number in range(3):
        folder = places.sessions / f"s{number}" / "chunks"
        folder.mkdir(parents=True)
        (folder / "0.chunk").write_bytes(CANARY.encode() * 1000)
    (places.home / "library.db").write_bytes(CANARY.encode() * 100_000)
    (places.home / f"{CANARY}.pdf").touch()
    return places


def test_it_tells_versions_sizes_and_states(places: Places) -> None:
    text = gather(places, {"keys": "locked", "sessions waiting": "3"})
    for line in (
        f"version: {app.__version__}",
        "keys: locked",
        "sessions waiting: 3",
        "library.db: 1.100 MB",
        "sessions: 0.033 MB, 3 folders, 3 files",
        "folder: ~/ScribeDesk",
        "folder refused: no",
    ):
        assert line in text.replace("\\", "/").splitlines()
    assert "sqlcipher3: 0." in text


@pytest.mark.fault("D12")
def test_it_tells_no_names_no_contents_and_no_tokens(places: Places) -> None:
    handler = start_log(places.logs)
    try:
        path = places.sessions / "s1"
        logging.getLogger("app").error("asha on %s could not open %s", socket.gethostname(), path)
        logging.getLogger("app").error("token=%s at %s", CANARY, f"https://example.com/?{CANARY}")
    finally:
        logging.getLogger().removeHandler(handler)
        handler.close()
    (places.logs / "crash.log").write_text(f"  File {places.home.parent}/app.py, line 1\n")
    text = gather(places, {"last": f"Bearer {CANARY}", "odd": "two\nlines \x1b[31m"})
    assert CANARY not in text
    assert getpass.getuser() not in text
    assert str(places.home.parent) not in text
    assert socket.gethostname() not in text
    assert "[user] on [computer] could not open ~" in text
    assert "File ~/app.py, line 1" in text
    assert r"odd: two\nlines \x1b[31m" in text


def test_only_the_end_of_a_long_log_is_in_it(places: Places) -> None:
    places.logs.mkdir()
    (places.logs / "scribedesk.log").write_text("".join(f"line {n}\n" for n in range(100_000)))
    text = gather(places, {})
    assert "line 99999\n" in text
    assert "line 99799\n" not in text
    assert len(text) < 10_000


def test_it_is_told_of_an_empty_place_as_well(tmp_path: Path) -> None:
    text = gather(Places(tmp_path / "nothing"), {})
    assert "== Log ==\nnone\n" in text


def test_it_is_saved_as_it_was_read(places: Places, tmp_path: Path) -> None:
    text = gather(places, {"half": "\ud800"})
    save(text, tmp_path / "report.txt")
    assert (tmp_path / "report.txt").read_text(encoding="utf-8") == text
