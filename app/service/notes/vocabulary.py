"""The words the rules listen for: read once from ``resources/notes``, matched against a reading's tokens.

Owns the form of the two data files and the one way of matching them. Pure after loading; any thread.
"""

from __future__ import annotations

import itertools
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Protocol


class Keyed(Protocol):
    """What a phrase is matched against: a lower-case key, and whether it is a figure."""

    @property
    def key(self) -> str:
        """The word in lower case."""
        ...

    @property
    def number(self) -> float | None:
        """Its value when it is a figure."""
        ...


@dataclass(frozen=True, slots=True)
class Match:
    """A phrase found at ``tokens[start:end]``, with what the vocabulary says about it."""

    start: int
    end: int
    value: str


class Phrases:
    """A set of phrases, found longest first. ``#`` stands for any figure."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._root = _Node()
        for pattern, value in values.items():
            for words in _expand(pattern):
                node = self._root
                for word in words:
                    node = node.following.setdefault(word, _Node())
                node.value = value if node.value is None else node.value

    @classmethod
    def of(cls, patterns: Iterable[str | Sequence[str]]) -> Phrases:
        """From patterns, or from pairs of pattern and value."""
        return cls(
            {p: p for p in patterns if isinstance(p, str)} | {p[0]: p[1] for p in patterns if not isinstance(p, str)}
        )

    def at(self, tokens: Sequence[Keyed], start: int) -> Match | None:
        """The longest phrase that begins at ``start``."""
        best: Match | None = None
        nodes, end = [self._root], start
        while nodes and end < len(tokens):
            words = (tokens[end].key,) if tokens[end].number is None else (tokens[end].key, "#")
            nodes = [node.following[word] for node in nodes for word in words if word in node.following]
            end += 1
            best = next((Match(start, end, node.value) for node in nodes if node.value is not None), best)
        return best

    def find(self, tokens: Sequence[Keyed], start: int = 0, end: int | None = None) -> Iterator[Match]:
        """All phrases from left to right that do not overlap."""
        end = len(tokens) if end is None else end
        tokens = tokens[:end]
        while start < end:
            match = self.at(tokens, start)
            if match:
                yield match
            start = match.end if match else start + 1

    def first(self, tokens: Sequence[Keyed], start: int = 0, end: int | None = None) -> Match | None:
        """The leftmost phrase."""
        return next(self.find(tokens, start, end), None)


@dataclass(slots=True)
class _Node:
    """A place in the tree of phrases: what may follow, and what the phrase that ends here means."""

    following: dict[str, _Node] = field(default_factory=dict)
    value: str | None = None


def _expand(pattern: str) -> Iterator[tuple[str, ...]]:
    parts = [part.split("|") for part in re.split(r"\(([^)]*)\)", pattern)]
    for choice in itertools.product(*parts):
        words = tuple(" ".join(choice).split())
        if words:
            yield words


@dataclass(frozen=True)
class VitalSign:
    """How one vital sign is spoken of, and what values it can have."""

    name: str
    keywords: Phrases
    trailing: Phrases
    units: Phrases
    unit: str
    ranges: Mapping[str, tuple[float, float]]
    """By unit; the empty unit holds for all."""


@dataclass(frozen=True)
class Vocabulary:
    """All that the rules know about words."""

    drugs: Phrases
    drug_names: tuple[str, ...]
    vitals: tuple[VitalSign, ...]
    dose_units: Phrases
    dosages: Phrases
    measures: Phrases
    quantities: frozenset[str]
    """Words that are counted or measured: ``tablets``, ``mg``, ``days``."""
    vital_endings: frozenset[str]
    """The words right before a reading: the last ones of the vital signs' keywords."""
    _sets: Mapping[str, frozenset[str]]
    _phrases: Mapping[str, Phrases]

    def words(self, name: str) -> frozenset[str]:
        """A list of single words of the data file, by its key."""
        return self._sets[name]

    def phrases(self, name: str) -> Phrases:
        """A list of phrases of the data file, by its key."""
        return self._phrases[name]


def resources() -> Path:
    """The folder of the data files: beside the ``app`` package, in a checkout as in an installed program."""
    return Path(__file__).resolve().parents[3] / "resources" / "notes"


@cache
def vocabulary() -> Vocabulary:
    """The vocabulary, read at the first call."""
    raw = tomllib.loads((resources() / "vocabulary.toml").read_text(encoding="utf-8"))
    names = _drug_names((resources() / "drugs.txt").read_text(encoding="utf-8"))
    lists: dict[str, Any] = {}
    for table in ("reading", "dose", "medication", "statement"):
        lists |= raw[table]
    units, counts = raw["dose"]["units"], raw["dose"]["counts"]
    dosages = {
        f"{amount} {unit}": kind for amount in raw["dose"]["amounts"] for unit, kind in _dose_words(units, counts)
    }
    quantities = " ".join([*(unit for unit, _ in units), *counts, "times time day week month year hour"])
    return Vocabulary(
        drugs=Phrases({spelling: name for name in names for spelling in {name, name.replace("-", " ")}}),
        drug_names=tuple(name for name in names if " " not in name),
        vitals=tuple(_vital(entry) for entry in raw["vital"]),
        dose_units=Phrases.of(units),
        dosages=Phrases(dosages),
        measures=Phrases.of(raw["measure"]["units"]),
        quantities=frozenset(re.findall(r"[a-z]+", quantities)),
        vital_endings=frozenset(key.split()[-1].strip(")") for entry in raw["vital"] for key in entry["keywords"]),
        _sets={key: frozenset(v for v in value if isinstance(v, str)) for key, value in lists.items()}
        | {key: frozenset(raw["measure"][key]) for key in ("between", "not_measured")},
        _phrases={key: Phrases.of(value) for key, value in lists.items()}
        | {"other_time": Phrases.of(raw["measure"]["other_time"])},
    )


def _dose_words(units: Sequence[Sequence[str]], counts: Sequence[str]) -> list[tuple[str, str]]:
    """What may follow an amount: a measure (``mg``) or a thing that is counted (``tablets``)."""
    return [(unit, "measure") for unit, _ in units] + [(count, "count") for count in counts]


def _drug_names(text: str) -> list[str]:
    lines = (line for line in text.splitlines() if not line.startswith("#"))
    return [name.strip() for line in lines for name in line.split(",") if name.strip()]


def _vital(entry: Mapping[str, Any]) -> VitalSign:
    ranges = entry.get("ranges") or ({"": entry["range"]} if "range" in entry else {})
    return VitalSign(
        name=entry["name"],
        keywords=Phrases.of(entry["keywords"]),
        trailing=Phrases.of(entry.get("trailing", ())),
        units=Phrases.of(entry.get("units", ())),
        unit=entry.get("unit", ""),
        ranges={unit: (float(low), float(high)) for unit, (low, high) in ranges.items()},
    )
