"""A template result's data, of whatever JSON shape, as a document to read: headings, paragraphs, lists, tables.

Owns the promise that every character the service wrote is shown, in order, and that nothing is interpreted beyond
a small subset of Markdown. Pure. Each piece keeps ``at``, a JSON pointer into the data, so that the sources of a
statement can be found from the line that shows it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any, TypeAlias

_DEEPEST = 8
"""Below this many levels, structure is given up and every text is listed."""
_MOST_COLUMNS = 16
_SHORT = 48
_LONGEST_POINTER = 1000
_SPELLED = {"spo2": "SpO2"} | {word: word.upper() for word in ("bmi", "bp", "dob", "hpi", "icd", "id", "pmh", "ros")}


@dataclass(frozen=True)
class Line:
    """One text with its place in the data: an item of a list (``depth`` 0 is outermost) or a cell of a table."""

    text: str
    at: str = ""
    depth: int = 0


@dataclass(frozen=True)
class Heading:
    """``level`` 1 is the outermost, 6 the innermost."""

    level: int
    text: str
    at: str = ""


@dataclass(frozen=True)
class Paragraph:
    """Running text; line ends in it are meant."""

    text: str
    at: str = ""


@dataclass(frozen=True)
class Bullets:
    """A list. An item's text may have several lines."""

    items: tuple[Line, ...]


