"""From a service's JSON, in whatever dialect, to our nouns.

Tolerant by rule: every field may be absent, null or of another type; what cannot be read is left out, what was
said is never lost (``SessionResult.raw``). Only an answer that is no session at all is refused. Pure; may be used
on any thread.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from http import HTTPStatus
from itertools import islice
from typing import Any

from app.core.events import NoteAccepted, SessionCreated, SessionEnded
from app.core.problems import ProblemKind
from app.core.scribe import (
    Discovery,
    ProcessingError,
    ServiceModel,
    ServiceStatus,
    SessionResult,
    Source,
    TemplateInfo,
    TemplateResult,
    TemplateStatus,
    Utterance,
)
from app.protocol.answer import RequestRefused, parse_json, refused
from app.protocol.values import (
    a_dict,
    a_list,
    count,
    dicts,
    json_object,
    moment,
    name,
    number,
    remark,
    text,
    texts,
    whole_name,
    word,
)

_STATUS_WORDS = {
    "created": ServiceStatus.OPEN,
    "open": ServiceStatus.OPEN,
    "initialized": ServiceStatus.OPEN,
    "recording": ServiceStatus.OPEN,
    "uploading": ServiceStatus.OPEN,
    "active": ServiceStatus.OPEN,
    "processing": ServiceStatus.PROCESSING,
    "in_progress": ServiceStatus.PROCESSING,
    "pending": ServiceStatus.PROCESSING,
    "queued": ServiceStatus.PROCESSING,
    "ended": ServiceStatus.PROCESSING,
    "completed": ServiceStatus.COMPLETED,
    "complete": ServiceStatus.COMPLETED,
    "success": ServiceStatus.COMPLETED,
    "partial": ServiceStatus.PARTIAL,
    "partial_success": ServiceStatus.PARTIAL,
    "failed": ServiceStatus.FAILED,
    "failure": ServiceStatus.FAILED,
    "error": ServiceStatus.FAILED,
    "expired": ServiceStatus.EXPIRED,
}
_TEMPLATE_WORDS = {
    "success": TemplateStatus.SUCCESS,
    "completed": TemplateStatus.SUCCESS,
    "complete": TemplateStatus.SUCCESS,
    "partial_success": TemplateStatus.PARTIAL,
    "partial": TemplateStatus.PARTIAL,
    "failed": TemplateStatus.FAILED,
    "failure": TemplateStatus.FAILED,
    "error": TemplateStatus.FAILED,
    "processing": TemplateStatus.PROCESSING,
    "in_progress": TemplateStatus.PROCESSING,
    "pending": TemplateStatus.PROCESSING,
    "queued": TemplateStatus.PROCESSING,
}
_SESSION_MARKS = frozenset({"session_id", "status", "transcript", "templates", "txn_id"})
_ENTRY_MARKS = frozenset({"status", "data", "error", "errors", "document_id", "presigned_url"})
_SESSION_ID = re.compile(r"(?!\.+$)[A-Za-z0-9_.~-]{1,200}")
_VERSION = re.compile(r"\s*v?(\d{1,6})(?:\.\d{1,6}){0,3}", re.ASCII | re.IGNORECASE)
_MOST_NOTES, _MOST_WARNINGS, _MOST_ENTRIES = 20, 10, 500
_LONGEST_BASE64 = 4_000_000
_OUR_MAJORS = frozenset({0, 1})
_MAX_AGE = re.compile(r"(?:^|[,\s])max-age\s*=\s*\"?(\d{1,9})", re.IGNORECASE)


# The answers ----------------------------------------------------------------------------------------------------


def read_discovery(body: Any, cache_control: str = "") -> Discovery:
    """The capability document.

    Raises:
        RequestRefused: it is not one.
    """
    document = json_object(body)
    if not document.keys() & {"protocol", "protocol_version", "capabilities", "endpoints", "models", "service"}:
        raise refused(ProblemKind.ANSWER_UNREADABLE, "no capability document")
    capabilities = a_dict(document.get("capabilities"))
    languages = a_dict(document.get("languages"))
    chunk_seconds = number(capabilities.get("max_chunk_duration_seconds"))
    max_age = _MAX_AGE.search(cache_control)
    return Discovery(
        service_name=name(a_dict(document.get("service")).get("name")),
        audio_formats=texts(capabilities.get("audio_formats"))[:_MOST_ENTRIES],
        max_chunk_seconds=chunk_seconds if chunk_seconds and chunk_seconds > 0 else Discovery.max_chunk_seconds,
        upload_methods=texts(capabilities.get("upload_methods"))[:_MOST_ENTRIES] or Discovery.upload_methods,
        models=tuple(islice(_models(document.get("models")), _MOST_ENTRIES)),
        languages=texts(languages.get("supported"))[:_MOST_ENTRIES],
        has_language_detection=languages.get("auto_detection") is True,
        templates_url=text(a_dict(document.get("endpoints")).get("templates_url")),
        long_poll_seconds=min(max(number(capabilities.get("long_poll_seconds")) or 0.0, 0.0), 60.0),
        max_age_seconds=float(max_age.group(1)) if max_age else 0.0,
    )


def foreign_version(body: Any) -> str:
    """The version of the protocol on which a capability document insists, if none that it names is ours.

    Versions that cannot be read insist on nothing.
    """
    document = a_dict(body)
    named = [text(document.get("protocol_version")), *texts(document.get("supported_versions"))]
    majors = {int(match[1]): match[0] for name in named if (match := _VERSION.match(name))}
    return "" if majors.keys() & _OUR_MAJORS else next(iter(majors.values()), "")


def _models(value: Any) -> Iterator[ServiceModel]:
    for entry in dicts(value):
        if model_id := whole_name(entry.get("id")):
            limit = number(entry.get("max_session_duration_seconds"))
            yield ServiceModel(
                id=model_id,
                name=name(entry.get("display_name")),
                languages=texts(entry.get("languages"))[:_MOST_ENTRIES],
                max_session_seconds=limit if limit and limit > 0 else None,
            )


def read_created(body: Any, asked_id: str) -> SessionCreated:
    """The answer to Create. The id in the answer counts; without one, ours.

    Raises:
        RequestRefused: no object, or an id that cannot be part of an address.
    """
    answer = json_object(body)
    session_id = text(answer.get("session_id")) or text(answer.get("txn_id")) or asked_id
    if not is_session_id(session_id):
        raise refused(ProblemKind.ANSWER_UNREADABLE, "the service's session id cannot be used")
    return SessionCreated(
        session_id=session_id,
        # An object here is presigned storage, which has its own way of uploading.
        upload_url=text(answer.get("upload_url")),
        expires_at=moment(answer.get("expires_at")),
        created_at=moment(answer.get("created_at")),
    )


def is_session_id(value: str) -> bool:
    """It can stand in an address as it is."""
    return _SESSION_ID.fullmatch(value) is not None


def read_session(body: Any, http_status: int, asked_id: str) -> SessionResult:
    """The answer to Get Session: 202, 200, 206 or 410.

    Raises:
        RequestRefused: no session, or another one.
    """
    answer = _about(asked_id, json_object(body))
    # 410 may say as little as it likes: that the session is gone is all we need.
    if http_status != HTTPStatus.GONE and not answer.keys() & _SESSION_MARKS:
        raise refused(ProblemKind.ANSWER_UNREADABLE, "the answer is not about a session")
    return SessionResult(
        status=_status(http_status, answer.get("status")),
        session_id=asked_id,
        transcript=_transcript(answer.get("transcript")),
        utterances=tuple(_utterances(answer.get("utterances"))),
        transcript_by=name(answer.get("transcript_by")),
        templates=tuple(islice(read_template_results(answer.get("templates")), _MOST_NOTES)),
        audio_files_received=count(answer.get("audio_files_received")),
        audio_files=texts(answer.get("audio_files")),
        processing_errors=tuple(islice(_processing_errors(answer.get("processing_errors")), _MOST_ENTRIES)),
        message=remark(answer.get("message")) or remark(answer.get("error")),
        raw=answer,
    )


def _status(http_status: int, value: Any) -> ServiceStatus:
    """HTTP's word first, then the body's: On-prem says 200 and ``failed``."""
    said = _STATUS_WORDS.get(word(value))
    if http_status == HTTPStatus.GONE:
        return ServiceStatus.EXPIRED
    if http_status == HTTPStatus.PARTIAL_CONTENT:
        return ServiceStatus.PARTIAL
    if http_status == HTTPStatus.ACCEPTED:
        is_believed = said in (ServiceStatus.OPEN, ServiceStatus.FAILED, ServiceStatus.EXPIRED)
        return said if said and is_believed else ServiceStatus.PROCESSING
    return said or ServiceStatus.COMPLETED


def _utterances(value: Any) -> Iterator[Utterance]:
    for entry in dicts(value):
        if words := text(entry.get("text")):
            yield Utterance(words, number(entry.get("start_seconds")), number(entry.get("end_seconds")))


def _transcript(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "\n".join(line for line in map(_transcript, value) if line)
    words, speaker = text(a_dict(value).get("text")), text(a_dict(value).get("speaker"))
    return f"{speaker}: {words}" if speaker and words else words


def _processing_errors(value: Any) -> Iterator[ProcessingError]:
    for entry in value if isinstance(value, list) else [value]:
        if isinstance(entry, str) and entry:
            yield ProcessingError(type="", message=remark(entry))
        elif isinstance(entry, dict) and entry:
            missing = tuple(n for item in a_list(entry.get("missing")) if (n := count(item)) is not None)
            message = remark(entry.get("message")) or remark(entry.get("error"))
            yield ProcessingError(name(entry.get("type")), message, name(entry.get("file")), missing)


def read_ended(body: Any, asked_id: str) -> SessionEnded:
    """The answer to End.

    Raises:
        RequestRefused: it is about another session.
    """
    answer = _about(asked_id, a_dict(body))
    return SessionEnded(count(answer.get("audio_files_received")))


def read_note(body: Any, template_id: str, asked_id: str) -> NoteAccepted:
    """The answer to Process Template.

    Raises:
        RequestRefused: it is about another session.
    """
    answer = _about(asked_id, a_dict(body))
    return NoteAccepted(template_id, name(answer.get("document_id")))


def _about(asked_id: str, answer: dict[str, Any]) -> dict[str, Any]:
    """What is said of one session is never shown under another patient's name."""
    answered_id = text(answer.get("session_id")) or text(answer.get("txn_id"))
    if answered_id and answered_id != asked_id:
        raise refused(ProblemKind.ANSWER_UNREADABLE, "the answer is about another session")
    return answer


