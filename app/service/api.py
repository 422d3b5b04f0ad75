"""The protocol over HTTP: routes, status codes, OpenAPI. Decides nothing; asks the intake, shapes the answer.

Handlers that touch the disk run on the web framework's threads; the event loop only moves bytes and waits.
"""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Path, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from app import __version__
from app.service import answers, wire
from app.service.changes import Changes
from app.service.database import StoreUnavailable
from app.service.decoding import FORMATS
from app.service.intake import Intake, NewSession, Snapshot
from app.service.security import error_body
from app.service.sessions import Refused
from app.service.times import iso

BASE = "/voice/v1"
WELL_KNOWN = "/.well-known/medscribealliance"
OPENAPI = f"{BASE}/openapi.json"
PUBLIC_PATHS = frozenset({WELL_KNOWN, BASE + WELL_KNOWN, OPENAPI})

_HTTP_OF = {
    "session_not_found": 404,
    "template_not_found": 404,
    "webhook_not_found": 404,
    "session_exists": 409,
    "audio_conflict": 409,
    "session_expired": 410,
    "unsupported_media_type": 415,
}
"""Every other code of a refusal is a 400."""

_MEANINGS = {
    400: "The request cannot be understood, or not be done in the session's state",
    401: "The token is missing or wrong",
    403: "The request came through a foreign address or from a web page",
    404: "There is no such thing",
    405: "There is no such method here",
    408: "The body did not arrive in time",
    409: "Something else is there already",
    410: "The session has expired",
    413: "The body is too large",
    415: "The Content-Type is none of those on offer",
    503: "The service cannot store anything now; try again later",
}
_ALWAYS = (400, 401, 403, 405, 408, 413, 503)


def is_audio_path(path: str) -> bool:
    """Whether a path is one that audio is uploaded to."""
    return path.startswith(f"{BASE}/sessions/") and "/audio/" in path


def _declared(description: str, schema: str) -> dict[str, Any]:
    """An answer by the name of its schema. Given the model instead, the framework compiles one for each route."""
    reference = {"$ref": f"#/components/schemas/{schema}"}
    return {"description": description, "content": {"application/json": {"schema": reference}}}


def _errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {status: _declared(_MEANINGS[status], "ErrorResponse") for status in (*_ALWAYS, *statuses)}


def _intake(request: Request) -> Intake:
    intake = request.app.state.intake
    assert isinstance(intake, Intake)
    return intake


def _base_url(request: Request) -> str:
    return f"http://{request.headers['host']}{BASE}"


Desk = Annotated[Intake, Depends(_intake)]
BaseUrl = Annotated[str, Depends(_base_url)]
SessionId = Annotated[str, Path(examples=["ses_abc123def456"])]

well_known = APIRouter(tags=["discovery"])
protocol = APIRouter(prefix=BASE, tags=["protocol"])


@well_known.get(WELL_KNOWN, responses=_errors(), operation_id="discover_at_root")
@well_known.get(BASE + WELL_KNOWN, responses=_errors(), operation_id="discover")
def discover(intake: Desk, base_url: BaseUrl, response: Response) -> wire.DiscoveryResponse:
    """What this service can do."""
    response.headers["Cache-Control"] = "max-age=300"
    return answers.discovery(base_url, intake.engines, intake.limits)


@protocol.post("/sessions", status_code=201, responses=_errors(409))
def create_session(body: wire.CreateSessionRequest, intake: Desk, base_url: BaseUrl) -> wire.CreateSessionResponse:
    """Open a session. With an id of the caller's, a repeat is a 409: the session is there."""
    session = intake.create(
        NewSession(
            session_id=body.session_id,
            templates=body.templates,
            languages=body.language_hint or (),
            additional_data=body.additional_data or {},
            patient_details=body.patient_details,
        )
    )
    return answers.created(session, base_url)


_AUDIO_BODY = {
    "requestBody": {
        "required": True,
        "content": {offered.content_type: {"schema": {"type": "string", "format": "binary"}} for offered in FORMATS},
    }
}


@protocol.post(
    "/sessions/{session_id}/audio/{file_name}",
    responses=_errors(404, 409, 410, 415),
    openapi_extra=_AUDIO_BODY,
)
async def upload_audio(
    session_id: SessionId,
    file_name: Annotated[str, Path(examples=["audio_0.ogg"])],
    request: Request,
    intake: Desk,
) -> wire.UploadResponse:
    """Store one audio file, named `{base}_{number}.{ext}`.

    The same bytes under the same number again are answered like the first time. Other bytes under a number that
    is taken are a 409: what was stored stands.
    """
    data = await request.body()
    content_type = request.headers.get("content-type", "")
    chunk = await run_in_threadpool(intake.accept_chunk, session_id, file_name, content_type, data)
    return wire.UploadResponse(
        session_id=session_id,
        audio_file=chunk.name,
        sequence_number=chunk.number,
        duration_seconds=chunk.duration_seconds,
    )


