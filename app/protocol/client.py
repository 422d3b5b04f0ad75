"""The scribe service as typed calls.

Owns what is said to a service and how its dialects are met; :mod:`app.protocol.wire` owns how bytes get there.
Blocking; may be used from several threads at once. It never retries on its own: retry is the session machine's
policy. The one exception is a Create that names a field the service does not take.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

from app import __version__
from app.core.events import NoteAccepted, SessionCreated, SessionEnded, Visit
from app.core.problems import ProblemKind
from app.core.scribe import Discovery, ServiceStatus, SessionResult, TemplateInfo
from app.protocol import reading
from app.protocol.answer import Answer, RequestRefused, printable, refused
from app.protocol.refusal import Call, kind_of, refusal, service_error
from app.protocol.wire import Patience, Wire, is_same_origin

_log = logging.getLogger(__name__)

VERSION = "0.1"
"""Of the protocol, as this client speaks it."""
USER_AGENT = f"scribedesk/{__version__}"
_JSON = "application/json"
_WELL_KNOWN = "/.well-known/medscribealliance"
_ELSEWHERE = "/voice/v1" + _WELL_KNOWN
_EKA_TEMPLATES = "/voice/api/v1/template"
_OPTIONAL_FIELDS = (
    "transcript_language",
    "session_mode",
    "model",
    "patient_details",
    "additional_data",
    "language_hint",
    "communication_protocol",
)
_SLOWEST_BYTES_PER_SECOND = 4000
_PROCESSING_SECONDS = 60.0
"""How long a service may think over an upload or an end before it answers."""
_HOLD_SECONDS = 35.0
"""How long an answer to Get Session may take unasked: On-prem holds it for 14 s."""

_NO_ANSWER = frozenset({ProblemKind.UNREACHABLE, ProblemKind.TIMED_OUT, ProblemKind.INSECURE})


class ScribeClient:
    """One service, as the user named it.

    Every method raises :class:`RequestRefused` and nothing else when it does not succeed.
    """

    def __init__(
        self,
        base_url: str,
        token: str | Callable[[], str],
        *,
        transport: httpx.BaseTransport | None = None,
        user_agent: str = USER_AGENT,
        ca_file: Path | None = None,
    ) -> None:
        """A ``ca_file`` holds the certificate authorities of a hospital, in PEM form, beside the usual ones."""
        self._wire = Wire(base_url, token, transport, user_agent, ca_file)
        self._user_agent = user_agent
        self._templates_url = ""
        self._foreign_version = ""

    def __repr__(self) -> str:
        return f"ScribeClient({str(self._wire.base)!r})"

    def close(self) -> None:
        """Close all connections."""
        self._wire.close()

    # What the service offers -------------------------------------------------------------------------------------

    def discover(self) -> Discovery:
        """What the service offers; the defaults when it does not say.

        Raises:
            RequestRefused: it cannot be reached, is broken, speaks a protocol that we do not know, or something
                else answers in its place.
        """
        doubt: RequestRefused | None = None
        for place in dict.fromkeys((self._below(_WELL_KNOWN), self._at(_WELL_KNOWN), self._at(_ELSEWHERE))):
            answer = self._wire.send("GET", place, Patience(), is_public=True)
            if found := _discovery_in(answer):
                discovery, self._foreign_version = found
                self._check_version()
                self._templates_url = discovery.templates_url
                return discovery
            if place == self._below(_WELL_KNOWN) and _is_more_than_absence(answer):
                doubt = refusal(Call.DISCOVER, answer)
        if doubt:
            raise doubt
        return Discovery()

    def _check_version(self) -> None:
        """Audio goes to nobody who has said that it would be misunderstood there."""
        if self._foreign_version:
            said = printable(self._foreign_version, limit=40)
            raise refused(
                ProblemKind.ANSWER_UNREADABLE,
                f"the service speaks version {said} of the protocol, this app {VERSION}",
            )

    def templates(self) -> tuple[TemplateInfo, ...]:
        """The templates on offer, from whichever of the two lists the service has."""
        try:
            return self._templates_at(self._below("/templates"))
        except RequestRefused as first:
            if first.problem.kind in _NO_ANSWER or first.problem.kind is ProblemKind.NOT_SIGNED_IN:
                raise
            try:
                return self._templates_at(self._own(self._templates_url) or self._at(_EKA_TEMPLATES))
            except RequestRefused:
                raise first from None

    def _templates_at(self, place: httpx.URL) -> tuple[TemplateInfo, ...]:
        return reading.read_template_list(self._success(Call.TEMPLATES, self._get(place)).json())

    # A session ---------------------------------------------------------------------------------------------------

    def create(self, session_id: str, visit: Visit, templates: Iterable[str]) -> SessionCreated:
        """Create a session under our id. Safe to repeat: a session that exists counts as created.

        A field that the service complains of and can do without is dropped, once.
        """
        self._check_version()
        body = self._create_body(session_id, visit, templates)
        hidden = (visit.patient.label, visit.patient.id)
        answer = self._post(self._below("/sessions"), body)
        if dropped := _complained_of(answer, body):
            _log.warning("The service does not take %s; the session is created without.", ", ".join(sorted(dropped)))
            body = {key: value for key, value in body.items() if key not in dropped}
            answer = self._post(self._below("/sessions"), body)
        if answer.status == HTTPStatus.CONFLICT:
            return self._existing(session_id, answer)
        return reading.read_created(self._success(Call.CREATE, answer, hidden).json(), session_id)

    def _create_body(self, session_id: str, visit: Visit, templates: Iterable[str]) -> dict[str, Any]:
        patient = {"oid": visit.patient.id, "name": visit.patient.label}
        fields = {
            "session_id": session_id,
            "upload_type": "chunked",
            "communication_protocol": "http",
            "language_hint": list(visit.languages),
            "model": visit.model,
            "session_mode": visit.mode,
            "transcript_language": visit.output_language,
            "additional_data": {"client": self._user_agent},
            "patient_details": {key: value for key, value in patient.items() if value},
        }
        return {key: value for key, value in fields.items() if value} | {"templates": list(templates)}

    def _existing(self, session_id: str, conflict: Answer) -> SessionCreated:
        """409: the first answer was lost, if the session is there for us to see."""
        try:
            result = self.status(session_id)
        except RequestRefused as problem:
            if problem.problem.kind in (ProblemKind.SESSION_UNKNOWN, ProblemKind.NOT_ALLOWED):
                raise refusal(Call.CREATE, conflict) from problem
            raise
        if result.status is ServiceStatus.EXPIRED:
            raise refused(ProblemKind.SESSION_EXPIRED, "the session exists and has expired")
        return reading.read_created(result.raw | {"session_id": session_id}, session_id)

    def upload(self, created: SessionCreated, index: int, data: bytes, media_type: str, extension: str) -> None:
        """Send one chunk. Any 2xx that is not a web page is success, whatever it says."""
        name = f"audio_{index}.{extension.lstrip('.')}"
        place = self._own(created.upload_url) or self._session(created.session_id, "audio")
        patience = Patience(
            total_seconds=_PROCESSING_SECONDS + len(data) / _SLOWEST_BYTES_PER_SECOND,
            read_seconds=_PROCESSING_SECONDS,
        )
        self._success(Call.UPLOAD, self._wire.send("POST", _with_step(place, name), patience, data, media_type))

    def status(self, session_id: str, wait_seconds: float = 0) -> SessionResult:
        """How the session stands. With ``wait_seconds`` the service may hold its answer until something changes."""
        place = self._session(session_id)
        if wait_seconds > 0:
            place = place.copy_set_param("wait", str(max(1, int(wait_seconds))))
        hold = _HOLD_SECONDS + max(wait_seconds, 0)
        answer = self._wire.send("GET", place, Patience(total_seconds=hold + 25, read_seconds=hold))
        if answer.status == HTTPStatus.GONE and not answer.is_html:
            return reading.read_session(_object_or_nothing(answer), answer.status, session_id)
        return reading.read_session(self._success(Call.STATUS, answer).json(), answer.status, session_id)

    def end(self, session_id: str, audio_files_sent: int) -> SessionEnded:
        """End the session. One that has already ended counts as ended."""
        answer = self._post(
            self._session(session_id, "end"), {"audio_files_sent": audio_files_sent}, _PROCESSING_SECONDS
        )
        if not answer.is_success and kind_of(Call.END, answer, service_error(answer)) is ProblemKind.SESSION_ENDED:
            return SessionEnded()
        return reading.read_ended(self._success(Call.END, answer).json(), session_id)

    def process_template(self, session_id: str, template_id: str) -> NoteAccepted:
        """Have another note made from the same session."""
        if template_id.strip(".") == "":
            raise refused(ProblemKind.REQUEST_REFUSED, "no such template")
        answer = self._post(self._session(session_id, "process", "template", template_id), {})
        accepted = self._success(Call.NOTE, answer)
        return reading.read_note(_object_or_nothing(accepted), template_id, session_id)

    # Addresses and exchanges -------------------------------------------------------------------------------------

    def _below(self, path: str) -> httpx.URL:
        base = self._wire.base
        return base.copy_with(raw_path=base.raw_path.rstrip(b"/") + path.encode())

    def _at(self, path: str) -> httpx.URL:
        return self._wire.base.copy_with(raw_path=path.encode())

    def _session(self, session_id: str, *steps: str) -> httpx.URL:
        if not reading.is_session_id(session_id):
            raise refused(ProblemKind.SESSION_UNKNOWN, "the session id cannot be used")
        return self._below("/".join(["/sessions", session_id, *(quote(step, safe="") for step in steps)]))

    def _own(self, address: str) -> httpx.URL | None:
        """An address that the service named, if it lies on the service: credentials and audio go nowhere else."""
        if not address or "\\" in address:
            return None
        try:
            place = self._wire.base.join(address)
        except (httpx.InvalidURL, ValueError):
            return None
        return place if is_same_origin(place, self._wire.base) and not place.userinfo else None

    def _get(self, place: httpx.URL) -> Answer:
        return self._wire.send("GET", place, Patience())

    def _post(self, place: httpx.URL, body: dict[str, Any], total_seconds: float = 30.0) -> Answer:
        patience = Patience(total_seconds=total_seconds, read_seconds=total_seconds)
        return self._wire.send("POST", place, patience, json.dumps(body).encode(), _JSON)

    def _success(self, call: Call, answer: Answer, hidden: Iterable[str] = ()) -> Answer:
        if answer.is_success and not answer.is_html:
            return answer
        raise refusal(call, answer, hidden)


def _discovery_in(answer: Answer) -> tuple[Discovery, str] | None:
    """The capability document and the version of the protocol that is none of ours, if it insists on one."""
    if not answer.is_success or answer.is_html:
        return None
    try:
        body = answer.json()
        return reading.read_discovery(body, answer.headers.get("cache-control", "")), reading.foreign_version(body)
    except RequestRefused:
        return None


def _is_more_than_absence(answer: Answer) -> bool:
    """A broken or busy service, or somebody else's page: not a service that merely has no capability document."""
    if answer.is_success:
        return answer.is_html
    is_client_error = HTTPStatus.BAD_REQUEST <= answer.status < HTTPStatus.INTERNAL_SERVER_ERROR
    return not is_client_error or answer.status == HTTPStatus.TOO_MANY_REQUESTS


def _with_step(place: httpx.URL, step: str) -> httpx.URL:
    """One more step on the path, all else as it was written, a query included."""
    path, mark, query = place.raw_path.partition(b"?")
    return place.copy_with(raw_path=path.rstrip(b"/") + b"/" + step.encode() + mark + query)


def _complained_of(answer: Answer, body: dict[str, Any]) -> frozenset[str]:
    """The optional fields that a validation error names, among those that were sent."""
    if answer.status not in (HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY):
        return frozenset()
    return service_error(answer).words & body.keys() & set(_OPTIONAL_FIELDS)


def _object_or_nothing(answer: Answer) -> dict[str, Any]:
    """For answers whose status says all that is needed."""
    try:
        body = answer.json()
    except RequestRefused:
        return {}
    return body if isinstance(body, dict) else {}
