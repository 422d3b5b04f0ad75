"""A transcriber that is somewhere else: any endpoint that speaks OpenAI's ``/v1/audio/transcriptions``.

Owns one request a chunk, nothing between them. Called from the service's worker thread; blocks for as long as the
endpoint takes, within ``limit_seconds``. The key and what was heard are never logged.
"""

from __future__ import annotations

import io
import json
import secrets
import wave
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.service.ports import EngineUnavailable, Transcription, Utterance
from app.service.remote import Endpoint

SAMPLE_RATE_HZ = 16_000
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
        url: the endpoint's address, see :class:`Endpoint`.
        key: the bearer token; None or empty for an endpoint that asks for none.
        model: the model's name as the endpoint knows it.
        limit_seconds: how long the whole exchange may take.

    Raises:
        ValueError: the URL is not one that audio may be sent to.
    """

    def __init__(self, url: str, key: str | None, model: str, *, limit_seconds: float = 60.0) -> None:
        self._endpoint = Endpoint("transcription", url, _PATH, key, limit_seconds)
        self._model = model
        self.name = f"{model} at {self._endpoint.host}"

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
        answer = self._endpoint.post(content_type, body)
        return read_answer(answer, len(samples) / SAMPLE_RATE_HZ)

    def close(self) -> None:
        """Nothing is kept open."""


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
