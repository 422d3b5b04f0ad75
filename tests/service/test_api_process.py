"""The service as a process of its own, over real HTTP: killed at any point it goes on and says nothing twice."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.service.peer import DEADLINE_SECONDS, KEY, TOKEN, noise, wav, wav_of

SESSION = "ses_0123456789abcdefghij"
HEADERS = {"Authorization": f"Bearer {TOKEN}"}


class Permits:
    """The test's end of the leash: hears what the service is about to do, and lets it go on."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self.allowed: list[str] = []

    def next(self) -> tuple[str, socket.socket]:
        """What the service is about to do; it waits until the line is answered or it dies."""
        line, _ = self._listener.accept()
        line.settimeout(DEADLINE_SECONDS)
        with line.makefile("r", encoding="ascii") as words:
            return words.readline().strip(), line

    def allow(self, expected: str) -> None:
        what, line = self.next()
        with line:
            assert what == expected
            self.allowed.append(what)
            line.sendall(b"go\n")

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])


@pytest.fixture
def permits() -> Iterator[Permits]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(DEADLINE_SECONDS)
        yield Permits(listener)


@dataclass
class Running:
    process: subprocess.Popen[bytes]
    http: httpx.Client
    first_line: dict[str, str]

    def kill(self) -> None:
        self.process.kill()
        assert self.process.wait(DEADLINE_SECONDS) == -signal.SIGKILL

    def upload(self, number: int) -> httpx.Response:
        return self.http.post(
            f"/sessions/{SESSION}/audio/audio_{number}.wav",
            content=wav(number),
            headers={"Content-Type": "audio/wav"},
        )

    def result(self) -> httpx.Response:
        for _ in range(20):
            answer = self.http.get(f"/sessions/{SESSION}", params={"wait": 5})
            if answer.status_code != 202:
                return answer
        raise AssertionError("the session does not finish")


@contextmanager
def running(folder: Path, permits: Permits, port: int = 0, key: bytes = KEY) -> Iterator[Running]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.service.fake_server", str(folder), str(permits.port), str(port)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(key.hex().encode() + b"\n")
    process.stdin.flush()
    try:
        first_line = json.loads(process.stdout.readline())
        with httpx.Client(base_url=first_line["base_url"], headers=HEADERS, timeout=DEADLINE_SECONDS) as http:
            yield Running(process, http, first_line)
    finally:
        process.kill()
        process.wait(DEADLINE_SECONDS)
        process.stdin.close()
        process.stdout.close()


def test_killed_during_upload_and_during_processing_nothing_is_said_twice(tmp_path: Path, permits: Permits) -> None:
    with running(tmp_path, permits) as service:
        created = service.http.post("/sessions", json={"session_id": SESSION, "templates": ["plain"]})
        assert created.status_code == 201
        assert service.upload(0).status_code == 200
        permits.allow("chunk 0")
        assert service.upload(1).status_code == 200
        what, line = permits.next()
        assert what == "chunk 1"
        half_an_upload(service)
        service.kill()
        line.close()

    with running(tmp_path, permits) as service:
        permits.allow("chunk 1")
        assert service.upload(1).status_code == 200  # The client had no answer, perhaps: the same again.
        assert service.upload(2).status_code == 200
        assert service.http.post(f"/sessions/{SESSION}/end", json={"audio_files_sent": 3}).status_code == 202
        what, line = permits.next()
        assert what == "chunk 2"
        service.kill()
        line.close()

    with running(tmp_path, permits) as service:
        permits.allow("chunk 2")
        what, line = permits.next()
        assert what == "note plain"
        service.kill()
        line.close()

    with running(tmp_path, permits) as service:
        permits.allow("note plain")
        result = service.result()
        assert result.status_code == 200
        assert result.json()["transcript"] == "chunk 0\nchunk 1\nchunk 2"
        assert result.json()["templates"]["plain"]["data"] == {"text": "chunk 0\nchunk 1\nchunk 2"}
    assert permits.allowed == ["chunk 0", "chunk 1", "chunk 2", "note plain"]
    assert len(list(tmp_path.rglob("*.sealed"))) == 3


