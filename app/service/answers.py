"""Records as the bodies of answers. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from app import __version__
from app.service.decoding import FORMATS
from app.service.engines import Engines
from app.service.intake import Snapshot
from app.service.limits import Limits
from app.service.sessions import Chunk, Note, NoteStatus, ProcessingError, Session, Status, known_so_far, place
from app.service.sessions import processing_errors as errors_of
from app.service.times import iso
from app.service.wire import (
    AuthenticationBody,
    CapabilitiesBody,
    CreateSessionResponse,
    DiscoveryResponse,
    EndpointsBody,
    EndSessionResponse,
    LanguagesBody,
    ModelBody,
    ModelFeatures,
    ProcessingErrorBody,
    ServiceBody,
    SessionResponse,
    SourceBody,
    TemplateError,
    TemplateResult,
    UtteranceBody,
)

MODEL = "lite"
_HTTP_OF = {Status.COMPLETED: 200, Status.PARTIAL: 206, Status.EXPIRED: 410}
_MESSAGES = {
    Status.PROCESSING: "The session has ended and is being processed.",
    Status.PARTIAL: "The result is not whole; processing_errors and the templates say what is missing.",
    Status.EXPIRED: "The session expired before it was ended. Send the audio as a new session.",
}


def discovery(base_url: str, engines: Engines, limits: Limits) -> DiscoveryResponse:
    """What the service can do, with its addresses as the caller reaches them."""
    return DiscoveryResponse(
        protocol="MedScribeAlliance",
        protocol_version="0.1",
        supported_versions=["0.1"],
        service=ServiceBody(name="ScribeDesk local scribe service", version=__version__),
        endpoints=EndpointsBody(
            base_url=base_url, templates_url=f"{base_url}/templates", webhooks_url=f"{base_url}/webhooks"
        ),
        authentication=AuthenticationBody(supported_methods=["bearer"]),
        capabilities=CapabilitiesBody(
            audio_formats=[offered.content_type for offered in FORMATS],
            max_chunk_duration_seconds=limits.chunk_seconds,
            max_chunk_size_bytes=limits.chunk_bytes,
            upload_methods=["chunked"],
            webhook_delivery=True,
            client_sdk_delivery=False,
            long_poll_seconds=limits.long_poll_seconds,
            max_templates=limits.templates,
        ),
        models=[
            ModelBody(
                id=MODEL,
                display_name=engines.transcriber.name,
                languages=list(engines.languages),
                max_session_duration_seconds=int(limits.session_seconds),
                response_speed="depends on this computer",
                features=ModelFeatures(
                    realtime_transcription=False, speaker_diarization=False, custom_templates=False
                ),
            )
        ],
        languages=LanguagesBody(supported=list(engines.languages), auto_detection=False),
    )


def created(session: Session, base_url: str) -> CreateSessionResponse:
    """An open session."""
    return CreateSessionResponse(
        session_id=session.id,
        status="created",
        created_at=iso(session.created_at),
        expires_at=iso(session.expires_at),
        upload_url=upload_url(session, base_url),
    )


def ended(snapshot: Snapshot) -> EndSessionResponse:
    """An ended session."""
    return EndSessionResponse(
        session_id=snapshot.session.id,
        status="processing",
        message="Session ended. Processing started.",
        audio_files_received=len(snapshot.chunks),
        audio_files=[chunk.name for chunk in snapshot.chunks],
    )


def upload_url(session: Session, base_url: str) -> str:
    """Where a session's audio goes."""
    return f"{base_url}/sessions/{session.id}/audio"


def session_status_code(snapshot: Snapshot, document_id: str | None) -> int:
    """The HTTP status of a session; asked for one document, 202 until that one is there."""
    if any(note.status is NoteStatus.PROCESSING for note in _shown(snapshot, document_id) if document_id):
        return 202
    return _HTTP_OF.get(snapshot.session.status, 202)


def session_body(snapshot: Snapshot, base_url: str, engines: Engines, document_id: str | None) -> SessionResponse:
    """A session as it stands."""
    session, chunks = snapshot.session, snapshot.chunks
    placed = place(chunks if session.status.has_result else known_so_far(chunks))
    errors = errors_of(session, chunks, engines.languages) if session.ended_at is not None else []
    finished = None if session.finished_at is None else iso(session.finished_at)
    return SessionResponse(
        session_id=session.id,
        status=session.status.value,
        user_status=None if session.ended_at is None else "commit",
        message=_MESSAGES.get(session.status),
        created_at=iso(session.created_at),
        expires_at=iso(session.expires_at),
        expired_at=finished if session.status is Status.EXPIRED else None,
        completed_at=finished if session.status.has_result else None,
        model_used=MODEL,
        language_detected=engines.languages[0] if len(engines.languages) == 1 else session.language,
        transcript_by=_heard_by(chunks) or engines.transcriber.name,
        upload_url=upload_url(session, base_url),
        audio_files_received=len(chunks),
        audio_files=[chunk.name for chunk in chunks],
        audio_files_processed=sum(chunk.heard is not None for chunk in chunks),
        transcript="\n".join(p.utterance.text for p in placed),
        utterances=[
            UtteranceBody(
                chunk=p.chunk,
                text=p.utterance.text,
                start_seconds=p.utterance.start_seconds,
                end_seconds=p.utterance.end_seconds,
            )
            for p in placed
        ],
        templates={note.template_id: _template(note) for note in _shown(snapshot, document_id)},
        processing_errors=[_error(error) for error in errors],
        additional_data=session.additional_data,
        patient_details=session.patient_details,
    )


def _heard_by(chunks: Sequence[Chunk]) -> str:
    return ", ".join(dict.fromkeys(chunk.heard_by for chunk in chunks if chunk.heard_by))


def _shown(snapshot: Snapshot, document_id: str | None) -> list[Note]:
    return [note for note in snapshot.notes if document_id in (None, note.document_id)]


def _template(note: Note) -> TemplateResult:
    failed = note.status is NoteStatus.FAILED
    return TemplateResult(
        status=note.status.value,
        document_id=note.document_id,
        data=note.data,
        sources=[SourceBody(**vars(source)) for source in note.sources]
        if note.status is NoteStatus.SUCCESS
        else None,
        made_by=note.made_by,
        error=TemplateError(code=note.error_code or "", message=note.error_message or "") if failed else None,
    )


def _error(error: ProcessingError) -> ProcessingErrorBody:
    return ProcessingErrorBody(
        type=error.type,
        message=error.message,
        file=error.file,
        missing=None if error.missing is None else list(error.missing),
    )
