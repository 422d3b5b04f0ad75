"""Nouns of a scribe service: what it offers, what it answers.

They are what the tolerant client makes of any server's dialect (protocol page 1): every field has a default,
because every field is missing somewhere.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class ServiceStatus(StrEnum):
    """The service's word for a session, whatever it was called on the wire (protocol page 1, Get Session)."""

    OPEN = "open"
    PROCESSING = "processing"
    COMPLETED = "completed"
    PARTIAL = "partial"
    FAILED = "failed"
    EXPIRED = "expired"

    @property
    def is_final(self) -> bool:
        """The service says it is done, for good or ill."""
        return self not in (ServiceStatus.OPEN, ServiceStatus.PROCESSING)


class TemplateStatus(StrEnum):
    """State of one template's entry in a result."""

    PROCESSING = "processing"
    SUCCESS = "success"
    PARTIAL = "partial_success"
    FAILED = "failed"


@dataclass(frozen=True)
class ServiceModel:
    """A tier on offer (``lite``, ``pro``). ``max_session_seconds`` is None where the service names no limit."""

    id: str
    name: str = ""
    languages: tuple[str, ...] = ()
    max_session_seconds: float | None = None


@dataclass(frozen=True)
class TemplateInfo:
    """An output format on offer."""

    id: str
    name: str
    description: str = ""


@dataclass(frozen=True)
class Discovery:
    """The service's capability document. Its absence is not fatal: the defaults are what every server takes."""

    service_name: str = ""
    audio_formats: tuple[str, ...] = ()
    """Content types, character for character as the service wrote them."""
    max_chunk_seconds: float = 20.0
    upload_methods: tuple[str, ...] = ("chunked",)
    models: tuple[ServiceModel, ...] = ()
    languages: tuple[str, ...] = ()
    has_language_detection: bool = False
    templates_url: str = ""
    long_poll_seconds: float = 0.0
    max_age_seconds: float = 0.0


@dataclass(frozen=True)
class Utterance:
    """A line of the transcript with its place in the visit's audio, where the service tells it."""

    text: str
    start_seconds: float | None = None
    end_seconds: float | None = None


@dataclass(frozen=True)
class Source:
    """Where a statement of a note comes from. ``at`` is a JSON pointer into the template result's ``data``."""

    at: str
    statement: str
    utterance: int
    start_seconds: float | None = None
    end_seconds: float | None = None


@dataclass(frozen=True)
class TemplateResult:
    """What the service returned for one template. ``data`` has any JSON shape; see :mod:`app.core.document`."""

    id: str
    status: TemplateStatus
    name: str = ""
    data: Any = None
    error: str = ""
    warnings: tuple[str, ...] = ()
    document_id: str = ""
    made_by: str = ""
    sources: tuple[Source, ...] = ()


@dataclass(frozen=True)
class ProcessingError:
    """One thing that went wrong at the service. ``missing`` holds chunk numbers that it says it never got."""

    type: str
    message: str
    file: str = ""
    missing: tuple[int, ...] = ()


@dataclass(frozen=True)
class SessionResult:
    """What Get Session told, whole or partial."""

    status: ServiceStatus
    session_id: str = ""
    transcript: str = ""
    utterances: tuple[Utterance, ...] = ()
    transcript_by: str = ""
    templates: tuple[TemplateResult, ...] = ()
    audio_files_received: int | None = None
    audio_files: tuple[str, ...] = ()
    processing_errors: tuple[ProcessingError, ...] = ()
    message: str = ""
    raw: dict[str, Any] = field(default_factory=dict, repr=False)
    """The answer as it came, kept with the session so that nothing the service said is lost."""
