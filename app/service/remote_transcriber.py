"""A transcriber that is somewhere else: any endpoint that speaks OpenAI's ``/v1/audio/transcriptions``.

Owns one request a chunk, nothing between them. Called from the service's worker thread; blocks for as long as the
endpoint takes, within ``limit_seconds``. The key and what was heard are never logged.
"""

from __future__ import annotations

import http.client
import io
import ipaddress
import json
import secrets
import ssl
import wave
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, urlsplit

import numpy as np
from numpy.typing import NDArray

from app.service.ports import EngineUnavailable, Transcription, Utterance

SAMPLE_RATE_HZ = 16_000
_LARGEST_ANSWER_BYTES = 4_000_000
_PATH = "/audio/transcriptions"


@dataclass(frozen=True)
class Field:
    """One field of a form; with a file name it is a file."""

    name: str
    value: bytes
    file_name: str = ""
    content_type: str = ""


class OpenAITranscriber:
    """Transcribes by asking an endpoint.

    Args:
        url: the endpoint's base, with or without ``/v1`` or the whole path. Must be https, or http on this
            computer: audio of a consultation goes there.
        key: the bearer token; may be empty for an endpoint on this computer.
        model: the model's name as the endpoint knows it.
        limit_seconds: how long to wait for each step of the exchange.

    Raises:
        ValueError: the URL is not one that audio may be sent to.
    """

    def __init__(self, url: str, key: str, model: str, *, limit_seconds: float = 60.0) -> None:
        self._target = _endpoint(url)
        self._key = key
        self._model = model
        self._limit_seconds = limit_seconds
        self.name = f"{model} at {self._target.hostname}"

    def __repr__(self) -> str:
        return f"OpenAITranscriber({self.name!r})"

    def transcribe(self, samples: NDArray[np.int16], language: str) -> Transcription:
        """Transcribe 16 kHz mono samples of one chunk.

        Raises:
            EngineUnavailable: the endpoint cannot be reached, refuses, or answers with something else.
        """
        fields = [
            Field("model", self._model.encode()),
            Field("response_format", b"verbose_json"),
            Field("language", language.split("-", maxsplit=1)[0].encode()),
            Field("file", wav_file(samples), "chunk.wav", "audio/wav"),
        ]
        content_type, body = form(fields)
        status, answer = self._post(content_type, body)
        if status != http.HTTPStatus.OK:
            raise EngineUnavailable(f"The transcription endpoint answered {status}.")
        return read_answer(answer, len(samples) / SAMPLE_RATE_HZ)

    def close(self) -> None:
        """Nothing is kept open."""

    def _post(self, content_type: str, body: bytes) -> tuple[int, bytes]:
        connection = self._connection()
        headers = {"Content-Type": content_type, "Accept": "application/json"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        try:
            # http.client follows no redirects, so the key and the audio go nowhere else.
            connection.request("POST", self._target.path, body, headers)
            response = connection.getresponse()
            answer = response.read(_LARGEST_ANSWER_BYTES + 1)
        except (OSError, http.client.HTTPException) as exc:
            raise EngineUnavailable("The transcription endpoint could not be reached.") from exc
        finally:
            connection.close()
        if len(answer) > _LARGEST_ANSWER_BYTES:
            raise EngineUnavailable("The transcription endpoint's answer is too large.")
        return response.status, answer

    def _connection(self) -> http.client.HTTPConnection:
        host = self._target.hostname or ""
        port, limit = self._target.port, self._limit_seconds
        if self._target.scheme == "https":
            return http.client.HTTPSConnection(host, port, timeout=limit, context=ssl.create_default_context())
        return http.client.HTTPConnection(host, port, timeout=limit)


def form(fields: Iterable[Field]) -> tuple[str, bytes]:
    """Fields as ``multipart/form-data``: its content type and body."""
    boundary = secrets.token_hex(16)
    body = io.BytesIO()
    for field in fields:
        disposition = f'form-data; name="{field.name}"'
        if field.file_name:
            disposition += f'; filename="{field.file_name}"'
        body.write(f"--{boundary}\r\nContent-Disposition: {disposition}\r\n".encode())
        if field.content_type:
            body.write(f"Content-Type: {field.content_type}\r\n".encode())
        body.write(b"\r\n" + field.value + b"\r\n")
    body.write(f"--{boundary}--\r\n".encode())
    return f"multipart/form-data; boundary={boundary}", body.getvalue()


def wav_file(samples: NDArray[np.int16]) -> bytes:
    """Samples as a WAV file."""
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE_HZ)
        file.writeframes(np.ascontiguousarray(samples, dtype="<i2").tobytes())
    return out.getvalue()


def read_answer(answer: bytes, seconds: float) -> Transcription:
    """The endpoint's JSON, with segments or with nothing but ``text``.

    Raises:
        EngineUnavailable: it is something else.
    """
    try:
        said = json.loads(answer)
        parts: list[Any] = said.get("segments") or [{"text": said["text"]}]
        lines = [_utterance(part, seconds) for part in parts]
    except (ValueError, TypeError, KeyError, AttributeError) as exc:
        raise EngineUnavailable("The transcription endpoint's answer could not be read.") from exc
    return Transcription(tuple(line for line in lines if line.text))


def _utterance(part: dict[str, Any], seconds: float) -> Utterance:
    start = min(max(float(part.get("start", 0.0)), 0.0), seconds)
    end = min(max(float(part.get("end", seconds)), start), seconds)
    return Utterance(str(part["text"]).strip(), start, end)


def _endpoint(url: str) -> SplitResult:
    parts = urlsplit(url)
    if not (parts.scheme == "https" or (parts.scheme == "http" and _is_this_computer(parts.hostname))):
        raise ValueError("A transcription endpoint must use https, or http on this computer.")
    if not parts.hostname or parts.username is not None:
        raise ValueError("A transcription endpoint needs a host and no user name in its URL.")
    path = parts.path.rstrip("/")
    if not path.endswith(_PATH):
        path = (path or "/v1") + _PATH
    return parts._replace(path=path, query="", fragment="")


def _is_this_computer(host: str | None) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False
