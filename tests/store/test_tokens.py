"""Tokens go into the system's own keystore or nowhere, and a keystore that hangs holds nobody up."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import keyring
import pytest
from keyring.backend import KeyringBackend

from app.store.tokens import KeystoreUnavailable, keep_token, read_token


class Keystore(KeyringBackend):
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


def from_module(module: str, **members: Any) -> KeyringBackend:
    """A keystore as if a library of that name had brought it."""
    backend: KeyringBackend = type("Keyring", (Keystore,), {"__module__": module, **members})()
    return backend


@pytest.fixture
def use() -> Iterator[Callable[[KeyringBackend], KeyringBackend]]:
    before = keyring.get_keyring()

    def use_backend(backend: KeyringBackend) -> KeyringBackend:
        keyring.set_keyring(backend)
        return backend

    yield use_backend
    keyring.set_keyring(before)


Use = Callable[[KeyringBackend], KeyringBackend]


@pytest.mark.parametrize("system", ["Windows", "macOS", "SecretService", "libsecret", "kwallet"])
def test_a_token_is_kept_in_the_systems_own_keystore(use: Use, system: str) -> None:
    use(from_module(f"keyring.backends.{system}"))
    assert read_token("https://a.example") is None
    keep_token("https://a.example", "secret")
    assert read_token("https://a.example") == "secret"
    assert read_token("https://b.example") is None


@pytest.mark.parametrize("library", ["keyrings.alt.file", "keyring.backends.null", "keyring.backends.fail"])
def test_anything_else_is_not_trusted_with_one(use: Use, library: str) -> None:
    backend = use(from_module(library))
    with pytest.raises(KeystoreUnavailable, match="no trusted keystore"):
        keep_token("https://a.example", "secret")
    with pytest.raises(KeystoreUnavailable, match="no trusted keystore"):
        read_token("https://a.example")
    assert isinstance(backend, Keystore)
    assert backend.kept == {}


def test_a_chain_of_keystores_is_as_good_as_its_worst(use: Use) -> None:
    good, bad = from_module("keyring.backends.kwallet"), from_module("keyrings.alt.file")
    use(from_module("keyring.backends.chainer", backends=[good]))
    keep_token("https://a.example", "secret")
    use(from_module("keyring.backends.chainer", backends=[good, bad]))
    with pytest.raises(KeystoreUnavailable):
        keep_token("https://a.example", "secret")


def test_a_keystore_that_hangs_is_given_up_on(use: Use) -> None:
    answers = threading.Event()

    def hang(_self: object, _service: str, _name: str) -> None:
        answers.wait(30)

    use(from_module("keyring.backends.SecretService", get_password=hang))
    with pytest.raises(KeystoreUnavailable, match="did not answer"):
        read_token("https://a.example", timeout_seconds=0.02)
    answers.set()


def test_a_locked_keystore_is_told_without_what_it_said(use: Use) -> None:
    def refuse(_self: object, _service: str, _name: str, token: str) -> None:
        raise RuntimeError(f"locked, cannot keep {token}")

    use(from_module("keyring.backends.macOS", set_password=refuse))
    with pytest.raises(KeystoreUnavailable) as caught:
        keep_token("https://a.example", "secret")
    assert str(caught.value) == "RuntimeError"
