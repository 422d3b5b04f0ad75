"""The command line: the window when there is nothing more to say, and everything that works without one.

Exit codes of ``send`` and ``practise``: 0 completed, 3 partial, 4 failed, 5 expired, 6 cannot reach or not allowed;
2 is a wrong use of the command line. What a command needs is imported when it is given, since a start is waited for.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from app import __version__

if TYPE_CHECKING:
    from app.core.views import Wish
    from app.store.sealed import SealedLog

_EXIT_CANNOT_REACH = 6
_EXIT_USAGE = 2
_PRACTICE_TEMPLATES = ("soap", "medications", "vitals")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; the exit code."""
    given = sys.argv[1:] if arguments is None else arguments
    if worker := _WORKERS.get(given[0] if given else ""):
        return worker()
    chosen = _parser().parse_args(given)
    commands = {"serve": _serve, "send": _send, "practise": _practise, "check": _check, "token": _token}
    if chosen.command is None:
        from app.main import run_window

        run_window()
    return commands[chosen.command](chosen)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scribedesk", description="A desktop medical scribe. Without a command: opens the window."
    )
    parser.add_argument("--version", action="version", version=f"ScribeDesk {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")

    serve = commands.add_parser("serve", help="run the scribe service that works on this computer alone")
    serve.add_argument("--host", default="127.0.0.1", help="an address of this computer (default: %(default)s)")
    serve.add_argument("--port", type=_port, default=0, help="the port, or the next free one (default: any free one)")
    serve.add_argument("--token", help="what callers must show (default: made once and kept)")
    serve.add_argument("--data", type=Path, help="where everything is kept")
    serve.add_argument("--with-app", action="store_true", help=argparse.SUPPRESS)

    send = commands.add_parser("send", help="make a transcript and notes of audio files")
    send.add_argument(
        "files", nargs="+", type=Path, metavar="FILE", help="WAV, FLAC, OGG or MP3; several are one visit"
    )
    send.add_argument("--service", metavar="URL", help="another scribe service's address (token: SCRIBEDESK_TOKEN)")
    send.add_argument("--template", action="append", metavar="ID", help="a note to make; may be given several times")
    send.add_argument("--language", default="en", help="what is spoken (default: %(default)s)")
    send.add_argument("--mode", choices=("consultation", "dictation"), default="consultation")
    send.add_argument("--json", action="store_true", help="print one JSON object")

    practise = commands.add_parser(
        "practise", help="play the sample consultation through everything, without a screen"
    )
    practise.add_argument("--json", action="store_true", help="print one JSON object")
    practise.add_argument(
        "--picture", type=Path, default=Path("scribedesk-result.png"), help="where the result page's picture goes"
    )

    check = commands.add_parser("check", help="tell what a scribe service offers")
    check.add_argument("url", metavar="URL")
    check.add_argument("--json", action="store_true", help="print one JSON object")

    token = commands.add_parser(
        "token", help="keep the token that signs in at a scribe service; it is read from stdin"
    )
    token.add_argument("url", metavar="URL")
    token.add_argument("--forget", action="store_true", help="forget it; what is not sent yet stays")
    return parser


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65535:  # noqa: PLR2004 - the range of ports
        raise argparse.ArgumentTypeError("a port is a number from 0 to 65535")
    return port


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201 - a terminal program


