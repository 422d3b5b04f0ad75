"""``service.toml``: what is followed, and what is said when it cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.service.engines import ConfigurationProblem, load_engines, read_configuration


def test_without_a_file_everything_is_on_this_computer(tmp_path: Path) -> None:
    transcriber, notes = read_configuration(tmp_path / "service.toml")
    assert (transcriber.kind, notes.kind) == ("sphinx", "rules")


def test_an_endpoint_with_its_key_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "service.toml"
    path.write_text(
        '[transcriber]\nkind = "openai"\nurl = "http://localhost:9"\nmodel = "small"\nkey_env = "SOME_KEY"\n'
        'languages = ["en", "hi"]\n'
    )
    transcriber, _ = read_configuration(path)
    assert transcriber.languages() == ("en", "hi")
    monkeypatch.delenv("SOME_KEY", raising=False)
    with pytest.raises(ConfigurationProblem, match="SOME_KEY"):
        transcriber.key()
    monkeypatch.setenv("SOME_KEY", "secret")
    assert transcriber.key() == "secret"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[transcriber", "cannot be read"),
        ("[transcribers]", r"no \[transcribers\]"),
        ("transcriber = 3", "is a table"),
        ('[transcriber]\nkind = "magic"', "one of: sphinx"),
        ('[transcriber]\nkind = "faster-whisper"', "needs 'folder'"),
        ('[transcriber]\nkind = "openai"', "needs 'url'"),
        ('[transcriber]\nkind = "sphinx"\nurl = "x"', "has no 'url'"),
        ('[notes]\nkind = "openai"\nurl = 3\nmodel = "m"', "wrong form"),
        ('[transcriber]\nkind = "openai"\nurl = "u"\nmodel = "m"\nlanguages = "en"', "wrong form"),
    ],
)
def test_what_cannot_be_followed_is_explained(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "service.toml"
    path.write_text(text)
    with pytest.raises(ConfigurationProblem, match=said):
        read_configuration(path)


def test_a_whisper_that_is_not_installed_is_said_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "service.toml").write_text(f'[transcriber]\nkind = "faster-whisper"\nfolder = "{tmp_path}"\n')
    with pytest.raises(ConfigurationProblem, match="not installed"):
        load_engines(tmp_path)
