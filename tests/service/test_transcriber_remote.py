"""The transcriber behind an OpenAI-compatible endpoint, against a small HTTP server of the test's own."""

from __future__ import annotations

import json
import threading
import wave
from collections.abc import Iterator
from email.message import Message
from email.parser import BytesParser
from email.policy import HTTP
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO

import numpy as np
import pytest

from app.service.ports import EngineUnavailable
from app.service.remote_transcriber import OpenAITranscriber

SAMPLES = (np.sin(np.arange(32_000) / 20) * 8000).astype(np.int16)


class Endpoint(ThreadingHTTPServer):
    """Answers what the test says and keeps what it was sent."""

    daemon_threads = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.status = 200
        self.headers: dict[str, str] = {}
        self.answer: bytes = b"{}"
        self.is_mute = threading.Event()
        self.paths: list[str] = []
        self.authorization: str | None = None
        self.form: dict[str, bytes] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: Endpoint

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        head = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
        message = BytesParser(policy=HTTP).parsebytes(head + body)
        self.server.form = {
            str(part.get_param("name", header="content-disposition")): _payload(part) for part in message.iter_parts()
        }
        self.server.paths.append(self.path)
        self.server.authorization = self.headers["Authorization"]
        if self.server.is_mute.is_set():
            self.rfile.read(1)  # until the client gives up
            return
        self.send_response(self.server.status)
        for name, value in self.server.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(self.server.answer)))
        self.end_headers()
        self.wfile.write(self.server.answer)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


def _payload(part: Message) -> bytes:
    payload = part.get_payload(decode=True)
    assert isinstance(payload, bytes)
    return payload


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with Endpoint() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, name="endpoint")
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def transcriber(endpoint: Endpoint, key: str = "sk-secret", limit_seconds: float = 10.0) -> OpenAITranscriber:
    return OpenAITranscriber(endpoint.url, key, "whisper-1", limit_seconds=limit_seconds)


def test_segments_become_utterances_with_their_times(endpoint: Endpoint) -> None:
    segments = [
        {"start": 0.2, "end": 0.9, "text": " I have a cough."},
        {"start": 1.1, "end": 9.0, "text": " For five days. "},
        {"start": 1.9, "end": 2.0, "text": " "},
    ]
    endpoint.answer = json.dumps({"text": "all of it", "segments": segments}).encode()
    heard = transcriber(endpoint).transcribe(SAMPLES, "en-IN").utterances
    assert [(u.text, u.start_seconds, u.end_seconds) for u in heard] == [
        ("I have a cough.", 0.2, 0.9),
        ("For five days.", 1.1, 2.0),
    ]


def test_the_request_is_what_the_interface_asks_for(endpoint: Endpoint) -> None:
    endpoint.answer = b'{"text": "hello"}'
    heard = transcriber(endpoint).transcribe(SAMPLES, "en-IN").utterances
    assert [(u.text, u.start_seconds, u.end_seconds) for u in heard] == [("hello", 0.0, 2.0)]
    assert endpoint.paths == ["/v1/audio/transcriptions"]
    assert endpoint.authorization == "Bearer sk-secret"
    file = endpoint.form.pop("file")
    assert endpoint.form == {"model": b"whisper-1", "response_format": b"verbose_json", "language": b"en"}
    with wave.open(BytesIO(file)) as audio:
        assert (audio.getframerate(), audio.getnchannels(), audio.getsampwidth()) == (16_000, 1, 2)
        assert np.array_equal(np.frombuffer(audio.readframes(99_999), "<i2"), SAMPLES)


def test_an_endpoint_on_this_computer_needs_no_key(endpoint: Endpoint) -> None:
    endpoint.answer = b'{"text": ""}'
    assert transcriber(endpoint, key="").transcribe(SAMPLES, "en").utterances == ()
    assert endpoint.authorization is None


@pytest.mark.parametrize("status", [301, 401, 429, 500])
def test_a_refusal_is_unavailable_and_is_not_followed(endpoint: Endpoint, status: int) -> None:
    endpoint.status = status
    endpoint.headers = {"Location": f"{endpoint.url}/elsewhere"}
    with pytest.raises(EngineUnavailable, match=str(status)):
        transcriber(endpoint).transcribe(SAMPLES, "en")
    assert endpoint.paths == ["/v1/audio/transcriptions"]


@pytest.mark.parametrize(
    "answer",
    [b"", b"<html>", b"[]", b"null", b'{"text": 5', b'{"segments": [7]}', b'{"segments": [{"start": "x"}]}', b"{}"],
)
def test_an_answer_of_another_kind_is_unavailable(endpoint: Endpoint, answer: bytes) -> None:
    endpoint.answer = answer
    with pytest.raises(EngineUnavailable, match="could not be read"):
        transcriber(endpoint).transcribe(SAMPLES, "en")


def test_an_endless_answer_is_cut_off(endpoint: Endpoint) -> None:
    endpoint.answer = b" " * 4_100_000
    with pytest.raises(EngineUnavailable, match="too large"):
        transcriber(endpoint).transcribe(SAMPLES, "en")


def test_an_endpoint_that_says_nothing_is_given_up(endpoint: Endpoint) -> None:
    endpoint.is_mute.set()
    with pytest.raises(EngineUnavailable, match="could not be reached"):
        transcriber(endpoint, limit_seconds=0.2).transcribe(SAMPLES, "en")


def test_nobody_there_is_unavailable() -> None:
    with Endpoint() as gone:
        url = gone.url
    with pytest.raises(EngineUnavailable, match="could not be reached"):
        OpenAITranscriber(url, "", "m").transcribe(SAMPLES, "en")


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/v1",
        "http://127.0.0.1.example.org",
        "ftp://127.0.0.1",
        "https://",
        "https://me:pw@host",
        "",
    ],
)
def test_audio_goes_only_where_it_is_private(url: str) -> None:
    with pytest.raises(ValueError, match="endpoint"):
        OpenAITranscriber(url, "", "m")


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("", "/v1/audio/transcriptions"),
        ("/v1/", "/v1/audio/transcriptions"),
        ("/engine/v1", "/engine/v1/audio/transcriptions"),
        ("/v1/audio/transcriptions", "/v1/audio/transcriptions"),
    ],
)
def test_the_base_url_may_be_written_in_any_usual_way(endpoint: Endpoint, url: str, path: str) -> None:
    endpoint.answer = b'{"text": ""}'
    OpenAITranscriber(endpoint.url + url, "", "m").transcribe(SAMPLES, "en")
    assert endpoint.paths == [path]


def test_the_key_is_not_shown() -> None:
    shown = OpenAITranscriber("https://example.org", "sk-secret", "m")
    assert "secret" not in f"{shown!r} {shown.name}"
    assert shown.name == "m at example.org"
