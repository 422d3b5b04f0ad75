"""An answer as it came off the wire, and the only exception that this package lets out.

Owns the distrust: JSON from a stranger is bounded in depth and made safe to encode again, text from a stranger is
made safe to show in one line. Values only; may be used on any thread.
"""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any

from app.core.problems import Problem, ProblemKind

MAX_ANSWER_BYTES = 16 * 1024 * 1024
MAX_DEPTH = 64
_MOST_MEMORY_BYTES = 51_000_000
_VALUE_BYTES = 200
_LONGEST_INTEGER = 300
_SUCCESSES = range(200, 300)
_ADDRESS = re.compile(r"\b[a-z][a-z0-9+.-]{1,20}://\S+", re.IGNORECASE)
_WIDEST = re.compile(rb"[\xf0-\xff]|\\u[dD][89a-fA-F]")
"""What becomes a character beyond the first 65,536, raw or escaped."""
_SURROGATE = re.compile("[\ud800-\udfff]")


class RequestRefused(Exception):
    """A request did not succeed. ``retry_after_seconds`` is the service's wish, as it came."""

    def __init__(self, problem: Problem, retry_after_seconds: float | None = None) -> None:
        super().__init__(f"{problem.kind.value}: {problem.detail}" if problem.detail else problem.kind.value)
        self.problem = problem
        self.retry_after_seconds = retry_after_seconds


def refused(kind: ProblemKind, detail: str = "") -> RequestRefused:
    """The exception for a problem that we found ourselves."""
    return RequestRefused(Problem(kind, detail))


@dataclass(frozen=True)
class Answer:
    """Status, headers (names in lower case) and the whole decoded body of one HTTP answer.

    ``token`` is what the request carried, so that no text of ours repeats it.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)
    token: str = field(default="", repr=False)

    @property
    def is_success(self) -> bool:
        """Any 2xx."""
        return self.status in _SUCCESSES

    @property
    def is_html(self) -> bool:
        """A page for people: a sign-in page or a proxy's error, not a scribe service."""
        start = self.body[:256].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
        return start.startswith((b"<!doctype html", b"<html")) or (
            "html" in self.headers.get("content-type", "").lower() and start.startswith(b"<")
        )

    def json(self) -> Any:
        """The body as JSON.

        Raises:
            RequestRefused: it is none.
        """
        return parse_json(self.body)

    def retry_after_seconds(self, now: float) -> float | None:
        """What ``Retry-After`` asks for, as a number or an HTTP date; junk is no wish. Not clamped."""
        text = self.headers.get("retry-after", "").strip()
        if re.fullmatch(r"[+-]?\d{1,12}(\.\d{1,6})?", text, re.ASCII):
            return float(text)
        moment = http_date(text)
        return None if moment is None else moment - now


def http_date(text: str) -> float | None:
    """Seconds since 1970 from a date as HTTP writes it; None for anything else."""
    try:
        date = parsedate_to_datetime(text)
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, OverflowError, IndexError, OSError):
        return None


def parse_json(body: bytes) -> Any:
    """Parse JSON that a stranger wrote.

    Bounded in depth and memory, and safe to encode again: numbers that no float can hold stay text, lone surrogates
    become the replacement character. Of a key that is there twice, the last counts.

    Raises:
        RequestRefused: it is not JSON, too deep, or would fill memory.
    """
    if _is_heavy(body):
        raise refused(ProblemKind.ANSWER_UNREADABLE, "the answer would take up too much memory")
    try:
        value = json.loads(
            body.decode("utf-8-sig", errors="replace"),
            parse_int=_integer,
            parse_float=_float,
            parse_constant=lambda _name: None,
        )
        return _cleaned(value, MAX_DEPTH)
    except RequestRefused:
        raise
    except (ValueError, RecursionError) as error:
        raise refused(ProblemKind.ANSWER_UNREADABLE, "the answer is not JSON") from error


def _is_heavy(body: bytes) -> bool:
    """Taken apart, it would be many times its size on the wire.

    There are the bytes, the text made of them and the values cut from that; one wide character makes a whole text
    wide, and it is narrow until there; each small value is an object.
    """
    values = sum(body.count(mark) for mark in b",[{")
    width = _width(body)
    return len(body) * (1 + 2 * width + (width > 1)) + values * _VALUE_BYTES > _MOST_MEMORY_BYTES


def _width(body: bytes) -> int:
    """How many bytes Python may take for a character, once the escapes are read."""
    if _WIDEST.search(body):
        return 4
    return 1 if body.isascii() and b"\\u" not in body else 2


def _integer(text: str) -> int | str:
    return int(text) if len(text) <= _LONGEST_INTEGER else text


def _float(text: str) -> float | str:
    value = float(text)
    return value if math.isfinite(value) else text


def _cleaned(value: Any, depth: int) -> Any:
    """The value itself, changed in place: a copy would take as much memory again."""
    if isinstance(value, str):
        return value if value.isascii() else _SURROGATE.sub("\ufffd", value)
    if not isinstance(value, dict | list):
        return value
    if depth == 0:
        raise refused(ProblemKind.ANSWER_UNREADABLE, "the answer is nested too deeply")
    if isinstance(value, list):
        for index, item in enumerate(value):
            value[index] = _cleaned(item, depth - 1)
        return value
    if not all(map(str.isascii, value)):
        value = {_cleaned(key, depth): item for key, item in value.items()}
    for key, item in value.items():
        value[key] = _cleaned(item, depth - 1)
    return value


def printable(text: str, hidden: Iterable[str] = (), limit: int = 200) -> str:
    """A stranger's text as one harmless line for a problem's detail.

    No control characters or direction overrides, no addresses (they may be signed), none of the ``hidden`` words
    (token, patient), cut at ``limit``.
    """
    for word in sorted((word for word in hidden if word), key=len, reverse=True):
        text = text.replace(word, "…")
    text = _ADDRESS.sub("(address)", text[: limit * 20])
    text = "".join(" " if unicodedata.category(c)[0] == "C" else c for c in text)
    text = " ".join(text.split())
    return text if len(text) <= limit else text[: limit - 1] + "…"
