"""The local service with scripted engines: ``python -m tests.protocol.local_process FOLDER``, the key on stdin."""

from __future__ import annotations

import sys
from pathlib import Path

from app.service.engines import Engines
from app.service.sealing import read_key
from app.service.server import run
from tests.service.peer import ScriptedNoteMaker, ScriptedTranscriber

if __name__ == "__main__":
    run(
        Path(sys.argv[1]),
        key=read_key(),
        until_stdin_closes=True,
        make_engines=lambda _folder: Engines(ScriptedTranscriber(), ScriptedNoteMaker()),
    )
