"""``scribedesk serve`` as processes: who gets in with which key, and what lies on the disk meanwhile."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.serving import UNTIL_CLOSED
from tests.rig.canary import scan, sound_canary, text_canary
from tests.service.peer import DEADLINE_SECONDS, KEY, noise, wav_of

OTHER_KEY = bytes(reversed(KEY))
SESSION = "ses_0123456789abcdefghij"
PATIENT = "Oluwaseun Featherstonehaugh"
SOUND = noise(8_000)
ROOT = Path(__file__).parents[2]
_NO_KEYSTORE = "unix:path=/nowhere"


def environment(home: Path, **more: str) -> dict[str, str]:
    temporary = home.parent / "temporary"
    temporary.mkdir(exist_ok=True)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SCRIBEDESK_")}
    return {
        **kept,
        "SCRIBEDESK_HOME": str(home),
        "TMPDIR": str(temporary),
        "DBUS_SESSION_BUS_ADDRESS": _NO_KEYSTORE,
        "PYTHONPATH": str(ROOT),
        **more,
    }


@dataclass
class Served:
    process: subprocess.Popen[bytes]
    base_url: str
    token: str

    def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.token}", **options.pop("headers", {})}
        return httpx.request(method, self.base_url + path, headers=headers, timeout=DEADLINE_SECONDS, **options)

    def has(self, session: str) -> bool:
        return self.ask("GET", f"/sessions/{session}").status_code != 404


@contextmanager
def served(home: Path, *arguments: str, key: bytes | None = KEY, **variables: str) -> Iterator[Served]:
    """A service that has said where it is; started as by the app where there is a key, else by hand."""
    command = [sys.executable, "-m", "app", "serve", *arguments, *(["--with-app"] if key else [])]
    with subprocess.Popen(
        command,
        env=environment(home, **variables),
        cwd=home.parent,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdin
        assert process.stdout
        try:
            if key:
                process.stdin.write(key.hex().encode() + b"\n")
                process.stdin.flush()
            told = json.loads(process.stdout.readline())
            yield Served(process, told["base_url"], told["token"])
        finally:
            process.kill()


def refusal(home: Path, *arguments: str, stdin: bytes) -> str:
    """What a service that does not start says."""
    ended = subprocess.run(
        [sys.executable, "-m", "app", "serve", "--with-app", *arguments],
        env=environment(home),
        cwd=home.parent,
        input=stdin,
        capture_output=True,
        timeout=DEADLINE_SECONDS,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (2, b"")
    return ended.stderr.decode()


@pytest.mark.parametrize(
    ("stdin", "words"), [(b"", "No key"), (b"abab\n", "not a key"), (b"\x00" * 4096, "not a key")]
)
def test_without_a_key_it_says_so_and_touches_nothing(tmp_path: Path, stdin: bytes, words: str) -> None:
    told = refusal(tmp_path / "home", stdin=stdin)
    assert words in told
    assert len(told.splitlines()) == 1
    assert list((tmp_path / "home").rglob("*")) == []


@pytest.mark.fault("D12")
def test_nothing_of_a_visit_is_in_clear_and_a_kill_loses_nothing(tmp_path: Path) -> None:
    home = tmp_path / "home"
    canaries = [text_canary(PATIENT), sound_canary("sound", SOUND), text_canary(KEY.hex())]
    with served(home) as service:
        canaries.append(text_canary(service.token))
        service.ask("POST", "/sessions", json={"session_id": SESSION, "patient_details": {"name": PATIENT}})
        sound: dict[str, Any] = {"content": wav_of(SOUND), "headers": {"Content-Type": "audio/wav"}}
        assert service.ask("POST", f"/sessions/{SESSION}/audio/audio_0.wav", **sound).status_code == 200
        assert scan([tmp_path], canaries) == []
        service.process.kill()
        service.process.wait(DEADLINE_SECONDS)
    assert scan([tmp_path], canaries) == []
    with served(home) as service:
        assert service.token not in {canary.name for canary in canaries}
        canaries.append(text_canary(service.token))
        assert service.ask("POST", f"/sessions/{SESSION}/end", json={"audio_files_sent": 1}).status_code == 202
        while (result := service.ask("GET", f"/sessions/{SESSION}", params={"wait": 5})).status_code == 202:
            pass
        assert result.json()["audio_files_processed"] == 1
        assert result.json()["patient_details"] == {"name": PATIENT}
        assert scan([tmp_path], canaries) == []
    assert list((tmp_path / "temporary").iterdir()) == []
    assert list(home.rglob("*.sealed-*")) == []


@pytest.mark.fault("M1")
def test_a_second_app_shares_the_service_with_the_same_key(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with served(home) as first:
        (address,) = home.rglob("address.json")
        if os.name == "posix":
            assert stat.S_IMODE(address.stat().st_mode) == 0o600
        with served(home) as second:
            assert (second.base_url, second.token) == (first.base_url, first.token)
            assert second.has("ses_x") is False
            first.process.kill()
            assert second.process.wait(DEADLINE_SECONDS) == 1


def test_another_key_finds_no_way_into_a_folder_at_work(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with served(home) as service:
        assert "another key" in refusal(home, stdin=OTHER_KEY.hex().encode() + b"\n")
        assert not service.has(SESSION)
    assert list(home.rglob("*.sealed-*")) == []


def test_apps_whose_keys_nobody_keeps_have_a_service_each_and_find_it_again(tmp_path: Path) -> None:
    home = tmp_path / "home"
    data = ("--data", str(home / "local-service" / UNTIL_CLOSED))
    with served(home, *data) as first, served(home, *data, key=OTHER_KEY) as second:
        assert first.base_url != second.base_url
        first.ask("POST", "/sessions", json={"session_id": SESSION})
        assert not second.has(SESSION)
        first.process.kill()
        first.process.wait(DEADLINE_SECONDS)
        with served(home, *data) as again:
            assert again.has(SESSION)


def test_what_lost_keys_sealed_is_gone_after_a_day(tmp_path: Path) -> None:
    home = tmp_path / "home"
    common = home / "local-service" / UNTIL_CLOSED
    for name, hours in (("old", 25), ("recent", 23)):
        (common / name / "audio").mkdir(parents=True)
        (common / name / "service.db").write_bytes(b"sealed")
        for path in (common / name / "service.db", common / name / "audio", common / name):
            os.utime(path, (time.time() - hours * 3600,) * 2)
    with served(home, "--data", str(common)):
        assert not (common / "old").exists()
        assert (common / "recent" / "service.db").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there is a keystore, and it is the user's own")
def test_by_hand_and_without_a_keystore_it_says_what_becomes_of_it(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with served(home, key=None) as service:
        service.ask("POST", "/sessions", json={"session_id": SESSION})
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(DEADLINE_SECONDS) == 0
        assert service.process.stderr
        (said,) = service.process.stderr.read().decode().splitlines()
        assert "can be read until it ends" in said
    with served(home, key=None) as service:
        assert not service.has(SESSION)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there is a keystore, and it is the user's own")
def test_by_hand_with_a_passphrase_all_is_there_again_at_the_same_token(tmp_path: Path) -> None:
    home = tmp_path / "home"
    tokens = []
    for is_there in (False, True):
        with served(home, key=None, SCRIBEDESK_PASSPHRASE="correct horse battery") as service:
            tokens.append(service.token)
            assert service.has(SESSION) is is_there
            service.ask("POST", "/sessions", json={"session_id": SESSION})
            assert scan([tmp_path], [text_canary(service.token)]) == []
    assert tokens[0] == tokens[1]


def test_one_configuration_is_for_the_services_of_all_keys(tmp_path: Path) -> None:
    common = tmp_path / "home" / "local-service"
    common.mkdir(parents=True)
    (common / "service.toml").write_text('[transcriber]\nkind = "none"\n')
    assert "kind of [transcriber]" in refusal(
        tmp_path / "home", "--data", str(common / "0123456789abcdef"), stdin=KEY.hex().encode() + b"\n"
    )
