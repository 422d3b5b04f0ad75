"""What the local scribe service asks of whatever transcribes speech and whatever makes notes.

Two narrow ports. The service's queue calls them from its worker; an implementation may be a library on this
computer or another HTTP service, and nothing else in the service knows which.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray


class EngineUnavailable(Exception):
    """The transcriber or note maker cannot work now (model missing, endpoint down). Worth trying again."""


class TemplateUnknown(Exception):
    """The note maker has no template of this id; becomes ``template_not_found`` in the template's entry."""


@dataclass(frozen=True)
class Word:
    """One recognised word with its place in the audio, in seconds from the first sample it was heard in."""

    text: str
    start_seconds: float
    end_seconds: float


@dataclass(frozen=True)
class Utterance:
    """A run of speech between two pauses: the unit that is shown as a line and quoted as a source.

    ``start_seconds`` and ``end_seconds`` count from the start of whatever the holder covers: a chunk inside a
    :class:`Transcription`, the whole visit inside a :class:`Transcript`.
    """

    text: str
    start_seconds: float
    end_seconds: float
    words: tuple[Word, ...] = ()


@dataclass(frozen=True)
class Transcription:
    """What was heard in one chunk."""

    utterances: tuple[Utterance, ...]


@dataclass(frozen=True)
class Transcript:
    """What was heard in a session: the utterances of all chunks in order, times from the session's start."""

    utterances: tuple[Utterance, ...]
    language: str = "en"

    @property
    def text(self) -> str:
        """One utterance a line."""
        return "\n".join(u.text for u in self.utterances)


@dataclass(frozen=True)
class Template:
    """A note format on offer."""

    id: str
    name: str
    description: str


@dataclass(frozen=True)
class Source:
    """Where a statement of a note comes from.

    ``at`` is a JSON pointer into the note's ``data`` (``/subjective``, ``/0/dosage``); ``utterance`` is the index
    in ``Transcript.utterances``.
    """

    at: str
    statement: str
    utterance: int
    start_seconds: float
    end_seconds: float


@dataclass(frozen=True)
class NoteContent:
    """A finished note: ``data`` as it goes on the wire (object, list or markdown text) and its sources."""

    data: Any
    sources: tuple[Source, ...] = field(default=())


class Transcriber(Protocol):
    """Turns one chunk of speech into text."""

    name: str
    """What made the transcript, as named in the result (``pocketsphinx 5.1 en-us``)."""

    def transcribe(self, samples: NDArray[np.int16], language: str) -> Transcription:
        """Transcribe 16 kHz mono samples of one chunk.

        Raises:
            EngineUnavailable: it cannot work now.
        """
        ...

    def close(self) -> None:
        """Let go of processes and memory."""
        ...


class NoteMaker(Protocol):
    """Turns a transcript into notes."""

    name: str
    """What made the note, in words for the reader (``rules on this computer``)."""

    def templates(self) -> tuple[Template, ...]:
        """The templates on offer."""
        ...

    def make(self, template_id: str, transcript: Transcript) -> NoteContent:
        """Make one note.

        Raises:
            TemplateUnknown: no such template.
            EngineUnavailable: it cannot work now.
        """
        ...