@dataclass(frozen=True)
class Table:
    """Every row has a cell for every column; an absent value is an empty text."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Line, ...], ...]


Block: TypeAlias = Heading | Paragraph | Bullets | Table


@dataclass(frozen=True)
class Document:
    """What a note says, in order."""

    blocks: tuple[Block, ...] = ()


def document(data: Any) -> Document:
    """Lay out ``data`` for reading."""
    return Document(tuple(_joined(_blocks(structured(data), "", 1, 0))))


def structured(data: Any) -> Any:
    """Data as it is laid out: a text that spells out JSON stands for what it spells."""
    parsed = _json_in(data) if isinstance(data, str) else None
    return data if parsed is None else parsed


def humanised(key: str) -> str:
    """A field name as words: ``chief_complaint`` becomes ``Chief complaint``. What is no such name stays as it is."""
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9]*([_-][A-Za-z0-9]+)*", key):
        return key
    words = [_word_of(word) for word in re.split(r"[_-]|(?<=[a-z]{2})(?=[A-Z][a-z])", key)]
    return " ".join([words[0][0].upper() + words[0][1:], *words[1:]])


def _word_of(word: str) -> str:
    return _SPELLED.get(word.lower()) or (word if word.isupper() else word[0].lower() + word[1:])


# Laying out -----------------------------------------------------------------------------------------------------


def _blocks(value: Any, at: str, level: int, depth: int) -> Iterator[Block]:
    if depth >= _DEEPEST and isinstance(value, dict | list):
        if items := tuple(_leaves(value, at)):
            yield Bullets(items)
    elif isinstance(value, dict):
        yield from _object_blocks(value, at, level, depth)
    elif isinstance(value, list):
        yield from _list_blocks(value, at, level, depth)
    elif isinstance(value, str):
        yield from _text_blocks(value, at, level)
    elif value is not None:
        yield Paragraph(_scalar(value), at)


def _object_blocks(value: dict[str, Any], at: str, level: int, depth: int) -> Iterator[Block]:
    """Sections; or, when everything in it is short, a list of ``Key: value``."""
    said = {key: item for key, item in value.items() if not _is_empty(item)}
    if said and all(_is_short(item) for item in said.values()):
        yield Bullets(tuple(_pair(key, item, _step(at, key)) for key, item in said.items()))
        return
    for key, item in said.items():
        place = _step(at, key)
        if _is_short(item) and not (isinstance(item, str) and level == 1):
            yield Bullets((_pair(key, item, place),))
        else:
            if key.strip():
                yield Heading(min(level, 6), humanised(key), place)
            yield from _blocks(item, place, level + 1, depth + 1)


def _pair(key: str, value: Any, at: str) -> Line:
    return Line(f"{humanised(key)}: {_scalar(value)}" if key.strip() else _scalar(value), at)


def _list_blocks(value: list[Any], at: str, level: int, depth: int) -> Iterator[Block]:
    if columns := _columns(value):
        yield _table(value, columns, at)
        return
    for index, item in enumerate(value):
        place = _step(at, index)
        if isinstance(item, dict | list):
            yield from map(_as_one_item, _blocks(item, place, level, depth + 1))
        elif not _is_empty(item):
            yield Bullets((Line(_scalar(item), place),))


def _as_one_item(block: Block) -> Block:
    """A list inside a list hangs under its first line, so that it stays apart from its neighbours."""
    if not isinstance(block, Bullets):
        return block
    first, *rest = block.items
    return Bullets((first, *(replace(item, depth=min(item.depth + 1, _DEEPEST)) for item in rest)))


def _columns(value: list[Any]) -> tuple[str, ...]:
    """The columns of a list that is a table: of flat objects with fields in common. Empty when it is none."""
    if not value or not all(isinstance(item, dict) for item in value):
        return ()
    filled = {key: None for item in value for key, cell in item.items() if not _is_empty(cell)}
    is_flat = all(_is_flat(cell) for item in value for cell in item.values())
    return tuple(filled) if is_flat and len(filled) <= _MOST_COLUMNS else ()


def _table(rows: list[dict[str, Any]], columns: tuple[str, ...], at: str) -> Table:
    return Table(
        tuple(humanised(column) for column in columns),
        tuple(
            tuple(Line(_cell(row.get(column)), _step(_step(at, index), column)) for column in columns)
            for index, row in enumerate(rows)
            if any(not _is_empty(cell) for cell in row.values())
        ),
    )


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return "; ".join(_scalar(item) for item in value if not _is_empty(item))
    return "" if _is_empty(value) else _scalar(value)


def _leaves(value: Any, at: str) -> Iterator[Line]:
    """Every text below, in order, without recursion: for data nested beyond reading."""
    stack: list[tuple[str, Any, str]] = [("", value, at)]
    while stack:
        key, item, place = stack.pop()
        if isinstance(item, dict):
            stack.extend((k, v, _step(place, k)) for k, v in reversed(item.items()))
        elif isinstance(item, list):
            stack.extend((key, v, _step(place, i)) for i, v in reversed(list(enumerate(item))))
        elif not _is_empty(item):
            yield _pair(key, item, place)


def _joined(blocks: Iterable[Block]) -> Iterator[Block]:
    """Lists that follow each other are one list."""
    for is_list, run in groupby(blocks, key=lambda block: isinstance(block, Bullets)):
        if is_list:
            yield Bullets(tuple(item for block in run if isinstance(block, Bullets) for item in block.items))
        else:
            yield from run


def _is_empty(value: Any) -> bool:
    return value is None or value in ({}, []) or (isinstance(value, str) and not value.strip())


def _is_short(value: Any) -> bool:
    """Fits behind its name on one line."""
    if isinstance(value, dict | list):
        return False
    text = _scalar(value)
    return len(text) <= _SHORT and "\n" not in text and "\r" not in text and not text.rstrip().endswith(".")


def _is_flat(value: Any) -> bool:
    return not isinstance(value, dict) and not (
        isinstance(value, list) and any(isinstance(item, dict | list) for item in value)
    )


def _scalar(value: Any) -> str:
    if isinstance(value, bool):
        return "Yes" if value else "No"
    return _lines_ended(value) if isinstance(value, str) else str(value)


def _step(at: str, key: str | int) -> str:
    """A JSON pointer one step further, as far as pointers are of use."""
    if len(at) > _LONGEST_POINTER:
        return at
    return f"{at}/{str(key).replace('~', '~0').replace('/', '~1')}"


def _lines_ended(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


# Text -----------------------------------------------------------------------------------------------------------


def _json_in(text: str) -> dict[str, Any] | list[Any] | None:
    """The object, or list of objects, that a text spells out in JSON; None when it is text.

    Numbers stay as they were written. A text whose JSON would lose anything (a name twice) stays text.
    """
    if not text.lstrip().startswith(("{", "[")):
        return None
    try:
        value = json.loads(
            text, parse_int=str, parse_float=str, parse_constant=str, object_pairs_hook=_without_repeats
        )
    except (ValueError, RecursionError):
        return None
    is_list_of_objects = isinstance(value, list) and bool(value) and all(isinstance(item, dict) for item in value)
    return value if is_list_of_objects or (isinstance(value, dict) and value) else None


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name appears twice")
    return found


_HEADING = re.compile(r" {0,3}(#{1,6})[ \t]+(\S.*)")
_BOLD_LINE = re.compile(r"\*\*([^*\s](?:[^*]*[^*\s])?)\*\*(:?)")
_BOLD = re.compile(r"(?<![*\w])\*\*([^*\s](?:[^*\n]*[^*\s])?)\*\*(?![*\w])")
_BULLET = re.compile(r"([ \t]*)[-*\u2022][ \t]+(\S.*)")
_RULE_OF_TABLE = re.compile(r"\|?\s*:?-+:?\s*(\|\s*:?-+:?\s*)*\|?")
_CELL_BORDER = re.compile(r"(?<!\\)\|")


def _text_blocks(text: str, at: str, level: int) -> Iterator[Block]:
    """The small subset of Markdown: headings, lists, tables, bold; everything else is a paragraph as it stands."""
    lines = _lines_ended(text).split("\n")
    paragraph: list[str] = []
    index = 0
    while index < len(lines):
        taken, block = _block_at(lines, index, at, level)
        if block is None and lines[index].strip():
            paragraph.append(_without_bold(lines[index]))
        elif paragraph:
            yield Paragraph("\n".join(paragraph), at)
            paragraph = []
        if block is not None:
            yield block
        index += taken
    if paragraph:
        yield Paragraph("\n".join(paragraph), at)


def _block_at(lines: list[str], index: int, at: str, level: int) -> tuple[int, Block | None]:
    """How many lines the block that starts here takes, and the block; one line and None for plain text."""
    line = lines[index].rstrip()
    if heading := _HEADING.fullmatch(line):
        return 1, Heading(min(len(heading[1]) + level - 1, 6), _without_bold(heading[2]), at)
    if bold := _BOLD_LINE.fullmatch(line.strip()):
        return 1, Heading(min(level + 1, 6), bold[1] + bold[2], at)
    if bullet := _BULLET.fullmatch(line):
        depth = min(len(bullet[1].expandtabs(4)) // 2, 5)
        return 1, Bullets((Line(_without_bold(bullet[2]), at, depth),))
    if _is_table_at(lines, index):
        return _markdown_table(lines, index, at)
    return 1, None


def _without_bold(line: str) -> str:
    return _BOLD.sub(r"\1", line)


def _is_table_at(lines: list[str], index: int) -> bool:
    return (
        "|" in lines[index]
        and index + 1 < len(lines)
        and "|" in lines[index + 1]
        and _RULE_OF_TABLE.fullmatch(lines[index + 1].strip()) is not None
    )


def _markdown_table(lines: list[str], start: int, at: str) -> tuple[int, Table]:
    end = start + 2
    while end < len(lines) and "|" in lines[end]:
        end += 1
    grid = [_cells(lines[start]), *(_cells(line) for line in lines[start + 2 : end])]
    width = max(len(row) for row in grid)
    padded = [row + [""] * (width - len(row)) for row in grid]
    return end - start, Table(tuple(padded[0]), tuple(tuple(Line(cell, at) for cell in row) for row in padded[1:]))


def _cells(line: str) -> list[str]:
    inner = line.strip().removeprefix("|")
    if inner.endswith("|") and not inner.endswith("\\|"):
        inner = inner[:-1]
    return [_without_bold(cell.strip().replace("\\|", "|")) for cell in _CELL_BORDER.split(inner)]


# Writing --------------------------------------------------------------------------------------------------------


def plain_text(shown: Document) -> str:
    """As text for a terminal or another program's field: order, bullets and blank lines as one would type them."""
    written = [(block, _plain_block(block)) for block in shown.blocks]
    return "".join(text + ("\n" if isinstance(block, Heading) else "\n\n") for block, text in written).rstrip("\n")