# Templates ------------------------------------------------------------------------------------------------------


def read_template_list(body: Any) -> tuple[TemplateInfo, ...]:
    """The list of templates, in either shape.

    Raises:
        RequestRefused: it is no list.
    """
    entries = body if isinstance(body, list) else _first_list(a_dict(body), "templates", "items", "data")
    if entries is None:
        raise refused(ProblemKind.ANSWER_UNREADABLE, "no list of templates")
    return tuple(islice(_template_infos(entries), _MOST_ENTRIES))


def _template_infos(entries: list[Any]) -> Iterator[TemplateInfo]:
    for entry in dicts(entries):
        if template_id := whole_name(entry.get("id")) or whole_name(entry.get("template_id")):
            called = name(entry.get("name")) or name(entry.get("title")) or template_id
            yield TemplateInfo(template_id, called, remark(entry.get("description")) or remark(entry.get("desc")))


def _first_list(answer: dict[str, Any], *keys: str) -> list[Any] | None:
    return next((answer[key] for key in keys if isinstance(answer.get(key), list)), None)


def read_template_results(value: Any) -> Iterator[TemplateResult]:
    """``templates`` of a session: an object by id, a list of one-key objects, a list of entries, or absent."""
    if isinstance(value, dict):
        for template_id, entry in value.items():
            yield _template_result(template_id, entry)
    for item in dicts(value):
        if template_id := text(item.get("template_id")) or text(item.get("id")):
            yield _template_result(template_id, item)
        else:
            yield from read_template_results(item)


