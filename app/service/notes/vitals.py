"""Vital signs that were measured, out of what was said.

Questions, targets and other people's values are no readings. A value that cannot be right is kept as it was
heard and marked. Pure; any thread.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from app.service.notes.reading import Token, utterances_of
from app.service.notes.statements import Sentence
from app.service.notes.vocabulary import VitalSign, Vocabulary

_SYSTOLIC = (60, 280)
_DIASTOLIC = (30, 160)
_PRESSURE = "blood pressure"
_OUT_OF_RANGE = "outside the possible range; written as heard"
_OTHER_TIME = "said of another time or place"
_NO_DECIMALS = "what was said after “point” was not understood"
_NEAR = 6


@dataclass(frozen=True)
class Reading:
    """One measured value."""

    name: str
    value: str
    unit: str
    utterances: tuple[int, ...]
    check: str = ""
    span: tuple[int, int] = field(default=(0, 0), compare=False)

    def data(self) -> dict[str, str]:
        """Its form in the note: only what is known."""
        shown = {"name": self.name, "value": self.value, "unit": self.unit, "check": self.check}
        return {key: value for key, value in shown.items() if value}


def vitals(heard: Sequence[Sentence], words: Vocabulary) -> list[Reading]:
    """All readings in the order they were said, each value once."""
    found: dict[tuple[str, str, str], Reading] = {}
    for sentence in heard:
        if sentence.is_question:
            continue
        for reading in _in_sentence(sentence.tokens, words):
            key = (reading.name, reading.value, reading.unit)
            before = found.get(key)
            places = (before.utterances if before else ()) + reading.utterances
            found[key] = replace(before or reading, utterances=tuple(dict.fromkeys(places)))
    return list(found.values())


def _in_sentence(tokens: tuple[Token, ...], words: Vocabulary) -> list[Reading]:
    found = [reading for vital in words.vitals for reading in _of_vital(vital, tokens, words)]
    found += _bare_pressures(tokens, [reading.span for reading in found], words)
    found.sort(key=lambda reading: reading.span)
    kept = [reading for reading in found if not _is_excluded(tokens[: reading.span[0]], words)]
    kept = [r for i, r in enumerate(kept) if not _is_withdrawn(r, kept[i + 1 : i + 2], tokens, words)]
    other = words.phrases("other_time").first(tokens) is not None
    return [replace(reading, check=reading.check or (_OTHER_TIME if other else "")) for reading in kept]


def _is_excluded(before: Sequence[Token], words: Vocabulary) -> bool:
    """Targets (``should be below``), conditions (``if it goes above``) and relatives."""
    return any(token.key in words.words("not_measured") or token.key in words.words("family") for token in before)


def _is_withdrawn(reading: Reading, following: Sequence[Reading], tokens: Sequence[Token], words: Vocabulary) -> bool:
    """``130 over 80, no sorry, 140 over 80``."""
    after = next((r for r in following if r.name == reading.name), None)
    if after is None:
        return False
    return words.phrases("corrections").first(tokens, reading.span[1], after.span[0]) is not None


def _of_vital(vital: VitalSign, tokens: Sequence[Token], words: Vocabulary) -> Iterator[Reading]:
    end = 0
    for keyword in _keywords(vital, tokens, words):
        if keyword.start < end:
            continue
        at = _skip(tokens, keyword.end, words)
        reading = _pressure(tokens, at) if vital.name == _PRESSURE else _value(vital, tokens, at, words)
        while reading:
            end = reading.span[1]
            yield replace(reading, utterances=utterances_of(tokens[keyword.start : end]))
            # A correction is followed by the new value without its name.
            cue = words.phrases("corrections").at(tokens, end)
            at = _skip(tokens, cue.end, words) if cue else len(tokens)
            reading = _pressure(tokens, at) if vital.name == _PRESSURE else _value(vital, tokens, at, words)
    yield from _by_unit(vital, tokens, end, words)


def _keywords(vital: VitalSign, tokens: Sequence[Token], words: Vocabulary) -> Iterator[_Place]:
    """Where the vital sign is named, and not as part of a longer name of another (``pulse ox``)."""
    for match in vital.keywords.find(tokens):
        longest = max((v.keywords.at(tokens, match.start) or match for v in words.vitals), key=lambda m: m.end)
        if longest.end == match.end:
            yield _Place(match.start, match.end)


@dataclass(frozen=True)
class _Place:
    start: int
    end: int


def _by_unit(vital: VitalSign, tokens: Sequence[Token], start: int, words: Vocabulary) -> Iterator[Reading]:
    """``88 beats per minute`` without the word pulse."""
    for at in range(start, len(tokens)):
        if tokens[at].number is not None and vital.trailing.at(tokens, at + 1):
            reading = _value(vital, tokens, at, words)
            if reading and not reading.check:
                yield reading


def _skip(tokens: Sequence[Token], at: int, words: Vocabulary) -> int:
    """Past ``is now about`` to the value."""
    limit = at + _NEAR
    while at < min(limit, len(tokens)) and tokens[at].number is None and tokens[at].key in words.words("between"):
        at += 1
    return at


# Blood pressure


def _pressure(tokens: Sequence[Token], at: int) -> Reading | None:
    three = tokens[at : at + 3]
    if len(three) < 3 or three[1].key not in {"over", "by", "/", "upon"}:  # noqa: PLR2004
        return None
    high, low = three[0].number, three[2].number
    if high is None or low is None:
        return None
    is_sane = _SYSTOLIC[0] <= high <= _SYSTOLIC[1] and _DIASTOLIC[0] <= low <= _DIASTOLIC[1] and high > low
    value = f"{three[0].text}/{three[2].text}"
    return Reading(_PRESSURE, value, "mmHg", utterances_of(three), "" if is_sane else _OUT_OF_RANGE, (at, at + 3))


def _bare_pressures(
    tokens: Sequence[Token], taken: Sequence[tuple[int, int]], words: Vocabulary
) -> Iterator[Reading]:
    """``130 over 85`` can be nothing else, when both are possible."""
    for at, token in enumerate(tokens):
        is_free = all(not start <= at < end for start, end in taken)
        reading = _pressure(tokens, at) if is_free and token.number is not None else None
        unit = words.phrases("durations").at(tokens, at + 1)
        if reading and not reading.check and not unit:
            yield reading


# The others


def _value(vital: VitalSign, tokens: Sequence[Token], at: int, words: Vocabulary) -> Reading | None:
    if at >= len(tokens) or tokens[at].number is None:
        return None
    end, text, number = _decimal(vital, tokens, at)
    measure = vital.units.at(tokens, end) or words.measures.at(tokens, end)
    unit = vital.unit
    if measure and not vital.unit:
        unit = measure.value
    end = measure.end if measure else end
    if vital.name == "height" and unit == "ft":
        text, unit, number, end = _feet(tokens, at, end, words)
    unit, is_sane = _checked(vital, unit, number)
    if not is_sane and tokens[at].parts:
        text = " ".join(f"{part:g}" for part in tokens[at].parts)
    check = "" if is_sane else _OUT_OF_RANGE
    if end < len(tokens) and tokens[end].key == "point":
        check = _NO_DECIMALS
    return Reading(vital.name, text, unit, utterances_of(tokens[at:end]), check, (at, end))


def _decimal(vital: VitalSign, tokens: Sequence[Token], at: int) -> tuple[int, str, float]:
    """``thirty eight five`` said of a temperature is 38.5."""
    first, number = tokens[at], tokens[at].number or 0.0
    second = tokens[at + 1] if at + 1 < len(tokens) else None
    tenths = second.number if second and second.was_word and first.was_word else None
    if vital.name == "temperature" and second and tenths in range(10) and number == int(number):
        return at + 2, f"{first.text}.{second.text}", number + (tenths or 0) / 10
    return at + 1, first.text, number


def _feet(tokens: Sequence[Token], at: int, end: int, words: Vocabulary) -> tuple[str, str, float, int]:
    feet = tokens[at]
    inches = tokens[end] if end < len(tokens) and tokens[end].number is not None else None
    if inches is None:
        return feet.text, "ft", feet.number or 0.0, end
    unit = words.measures.at(tokens, end + 1)
    return f"{feet.text} ft {inches.text} in", "", feet.number or 0.0, unit.end if unit else end + 1


def _checked(vital: VitalSign, unit: str, number: float) -> tuple[str, bool]:
    """The unit and whether the value is possible; of a temperature the range tells which unit is meant."""
    if unit in vital.ranges or "" in vital.ranges:
        low, high = vital.ranges.get(unit, vital.ranges.get("", (0, 0)))
        return unit, low <= number <= high
    return next(((name, True) for name, (low, high) in vital.ranges.items() if low <= number <= high), (unit, False))
