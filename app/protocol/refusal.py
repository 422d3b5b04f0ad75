"""From an answer that is no success to a problem with words: one extractor for every shape of error, one table.

Pure; may be used on any thread.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from typing import Any

from app.core.problems import Problem, ProblemKind
from app.protocol.answer import Answer, RequestRefused, parse_json, printable


class Call(StrEnum):
    """Which call was answered: the same status means different things to different calls."""

    DISCOVER = "discover"
    CREATE = "create"
    UPLOAD = "upload"
    STATUS = "status"
    END = "end"
    TEMPLATES = "templates"
    NOTE = "note"


_BY_CODE = {
    "authentication_failed": ProblemKind.NOT_SIGNED_IN,
    "token_expired": ProblemKind.NOT_SIGNED_IN,
    "invalid_api_key": ProblemKind.NOT_SIGNED_IN,
    "forbidden": ProblemKind.NOT_ALLOWED,
    "rate_limit_exceeded": ProblemKind.SERVICE_BUSY,
    "session_expired": ProblemKind.SESSION_EXPIRED,
    "session_not_found": ProblemKind.SESSION_UNKNOWN,
    "session_ended": ProblemKind.SESSION_ENDED,
    "session_already_ended": ProblemKind.SESSION_ENDED,
    "session_completed": ProblemKind.SESSION_ENDED,
    "template_not_found": ProblemKind.REQUEST_REFUSED,
    "invalid_template": ProblemKind.REQUEST_REFUSED,
}
_BY_STATUS = {
    401: ProblemKind.NOT_SIGNED_IN,
    403: ProblemKind.NOT_ALLOWED,
    408: ProblemKind.SERVICE_BUSY,
    409: ProblemKind.SESSION_EXISTS,
    410: ProblemKind.SESSION_EXPIRED,
    425: ProblemKind.SERVICE_BUSY,
    429: ProblemKind.SERVICE_BUSY,
    511: ProblemKind.NOT_A_SCRIBE_SERVICE,
}
_BY_CALL = {
    Call.CREATE: {404: ProblemKind.NOT_A_SCRIBE_SERVICE, 410: ProblemKind.REQUEST_REFUSED},
    Call.UPLOAD: dict.fromkeys((400, 415, 422), ProblemKind.CHUNK_REFUSED)
    | {413: ProblemKind.CHUNK_TOO_LARGE, 404: ProblemKind.SESSION_UNKNOWN, 409: ProblemKind.CHUNK_REFUSED},
    Call.STATUS: {404: ProblemKind.SESSION_UNKNOWN, 409: ProblemKind.REQUEST_REFUSED},
    Call.END: {404: ProblemKind.SESSION_UNKNOWN, 409: ProblemKind.REQUEST_REFUSED},
    Call.NOTE: {404: ProblemKind.REQUEST_REFUSED, 409: ProblemKind.REQUEST_REFUSED},
}
_REDIRECTS = range(300, 400)
_PAGE_STATUSES = frozenset((*range(200, 405), 410))
"""With these an HTML page is somebody else's; with the rest it is a proxy's wrapping of a true refusal."""

_MOST_BYTES = 256 * 1024
"""No honest refusal is longer; of one that is, the beginning is enough."""
_CODE = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,59}")
_TOO_LARGE_CODE = re.compile(r"(?:^|_)too_(?:large|long|big)$", re.IGNORECASE)
_ENDED_WORDS = re.compile(r"already\s+(been\s+)?(ended|completed|committed|closed)", re.IGNORECASE)
_SIGN_IN_WORDS = re.compile(r"token|session|credential|expired", re.IGNORECASE)
_BARE_404 = frozenset({"", "not found"})


@dataclass(frozen=True)
class ServiceError:
    """What an error body says. ``message`` is a stranger's text: see :func:`app.protocol.answer.printable`."""

    code: str = ""
    message: str = ""

    @property
    def words(self) -> frozenset[str]:
        """Every identifier that it mentions: the fields it complains about are among them."""
        return frozenset(re.findall(r"[a-z][a-z0-9_]*", f"{self.code} {self.message}".lower()))


