"""Sentences of clinic talk, drawn at random from templates (``talk.txt``) and word lists (``words.txt``)."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).parent
_ONES = """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen
seventeen eighteen nineteen""".split()  # noqa: SIM905
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_OFTEN_MILLIGRAMS = (5, 10, 20, 25, 40, 50, 75, 80, 100, 150, 200, 250, 300, 400, 500, 600, 625, 650, 750, 800, 1000)
_SELDOM_MILLIGRAMS = (1, 2, 3, 4, 8, 12, 15, 16, 30, 60, 120, 125, 160, 375, 450, 850)


def number_words(n: int, rng: random.Random) -> str:
    """A whole number below ten thousand as it is said, with and without its ``and``."""
    if n < len(_ONES):
        return _ONES[n]
    tens, ones = divmod(n, 10)
    hundreds, rest = divmod(n, 100)
    if not hundreds:
        return _TENS[tens - 2] + (f" {_ONES[ones]}" if ones else "")
    thousands, below = divmod(n, 1000)
    if thousands:
        return f"{_ONES[thousands]} thousand" + (f" {number_words(below, rng)}" if below else "")
    if not rest:
        return f"{_ONES[hundreds]} hundred"
    joints = (" hundred and ", " hundred and ", " hundred ", " ") if tens % 10 else (" hundred and ",)
    return _ONES[hundreds] + rng.choice(joints) + number_words(rest, rng)


class Talk:
    """The templates, ready to draw from. The same seed draws the same sentences."""

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(seed)
        self._slots: dict[str, list[str]] = _word_lists()
        self._templates: list[tuple[list[str], float]] = []
        self._read(HERE / "talk.txt")

    def sentences(self, count: int) -> list[list[str]]:
        """Sentences as lists of words."""
        groups = [lines for lines, _ in self._templates]
        weights = [weight for _, weight in self._templates]
        drawn = self._rng.choices(groups, weights, k=count)
        return [self._expand(self._rng.choice(lines)).split() for lines in drawn]

    def one_of_each_word(self) -> list[str]:
        """Every entry of every list, so that no word of a list goes unseen."""
        return [self._expand(entry) for entries in self._slots.values() for entry in entries if "{" not in entry]

    def _read(self, path: Path) -> None:
        lines: list[str] = []
        for line in path.read_text(encoding="utf-8").splitlines():
            if not line or line.startswith("#"):
                continue
            if heading := re.fullmatch(r"\[(\w+) (\d+)\]", line):
                lines = []
                self._templates.append((lines, float(heading[2])))
            elif heading := re.fullmatch(r"\[(\w+)\]", line):
                lines = self._slots.setdefault(heading[1], [])
            elif self._templates and lines is self._templates[-1][0]:
                lines.append(line)
            else:
                lines.extend(entry.strip() for entry in re.split(r" \|(?= |$)", line))

    def _expand(self, template: str) -> str:
        text = template
        while innermost := re.search(r"\[([^\[\]()]*)\]|\(([^\[\]()]*)\)|\{([\w-]+)\}", text):
            optional, choice, slot = innermost.groups()
            if slot:
                new = self._fill(slot)
            elif choice is not None:
                new = self._rng.choice(choice.split("|"))
            else:
                new = self._rng.choice((self._rng.choice(optional.split("|")), ""))
            text = text[: innermost.start()] + new + text[innermost.end() :]
        return text

    def _fill(self, slot: str) -> str:
        if span := re.fullmatch(r"n(\d+)-(\d+)", slot):
            return number_words(self._rng.randint(int(span[1]), int(span[2])), self._rng)
        if slot in _SPOKEN:
            return _SPOKEN[slot](self._rng)
        return self._rng.choice(self._slots[slot])


def _blood_pressure(rng: random.Random) -> str:
    high = rng.randint(90, 200)
    low = rng.randint(50, 115)
    return f"{number_words(high, rng)} over {number_words(low, rng)}"


def _temperature(rng: random.Random) -> str:
    whole = rng.choice((36, 37, 38, 39, 40, 97, 98, 98, 99, 100, 101, 102, 103, 104))
    head = number_words(whole, rng)
    return head if rng.random() < 0.3 else f"{head} point {_ONES[rng.randint(0, 9)]}"  # noqa: PLR2004


def _milligrams(rng: random.Random) -> str:
    if rng.random() < 0.05:  # noqa: PLR2004
        return f"{_ONES[rng.choice((0, 1, 2, 6, 7, 12))]} point {_ONES[rng.choice((2, 5, 5, 5))]}"
    return number_words(rng.choice(_OFTEN_MILLIGRAMS * 2 + _SELDOM_MILLIGRAMS), rng)


def _micrograms(rng: random.Random) -> str:
    return number_words(rng.choice((12, 25, 50, 75, 100, 125, 150, 200, 400)), rng)


_SPOKEN: dict[str, Callable[[random.Random], str]] = {
    "bp": _blood_pressure,
    "temperature": _temperature,
    "mg": _milligrams,
    "mcg": _micrograms,
}


def british_spellings() -> dict[str, str]:
    """American spelling to British spelling, for words that sound the same."""
    return dict(pair.split("=") for pair in _sections()["british"])


def _word_lists() -> dict[str, list[str]]:
    lists = {
        name: [entry.replace("_", " ") for entry in entries]
        for name, entries in _sections().items()
        if name != "british"
    }
    lists["british"] = list(british_spellings().values())
    return lists


def _sections() -> dict[str, list[str]]:
    sections: dict[str, list[str]] = {}
    for line in (HERE / "words.txt").read_text(encoding="utf-8").splitlines():
        if heading := re.fullmatch(r"\[(\w+)\]", line):
            entries = sections.setdefault(heading[1], [])
        elif line and not line.startswith("#"):
            entries.extend(line.split())
    return sections