def _print(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - a terminal program


# serve ------------------------------------------------------------------------------------------------------------


def _serve(chosen: argparse.Namespace) -> int:
    from app.serving import serve

    return serve(chosen.host, chosen.port, chosen.token, chosen.data, is_with_app=chosen.with_app)


# send, practise ---------------------------------------------------------------------------------------------------


def _send(chosen: argparse.Namespace) -> int:
    from app.audio.playlist import Playlist
    from app.audio.source import SourceFailed
    from app.core.events import Visit
    from app.core.views import SendFiles

    try:
        Playlist(chosen.files, None)
    except SourceFailed as failure:
        _say(f"{failure.problem.sentence} ({failure.problem.detail})")
        return 4
    visit = Visit(
        mode=chosen.mode,
        templates=tuple(dict.fromkeys(chosen.template or Visit().templates)),
        languages=(chosen.language,),
        output_language=chosen.language,
    )
    paths = tuple(str(p.absolute()) for p in chosen.files)
    return _run_headless(SendFiles(visit, paths), chosen, None)


def _practise(chosen: argparse.Namespace) -> int:
    from app.core.events import Patient, Visit
    from app.core.views import Practise

    visit = Visit(patient=Patient(label="Practice patient"), templates=_PRACTICE_TEMPLATES)
    _say("Playing the sample consultation through the scribe service on this computer.")
    return _run_headless(Practise(visit), chosen, chosen.picture)


def _run_headless(wish: Wish, chosen: argparse.Namespace, picture: Path | None) -> int:
    from app.core.settings import LOCAL_SERVICE
    from app.headless import run

    service = getattr(chosen, "service", None)
    if picture is not None:
        service = LOCAL_SERVICE
    outcome = run(wish, service_id=service, say=_say)
    if outcome.session is None:
        return outcome.exit_code
    _print(outcome.as_json() if chosen.json else outcome.as_text())
    if picture is not None and outcome.view is not None:
        os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
        from app.main import save_picture

        save_picture(outcome.view, outcome.session.id, picture)
        _say(f"A picture of the result page: {picture.absolute()}")
    return outcome.exit_code


# check ------------------------------------------------------------------------------------------------------------


def _check(chosen: argparse.Namespace) -> int:
    from app.compose import connect, find_token
    from app.engine.local_service import Address
    from app.protocol.answer import RequestRefused

    try:
        service = connect(Address(chosen.url, find_token(chosen.url)))
    except RequestRefused as refusal:
        _say(f"{refusal.problem.words.what} ({refusal.problem.detail})")
        return _EXIT_CANNOT_REACH
    findings: dict[str, object] = {"url": chosen.url}
    code = 0
    try:
        discovery = service.discover()
        findings["service"] = discovery.service_name
        findings["audio_formats"] = list(discovery.audio_formats)
        findings["max_chunk_seconds"] = discovery.max_chunk_seconds
        findings["upload_methods"] = list(discovery.upload_methods)
        findings["models"] = [m.id for m in discovery.models]
        findings["languages"] = list(discovery.languages)
        findings["templates"] = [t.id for t in service.templates()]
    except RequestRefused as refusal:
        findings["problem"] = {"kind": refusal.problem.kind, "detail": refusal.problem.detail}
        _say(f"{refusal.problem.words.what} ({refusal.problem.detail})")
        code = _EXIT_CANNOT_REACH
    finally:
        service.close()
    if chosen.json:
        _print(json.dumps(findings, ensure_ascii=False))
    else:
        for name, value in findings.items():
            if name != "problem":
                _print(f"{name.replace('_', ' '):18} {_in_words(value)}")
    return code


# token ------------------------------------------------------------------------------------------------------------


def _token(chosen: argparse.Namespace) -> int:
    from getpass import getpass

    from app.compose import open_library
    from app.core.problems import WORDS, ProblemKind
    from app.store.keys import KeysLocked
    from app.store.places import find_places

    try:
        library = open_library(find_places())
    except KeysLocked:
        words = WORDS[ProblemKind.KEYS_LOCKED]
        _say(f"{words.what} {words.do}")
        return _EXIT_CANNOT_REACH
    if chosen.forget:
        library.forget_token(chosen.url)
    else:
        library.keep_token(chosen.url, (getpass("Token: ") if sys.stdin.isatty() else sys.stdin.readline()).strip())
    library.close()
    return 0


def _in_words(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


# The program's own processes --------------------------------------------------------------------------------------


def _capture() -> int:
    from app.audio.capture_child import main as work

    work(_open_log)


def _open_log(path: Path, key: bytes) -> SealedLog:
    """Where the capture process records on when the app dies. It brings in what it takes then, not before."""
    from app.audio.survivor import PURPOSE
    from app.store.sealed import SealedLog

    return SealedLog(path, key, PURPOSE)


def _transcribe() -> int:
    from app.service.sphinx_worker import main as work

    return work()


_WORKERS = {"capture-worker": _capture, "transcribe-worker": _transcribe}
"""Not for people, and so not in the help."""
