"""A transcript as tokens: words as they were said, figures for number words, each with its utterance.

Works alike on a recogniser's lower-case words and on punctuated text with figures. Pure; any thread.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from text_to_num import find_numbers, text2num

from app.service.notes.vocabulary import Vocabulary
from app.service.ports import Transcript

_PIECE = re.compile(
    r"(?P<label>\b(?:doctor|dr|clinician|patient|pt)\s*:)"
    r"|(?P<figure>\d+(?:-\d+){2,}|\d+:\d\d|\d+(?:[.,]\d+)*)"
    r"|(?P<word>[^\W\d_][^\s.,;:!?()\"…।/%*]*)"
    r"|(?P<sign>°\s?[CFcf]\b|[%/])"
    r"|(?P<mark>[.?!,;:…।])",
    re.IGNORECASE,
)
_ENDS = {".", "?", "!", "…", "।"}
_SHORT_FORMS = {"dr", "mr", "mrs", "ms", "st", "vs", "x"}
_YEARS = {19, 20}
_DIGITS, _TENS = range(1, 10), range(10, 100)


@dataclass(frozen=True, slots=True)
class Token:
    """One word or figure. ``parts`` are the figures that it may have been meant as (``one`` ``thirty``: 130)."""

    text: str
    utterance: int
    speaker: str = ""
    number: float | None = None
    mark: str = ""
    """The punctuation that follows."""
    is_glued: bool = False
    """Nothing stood between it and the token before."""
    was_word: bool = True
    """A number that was said in words, where groups are not yet sure."""
    parts: tuple[float, ...] = ()

    key: str = field(init=False, compare=False)
    """The word as the vocabulary has it."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", self.text.lower().replace("\u2019", "'"))


def read(transcript: Transcript, words: Vocabulary) -> list[Token]:
    """All tokens of a transcript in order."""
    tokens: list[Token] = []
    for index, utterance in enumerate(transcript.utterances):
        tokens += _spell(_pieces(utterance.text, index), words)
    return _fold(_figures(tokens, words), words)


def render(tokens: Sequence[Token]) -> str:
    """Tokens as text again."""
    text = ""
    for token in tokens:
        shown = token.text + ("," if token.mark in {",", ";", ":"} else "")
        text += shown if token.is_glued or not text else f" {shown}"
    return text.rstrip(",")


def _pieces(text: str, utterance: int) -> list[Token]:
    tokens: list[Token] = []
    speaker, previous_end = "", -1
    for found in _PIECE.finditer(text):
        kind, said = found.lastgroup, found.group()
        if kind == "label":
            speaker = "patient" if said.lower().startswith("p") else "doctor"
        elif kind == "mark":
            if tokens and not (said == "." and tokens[-1].key in _SHORT_FORMS):
                tokens[-1] = replace(tokens[-1], mark=said)
        else:
            value = _value(said) if kind == "figure" else None
            is_glued = found.start() == previous_end
            tokens.append(Token(said, utterance, speaker, value, is_glued=is_glued, was_word=kind != "figure"))
        previous_end = found.end()
    return tokens


def _value(figure: str) -> float | None:
    plain = re.sub(r",(?=\d{3}\b)", "", figure).replace(",", ".")
    try:
        return float(plain)
    except ValueError:  # 1-0-1, 10:30, 1.2.2024
        return None


def _spell(tokens: list[Token], words: Vocabulary) -> list[Token]:
    """``b p`` as BP."""
    phrases, result, position = words.phrases("spelled"), list[Token](), 0
    while position < len(tokens):
        match = phrases.at(tokens, position)
        if match:
            result.append(replace(tokens[position], text=match.value, mark=tokens[match.end - 1].mark, number=None))
        else:
            result.append(tokens[position])
        position = match.end if match else position + 1
    return result


_MAY_BE_WHOLE = frozenset({"hundred", "thousand"})


class _Heard:
    """A token in the form that the number library asks for."""

    def __init__(self, token: Token, previous: Token | None, words: Vocabulary) -> None:
        self._text = token.key
        # A figure is one breath's, or plainly goes on: ``five hundred | and eighteen tablets`` are two.
        hangs = previous is not None and previous.key in words.words("dangling") - _MAY_BE_WHOLE
        goes_on = previous is None or previous.utterance == token.utterance or hangs
        self._is_apart = not goes_on or bool(previous and previous.mark)

    def text(self) -> str:
        return self._text

    def nt_separated(self, previous: object) -> bool:
        del previous
        return self._is_apart

    def not_a_number_part(self) -> bool:
        return False


