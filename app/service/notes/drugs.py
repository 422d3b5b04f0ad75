"""Where drugs are named: by a name of the list, by one that was nearly heard, or by one that stands like a name.

A name is written as it was said; one that was nearly heard carries what was heard. Pure; any thread.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from app.service.notes.reading import Token, render
from app.service.notes.vocabulary import Vocabulary

_UNLISTED = "not in the list of drug names; written as heard"
_SHORT_NAME, _LONG_NAME = 6, 9


@dataclass(frozen=True)
class Mention:
    """A drug's name at ``tokens[start:end]``."""

    start: int
    end: int
    name: str
    heard_as: str = ""
    check: str = ""


def mentions(tokens: tuple[Token, ...], words: Vocabulary) -> Iterator[Mention]:
    """All drugs that are named, from left to right."""
    at = 0
    while at < len(tokens):
        mention = _mention_at(tokens, at, words)
        if mention and not (
            mention.end < len(tokens) and tokens[mention.end].key in words.words("not_a_drug_before")
        ):
            yield mention
        at = mention.end if mention else at + 1


def _mention_at(tokens: tuple[Token, ...], at: int, words: Vocabulary) -> Mention | None:
    match = words.drugs.at(tokens, at)
    if match:
        return Mention(at, match.end, render(tokens[at : match.end]).rstrip(",").lower())
    return _nearly_heard(tokens, at, words) or _unlisted(tokens, at, words)


def _nearly_heard(tokens: tuple[Token, ...], at: int, words: Vocabulary) -> Mention | None:
    """One word, or two that the recogniser made of one, right before a dose."""
    for length in (1, 2):
        said = tokens[at : at + length]
        is_before_dose = len(said) == length and _is_dose(tokens, at + length, words)
        if not is_before_dose or not all(token.key.isalpha() for token in said):
            continue
        is_name_itself = length > 1 and (words.drugs.at(said, 1) or _nearly(said[1].key, words))
        name = "" if is_name_itself else _nearly("".join(token.key for token in said), words)
        if name:
            return Mention(at, at + length, name, heard_as=render(said))
    return None


def _is_dose(tokens: Sequence[Token], at: int, words: Vocabulary) -> bool:
    match = words.dosages.at(tokens, at)
    return match is not None and tokens[at].number is not None


def _nearly(said: str, words: Vocabulary) -> str:
    """The one drug name that is a slip away from what was heard."""
    if len(said) < _SHORT_NAME or said in words.words("generic"):
        return ""
    limit = 2 if len(said) >= _LONG_NAME else 1
    alike = (name for name in words.drug_names if abs(len(name) - len(said)) <= limit and name[0] == said[0])
    near = [(_distance(said, name), name) for name in alike]
    near = sorted(pair for pair in near if pair[0] <= limit)
    is_clear = len(near) == 1 or (len(near) > 1 and near[0][0] < near[1][0])
    return near[0][1] if is_clear and len(near[0][1]) >= _SHORT_NAME else ""


def _distance(one: str, other: str) -> int:
    """How many letters must be changed, put in or left out."""
    row = list(range(len(other) + 1))
    for i, letter in enumerate(one, 1):
        previous, row[0] = row[0], i
        for j, wanted in enumerate(other, 1):
            previous, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, previous + (letter != wanted))
    return row[-1]


def _unlisted(tokens: Sequence[Token], at: int, words: Vocabulary) -> Mention | None:
    """A word that stands where a drug stands: after ``take`` or ``start``, right before so many mg."""
    word = tokens[at].key
    dose = words.dose_units.at(tokens, at + 2) if at + 1 < len(tokens) and tokens[at + 1].number is not None else None
    is_word = word.isalpha() and len(word) >= _SHORT_NAME - 1 and not word.endswith("ly")
    if (
        not dose
        or dose.value not in {"mg", "mcg"}
        or not is_word
        or word in words.words("generic") | words.quantities
    ):
        return None
    leads = words.phrases("actions").first(tokens, 0, at) or words.phrases("taking").first(tokens, 0, at)
    is_cue = words.phrases("taking").at(tokens, at) or words.phrases("actions").at(tokens, at)
    return Mention(at, at + 1, word, check=_UNLISTED) if leads and not is_cue else None
