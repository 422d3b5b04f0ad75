"""Keys go into the system's own keystore or nowhere, and a keystore that hangs holds nobody up."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from keyring.backend import KeyringBackend

from app.store.keystore import KeystoreAbsent, KeystoreUnavailable, SystemKeystore
from tests.store.secret_service import SecretService, needs_secret_service


class Backend(KeyringBackend):
    """Keeps passwords in memory."""

    priority = 0.1

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.kept: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, username: str) -> str | None:
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.kept[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        del self.kept[service, username]


def from_module(module: str, **members: Any) -> Backend:
    """A backend as if a library of that name had brought it."""
    backend: Backend = type("Keyring", (Backend,), {"__module__": module, **members})()
    return backend


def over(*backends: KeyringBackend, timeout_seconds: float = 5.0) -> SystemKeystore:
    return SystemKeystore(timeout_seconds=timeout_seconds, find_backends=lambda: backends)


SECRET = bytes(range(32))


@pytest.mark.parametrize(
    ("system", "name"),
    [
        ("Windows", "Windows Credential Manager"),
        ("macOS", "macOS Keychain"),
        ("SecretService", "Secret Service"),
        ("libsecret", "Secret Service"),
        ("kwallet", "KWallet"),
    ],
)
def test_a_secret_is_kept_in_the_systems_own_keystore(system: str, name: str) -> None:
    keystore = over(from_module(f"keyring.backends.{system}"))
    assert keystore.name == ""
    assert keystore.read("a") is None
    keystore.keep("a", SECRET)
    assert (keystore.read("a"), keystore.read("b"), keystore.name) == (SECRET, None, name)


@pytest.mark.parametrize(
    "library", ["keyrings.alt.file", "keyring.backends.null", "keyring.backends.fail", "keyring.backends.Windowsish"]
)
def test_nothing_else_is_trusted_with_one(library: str) -> None:
    backend = from_module(library, priority=99)
    keystore = over(backend)
    with pytest.raises(KeystoreAbsent):
        keystore.keep("a", SECRET)
    with pytest.raises(KeystoreAbsent):
        keystore.read("a")
    assert (backend.kept, keystore.name) == ({}, "")


def test_of_several_the_best_that_is_trusted_is_used_and_no_other_sees_the_secret() -> None:
    plain = from_module("keyrings.alt.file", priority=9)
    chain = from_module("keyring.backends.chainer", priority=10)
    good, better = from_module("keyring.backends.kwallet"), from_module("keyring.backends.SecretService", priority=5)
    keystore = over(plain, chain, good, better)
    keystore.keep("a", SECRET)
    assert keystore.name == "Secret Service"
    assert (len(better.kept), good.kept, plain.kept, chain.kept) == (1, {}, {}, {})


def test_a_keystore_that_hangs_is_given_up_on() -> None:
    answers = threading.Event()

    def hang(_self: object, _service: str, _name: str) -> None:
        answers.wait(30)

    keystore = over(from_module("keyring.backends.SecretService", get_password=hang), timeout_seconds=0.02)
    with pytest.raises(KeystoreUnavailable, match="did not answer"):
        keystore.read("a")
    answers.set()


def test_trouble_is_told_without_what_the_keystore_said() -> None:
    def refuse(_self: object, _service: str, _name: str, secret: str) -> None:
        raise RuntimeError(f"locked, cannot keep {secret}")

    with pytest.raises(KeystoreUnavailable) as caught:
        over(from_module("keyring.backends.macOS", set_password=refuse)).keep("a", SECRET)
    assert str(caught.value) == "RuntimeError"
    assert caught.value.__cause__ is None
    assert not isinstance(caught.value, KeystoreAbsent)


def test_an_entry_that_somebody_changed_is_not_taken_for_none() -> None:
    backend = from_module("keyring.backends.macOS")
    backend.kept["ScribeDesk", "a"] = "no base64 at all"
    assert over(backend).read("a") not in (None, SECRET)


# The real one -----------------------------------------------------------------------------------------------------


ROOT = Path(__file__).resolve().parents[2]


@needs_secret_service
def test_the_secret_service_keeps_a_secret_over_sessions(tmp_path: Path) -> None:
    with SecretService(tmp_path) as service:
        assert service.run("read a") == "None"
        assert service.run("keep a") == "kept"
        assert service.run("read a") == f"{SECRET!r} in Secret Service"
    stored = b"".join(path.read_bytes() for path in tmp_path.rglob("*.keyring"))
    assert stored
    assert SECRET not in stored
    with SecretService(tmp_path) as service:
        assert service.run("read a") == f"{SECRET!r} in Secret Service"


@needs_secret_service
def test_a_secret_service_that_is_locked_is_no_secret_service_without_the_entry(tmp_path: Path) -> None:
    with SecretService(tmp_path) as service:
        assert service.run("keep a") == "kept"
    with SecretService(tmp_path, password=None) as service:
        assert service.run("read a").startswith("KeystoreUnavailable")


@needs_secret_service
def test_a_secret_service_that_is_stopped_is_given_up_on_and_asked_again(tmp_path: Path) -> None:
    with SecretService(tmp_path) as service:
        assert service.run("keep a") == "kept"
        service.stop()
        assert service.run("read a", timeout_seconds=0.5) == "KeystoreUnavailable: the keystore did not answer"
        service.go_on()
        assert service.run("read a") == f"{SECRET!r} in Secret Service"


@needs_secret_service
def test_without_a_bus_there_is_none_and_a_plaintext_library_does_not_stand_in_for_it(tmp_path: Path) -> None:
    plain = tmp_path / "keyrings" / "alt"
    plain.mkdir(parents=True)
    (plain / "file.py").write_text(
        "from keyring.backend import KeyringBackend\n"
        "class PlaintextKeyring(KeyringBackend):\n"
        "    priority = 9\n"
        "    def get_password(self, service, username): return 'AAAA'\n"
        "    def set_password(self, service, username, password): open('leaked', 'w').write(password)\n"
    )
    metadata = tmp_path / "keyrings.alt-5.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: keyrings.alt\nVersion: 5\n")
    (metadata / "entry_points.txt").write_text("[keyring.backends]\nfile = keyrings.alt.file\n")
    environment = {k: v for k, v in os.environ.items() if k not in ("DBUS_SESSION_BUS_ADDRESS", "DISPLAY")}
    environment |= {"PYTHONPATH": f"{tmp_path}:{ROOT}", "XDG_RUNTIME_DIR": str(tmp_path), "HOME": str(tmp_path)}
    script = "import keyring; print(keyring.get_keyring()); from tests.store.secret_service import main; main()"
    told = subprocess.run(
        [sys.executable, "-c", script],
        input="read a\nkeep a\n",
        capture_output=True,
        text=True,
        env=environment,
        cwd=tmp_path,
        check=True,
    ).stdout.splitlines()
    assert told[0].startswith("keyrings.alt.file.PlaintextKeyring")  # Here it would be taken, were it not for us.
    assert [line.split(":")[0] for line in told[1:]] == ["KeystoreAbsent", "KeystoreAbsent"]
    assert not (tmp_path / "leaked").exists()
