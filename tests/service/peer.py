"""What the service's tests share: engines that say what they are told to, audio, a client that checks answers."""

from __future__ import annotations

import asyncio
import io
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import httpx
import jsonschema
import numpy as np
import soundfile
from numpy.typing import NDArray
from starlette.types import ASGIApp

from app.service.engines import Engines
from app.service.limits import Limits
from app.service.ports import (
    NoteContent,
    Source,
    Template,
    TemplateUnknown,
    Transcript,
    Transcription,
    Utterance,
)
from app.service.security import loopback_hosts
from app.service.server import opened

TOKEN = "test-token"
KEY = bytes(range(32))
HOST = "127.0.0.1:7000"
BASE = f"http://{HOST}/voice/v1"
DEADLINE_SECONDS = 20


def wav(number: int, seconds: float = 0.5, rate_hz: int = 16_000) -> bytes:
    """A chunk that a :class:`ScriptedTranscriber` reads as ``chunk <number>``."""
    return wav_of(np.full(int(seconds * rate_hz), (number + 1) * 100, np.int16), rate_hz)


def wav_of(samples: NDArray[np.int16], rate_hz: int = 16_000) -> bytes:
    out = io.BytesIO()
    soundfile.write(out, samples, rate_hz, format="WAV")
    return out.getvalue()


def noise(length: int) -> NDArray[np.int16]:
    """Sound that is like no other, and the same each time."""
    return np.random.default_rng(1).integers(-3_000, 3_000, length, dtype=np.int16)


def spoken_number(samples: NDArray[np.int16]) -> int:
    return round(float(samples.mean()) / 100) - 1


class ScriptedTranscriber:
    """Says ``says``, or the number that a chunk was made with; ``before`` may wait or raise."""

    name = "scripted"

    def __init__(self, before: Callable[[int], None] = lambda number: None, says: str = "") -> None:
        self.before = before
        self.says = says
        self.heard: list[int] = []

    def transcribe(self, samples: NDArray[np.int16], language: str) -> Transcription:
        number = spoken_number(samples)
        self.before(number)
        self.heard.append(number)
        seconds = len(samples) / 16_000
        return Transcription((Utterance(self.says or f"chunk {number}", 0.0, seconds),))

    def close(self) -> None:
        pass


@dataclass
class ScriptedNoteMaker:
    """One template, ``plain``, that repeats the transcript; and ``broken``, which fails."""

    name: str = "scripted rules"
    made: list[str] = field(default_factory=list)

    def templates(self) -> tuple[Template, ...]:
        return (Template("plain", "Plain", "All that was said"), Template("broken", "Broken", "Fails"))

    def make(self, template_id: str, transcript: Transcript) -> NoteContent:
        if template_id == "broken":
            raise RuntimeError("patient text")
        if template_id != "plain":
            raise TemplateUnknown
        self.made.append(template_id)
        first = transcript.utterances[0]
        source = Source("/text", first.text, 0, first.start_seconds, first.end_seconds)
        return NoteContent({"text": transcript.text}, (source,))


@dataclass
class Peer:
    """A service at work behind its gate, spoken to over HTTP in this process."""

    app: ASGIApp
    transcriber: ScriptedTranscriber
    notes: ScriptedNoteMaker
    client: CheckedClient


@contextmanager
def serving(
    folder: Path, before: Callable[[int], None] = lambda number: None, says: str = "", key: bytes = KEY, **limits: Any
) -> Iterator[Peer]:
    transcriber, notes = ScriptedTranscriber(before, says), ScriptedNoteMaker()
    folder.mkdir(exist_ok=True)
    engines = Engines(transcriber, notes)
    hosts = loopback_hosts("127.0.0.1", 7000)
    with (
        opened(folder, key, engines, token=TOKEN, hosts=hosts, limits=Limits(**limits)) as service,
        CheckedClient(service.app) as client,
    ):
        yield Peer(service.app, transcriber, notes, client)


class CheckedClient:
    """Sends requests to an ASGI application from a loop thread of its own; each answer is checked against OpenAPI."""

    _declared: ClassVar[dict[str, Any]] = {}

    def __init__(self, app: ASGIApp) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="test-client")
        self._http = httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url=BASE, headers={"Authorization": f"Bearer {TOKEN}"}
        )

    def __enter__(self) -> CheckedClient:
        self._thread.start()
        if not CheckedClient._declared:  # The same for every service: asked for once.
            CheckedClient._declared = self.request("GET", "/openapi.json", checked=False).json()
        self._shapes = Shapes(CheckedClient._declared)
        return self

    def __exit__(self, *_: object) -> None:
        self._run(self._http.aclose())
        self._run(self._loop.shutdown_default_executor())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(DEADLINE_SECONDS)

    def request(self, method: str, path: str, *, checked: bool = True, **options: Any) -> httpx.Response:
        answer: httpx.Response = self._run(self._http.request(method, path, **options))
        if checked:
            self._shapes.check(method, answer)
        return answer

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.request("GET", path, **options)

    def post(self, path: str, **options: Any) -> httpx.Response:
        return self.request("POST", path, **options)

    def create(self, **body: Any) -> str:
        answer = self.post("/sessions", json={"templates": ["plain"], **body})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["session_id"])

    def upload(self, session_id: str, number: int, data: bytes | None = None, name: str = "") -> httpx.Response:
        return self.post(
            f"/sessions/{session_id}/audio/{name or f'audio_{number}.wav'}",
            content=wav(number) if data is None else data,
            headers={"Content-Type": "audio/wav"},
        )

    def end(self, session_id: str, sent: Any) -> httpx.Response:
        return self.post(f"/sessions/{session_id}/end", json={"audio_files_sent": sent})

    def result(self, session_id: str, document_id: str = "") -> httpx.Response:
        """The session when it is done, by long polls."""
        query = {"wait": "5"} | ({"document_id": document_id} if document_id else {})
        for _ in range(20):
            answer = self.get(f"/sessions/{session_id}", params=query)
            if answer.status_code != 202:
                return answer
        raise AssertionError("the session does not finish")


class Shapes:
    """The answers that the service's OpenAPI document declares."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._document = document
        self._paths = [
            (re.compile(re.sub(r"\{\w+\}", "[^/]+", path)), operations)
            for path, operations in document["paths"].items()
        ]

    def check(self, method: str, answer: httpx.Response) -> None:
        for pattern, operations in self._paths:
            if pattern.fullmatch(answer.request.url.raw_path.decode().split("?")[0]) and method.lower() in operations:
                declared = operations[method.lower()]["responses"]
                assert str(answer.status_code) in declared, f"undeclared: {answer.status_code}"
                content = declared[str(answer.status_code)].get("content")
                self._validate(content["application/json"]["schema"] if content else None, answer)
                return
        self._validate({"$ref": "#/components/schemas/ErrorResponse"}, answer)

    def _validate(self, schema: dict[str, Any] | None, answer: httpx.Response) -> None:
        if schema is None:
            assert answer.content == b""
            return
        assert answer.headers["content-type"] == "application/json"
        jsonschema.validate(answer.json(), {**schema, "components": self._document["components"]})


def error_code(answer: httpx.Response) -> str:
    return str(answer.json()["error"]["code"])