def _template_result(template_id: str, entry: Any) -> TemplateResult:
    if not isinstance(entry, dict) or not entry.keys() & _ENTRY_MARKS:
        entry = {"data": entry}
    data = _data(entry)
    error = remark(entry.get("error")) or remark(entry.get("errors"))
    return TemplateResult(
        id=name(template_id),
        status=_TEMPLATE_WORDS.get(word(entry.get("status"))) or _guessed_status(data, error),
        name=name(entry.get("name")) or name(entry.get("title")),
        data=data,
        error=error,
        warnings=tuple(w for item in a_list(entry.get("warnings"))[:_MOST_WARNINGS] if (w := remark(item))),
        document_id=name(entry.get("document_id")),
        made_by=name(entry.get("made_by")),
        sources=tuple(_sources(entry.get("sources"))),
    )


def _guessed_status(data: Any, error: str) -> TemplateStatus:
    if data is not None:
        return TemplateStatus.SUCCESS
    return TemplateStatus.FAILED if error else TemplateStatus.PROCESSING


def _data(entry: dict[str, Any]) -> Any:
    """The entry's data; base64 is decoded only where a field says that it is base64."""
    data = entry.get("data")
    says = [entry.get(key) for key in ("encoding", "data_encoding", "content_encoding", "type", "data_type")]
    is_packed = any(isinstance(word, str) and "base64" in word.lower() for word in says)
    if not is_packed or not isinstance(data, str) or len(data) > _LONGEST_BASE64:
        return data
    try:
        decoded = base64.b64decode("".join(data.split()), validate=True)
        return _json_or_text(decoded.decode("utf-8"))
    except (binascii.Error, ValueError):
        return data


def _json_or_text(decoded: str) -> Any:
    if not decoded.lstrip().startswith(("{", "[")):
        return decoded
    try:
        return parse_json(decoded.encode())
    except RequestRefused:
        return decoded


def _sources(value: Any) -> Iterator[Source]:
    for entry in dicts(value):
        utterance = count(entry.get("utterance"))
        if utterance is not None and isinstance(entry.get("at"), str):
            start, end = number(entry.get("start_seconds")), number(entry.get("end_seconds"))
            yield Source(entry["at"], text(entry.get("statement")), utterance, start, end)