def _plain_block(block: Block) -> str:
    match block:
        case Heading(text=text) | Paragraph(text=text):
            return text
        case Bullets(items=items):
            return "\n".join(_bullet(item.text, item.depth) for item in items)
        case Table(columns=columns, rows=rows):
            return "\n".join([*_lone_columns(columns, rows), *(_bullet(_row_text(columns, row), 0) for row in rows)])


def _lone_columns(columns: tuple[str, ...], rows: tuple[tuple[Line, ...], ...]) -> list[str]:
    """The names of columns that no row names, because nothing stands in them."""
    lone = [name for n, name in enumerate(columns) if name and not any(row[n].text for row in rows)]
    return [", ".join(lone)] if lone else []


def _row_text(columns: tuple[str, ...], row: tuple[Line, ...]) -> str:
    pairs = ((name, cell.text) for name, cell in zip(columns, row, strict=True) if cell.text)
    return "; ".join(f"{name}: {text}" if name else text for name, text in pairs)


def _bullet(text: str, depth: int) -> str:
    indent = "  " * depth
    return f"{indent}- " + text.replace("\n", f"\n{indent}  ")


_LINE_MARK = re.compile(r"^(\d*)([#+\-=.)])")


def markdown(shown: Document) -> str:
    """As CommonMark with tables, in which every character still reads as itself."""
    return "\n\n".join(_markdown_block(block) for block in shown.blocks)


def _markdown_block(block: Block) -> str:
    match block:
        case Heading(level=level, text=text):
            return f"{'#' * level} {_escaped(' '.join(text.split(chr(10)))).replace('#', chr(92) + '#')}"
        case Paragraph(text=text):
            return _escaped_lines(text)
        case Bullets(items=items):
            return "\n".join(_bullet(_escaped_lines(item.text), item.depth) for item in items)
        case Table(columns=columns, rows=rows):
            cells = [list(columns), ["---"] * len(columns), *([cell.text for cell in row] for row in rows)]
            return "\n".join(_markdown_row(row, is_rule=n == 1) for n, row in enumerate(cells))


def _markdown_row(cells: list[str], *, is_rule: bool) -> str:
    shown = cells if is_rule else ["<br>".join(_escaped(part) for part in cell.split("\n")) for cell in cells]
    return f"| {' | '.join(shown)} |"


def _escaped_lines(text: str) -> str:
    """Line ends stay line ends, and no line turns into a heading or a list."""
    lines = (_LINE_MARK.sub(r"\1\\\2", _escaped(line.lstrip(" \t"))) for line in text.strip("\n").split("\n"))
    return "\\\n".join(lines)


def _escaped(text: str) -> str:
    return re.sub(r"[\\`*_<>\[\]|&~]", r"\\\g<0>", text)
