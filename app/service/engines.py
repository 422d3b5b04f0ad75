"""Which transcriber and which note maker this service works with, as ``service.toml`` in its folder says.

Without that file: the recogniser and the rules that come with the program, both offline.
"""

from __future__ import annotations

import importlib.util
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.service.ports import NoteMaker, Transcriber

CONFIGURATION = "service.toml"
_TABLES: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "transcriber": {
        "sphinx": (),
        "openai": ("url", "model", "key_env", "languages"),
        "faster-whisper": ("folder", "languages"),
    },
    "notes": {"rules": (), "openai": ("url", "model", "key_env")},
}
_OPTIONAL = ("key_env", "languages")


class ConfigurationProblem(Exception):
    """``service.toml`` cannot be followed; the text says what to change."""


@dataclass(frozen=True)
class Engines:
    """What the service works with. ``languages`` is empty when the transcriber takes any."""

    transcriber: Transcriber
    note_maker: NoteMaker
    languages: tuple[str, ...] = ("en",)

    def close(self) -> None:
        """Let go of the transcriber's processes."""
        self.transcriber.close()


@dataclass(frozen=True)
class Choice:
    """One table of the configuration, checked."""

    kind: str
    options: Mapping[str, Any]

    def key(self) -> str | None:
        """The secret that the endpoint asks for, out of the environment."""
        variable = self.options.get("key_env")
        if variable is None:
            return None
        if variable not in os.environ:
            raise ConfigurationProblem(f"{CONFIGURATION} names the environment variable {variable}, which is unset.")
        return os.environ[variable]

    def languages(self) -> tuple[str, ...]:
        """The languages that the configuration lists."""
        return tuple(self.options.get("languages", ()))


def load_engines(folder: Path) -> Engines:
    """Make the engines that the configuration in ``folder`` asks for.

    Raises:
        ConfigurationProblem: the configuration cannot be read or followed.
    """
    transcriber, notes = read_configuration(folder / CONFIGURATION)
    languages = transcriber.languages() if transcriber.kind != "sphinx" else ("en",)
    return Engines(_transcriber(transcriber), _note_maker(notes), languages)


def read_configuration(path: Path) -> tuple[Choice, Choice]:
    """The transcriber's and the note maker's table."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as exc:
        raise ConfigurationProblem(f"{path} cannot be read: {exc}") from exc
    unknown = sorted(set(document) - set(_TABLES))
    if unknown:
        raise ConfigurationProblem(f"{path}: there is no [{unknown[0]}]; known are: {', '.join(_TABLES)}.")
    return _choice(path, document, "transcriber", "sphinx"), _choice(path, document, "notes", "rules")


def _choice(path: Path, document: Mapping[str, Any], table: str, default: str) -> Choice:
    options = document.get(table, {})
    if not isinstance(options, dict):
        raise ConfigurationProblem(f"{path}: {table} is a table, written [{table}].")
    kind = options.get("kind", default)
    kinds = _TABLES[table]
    if kind not in kinds:
        raise ConfigurationProblem(f"{path}: kind of [{table}] is one of: {', '.join(kinds)}.")
    rest = {name: value for name, value in options.items() if name != "kind"}
    for name, value in rest.items():
        if name not in kinds[kind]:
            raise ConfigurationProblem(f"{path}: [{table}] of kind {kind} has no '{name}'.")
        if not _is_well_formed(name, value):
            raise ConfigurationProblem(f"{path}: '{name}' of [{table}] has the wrong form.")
    for name in kinds[kind]:
        if name not in rest and name not in _OPTIONAL:
            raise ConfigurationProblem(f"{path}: [{table}] of kind {kind} needs '{name}'.")
    return Choice(kind, rest)


def _is_well_formed(name: str, value: object) -> bool:
    if name == "languages":
        return isinstance(value, list) and all(isinstance(code, str) and code for code in value)
    return isinstance(value, str) and bool(value)


# The engines are imported when they are chosen: a start pays for those it uses.


def _transcriber(choice: Choice) -> Transcriber:
    if choice.kind == "openai":
        from app.service.remote_transcriber import OpenAITranscriber

        return OpenAITranscriber(choice.options["url"], choice.key(), choice.options["model"])
    if choice.kind == "faster-whisper":
        return _whisper(Path(choice.options["folder"]))
    from app.service.sphinx import SphinxTranscriber

    return SphinxTranscriber()


def _whisper(folder: Path) -> Transcriber:
    """Said at the start, not at the first patient: what it needs is installed by hand."""
    from app.service.whisper import FasterWhisperTranscriber

    if importlib.util.find_spec("faster_whisper") is None:
        raise ConfigurationProblem("faster-whisper is not installed: pip install 'scribedesk[whisper]'")
    if not (folder / "model.bin").is_file():
        raise ConfigurationProblem(f"There is no Whisper model in {folder}: it holds no model.bin.")
    return FasterWhisperTranscriber(folder)


def _note_maker(choice: Choice) -> NoteMaker:
    if choice.kind == "openai":
        from app.service.remote_notes import OpenAINoteMaker

        return OpenAINoteMaker(choice.options["url"], choice.key(), choice.options["model"])
    from app.service.notes import RuleNoteMaker

    return RuleNoteMaker()
