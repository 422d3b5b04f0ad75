"""The protocol's JSON shapes: what bodies may hold, and what answers hold."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from app.service.sessions import MAX_CHUNK_NUMBER

MAX_FREE_DATA = 4096


def _plain_json(value: dict[str, Any]) -> dict[str, Any]:
    """Free data must go back out as JSON: no NaN, no broken surrogates; and it is small."""
    try:
        size = len(json.dumps(value, allow_nan=False, ensure_ascii=False).encode())
    except (ValueError, RecursionError) as exc:
        raise ValueError("must be plain JSON") from exc
    if size > MAX_FREE_DATA:
        raise ValueError(f"must be at most {MAX_FREE_DATA} bytes")
    return value


FreeData = Annotated[dict[str, Any], AfterValidator(_plain_json)]
TemplateId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:-]{1,64}$")]
LanguageCode = Annotated[str, Field(pattern=r"^[A-Za-z_-]{2,35}$")]
Event = Literal["session.started", "session.ended", "session.completed", "session.failed", "session.expired"]


class _Request(BaseModel):
    model_config = ConfigDict(strict=True)


class CreateSessionRequest(_Request):
    """Open a session. Fields that this service does not know are passed over."""

    session_id: Annotated[str, Field(pattern=r"^ses_[A-Za-z0-9]{1,60}$")] | None = None
    templates: list[TemplateId] = []
    upload_type: Literal["chunked"] = "chunked"
    communication_protocol: Literal["http"] = "http"
    language_hint: Annotated[list[LanguageCode], Field(max_length=10)] | None = None
    transcript_language: LanguageCode | None = None
    model: Annotated[str, Field(max_length=64)] | None = None
    session_mode: Literal["consultation", "dictation"] | None = None
    additional_data: FreeData | None = None
    patient_details: FreeData | None = None


class EndSessionRequest(_Request):
    """End a session."""

    audio_files_sent: Annotated[
        int,
        Field(
            ge=0,
            le=MAX_CHUNK_NUMBER + 1,
            description="Number of audio files the client sent, compared with what was received.",
            examples=[3],
        ),
    ]


class WebhookRequest(_Request):
    """Register a destination for events; a secret is made where none is given."""

    url: Annotated[str, Field(min_length=1, max_length=2048, examples=["https://clinic.example/scribe"])]
    events: Annotated[list[Event], Field(min_length=1, max_length=20)]
    secret: Annotated[str, Field(min_length=16, max_length=256, pattern=r"^[!-~]+$")] | None = None


class ErrorDetail(BaseModel):
    """What went wrong."""

    code: str
    message: str
    details: dict[str, Any]


class ErrorResponse(BaseModel):
    """Every answer that is not what was asked for."""

    error: ErrorDetail


class CreateSessionResponse(BaseModel):
    """An open session."""

    session_id: str
    status: Literal["created"]
    created_at: str
    expires_at: str
    upload_url: str


class UploadResponse(BaseModel):
    """A stored audio file."""

    session_id: str
    audio_file: str
    sequence_number: int
    duration_seconds: float


class EndSessionResponse(BaseModel):
    """An ended session."""

    session_id: str
    status: Literal["processing"]
    message: str
    audio_files_received: Annotated[int, Field(ge=0)]
    audio_files: list[str]


class UtteranceBody(BaseModel):
    """One line of the transcript."""

    chunk: int
    text: str
    start_seconds: float
    end_seconds: float


class SourceBody(BaseModel):
    """Where one statement of a note comes from: ``utterance`` is an index into ``utterances``."""

    at: str
    statement: str
    utterance: int
    start_seconds: float
    end_seconds: float


class TemplateError(BaseModel):
    """Why a note could not be made."""

    code: str
    message: str


class TemplateResult(BaseModel):
    """The result of one template."""

    status: Literal["processing", "success", "failed"]
    document_id: str
    data: Any = None
    sources: list[SourceBody] | None = None
    made_by: str | None = None
    error: TemplateError | None = None


class ProcessingErrorBody(BaseModel):
    """Something that keeps a result from being whole."""

    type: str
    message: str
    file: str | None = None
    missing: list[int] | None = None


class SessionResponse(BaseModel):
    """A session as it stands. ``utterances`` and ``transcript`` grow while it is open or processing."""

    session_id: str
    status: Literal["created", "recording", "processing", "completed", "partial", "expired"]
    user_status: Literal["commit"] | None = None
    message: str | None = None
    created_at: str
    expires_at: str
    expired_at: str | None = None
    completed_at: str | None = None
    model_used: str
    language_detected: str
    transcript_by: str
    upload_url: str
    audio_files_received: int
    audio_files: list[str]
    audio_files_processed: int
    transcript: str
    utterances: list[UtteranceBody]
    templates: dict[str, TemplateResult]
    processing_errors: list[ProcessingErrorBody]
    additional_data: dict[str, Any]
    patient_details: dict[str, Any] | None = None


class TemplateBody(BaseModel):
    """A template on offer."""

    id: str
    name: str
    description: str


class TemplatesResponse(BaseModel):
    """The templates on offer."""

    templates: list[TemplateBody]


class DocumentResponse(BaseModel):
    """A note that was queued."""

    document_id: str
    status: Literal["processing"]


class WebhookResponse(BaseModel):
    """A registered destination; the secret is shown once, when it is registered."""

    webhook_id: str
    url: str
    events: list[str]
    created_at: str
    secret: str | None = None


class WebhooksResponse(BaseModel):
    """All registered destinations."""

    webhooks: list[WebhookResponse]


class ServiceBody(BaseModel):
    """Who answers."""

    name: str
    version: str


class EndpointsBody(BaseModel):
    """Where things are."""

    base_url: str
    templates_url: str
    webhooks_url: str


class AuthenticationBody(BaseModel):
    """How to sign in."""

    supported_methods: list[str]


class CapabilitiesBody(BaseModel):
    """What the service takes and does."""

    audio_formats: list[str]
    max_chunk_duration_seconds: float
    max_chunk_size_bytes: int
    upload_methods: list[str]
    webhook_delivery: bool
    client_sdk_delivery: bool
    long_poll_seconds: int
    max_templates: int


class ModelFeatures(BaseModel):
    """What a model can do."""

    realtime_transcription: bool
    speaker_diarization: bool
    custom_templates: bool


class ModelBody(BaseModel):
    """A model on offer."""

    id: str
    display_name: str
    languages: list[str]
    max_session_duration_seconds: int
    response_speed: str
    features: ModelFeatures


class LanguagesBody(BaseModel):
    """The languages that are understood."""

    supported: list[str]
    auto_detection: bool


class DiscoveryResponse(BaseModel):
    """The service's capabilities."""

    protocol: str
    protocol_version: str
    supported_versions: list[str]
    service: ServiceBody
    endpoints: EndpointsBody
    authentication: AuthenticationBody
    capabilities: CapabilitiesBody
    models: list[ModelBody]
    languages: LanguagesBody