@protocol.post("/sessions/{session_id}/end", status_code=202, responses=_errors(404, 410))
def end_session(session_id: SessionId, body: wire.EndSessionRequest, intake: Desk) -> wire.EndSessionResponse:
    """Commit the session and queue it for processing. No audio is accepted after this."""
    return answers.ended(intake.end(session_id, body.audio_files_sent))


def _session_answers() -> dict[int | str, dict[str, Any]]:
    meanings = {
        200: "Completed",
        202: "Open or processing, with what is known so far",
        206: "Completed in part",
        410: "Expired",
    }
    shapes: dict[int | str, dict[str, Any]] = {
        status: _declared(text, "SessionResponse") for status, text in meanings.items()
    }
    return {**_errors(404), **shapes}


@protocol.get(
    "/sessions/{session_id}",
    responses=_session_answers(),
    response_model=wire.SessionResponse,
    response_model_exclude_none=True,
)
async def get_session(
    *,
    session_id: SessionId,
    intake: Desk,
    base_url: BaseUrl,
    request: Request,
    response: Response,
    wait: Annotated[int, Query(ge=0, le=25, description="Seconds to wait for a change of status")] = 0,
    document_id: Annotated[str | None, Query(max_length=64)] = None,
) -> wire.SessionResponse:
    """How a session stands: 202 while it goes on, 200 completed, 206 partial, 410 expired."""
    changes: Changes = request.app.state.changes
    snapshot = await _watched(intake, changes, session_id, document_id, wait)
    response.status_code = answers.session_status_code(snapshot, document_id)
    return answers.session_body(snapshot, base_url, intake.engines, document_id)


async def _watched(intake: Intake, changes: Changes, session_id: str, document_id: str | None, wait: int) -> Snapshot:
    """The session, at once when it is done, else as soon as its status or a note's changes or time is up."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + wait
    seen = changes.watch()
    first = snapshot = await run_in_threadpool(_look, intake, session_id, document_id)
    while (
        answers.session_status_code(snapshot, document_id) == 202  # noqa: PLR2004
        and _stage(snapshot) == _stage(first)
        and loop.time() < deadline
        and not changes.is_closed
    ):
        await changes.wait(seen, deadline - loop.time())
        seen = changes.watch()
        snapshot = await run_in_threadpool(_look, intake, session_id, document_id)
    return snapshot


def _look(intake: Intake, session_id: str, document_id: str | None) -> Snapshot:
    snapshot = intake.look(session_id)
    if document_id is not None and document_id not in {note.document_id for note in snapshot.notes}:
        raise Refused("template_not_found", "The session has no such document.")
    return snapshot


def _stage(snapshot: Snapshot) -> tuple[object, ...]:
    return (snapshot.session.status, *(note.status for note in snapshot.notes))


@protocol.get("/templates", responses=_errors())
def list_templates(intake: Desk) -> wire.TemplatesResponse:
    """The templates on offer."""
    return wire.TemplatesResponse(templates=[wire.TemplateBody(**vars(template)) for template in intake.templates()])


@protocol.post(
    "/sessions/{session_id}/process/template/{template_id}",
    status_code=202,
    responses=_errors(404, 410),
)
def process_template(session_id: SessionId, template_id: str, intake: Desk) -> wire.DocumentResponse:
    """Make one more note of a finished session. It appears among the session's templates."""
    note = intake.ask_document(session_id, template_id)
    return wire.DocumentResponse(document_id=note.document_id, status="processing")


@protocol.post("/webhooks", status_code=201, responses=_errors(), response_model_exclude_none=True, tags=["webhooks"])
def register_webhook(body: wire.WebhookRequest, intake: Desk) -> wire.WebhookResponse:
    """Register a destination: https anywhere, or http on this computer. Events are signed with the secret."""
    hook = intake.add_webhook(body.url, body.events, body.secret)
    return wire.WebhookResponse(
        webhook_id=hook.id,
        url=hook.url,
        events=list(hook.events),
        created_at=iso(hook.created_at),
        secret=hook.secret,
    )


