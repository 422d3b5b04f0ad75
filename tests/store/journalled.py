"""Events as a visit brings them, and any event that its type hints allow."""

from __future__ import annotations

import dataclasses
import enum
import types
import typing
from typing import Any

from hypothesis import strategies as st

from app.core.events import (
    CaptureEnded,
    CaptureStarted,
    ChunkSealed,
    Event,
    RequestFailed,
    Start,
    UploadChunk,
    Visit,
)
from app.core.problems import Problem, ProblemKind

VISIT: tuple[Event, ...] = (
    Start(Visit(), "local", "audio/wav", 20.0, 1_000.0),
    CaptureStarted(0, "USB", 1_001.0),
    ChunkSealed(0, 0, 160_000, 320_044),
    RequestFailed(UploadChunk(0), Problem(ProblemKind.CHUNK_REFUSED, "HTTP 413"), 2.5),
    CaptureEnded(0, 1_011.0),
)

_NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**40), 10**40) | _NUMBERS | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
_PLAIN: dict[Any, st.SearchStrategy[Any]] = {
    str: st.text(),
    int: st.integers(-(2**62), 2**62),
    float: _NUMBERS,
    bool: st.booleans(),
    type(None): st.none(),
    Any: _JSON,
    dict[str, Any]: st.dictionaries(st.text(), _JSON, max_size=3),
}


def values(hint: Any) -> st.SearchStrategy[Any]:
    """Anything that a type hint of the core allows."""
    if hint in _PLAIN:
        return _PLAIN[hint]
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return st.one_of([values(each) for each in typing.get_args(hint)])
    if typing.get_origin(hint) is tuple:
        return st.lists(values(typing.get_args(hint)[0]), max_size=2).map(tuple)
    if issubclass(hint, enum.Enum):
        return st.sampled_from(hint)
    hints = typing.get_type_hints(hint)
    return st.builds(hint, **{each.name: values(hints[each.name]) for each in dataclasses.fields(hint)})
