"""Single values of a service's JSON, whatever they are instead of what they should be.

Pure; may be used on any thread.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from app.core.problems import ProblemKind
from app.protocol.answer import refused

_LONGEST_NAME, _LONGEST_REMARK = 300, 500
_YEAR_2000, _YEAR_2200 = 946_684_800.0, 7_258_118_400.0


def name(value: Any) -> str:
    """What something is called. Nothing is called a page; all that was said is in ``raw``."""
    return _cut(text(value), _LONGEST_NAME)


def whole_name(value: Any) -> str:
    """What is to be said to the service again, whole or not at all."""
    words = text(value)
    return words if len(words) <= _LONGEST_NAME else ""


def remark(value: Any) -> str:
    """A sentence or a few about what is wrong, in whatever shape."""
    return _cut(text(value) or error_text(value), _LONGEST_REMARK)


def _cut(words: str, limit: int) -> str:
    return words if len(words) <= limit else words[: limit - 1] + "…"


def text(value: Any) -> str:
    """A text, or a number as text; anything else is none."""
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else ""


def number(value: Any) -> float | None:
    """A finite number, also when written as text."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        result = float(value)
    except (ValueError, OverflowError):
        return None
    return result if math.isfinite(result) else None


def count(value: Any) -> int | None:
    """A whole number that is not negative."""
    result = number(value)
    return int(result) if result is not None and result >= 0 and result == int(result) else None


def moment(value: Any) -> float | None:
    """Seconds since 1970 from ISO time (with or without zone: UTC), epoch seconds or milliseconds.

    None for what is no time or lies outside this and the next century.
    """
    seconds = number(value)
    if seconds is None and isinstance(value, str):
        seconds = _iso_seconds(value)
    if seconds is not None and seconds > _YEAR_2200:
        seconds /= 1000
    return seconds if seconds is not None and _YEAR_2000 <= seconds <= _YEAR_2200 else None


def _iso_seconds(value: str) -> float | None:
    try:
        parsed = datetime.fromisoformat(value.strip())
        return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError, OSError):
        return None


def word(value: Any) -> str:
    """A word of the protocol, however it is written."""
    return value.strip().lower().replace("-", "_").replace(" ", "_") if isinstance(value, str) else ""


def json_object(body: Any) -> dict[str, Any]:
    """The answer as an object.

    Raises:
        RequestRefused: it is none.
    """
    if not isinstance(body, dict):
        raise refused(ProblemKind.ANSWER_UNREADABLE, "the answer is not a JSON object")
    return body


def a_dict(value: Any) -> dict[str, Any]:
    """An object; an empty one for anything else."""
    return value if isinstance(value, dict) else {}


def a_list(value: Any) -> list[Any]:
    """A list; an empty one for anything else."""
    return value if isinstance(value, list) else []


def dicts(value: Any) -> Iterator[dict[str, Any]]:
    """The objects in a list."""
    return (item for item in a_list(value) if isinstance(item, dict))


def texts(value: Any) -> tuple[str, ...]:
    """The texts in a list."""
    return tuple(item for item in a_list(value) if isinstance(item, str) and item)


def error_text(value: Any) -> str:
    """An error as text, object or list of either."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "; ".join(part for part in map(error_text, value) if part)
    if not isinstance(value, dict):
        return ""
    parts = (error_text(value.get(key)) for key in ("display_message", "message", "msg", "code"))
    return next((part for part in parts if part), "")
