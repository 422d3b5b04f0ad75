"""Medications with dose, route, frequency and duration, out of what was said.

A drug is listed when something is said about taking it; one that somebody is allergic to, does not take, or that
another person takes is not. A name that was only nearly heard is listed with what was heard. Pure; any thread.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import zip_longest

from app.service.notes.drugs import Mention, mentions
from app.service.notes.reading import Token, render, utterances_of
from app.service.notes.statements import Sentence
from app.service.notes.vocabulary import Match, Vocabulary

FIELDS = ("name", "dosage", "route", "frequency", "duration", "instructions", "action", "heard_as", "check")

_TWO_WAYS = "the figures can be read in two ways"
_KINDS = ("frequencies", "durations", "instructions", "routes")
_FIELD_OF = {"frequencies": "frequency", "durations": "duration", "instructions": "instructions", "routes": "route"}
_STOPS = frozenset(
    [
        "if",
        "come",
        "see",
        "return",
        "review",
        "because",
        "but",
        "drink",
        "rest",
        "follow",
        "he",
        "she",
        "i",
        "we",
        "call",
        "your",
    ]
)
_FAR = 7
_ACTION_NEAR = 6
_REACTION_NEAR = 16
"""Far enough for a whole dose to stand between a drug and what it did."""
_NEGATION_NEAR = 4
_DAILY_PATTERN = re.compile(r"\d-\d-\d")


@dataclass(frozen=True)
class Part:
    """One thing that was said of a drug, and where."""

    text: str
    utterances: tuple[int, ...]


@dataclass(frozen=True)
class Medication:
    """A drug with what was said of it, by field."""

    parts: dict[str, Part]

    def __getitem__(self, name: str) -> str:
        return self.parts[name].text if name in self.parts else ""

    def data(self) -> dict[str, str]:
        """Its form in the note: only what was said."""
        return {name: self.parts[name].text for name in FIELDS if name in self.parts}


@dataclass
class _Details:
    """What is said of one mention, collected from left to right."""

    parts: dict[str, list[Part]] = field(default_factory=dict)
    check: str = ""

    def add(self, name: str, part: Part, *, replaces: bool) -> None:
        if replaces:
            self.parts[name] = []
        self.parts.setdefault(name, []).append(part)


def medications(heard: Sequence[Sentence], words: Vocabulary) -> list[Medication]:
    """All medications in the order they were said; what is said later of the same one is added to it."""
    found: list[Medication] = []
    for tokens in _passages(heard, words):
        for medication in _in_passage(tokens, words):
            _merge(found, medication)
    return found


def _passages(heard: Sequence[Sentence], words: Vocabulary) -> Iterator[tuple[Token, ...]]:
    """Sentences that can speak of taking a drug, each with the ``take it twice a day`` that follows."""
    passage: tuple[Token, ...] = ()
    for sentence, following in zip_longest(heard, heard[1:]):
        if sentence.is_question and not sentence.agrees:
            continue
        tokens = _without_lead(sentence.tokens, following, words)
        if passage and (not tokens or _continues(tokens, words)):
            passage += tokens
            continue
        if passage:
            yield passage
        passage = tokens
    if passage:
        yield passage


def _without_lead(tokens: tuple[Token, ...], following: Sentence | None, words: Vocabulary) -> tuple[Token, ...]:
    """``… daily | for the headache take ibuprofen``: what opens a breath is about the drug that it leads to."""
    if following is None or not words.drugs.first(following.tokens):
        return tokens
    breath = following.tokens[0].utterance
    start = next((at for at, token in enumerate(tokens) if token.utterance == breath), len(tokens))
    lead = words.phrases("instructions").at(tokens, start) if start < len(tokens) else None
    return tokens[:start] if lead and lead.end == len(tokens) else tokens


def _continues(tokens: tuple[Token, ...], words: Vocabulary) -> bool:
    if words.drugs.first(tokens):
        return False
    at = 1 if tokens[0].key in {"and", "so", "then"} else 0
    if tokens[at : at + 1] and tokens[at].key in {"take", "use", "give", "have", "apply", "that's", "it's"}:
        at += 1
        if tokens[at : at + 1] and tokens[at].key in {"it", "them", "this", "these", "one"}:
            at += 1
    return at > 1 or _detail_at(tokens, at, words) is not None


def _in_passage(tokens: tuple[Token, ...], words: Vocabulary) -> Iterator[Medication]:
    found = list(mentions(tokens, words))
    for index, mention in enumerate(found):
        previous_end = found[index - 1].end if index else 0
        next_start = found[index + 1].start if index + 1 < len(found) else len(tokens)
        before = _dose_before(tokens, previous_end, mention.start, words)
        following = _dose_before(tokens, mention.end, next_start, words) if next_start < len(tokens) else None
        details = _details(tokens, mention.end, following.start if following else next_start, words)
        if before:
            _note(details, "dosage", tokens, before, words, replaces=False)
        if next_start < len(tokens) and _is_withdrawn(tokens[mention.end : next_start], words):
            continue
        action = _action(tokens, mention, next_start, words)
        if action is not None and (action.text or details.parts):
            yield _medication(tokens, mention, details, action)


def _medication(tokens: Sequence[Token], mention: Mention, details: _Details, action: Part) -> Medication:
    place = utterances_of(tokens[mention.start : mention.end])
    parts = {"name": Part(mention.name, place)}
    for name, said in details.parts.items():
        where = tuple(dict.fromkeys(u for part in said for u in part.utterances))
        parts[name] = Part(", ".join(dict.fromkeys(part.text for part in said)), where)
    if action.text and action.text != "taking":
        parts["action"] = action
    for name, text in (("heard_as", mention.heard_as), ("check", mention.check or details.check)):
        if text:
            parts[name] = Part(text, place)
    return Medication(parts)


# What is said of a drug


def _detail_at(tokens: Sequence[Token], at: int, words: Vocabulary) -> tuple[str, Match] | None:
    """The longest phrase here, with the field it is for."""
    found = [(_FIELD_OF[kind], words.phrases(kind).at(tokens, at)) for kind in _KINDS]
    found.append(("dosage", words.dosages.at(tokens, at)))
    matches = [(name, match) for name, match in found if match]
    if not matches and at < len(tokens) and _DAILY_PATTERN.fullmatch(tokens[at].text):
        return "frequency", Match(at, at + 1, "")
    return max(matches, key=lambda pair: pair[1].end, default=None)


def _details(tokens: Sequence[Token], start: int, end: int, words: Vocabulary) -> _Details:
    details, at, last, replaces = _Details(), start, start, False
    window = tokens[:end]
    while at < end and at - last <= _FAR:
        cue = words.phrases("corrections").at(window, at)
        found = None if cue else _usable(window, at, last, words) or _bare_dose(window, at, start, replaces, words)
        if found:
            name, match = found
            if name == "frequency":
                match = _whole_frequency(window, match, words)
            _note(details, name, window, match, words, replaces=replaces)
            at = last = match.end
            replaces = False
        elif cue:
            at, last, replaces = cue.end, cue.end, True
        elif tokens[at].key in _STOPS:
            break
        elif tokens[at].key == "then" and details.parts:
            _note_later(details, window, at, words)
            break
        else:
            at += 1
    return details


def _note_later(details: _Details, tokens: Sequence[Token], at: int, words: Vocabulary) -> None:
    """``40 mg for 5 days, then 20 mg for 5 days``: the later part is kept as one instruction."""
    end = at + 1
    while found := _detail_at(tokens, end, words):
        end = found[1].end
    if end > at + 1:
        said = tokens[at:end]
        details.add("instructions", Part(render(said), utterances_of(said)), replaces=False)


def _whole_frequency(tokens: Sequence[Token], match: Match, words: Vocabulary) -> Match:
    """``every 6 hours`` and ``as needed`` right after each other are one."""
    while following := words.phrases("frequencies").at(tokens, match.end):
        match = replace(match, end=following.end)
    return match


def _usable(tokens: Sequence[Token], at: int, last: int, words: Vocabulary) -> tuple[str, Match] | None:
    """A phrase, unless it speaks of something else: ``come back in 3 days``, ``3 days ago``."""
    found = _detail_at(tokens, at, words)
    if found is None:
        return None
    name, match = found
    after = tokens[match.end].key if match.end < len(tokens) else ""
    if name == "duration" and (after == "ago" or (tokens[at].number is not None and at != last)):
        return None
    return found


def _bare_dose(
    tokens: Sequence[Token], at: int, start: int, is_correction: bool, words: Vocabulary
) -> tuple[str, Match] | None:
    """``amoxicillin five hundred``: a figure without a unit right after the name, or after ``to``."""
    if tokens[at].number is None or _DAILY_PATTERN.fullmatch(tokens[at].text):
        return None
    is_placed = at == start or is_correction or tokens[at - 1].key in {"to", "of"}
    after = tokens[at + 1].key if at + 1 < len(tokens) else ""
    return ("dosage", Match(at, at + 1, "")) if is_placed and after not in words.words("not_after_number") else None


def _note(
    details: _Details, name: str, tokens: Sequence[Token], match: Match, words: Vocabulary, *, replaces: bool
) -> None:
    said = tokens[match.start : match.end]
    if name != "dosage":
        details.add(name, Part(render(said), utterances_of(said)), replaces=replaces)
        return
    split = next((i for i, token in enumerate(said) if token.key == "to"), None)
    if split is not None and match.start and tokens[match.start - 1].key == "from":
        earlier = tokens[match.start - 1 : match.start + split]
        details.add("instructions", Part(render(earlier), utterances_of(earlier)), replaces=False)
        match = replace(match, start=match.start + split + 1)
    part = _dosage(tokens, match, words)
    before = tokens[match.start - 1] if match.start else None
    if before and before.number is not None and before.was_word and not before.mark:
        part, details.check = replace(part, text=f"{before.text} {part.text}"), _TWO_WAYS
    if any(token.parts for token in said):
        details.check = _TWO_WAYS
    details.add("dosage", part, replaces=replaces)


def _dosage(tokens: Sequence[Token], match: Match, words: Vocabulary) -> Part:
    """``500 milligrams`` as 500 mg; what is counted stays as said."""
    said = tokens[match.start : match.end]
    for at in range(match.start, match.end):
        unit = words.dose_units.at(tokens[: match.end], at)
        if unit and unit.end == match.end:
            separator = "" if unit.value == "%" else " "
            return Part(render(tokens[match.start : at]) + separator + unit.value, utterances_of(said))
    return Part(render(said), utterances_of(said))


def _dose_before(tokens: Sequence[Token], start: int, name: int, words: Vocabulary) -> Match | None:
    """``500 mg of amoxicillin``; after another drug's name the dose is that one's unless ``of`` ties it to this."""
    between = {"of", "the", "oral"} | words.quantities
    for at in range(max(start, name - 6), name):
        match = words.dosages.at(tokens, at)
        if match is None or match.end > name:
            continue
        link = [token.key for token in tokens[match.end : name]]
        if all(key in between for key in link) and (start == 0 or "of" in link or tokens[at - 1].key == "and"):
            return match
    return None


def _is_withdrawn(between: Sequence[Token], words: Vocabulary) -> bool:
    """``amoxicillin, no sorry, azithromycin``."""
    cues = list(words.phrases("corrections").find(between))
    return bool(cues) and cues[-1].end == len(between)


# What to do with it


def _action(tokens: Sequence[Token], mention: Mention, end: int, words: Vocabulary) -> Part | None:
    """What is to be done with the drug, with an empty text when nothing is said of that; None when not taken."""
    cues = list(_cues(tokens[: mention.start], words))
    kind, match = cues[-1] if cues else ("", None)
    is_family = words.words("family") & {token.key for token in tokens[: mention.start]}
    if kind == "not_taken" or _is_reaction(tokens, mention, end, words) or (is_family and kind != "actions"):
        return None
    if (
        kind == "taking"
        and len(cues) > 1
        and match
        and cues[-2][0] == "actions"
        and match.start - cues[-2][1].end <= 1
    ):
        kind, match = cues[-2]
    if kind == "actions" and match:
        return Part(match.value, utterances_of(tokens[match.start : match.end]))
    late = words.phrases("actions").first(tokens, mention.end, min(end, mention.end + _ACTION_NEAR))
    if late and tokens[late.start - 1].key in {"be", "is", "was", "been"}:
        return Part(late.value, utterances_of(tokens[late.start : late.end]))
    return Part("taking" if kind == "taking" else "", ())


def _cues(tokens: Sequence[Token], words: Vocabulary) -> Iterator[tuple[str, Match]]:
    """Cues about taking, from left to right, the longest at each place."""
    at = 0
    while at < len(tokens):
        found = [(kind, words.phrases(kind).at(tokens, at)) for kind in ("actions", "not_taken", "taking")]
        matches = [(kind, match) for kind, match in found if match]
        if matches:
            kind, match = max(matches, key=lambda pair: pair[1].end)
            yield ("not_taken" if _is_negated(tokens[:at], match, words) else kind), match
            at = match.end
        else:
            at += 1


def _is_negated(before: Sequence[Token], cue: Match, words: Vocabulary) -> bool:
    """``i will not give you``, ``she did not start``; ``don't take`` is advice unless said of somebody."""
    if cue.value == "avoid":
        return bool(before) and before[-1].key in {"i", "he", "she", "they", "patient", "to"}
    near = [token.key for token in before[-_NEGATION_NEAR:]]
    for join in ("but", "so", "and"):
        near = near[near.index(join) + 1 :] if join in near else near
    return any(key in words.words("negations") for key in near)