def half_an_upload(service: Running) -> None:
    """Begin an upload that never comes to its end."""
    address = httpx.URL(service.first_line["base_url"])
    body = wav(2)
    head = (
        f"POST {address.path}/sessions/{SESSION}/audio/audio_2.wav HTTP/1.1\r\nHost: {address.netloc.decode()}\r\n"
        f"Authorization: Bearer {TOKEN}\r\nContent-Type: audio/wav\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection((address.host, address.port or 0), DEADLINE_SECONDS) as line:
        line.sendall(head.encode() + body[: len(body) // 2])


def test_answers_while_it_transcribes(tmp_path: Path, permits: Permits) -> None:
    with running(tmp_path, permits) as service:
        service.http.post("/sessions", json={"session_id": SESSION})
        service.upload(0)
        _, line = permits.next()
        assert service.upload(1).status_code == 200
        assert service.http.get(f"/sessions/{SESSION}").json()["audio_files_received"] == 2
        line.close()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM to ask with")
@pytest.mark.parametrize("asked", [signal.SIGTERM, signal.SIGINT])
def test_stops_cleanly_when_asked(tmp_path: Path, permits: Permits, asked: signal.Signals) -> None:
    with running(tmp_path, permits) as service:
        service.process.send_signal(asked)
        assert service.process.wait(DEADLINE_SECONDS) == 0


def test_stops_when_the_one_who_started_it_is_gone(tmp_path: Path, permits: Permits) -> None:
    with running(tmp_path, permits) as service:
        assert service.process.stdin is not None
        service.process.stdin.close()
        assert service.process.wait(DEADLINE_SECONDS) == 0


def test_a_second_service_on_the_same_folder_refuses(tmp_path: Path, permits: Permits) -> None:
    with running(tmp_path, permits):
        second = subprocess.run(
            [sys.executable, "-m", "tests.service.fake_server", str(tmp_path), str(permits.port)],
            input=KEY.hex().encode() + b"\n",
            capture_output=True,
            timeout=DEADLINE_SECONDS,
            check=False,
        )
    assert second.returncode != 0
    assert b"Another scribe service is at work" in second.stderr
    assert second.stdout == b""


@pytest.mark.fault("L3")
def test_a_taken_port_gives_way_to_the_next_free_one(tmp_path: Path, permits: Permits) -> None:
    with running(tmp_path, permits, port=permits.port) as service:
        assert httpx.URL(service.first_line["base_url"]).port != permits.port
        assert service.http.get("/templates").status_code == 200


@pytest.mark.fault("L2")
def test_a_hundred_megabytes_are_refused_and_the_service_goes_on(tmp_path: Path, permits: Permits) -> None:
    with running(tmp_path, permits) as service:
        service.http.post("/sessions", json={"session_id": SESSION})
        address = httpx.URL(service.first_line["base_url"])
        head = (
            f"POST {address.path}/sessions/{SESSION}/audio/audio_0.wav HTTP/1.1\r\n"
            f"Host: {address.netloc.decode()}\r\nAuthorization: Bearer {TOKEN}\r\n"
            "Content-Type: audio/wav\r\nContent-Length: 100000000\r\n\r\n"
        )
        with socket.create_connection((address.host, address.port or 0), DEADLINE_SECONDS) as line:
            line.sendall(head.encode())
            assert line.recv(1000).startswith(b"HTTP/1.1 413 ")
        assert service.http.get(f"/sessions/{SESSION}").json()["audio_files_received"] == 0
        assert list(tmp_path.rglob("*.sealed")) == []


@pytest.mark.fault("L4")
@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_memory_stays_flat_over_many_uploads(tmp_path: Path, permits: Permits) -> None:
    large = wav_of(noise(96_000 * 20), rate_hz=96_000)
    with running(tmp_path, permits) as service:
        service.http.post("/sessions", json={"session_id": SESSION})
        used = []
        for number in range(60):
            answer = service.http.post(
                f"/sessions/{SESSION}/audio/audio_{number}.wav",
                content=large if number % 6 == 0 else wav(number, seconds=1.9),
                headers={"Content-Type": "audio/wav"},
            )
            assert answer.status_code == 200
            if number % 6 == 5:
                used.append(resident_megabytes(service.process.pid))
        assert max(used[2:]) - used[1] < 16


def resident_megabytes(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    (kilobytes,) = (line.split()[1] for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(kilobytes) / 1024


def test_chunks_of_many_hands_at_once_are_each_kept_once(tmp_path: Path, permits: Permits) -> None:
    with running(tmp_path, permits) as service, ThreadPoolExecutor(8) as hands:
        service.http.post("/sessions", json={"session_id": SESSION})
        answers = list(hands.map(service.upload, [number % 12 for number in range(48)]))
        assert {answer.status_code for answer in answers} == {200}
        body = service.http.get(f"/sessions/{SESSION}").json()
        assert body["audio_files"] == [f"audio_{number}.wav" for number in range(12)]
    assert len(list(tmp_path.rglob("*.sealed"))) == 12


def test_a_long_poll_answers_when_the_session_is_done(tmp_path: Path, permits: Permits) -> None:
    with running(tmp_path, permits) as service, ThreadPoolExecutor(1) as poller:
        service.http.post("/sessions", json={"session_id": SESSION})
        service.upload(0)
        service.http.post(f"/sessions/{SESSION}/end", json={"audio_files_sent": 1})
        polled = poller.submit(service.http.get, f"/sessions/{SESSION}", params={"wait": 25})
        permits.allow("chunk 0")
        assert polled.result(DEADLINE_SECONDS).status_code == 200
