"""Text from outside made fit to be shown: every character visible as what it is, and no line too long for Qt.

Pure. Services, files and devices name things as they like: control characters and those that turn the direction of
writing are shown escaped, so that nothing on the screen looks like something else.
"""

from __future__ import annotations

import re
from functools import cache

LONGEST_LINE = 10_000
"""Qt lays out a line of a megabyte for half a minute; of this length, at once."""
LONGEST_TEXT = 2_000_000
"""A day of speech. More is not shown at once."""
_LONGEST_NAME = 300
_LONGEST_REMARK = 2_000

_TROUBLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffc\ud800-\udfff"
    "\U000e0000-\U000e007f]"
)
"""Control characters, those that turn the direction, those that cannot be seen, and halves of characters. The joiners
that the scripts of India need are not among them; nor are tab and line feed."""
_PLACEHOLDER = "\ufffc"
_LINE_ENDS = ("\r\n", "\r", "\u2028", "\u2029")


def shown(text: str) -> str:
    """The text with its trouble escaped and its lines cut. Nothing is left out up to :data:`LONGEST_TEXT`."""
    if len(text) > LONGEST_TEXT:
        left_out = len(text) - LONGEST_TEXT
        text = f"{text[:LONGEST_TEXT]}\n[+ {left_out}]"
    for line_end in _LINE_ENDS:
        text = text.replace(line_end, "\n")
    # Most of what is said holds no trouble; this is the quickest way to see it. One kind of it counts as printable.
    if _PLACEHOLDER in text or not all(line.isprintable() for line in text.split("\n")):
        text = _TROUBLE.sub(_escaped, text)
    if len(text) <= LONGEST_LINE:
        return text
    return "\n".join(piece for line in text.split("\n") for piece in _cut(line))


def shown_name(text: str) -> str:
    """A name: one line, and not a page of it."""
    line = " ".join(shown(text[: _LONGEST_NAME + 1]).split())
    return line if len(line) <= _LONGEST_NAME else f"{line[:_LONGEST_NAME]}…"


def shown_remark(text: str) -> str:
    """What stands beside the notes and is no note: a reason, a warning. Not more of it than can be taken in."""
    text = shown(text[: _LONGEST_REMARK + 1])
    return text if len(text) <= _LONGEST_REMARK else f"{text[:_LONGEST_REMARK]}…"


@cache
def _spelled(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def _escaped(match: re.Match[str]) -> str:
    return _spelled(match.group())


def _cut(line: str) -> list[str]:
    pieces = []
    while len(line) > LONGEST_LINE:
        space = line.rfind(" ", LONGEST_LINE // 2, LONGEST_LINE) + 1
        at = space or LONGEST_LINE
        pieces.append(line[:at])
        line = line[at:]
    return [*pieces, line]
