"""The note maker behind a chat endpoint, against a small server on this computer."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from app.service.ports import EngineUnavailable, TemplateUnknown, Transcript, Utterance
from app.service.remote_notes import OpenAINoteMaker

VISIT = Transcript((Utterance("i have a cough", 1.0, 2.0), Utterance("take paracetamol", 3.0, 4.5)))
KEY = "a-very-secret-key"


class Endpoint(ThreadingHTTPServer):
    """Answers each request as it was told, and keeps what it was asked."""

    daemon_threads = False
    status = 200
    headers: tuple[tuple[str, str], ...] = ()
    answer = b""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[tuple[str, str, Any]] = []
        self.released = threading.Event()
        self.released.set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def says(self, note: object) -> None:
        text = note if isinstance(note, str) else json.dumps(note)
        self.answer = json.dumps({"choices": [{"message": {"content": text}}]}).encode()


class Handler(BaseHTTPRequestHandler):
    server: Endpoint

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append((self.path, self.headers.get("Authorization", ""), body))
        self.server.released.wait(10)
        try:
            self.send_response(self.server.status)
            for name, value in self.server.headers:
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(self.server.answer)))
            self.end_headers()
            self.wfile.write(self.server.answer)
        except OSError:  # the asker has gone, as some tests want it
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    server = Endpoint()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, name="endpoint")
    thread.start()
    yield server
    server.released.set()
    server.shutdown()
    thread.join()
    server.server_close()


def maker(endpoint: Endpoint, **options: Any) -> OpenAINoteMaker:
    return OpenAINoteMaker(endpoint.url, KEY, "some-model", **options)


def test_note_comes_with_its_sources(endpoint: Endpoint) -> None:
    endpoint.says(
        {
            "data": {"subjective": "Cough.", "plan": "Take paracetamol.", "mood": "good", "objective": ""},
            "sources": [
                {"at": "/plan", "statement": "Take paracetamol.", "utterance": 1},
                {"at": "/plan", "statement": "from nowhere", "utterance": 2},
                {"at": "/mood", "statement": "good", "utterance": 0},
            ],
        }
    )
    note = maker(endpoint).make("soap", VISIT)
    assert note.data == {"subjective": "Cough.", "plan": "Take paracetamol."}
    assert [(s.at, s.utterance, s.start_seconds, s.end_seconds) for s in note.sources] == [("/plan", 1, 3.0, 4.5)]
    path, authorization, body = endpoint.asked[0]
    assert (path, authorization, body["model"]) == ("/v1/chat/completions", f"Bearer {KEY}", "some-model")
    assert "i have a cough" in body["messages"][1]["content"]


def test_lists_and_texts_and_a_code_block(endpoint: Endpoint) -> None:
    endpoint.says('```json\n{"data": [{"name": "paracetamol", "dosage": "", "colour": "white"}]}\n```')
    assert maker(endpoint).make("medications", VISIT).data == [{"name": "paracetamol"}]
    endpoint.says({"data": [{"name": "pulse", "value": 88, "unit": "/min"}], "sources": None})
    assert maker(endpoint).make("vitals", VISIT).data == [{"name": "pulse", "value": "88", "unit": "/min"}]
    endpoint.says({"data": "# Letter", "sources": []})
    assert maker(endpoint).make("referral_letter", VISIT).data == "# Letter"


def test_transcript_is_not_sent_away_to_be_copied(endpoint: Endpoint) -> None:
    assert maker(endpoint).make("transcript", VISIT).data == "i have a cough\n\ntake paracetamol"
    assert endpoint.asked == []


@pytest.mark.parametrize(
    ("template", "note"),
    [
        ("soap", "no JSON at all"), ("soap", {"notes": {}}), ("soap", {"data": ["text"]}), ("soap", "[]"),
        ("medications", {"data": {"name": "paracetamol"}}), ("medications", {"data": [{"dosage": "500 mg"}]}),
        ("hpi", {"data": {"text": "cough"}}), ("vitals", {"data": ["pulse 88"]}),
    ],
)  # fmt: skip
def test_an_answer_of_another_shape_is_refused(endpoint: Endpoint, template: str, note: object) -> None:
    endpoint.says(note)
    with pytest.raises(EngineUnavailable, match="could not be read"):
        maker(endpoint).make(template, VISIT)


def test_refusals_are_said_without_the_key(endpoint: Endpoint, caplog: pytest.LogCaptureFixture) -> None:
    endpoint.status, endpoint.answer = 401, KEY.encode()
    with caplog.at_level(logging.DEBUG), pytest.raises(EngineUnavailable) as refused:
        maker(endpoint).make("soap", VISIT)
    assert "401" in str(refused.value)
    assert KEY not in caplog.text + str(refused.value) + repr(maker(endpoint))


def test_redirects_are_not_followed(endpoint: Endpoint) -> None:
    endpoint.status, endpoint.headers = 307, (("Location", f"{endpoint.url}/elsewhere"),)
    with pytest.raises(EngineUnavailable, match="307"):
        maker(endpoint).make("soap", VISIT)
    assert len(endpoint.asked) == 1


def test_an_endless_answer_is_cut_off(endpoint: Endpoint) -> None:
    endpoint.answer = b" " * 2_100_000
    with pytest.raises(EngineUnavailable, match="too large"):
        maker(endpoint).make("soap", VISIT)


def test_an_endpoint_that_never_answers_is_given_up(endpoint: Endpoint) -> None:
    endpoint.released.clear()
    with pytest.raises(EngineUnavailable, match="could not be reached"):
        maker(endpoint, limit_seconds=0.2).make("soap", VISIT)


def test_nobody_there() -> None:
    with pytest.raises(EngineUnavailable):
        OpenAINoteMaker("http://127.0.0.1:9", None, "some-model").make("soap", VISIT)


def test_an_unknown_template_is_not_asked_for(endpoint: Endpoint) -> None:
    with pytest.raises(TemplateUnknown):
        maker(endpoint).make("horoscope", VISIT)
    assert endpoint.asked == []


@pytest.mark.parametrize("url", ["http://example.org/v1", "ftp://127.0.0.1", "https://me:pw@example.org", "https://"])
def test_only_a_safe_endpoint_is_taken(url: str) -> None:
    with pytest.raises(ValueError, match="endpoint"):
        OpenAINoteMaker(url, KEY, "some-model")
