"""What is written down about the program's own running: the log, crashes, and what must never be written.

Nothing that a patient said, no token and no signed address goes into a log: whoever logs sees to it. Behind them
stands this module: exceptions are told by type and place, without their messages and variables; addresses lose
what follows their ``?``; control characters and marks that turn text around are shown by number. Set up once, on
the main thread; any thread may log.
"""

from __future__ import annotations

import contextlib
import faulthandler
import logging
import logging.handlers
import os
import re
import sys
import threading
import traceback
import unicodedata
from datetime import UTC, datetime
from io import TextIOWrapper
from pathlib import Path

LOG_NAME, CRASH_NAME = "scribedesk.log", "crash.log"
_LOG_BYTES, _LOG_FILES = 1_000_000, 3
_CRASH_BYTES = 256_000
_LONGEST_LINE = 2000
_MOST_CAUSES, _FIRST_FRAMES, _LAST_FRAMES = 5, 5, 20
_PR_SET_DUMPABLE = 4
_SEM_FAILCRITICALERRORS, _SEM_NOGPFAULTERRORBOX = 0x0001, 0x0002

_log = logging.getLogger(__name__)


# Text -------------------------------------------------------------------------------------------------------------

_SECRETS = (
    (re.compile(r"(?i)\b((?:proxy-)?authorization|(?:set-)?cookie)(['\"]?\s*[:=]\s*).*"), r"\1\2…"),
    (
        re.compile(
            r"(?i)\b((?:x-)?api[-_]?key|(?:\w+[-_])?token|password|passphrase|secret|signature|x-amz-\w+(?:-\w+)*)"
            r"(['\"]?\s*[:=]\s*['\"]?)[^\s'\",;&]+"
        ),
        r"\1\2…",
    ),
    (re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{8,}"), r"\1 …"),
    (re.compile(r"\beyJ[\w-]{8,}(?:\.[\w-]*)*"), "…"),
    (re.compile(r"://[^\s/?#@]+@"), "://…@"),
    (re.compile(r"(://[^\s?#'\"<>]*)[?#][^\s'\"<>]+"), r"\1?…"),
)


class _Shown(dict[int, str]):
    """Each character as it may stand in a log."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        is_plain = unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
        shown = self[code] = character if is_plain else character.encode("unicode_escape").decode("ascii")
        return shown


_SHOWN = _Shown()


def clean(text: str) -> str:
    """One line without secrets, without control characters, and of bearable length."""
    kept = text[:_LONGEST_LINE]
    for secret, instead in _SECRETS:
        kept = secret.sub(instead, kept)
    shown = kept.translate(_SHOWN)
    is_whole = len(text) <= _LONGEST_LINE and len(shown) <= _LONGEST_LINE
    return shown if is_whole else shown[: _LONGEST_LINE - 1] + "…"


def described(error: BaseException) -> str:
    """An exception and what led to it by type and place; its message and variables may hold what a patient said."""
    lines: list[str] = []
    cause: BaseException | None = error
    while cause is not None and len(lines) < _MOST_CAUSES:
        lines.append("\n".join([_type_name(type(cause)), *_frames(cause)]))
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
    return "\ncaused by ".join(lines)


def _type_name(kind: type[BaseException] | None) -> str:
    return "" if kind is None else clean(f"{kind.__module__}.{kind.__qualname__}").removeprefix("builtins.")


def _frames(error: BaseException) -> list[str]:
    frames = [
        clean(f"  {frame.f_code.co_filename}:{line} in {frame.f_code.co_qualname}")
        for frame, line in traceback.walk_tb(error.__traceback__)
    ]
    left_out = len(frames) - _FIRST_FRAMES - _LAST_FRAMES
    if left_out <= 0:
        return frames
    return [*frames[:_FIRST_FRAMES], f"  … {left_out} more …", *frames[-_LAST_FRAMES:]]


# The log ----------------------------------------------------------------------------------------------------------


class _Formatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        try:
            message = record.getMessage()
        except Exception:  # noqa: BLE001 - somebody's own conversion to text
            message = f"{record.msg} (its values cannot be shown)"
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line = clean(f"{at} {record.levelname} {record.threadName} {record.name}: {message}")
        error = record.exc_info[1] if record.exc_info else None
        return line if error is None else f"{line}\n{described(error)}"


class _Handler(logging.handlers.RotatingFileHandler):
    """Private files; and where the disk refuses, the program goes on without a log."""

    def _open(self) -> TextIOWrapper:
        return open(self.baseFilename, "a", encoding=self.encoding, errors="replace", opener=_open_private)

    def doRollover(self) -> None:  # noqa: N802 - logging's name
        try:
            super().doRollover()
        except OSError:  # On Windows, while another process of ours has the file open.
            if self.stream is None:
                self.stream = self._open()

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: ARG002, N802 - logging's names
        return


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def start_log(folder: Path) -> logging.Handler:
    """Log warnings and worse into a small rotating file in ``folder``. Never fails."""
    with contextlib.suppress(OSError):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    handler = _Handler(folder / LOG_NAME, maxBytes=_LOG_BYTES, backupCount=_LOG_FILES, encoding="utf-8", delay=True)
    handler.setFormatter(_Formatter())
    logging.getLogger().addHandler(handler)
    logging.getLogger().setLevel(logging.WARNING)
    for name in ("httpx", "httpcore"):  # They would log whole addresses.
        logging.getLogger(name).setLevel(logging.WARNING)
    return handler


# What nobody caught -----------------------------------------------------------------------------------------------


def catch_bugs() -> None:
    """Log exceptions that nobody caught, in any thread, without what they say."""
    sys.excepthook = _uncaught
    threading.excepthook = _uncaught_in_thread
    sys.unraisablehook = _unraisable


def _uncaught(kind: type[BaseException], error: BaseException, trace: object) -> None:  # noqa: ARG001
    if issubclass(kind, KeyboardInterrupt):
        return
    _log.critical("nobody caught this", exc_info=error)
    if sys.stderr is not None:
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.write(described(error) + "\n")


def _uncaught_in_thread(told: threading.ExceptHookArgs) -> None:
    if told.exc_value is not None and not issubclass(told.exc_type, SystemExit):
        _log.critical("nobody caught this", exc_info=told.exc_value)


def _unraisable(told: sys.UnraisableHookArgs) -> None:
    if told.exc_value is not None:
        _log.error("nobody could catch this", exc_info=told.exc_value)


# Crashes ----------------------------------------------------------------------------------------------------------


def watch_for_crashes(folder: Path) -> None:
    """When the process dies of a fault, let it write where each thread was: files, lines and functions, no values.

    Never fails.
    """
    with contextlib.suppress(OSError):
        path = folder / CRASH_NAME
        is_long = path.exists() and path.stat().st_size > _CRASH_BYTES
        # It stays open as long as the process lives: when it dies, nothing can be opened any more.
        file = open(path, "w" if is_long else "a", encoding="utf-8", opener=_open_private)  # noqa: SIM115
        file.write(f"Process {os.getpid()} started {datetime.now(UTC).isoformat(timespec='seconds')}\n")
        file.flush()
        faulthandler.enable(file)


def forbid_dumps(*, is_hidden: bool = False) -> None:
    """Keep the memory of this process and of its children out of core dumps and crash reports.

    With ``is_hidden`` no other program of the same user may look into the process either (Linux). That also keeps
    desktop portals and sound servers from finding out who is asking, so it is for processes without a window.
    """
    if sys.platform == "win32":
        import ctypes

        ctypes.windll.kernel32.SetErrorMode(_SEM_FAILCRITICALERRORS | _SEM_NOGPFAULTERRORBOX)
    else:
        import resource

        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        # A collector of dumps is not bound by the limit; this leaves it a dump without memory.
        with contextlib.suppress(OSError):
            Path("/proc/self/coredump_filter").write_text("0", encoding="ascii")
        if is_hidden:
            import ctypes

            ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
