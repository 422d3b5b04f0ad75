"""The client against the local service, each in a process of its own, over real HTTP."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from app.core.document import document, plain_text
from app.core.events import Patient, SessionEnded, Visit
from app.core.problems import ProblemKind as Kind
from app.core.scribe import ServiceStatus, SessionResult, TemplateStatus
from app.protocol.client import ScribeClient
from tests.protocol.scripted import SESSION, kind_of
from tests.service.peer import wav

VISIT = Visit(patient=Patient(label="Asha", id="oid-1"))


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    folder = tmp_path_factory.mktemp("service")
    command = [sys.executable, "-m", "tests.protocol.local_process", str(folder)]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=root) as process:
        assert process.stdout
        assert process.stdin
        process.stdin.write(b"5e" * 32 + b"\n")
        process.stdin.flush()
        said = json.loads(process.stdout.readline())
        yield said["base_url"], said["token"]
        process.stdin.close()
        process.wait(20)


@pytest.fixture
def client(service: tuple[str, str]) -> Iterator[ScribeClient]:
    base_url, token = service
    made = ScribeClient(base_url, token)
    yield made
    made.close()


def result_of(client: ScribeClient, session_id: str, template_id: str = "") -> SessionResult:
    """The result when it is final and the template, if one is named, is done."""
    for _ in range(20):
        result = client.status(session_id, wait_seconds=5)
        is_made = {template.id: template.status is not TemplateStatus.PROCESSING for template in result.templates}
        if result.status.is_final and is_made.get(template_id, not template_id):
            return result
    raise AssertionError("the session does not finish")


def test_a_session_from_create_to_a_second_note(client: ScribeClient) -> None:
    offer = client.discover()
    assert offer.long_poll_seconds > 0
    assert "audio/wav" in offer.audio_formats
    assert "plain" in [template.id for template in client.templates()]

    created = client.create(SESSION, VISIT, ["broken"])
    assert created.session_id == SESSION
    assert created.expires_at is not None
    assert client.create(SESSION, VISIT, ["broken"]) == created

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda n: client.upload(created, n, wav(n), "audio/wav", "wav"), range(12)))
    so_far = client.status(SESSION)
    assert so_far.status is ServiceStatus.OPEN
    assert so_far.audio_files_received == 12

    assert client.end(SESSION, 12) == SessionEnded(12)
    assert client.end(SESSION, 12) == SessionEnded()
    assert kind_of(lambda: client.upload(created, 12, wav(12), "audio/wav", "wav")) is Kind.SESSION_ENDED

    result = result_of(client, SESSION)
    assert result.transcript == "\n".join(f"chunk {n}" for n in range(12))
    assert result.utterances[11].start_seconds == pytest.approx(5.5)
    assert result.transcript_by == "scripted"
    assert [template.status for template in result.templates] == [TemplateStatus.FAILED]

    assert client.process_template(SESSION, "plain").document_id
    note = {template.id: template for template in result_of(client, SESSION, "plain").templates}["plain"]
    assert plain_text(document(note.data)).endswith("chunk 11")
    assert (note.sources[0].at, note.sources[0].statement) == ("/text", "chunk 0")
    assert note.made_by == "scripted rules"


def test_a_chunk_that_never_came_is_named(client: ScribeClient) -> None:
    created = client.create("ses_lostlostlostlostlost", VISIT, ["plain"])
    for n in (0, 2):
        client.upload(created, n, wav(n), "audio/wav", "wav")
    client.end(created.session_id, 3)
    result = result_of(client, created.session_id)
    assert result.status is ServiceStatus.PARTIAL
    assert [error.missing for error in result.processing_errors if error.missing] == [(1,)]


def test_refusals_of_the_service_are_understood(client: ScribeClient, service: tuple[str, str]) -> None:
    base_url, _ = service
    created = client.create("ses_refusedrefusedrefuse", VISIT, [])
    assert kind_of(lambda: client.upload(created, 0, b"no audio", "audio/wav", "wav")) is Kind.CHUNK_REFUSED
    assert kind_of(lambda: client.upload(created, 0, wav(0), "audio/none", "wav")) is Kind.CHUNK_REFUSED
    assert kind_of(lambda: client.status("ses_unknownunknownunknow")) is Kind.SESSION_UNKNOWN
    stranger = ScribeClient(base_url, "another token")
    assert kind_of(lambda: stranger.status(created.session_id)) is Kind.NOT_SIGNED_IN
    stranger.close()
    lost = ScribeClient(base_url + "/elsewhere", "token")
    assert kind_of(lambda: lost.status(created.session_id)) in (Kind.NOT_A_SCRIBE_SERVICE, Kind.NOT_SIGNED_IN)
    lost.close()