def _figures(tokens: list[Token], words: Vocabulary) -> list[Token]:
    """Number words as figures; ordinals and a lone ``one`` that counts nothing stay words."""
    heard = [_Heard(token, tokens[i - 1] if i else None, words) for i, token in enumerate(tokens)]
    result, position = list[Token](), 0
    for found in find_numbers(heard, "en", 0):
        if found.is_ordinal or tokens[found.start].number is not None or not _counts(found, tokens, words):
            continue
        result += tokens[position : found.start]
        if result and result[-1].key == "a" and tokens[found.start].key in {"hundred", "thousand"}:
            result.pop()
        first, last = tokens[found.start], tokens[found.end - 1]
        result.append(replace(first, text=found.text, number=float(found.text), mark=last.mark))
        position = found.end
    return result + tokens[position:]


def _counts(found: object, tokens: Sequence[Token], words: Vocabulary) -> bool:
    start, end = int(getattr(found, "start")), int(getattr(found, "end"))  # noqa: B009  (the library has no types)
    if [token.key for token in tokens[start:end]] != ["one"]:
        return True
    after = [token.key for token in tokens[end : end + 3]]
    is_counting = bool(after) and (after[0] in words.quantities or after[0] in {"to", "or", "oh", "o"})
    return is_counting or after == ["and", "a", "half"] or bool(after and _is_number_word(after[0]))


def _is_number_word(word: str) -> bool:
    try:
        text2num(word, "en")
    except ValueError:
        return False
    return True


def _fold(tokens: list[Token], words: Vocabulary) -> list[Token]:
    """Groups that people say for one number: ``1 30``, ``1 oh 2``, ``19 85``, ``point 5``, ``1 and a half``."""
    result, position = list[Token](), 0
    while position < len(tokens):
        token, length = _folded(tokens, position, result[-1].key if result else "", words)
        result.append(token)
        position += length
    return result


def _folded(tokens: Sequence[Token], at: int, before: str, words: Vocabulary) -> tuple[Token, int]:
    here, rest = tokens[at], tokens[at + 1 : at + 4]
    keys = [token.key for token in rest]
    if here.number is not None and not here.mark and keys[:3] == ["and", "a", "half"]:
        value = here.number + 0.5
        return replace(here, text=f"{value:g}", number=value, mark=rest[2].mark), 4
    if (
        here.key == "point"
        and rest
        and _is_whole(rest[0])
        and (before == "" or (keys[1:2] and keys[1] in words.quantities))
    ):
        return replace(rest[0], text=f"0.{rest[0].text}", number=float(f"0.{rest[0].text}")), 2
    if not (here.number is not None and here.was_word and not here.mark and rest):
        return here, 1
    oh = 1 if keys[0] in {"oh", "o"} else 0
    return (
        _pair(here, rest[oh], tokens[at + oh + 2 : at + oh + 4], before, words, has_oh=bool(oh))
        if oh < len(rest)
        else (here, 1)
    )


def _is_whole(token: Token) -> bool:
    return token.number is not None and token.number == int(token.number) and token.text.isdecimal()


def _pair(
    first: Token, second: Token, after: Sequence[Token], before: str, words: Vocabulary, *, has_oh: bool
) -> tuple[Token, int]:
    """Two numbers as one, when that is how they are meant; else the first alone."""
    a, b = first.number, second.number
    is_apart = second.number is None or not second.was_word or second.utterance != first.utterance
    if a is None or b is None or is_apart or not _is_whole(first):
        return first, 1
    leading_zero = second.text.startswith("0") and not second.text.startswith("0.")
    if has_oh or leading_zero:
        is_one = a in _DIGITS and b < _TENS.start
    elif a in _YEARS and before in {"in", "since", "year"}:
        is_one = b in _TENS
    else:
        is_one = a in _DIGITS and b in _TENS and _is_one_number(before, after, words)
    if not is_one:
        return first, 1
    joined = a * 100 + b
    parts = () if has_oh or leading_zero else (a, b)
    text = str(int(joined)) if joined == int(joined) else f"{joined:g}"
    return replace(first, text=text, number=joined, mark=second.mark, parts=parts), 3 if has_oh else 2


def _is_one_number(before: str, after: Sequence[Token], words: Vocabulary) -> bool:
    """``take two fifty milligram tablets`` may be two of 50: only a pressure is sure after such a word."""
    is_pressure = len(after) > 1 and after[0].key in {"over", "by", "/"} and after[1].number is not None
    return is_pressure or before not in words.words("take_words")


def utterances_of(tokens: Sequence[Token]) -> tuple[int, ...]:
    """The utterances that tokens come from, each once, in order."""
    return tuple(dict.fromkeys(token.utterance for token in tokens))
