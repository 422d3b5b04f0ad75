"""The results of a visit's parts as one: transcript, lines, notes. With one part, exactly what the service said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from app.core.document import structured
from app.core.scribe import SessionResult, Source, TemplateResult, TemplateStatus, Utterance
from app.core.transcript import clock


@dataclass(frozen=True)
class Piece:
    """One part's share. ``start_seconds`` is where it begins in the recording."""

    start_seconds: float
    end_seconds: float
    result: SessionResult | None
    notes: tuple[TemplateResult, ...]

    def title(self, number: int) -> str:
        """What a reader knows it by: ``Part 1 · 00:00-59:30``."""
        return f"Part {number} · {clock(self.start_seconds)}-{clock(self.end_seconds)}"


def transcript(pieces: Sequence[Piece]) -> str:
    """All that was said."""
    texts = (piece.result.transcript for piece in pieces if piece.result)
    return "\n\n".join(text for text in texts if text)


def utterances(pieces: Sequence[Piece]) -> tuple[Utterance, ...]:
    """The lines with their times in the whole recording; without times where the service told none."""
    if not any(piece.result and piece.result.utterances for piece in pieces):
        return ()
    return tuple(line for piece in pieces for line in _lines(piece))


def _lines(piece: Piece) -> list[Utterance]:
    if piece.result is None:
        return []
    said = piece.result.utterances or tuple(Utterance(text) for text in piece.result.transcript.splitlines() if text)
    return [
        replace(
            line,
            start_seconds=_later(line.start_seconds, piece.start_seconds),
            end_seconds=_later(line.end_seconds, piece.start_seconds),
        )
        for line in said
    ]


def transcript_by(pieces: Sequence[Piece]) -> str:
    """Who made the transcript."""
    return ", ".join(dict.fromkeys(p.result.transcript_by for p in pieces if p.result and p.result.transcript_by))


def notes(pieces: Sequence[Piece]) -> tuple[TemplateResult, ...]:
    """One note for each template, in which each part has its own section."""
    if len(pieces) == 1:
        return pieces[0].notes
    ids = dict.fromkeys(note.id for piece in pieces for note in piece.notes)
    return tuple(_note(template_id, pieces) for template_id in ids)


def _note(template_id: str, pieces: Sequence[Piece]) -> TemplateResult:
    titles = [piece.title(number) for number, piece in enumerate(pieces, start=1)]
    of_parts = [next((n for n in piece.notes if n.id == template_id), None) for piece in pieces]
    told = [(title, note) for title, note in zip(titles, of_parts, strict=True) if note is not None]
    if any(note.status is TemplateStatus.PROCESSING for _, note in told):
        return TemplateResult(template_id, TemplateStatus.PROCESSING)
    came = {title: structured(n.data) for title, n in told if n.status is not TemplateStatus.FAILED}
    trouble = tuple(f"{title}: {note.error or 'this part of the note could not be made.'}"
                    for title, note in told if note.status is TemplateStatus.FAILED)  # fmt: skip
    return TemplateResult(
        template_id,
        _status([note.status for _, note in told]),
        name=next((note.name for _, note in told if note.name), ""),
        data=came or None,
        error=" ".join(trouble) if not came else next((n.error for _, n in told if came and n.error), ""),
        warnings=(*(trouble if came else ()), *(f"{title}: {w}" for title, note in told for w in note.warnings)),
        made_by=", ".join(dict.fromkeys(note.made_by for _, note in told if note.made_by)),
        sources=_sources(titles, of_parts, pieces),
    )


def _status(statuses: Sequence[TemplateStatus]) -> TemplateStatus:
    if all(status is statuses[0] for status in statuses):
        return statuses[0]
    return TemplateStatus.PARTIAL


def _sources(
    titles: Sequence[str], of_parts: Sequence[TemplateResult | None], pieces: Sequence[Piece]
) -> tuple[Source, ...]:
    """Where each statement comes from, in the joined note and the joined lines."""
    found: list[Source] = []
    lines_before = 0
    has_lines = bool(utterances(pieces))
    for title, note, piece in zip(titles, of_parts, pieces, strict=True):
        if note is not None:
            found += [_moved(source, title, piece, lines_before) for source in note.sources]
        lines_before += len(_lines(piece)) if has_lines else 0
    return tuple(found)


def _moved(source: Source, title: str, piece: Piece, lines_before: int) -> Source:
    return replace(
        source,
        at=f"/{title.replace('~', '~0').replace('/', '~1')}{source.at}",
        utterance=source.utterance + lines_before,
        start_seconds=_later(source.start_seconds, piece.start_seconds),
        end_seconds=_later(source.end_seconds, piece.start_seconds),
    )


def _later(seconds: float | None, by: float) -> float | None:
    return None if seconds is None else seconds + by


def as_one(values: Sequence[int | None]) -> int | None:
    """The sum of what is known."""
    known = [value for value in values if value is not None]
    return sum(known) if known else None