def _is_reaction(tokens: Sequence[Token], mention: Mention, end: int, words: Vocabulary) -> bool:
    """``penicillin gives me a rash``; a warning (``if you get a rash, stop``) is none."""
    end = next((at for at in range(mention.end, end) if tokens[at].key in {"if", "should", "unless"}), end)
    return words.phrases("reactions").first(tokens, mention.end, min(end, mention.end + _REACTION_NEAR)) is not None


# The same drug said again


def _merge(found: list[Medication], new: Medication) -> None:
    for index, old in enumerate(found):
        if old["name"] == new["name"] and _agree(old, new):
            parts = dict(old.parts)
            for name, part in new.parts.items():
                known = parts.get(name)
                places = (known.utterances if known else ()) + part.utterances
                parts[name] = Part(part.text, tuple(dict.fromkeys(places)))
            found[index] = Medication(parts)
            return
    found.append(new)


def _agree(old: Medication, new: Medication) -> bool:
    """Nothing said later contradicts what was said before; a changed dose is an entry of its own."""
    same = all(not old[name] or not new[name] or old[name] == new[name] for name in FIELDS)
    changes = new["action"] in {"increase", "decrease", "start"} and old["action"] != new["action"]
    return same and not (changes and old["dosage"] and new["dosage"] and old["dosage"] != new["dosage"])