def service_error(answer: Answer) -> ServiceError:
    """Read the error out of any body seen (protocol page, section 3): JSON of five shapes, text, HTML, nothing."""
    if answer.is_html:
        return ServiceError()
    try:
        body = parse_json(answer.body) if len(answer.body) <= _MOST_BYTES else None
    except RequestRefused:
        body = None
    if body is None:
        return ServiceError(message=answer.body[:2000].decode("utf-8", errors="replace"))
    if isinstance(body, str):
        return ServiceError(message=body)
    if not isinstance(body, dict):
        return ServiceError()
    parts = [part for key in ("error", "detail") for part in _parts(body.get(key))] or list(_parts(body))
    code = next((part.code for part in parts if part.code), "")
    return ServiceError(code, "; ".join(part.message for part in parts if part.message))


def _parts(value: Any) -> Iterator[ServiceError]:
    if isinstance(value, str):
        yield ServiceError(value if re.fullmatch(r"[a-z]+(_[a-z]+)+", value) else "", value)
    elif isinstance(value, list):
        for item in value[:20]:
            yield from _parts(item)
    elif isinstance(value, dict):
        yield _one_part(value)


def _one_part(error: dict[str, Any]) -> ServiceError:
    """One error object. ``input`` and ``ctx`` echo what we sent and are never looked at."""
    code = error.get("code")
    message = error.get("message") or error.get("msg") or error.get("display_message")
    if isinstance(message, dict):
        message = message.get("message") or message.get("display_message")
    place = error.get("loc")
    where = ".".join(str(step) for step in place) if isinstance(place, list) else ""
    details = error.get("details")
    named = details.get("field") if isinstance(details, dict) else None
    texts = [text for text in (where, named, message) if isinstance(text, str) and text]
    return ServiceError(code if isinstance(code, str) and _CODE.fullmatch(code) else "", ": ".join(texts))


def kind_of(call: Call, answer: Answer, error: ServiceError) -> ProblemKind:
    """The table: what this answer to this call means."""
    status = answer.status
    if (answer.is_html and status in _PAGE_STATUSES) or status in _REDIRECTS:
        return ProblemKind.NOT_A_SCRIBE_SERVICE
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return _BY_STATUS.get(status, ProblemKind.SERVICE_BROKEN)
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return _sign_in_kind(status, error)
    by_status = _BY_CALL.get(call, {}).get(status) or _BY_STATUS.get(status, ProblemKind.REQUEST_REFUSED)
    if by_status is ProblemKind.CHUNK_REFUSED and _TOO_LARGE_CODE.search(error.code):
        return ProblemKind.CHUNK_TOO_LARGE
    return _BY_CODE.get(error.code.lower()) or _by_words(status, error) or by_status


def _by_words(status: int, error: ServiceError) -> ProblemKind | None:
    if status in (HTTPStatus.BAD_REQUEST, HTTPStatus.CONFLICT) and _ENDED_WORDS.search(error.message):
        return ProblemKind.SESSION_ENDED
    # A bare "Not Found" comes from a web server that has no such path, not from a service without the session.
    if status == HTTPStatus.NOT_FOUND and error.message.strip().rstrip(".").lower() in _BARE_404:
        return ProblemKind.NOT_A_SCRIBE_SERVICE
    return None


def _sign_in_kind(status: int, error: ServiceError) -> ProblemKind:
    if error.code.lower() == "forbidden":
        return ProblemKind.NOT_ALLOWED
    # A 403 that speaks of a token or a session means: sign in again.
    if status == HTTPStatus.FORBIDDEN and _SIGN_IN_WORDS.search(f"{error.code} {error.message}"):
        return ProblemKind.NOT_SIGNED_IN
    return _BY_STATUS[status]


def refusal(call: Call, answer: Answer, hidden: Iterable[str] = ()) -> RequestRefused:
    """The exception for an answer that is no success. ``hidden`` words never reach its detail, nor the token."""
    error = service_error(answer)
    said = [f"HTTP {answer.status}", error.code if error.code != error.message else "", error.message]
    detail = printable(" ".join(part for part in said if part), (*hidden, answer.token))
    return RequestRefused(Problem(kind_of(call, answer, error), detail), answer.retry_after_seconds(time.time()))