@protocol.get("/webhooks", responses=_errors(), response_model_exclude_none=True, tags=["webhooks"])
def list_webhooks(intake: Desk) -> wire.WebhooksResponse:
    """All registered destinations, without their secrets."""
    hooks = [
        wire.WebhookResponse(
            webhook_id=hook.id, url=hook.url, events=list(hook.events), created_at=iso(hook.created_at)
        )
        for hook in intake.webhooks()
    ]
    return wire.WebhooksResponse(webhooks=hooks)


@protocol.delete(
    "/webhooks/{webhook_id}", status_code=204, response_model=None, responses=_errors(404), tags=["webhooks"]
)
def delete_webhook(webhook_id: str, intake: Desk) -> None:
    """Forget a destination."""
    intake.remove_webhook(webhook_id)


def make_app(intake: Intake, changes: Changes) -> FastAPI:
    """The protocol as an ASGI application, without its gate."""
    app = _Application(
        title="ScribeDesk local scribe service (MedScribeAlliance v0.1)",
        version=__version__,
        openapi_url=OPENAPI,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.intake = intake
    app.state.changes = changes
    app.include_router(well_known)
    app.include_router(protocol)
    app.add_exception_handler(Refused, _on_refused)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(OSError, _on_unavailable)
    app.add_exception_handler(StoreUnavailable, _on_unavailable)
    app.add_exception_handler(Exception, _on_bug)
    return app


class _Application(FastAPI):
    """Makes its OpenAPI document when it is first asked for: a start does not wait for it."""

    def openapi(self) -> dict[str, Any]:
        """The document that is served."""
        if self.openapi_schema is None:
            self.openapi_schema = _document(self)
        return self.openapi_schema


def _document(app: FastAPI) -> dict[str, Any]:
    """Give the OpenAPI document the bearer scheme, and take out the framework's 422, which is never sent."""
    document = get_openapi(title=app.title, version=app.version, routes=app.routes)
    errors = wire.ErrorResponse.model_json_schema(ref_template="#/components/schemas/{model}")
    document["components"]["schemas"].update(errors.pop("$defs"), ErrorResponse=errors)
    document["components"]["securitySchemes"] = {"auth": {"type": "http", "scheme": "bearer"}}
    document["security"] = [{"auth": []}]
    for path, operations in document["paths"].items():
        for operation in operations.values():
            operation["responses"].pop("422", None)
            if path in PUBLIC_PATHS:
                operation["security"] = []
    for unused in ("HTTPValidationError", "ValidationError"):
        document["components"]["schemas"].pop(unused, None)
    return document


def _failure(status: int, code: str, message: str, details: dict[str, Any] | None = None) -> JSONResponse:
    return JSONResponse(error_body(code, message, details), status)


async def _on_refused(_request: Request, exc: Exception) -> Response:
    assert isinstance(exc, Refused)
    status = _HTTP_OF.get(exc.code, 400)
    # The protocol has one word for a format that is not taken and one that cannot be read.
    code = "invalid_audio_format" if exc.code == "unsupported_media_type" else exc.code
    return _failure(status, code, exc.message, exc.details)


async def _on_http_exception(_request: Request, exc: Exception) -> Response:
    assert isinstance(exc, HTTPException)
    code = {404: "not_found", 405: "method_not_allowed"}.get(exc.status_code, "invalid_request")
    response = _failure(exc.status_code, code, _MEANINGS.get(exc.status_code, "The request cannot be done") + ".")
    response.headers.update(exc.headers or {})
    return response


async def _on_invalid(_request: Request, exc: Exception) -> Response:
    """Name what is wrong and where; never repeat what was sent, which may speak of a patient."""
    assert isinstance(exc, RequestValidationError)
    faults = [
        {"field": ".".join(str(part) for part in fault["loc"]), "problem": fault["type"]}
        for fault in exc.errors()[:10]
    ]
    where, problem = faults[0]["field"], faults[0]["problem"]
    code = "missing_required_field" if problem == "missing" and where.count(".") else "invalid_request"
    if where.startswith("body.templates"):
        code = "invalid_template"
    return _failure(400, code, f"The request is not well formed: {where} ({problem}).", {"faults": faults})


async def _on_unavailable(_request: Request, _exc: Exception) -> Response:
    response = _failure(503, "service_unavailable", _MEANINGS[503] + ".")
    response.headers["Retry-After"] = "10"
    return response


async def _on_bug(_request: Request, _exc: Exception) -> Response:
    return _failure(500, "internal_error", "The service failed; what was stored before is safe.")
