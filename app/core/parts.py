"""How a visit is divided into parts, each with a session of its own at the service.

Owns the generations: every session at the service that the visit has ever had, or asked for, has its own number.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from app.core.events import (
    Answer,
    ChunkSealed,
    ChunkUploaded,
    CreateSession,
    EndSession,
    NoteAccepted,
    ProcessTemplate,
    ReadStatus,
    Request,
    RequestFailed,
    SessionCreated,
    SessionEnded,
    StatusRead,
)
from app.core.part import Part

OWN_LIMIT_SECONDS: Final = 3600.0
"""How long a session at the service is taken to live when the service says nothing that can be believed."""
_SHORTEST_LIFE_SECONDS, _LONGEST_LIFE_SECONDS = 120.0, 86_400.0

_ASKED_BY: Final[dict[type, type[Request]]] = {
    SessionCreated: CreateSession,
    StatusRead: ReadStatus,
    SessionEnded: EndSession,
    NoteAccepted: ProcessTemplate,
}


class Parts:
    """The parts of one visit, in order. The last one grows."""

    def __init__(self, session_id: str, max_templates: int) -> None:
        self._session_id = session_id
        self._max_templates = max_templates
        self._generation = 0
        self._chunk_count = 0
        self._all = [self._new(0)]

    def _new(self, first: int, place: int = 0) -> Part:
        generation, self._generation = self._generation, self._generation + 1
        part = Part(self._session_id, self._max_templates, generation=generation, first=first, place=place)
        part.grow(self._chunk_count)
        return part

    @property
    def open(self) -> Part:
        """The part that the next chunk belongs to."""
        return self._all[-1]

    @property
    def active(self) -> list[Part]:
        """The parts that hold audio; the first one always."""
        return [part for part in self._all if part.chunks or part is self._all[0]]

    def grow(self, chunk_count: int) -> None:
        """So many chunks of the visit are sealed."""
        self._chunk_count = chunk_count
        self.open.grow(chunk_count)

    def of_generation(self, generation: int) -> Part | None:
        """The part whose session at the service this is; None for one that was given up."""
        return next((part for part in self._all if part.delivery.generation == generation), None)

    def of_answer(self, event: Answer) -> Part | None:
        """The part that an answer is about; None when it is not wanted any more."""
        if event.generation is not None:
            # A number that was never given out comes from a journal that has lost something: it must not be reused.
            self._generation = max(self._generation, event.generation + 1)
            return self.of_generation(event.generation)
        if isinstance(event, ChunkUploaded):
            return next((part for part in self._all if event.index in part.chunks), None)
        waiting = [part for part in self._all if _waits_for(part, event)]
        return next(iter([*waiting, *(part for part in self._all if part.verdict is None), self.open]))

    def close(self) -> None:
        """What is sealed from now on goes into the next part."""
        self.open.end = self._chunk_count
        self.open.closes_at = None
        self._all.append(self._new(self._chunk_count, len(self._all)))

    def start_over(self, part: Part, *, is_wished: bool) -> None:
        """A part's audio goes out again."""
        part.start_over(self._generation, is_wished=is_wished)
        self._generation += 1

    def boundaries(self, chunks: Sequence[ChunkSealed]) -> tuple[int, ...]:
        """The samples at which a part begins, the first one aside."""
        return tuple(chunks[part.first].first_sample for part in self.active[1:])

    def on_cut_again(self, old: Sequence[ChunkSealed], new: Sequence[ChunkSealed]) -> None:
        """The chunks are others now. What the service has whole stays; the rest goes out anew.

        Where a boundary was not kept, all of it goes out as one part.
        """
        index_at = {chunk.first_sample: chunk.index for chunk in new}
        active = self.active
        firsts = [index_at.get(old[part.first].first_sample if old else 0) for part in active]
        self._chunk_count = len(new)
        if None in firsts:
            self._all = [self._new(0)]
            return
        self._all = active
        ends = [*firsts[1:], None]
        for part, first, end in zip(active, firsts, ends, strict=True):
            if part.is_done:
                part.keep(old, new, first or 0, end)
            else:
                part.delivery.first, part.end = first or 0, end
                part.grow(len(new))
                self.start_over(part, is_wished=True)


def life_seconds(created: SessionCreated, now: float, max_session_seconds: float | None) -> float:
    """How long the service's session can be used, from its creation on."""
    told = (created.expires_at or 0.0) - (now if created.created_at is None else created.created_at)
    life = told if _SHORTEST_LIFE_SECONDS <= told <= _LONGEST_LIFE_SECONDS else OWN_LIMIT_SECONDS
    return min(life, max_session_seconds or life)


def margin_seconds(life: float, max_chunk_seconds: float) -> float:
    """How long before its end a session is left for the next, so that its last chunks arrive in time."""
    return min(max(60.0, 2 * max_chunk_seconds), life / 2)


def _waits_for(part: Part, event: Answer) -> bool:
    if isinstance(event, RequestFailed):
        return event.request in part.delivery.in_flight
    return any(isinstance(request, _ASKED_BY[type(event)]) for request in part.delivery.in_flight)
