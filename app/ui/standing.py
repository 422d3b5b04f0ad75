"""How things stand, in a word each: the service, what waits to be sent, the key, the disk.

Pure decisions over snapshots, for the status line and what it leads to. Main thread.
"""

from __future__ import annotations

from app.core.problems import ProblemKind
from app.core.views import AppView, KeyState, Phase, ServiceState, SessionView
from app.ui.phrases import State, length, pieces, tr
from app.ui.plain import shown_name


def service_state(view: AppView) -> State:
    """How the chosen service stands."""
    name = shown_name(view.service.name) or tr("Scribe service")
    state = view.service.state
    if state is ServiceState.UNREACHABLE:
        return State("cloud-off", "warn", tr("{name} · cannot be reached").format(name=name))
    if state is ServiceState.STARTING:
        return State("state-finishing", "muted", tr("{name} · starting").format(name=name))
    return State("cloud", "ok", tr("{name} · ready").format(name=name))


def waiting_sessions(view: AppView) -> tuple[SessionView, ...]:
    """The visits of which something is still to be sent."""
    return tuple(s for s in view.sessions if s.chunks_uploaded < s.chunks_sealed and s.phase is not Phase.DISCARDED)


def queue(view: AppView) -> str:
    """What waits to be sent. That there is no network is no reason to fear for it."""
    waiting = waiting_sessions(view)
    if not waiting:
        return tr("Nothing waits to be sent")
    seconds = sum(s.seconds_to_upload for s in waiting)
    if is_held_up(view):
        words = tr("{visits} · {length} to upload · nothing is lost")
        return words.format(visits=_held_up_visits(view, len(waiting)), length=length(seconds))
    count = sum(s.chunks_sealed - s.chunks_uploaded for s in waiting)
    return tr("{pieces} to send ({length})").format(pieces=pieces(count), length=length(seconds))


def queue_in_short(view: AppView) -> str:
    """The same where there is little room."""
    waiting = waiting_sessions(view)
    if not waiting:
        return tr("Nothing to send")
    seconds = sum(s.seconds_to_upload for s in waiting)
    return tr("{visits} to send ({length})").format(visits=visits(len(waiting)), length=length(seconds))


def is_held_up(view: AppView) -> bool:
    """Whether what waits is not on its way just now."""
    waiting = waiting_sessions(view)
    is_away = view.service.state is ServiceState.UNREACHABLE
    return bool(waiting) and (is_away or any(_is_held_up(session) for session in waiting))


def _is_held_up(session: SessionView) -> bool:
    return session.problem is not None and session.problem.kind in _HOLDS_UP


_NETWORK = frozenset({ProblemKind.UNREACHABLE, ProblemKind.TIMED_OUT, ProblemKind.NOT_A_SCRIBE_SERVICE})
_HOLDS_UP = _NETWORK | {
    ProblemKind.SERVICE_BUSY,
    ProblemKind.SERVICE_BROKEN,
    ProblemKind.INSECURE,
    ProblemKind.CLOCK_WRONG,
    ProblemKind.NOT_SIGNED_IN,
    ProblemKind.NOT_ALLOWED,
    ProblemKind.LOCAL_SERVICE_DOWN,
}


def _held_up_visits(view: AppView, count: int) -> str:
    problems = {s.problem.kind for s in waiting_sessions(view) if s.problem is not None}
    if view.service.problem is not None:
        problems.add(view.service.problem.kind)
    if ProblemKind.NOT_SIGNED_IN in problems:
        reason = tr("for the sign-in")
    elif not problems or problems & _NETWORK:
        reason = tr("for the network")
    else:
        reason = tr("for the service")
    text = tr("1 visit waits {reason}") if count == 1 else tr("{n} visits wait {reason}")
    return text.format(n=count, reason=reason)


def visits(count: int) -> str:
    """``1 visit``, ``4 visits``."""
    return tr("1 visit") if count == 1 else tr("{n} visits").format(n=count)


def key_state(view: AppView) -> State:
    """Who guards the key to what is kept here."""
    keys = view.keys
    return {
        KeyState.WAITING: State("key", "muted", tr("Waiting for your keychain")),
        KeyState.PROTECTED: State("key", "ok", tr("Key kept by the system")),
        KeyState.PASSPHRASE: State("key", "ok", tr("Key behind your passphrase")),
        KeyState.SESSION_ONLY: State("state-expired", "warn", tr("Readable until you close")),
        KeyState.LOCKED: State("key-locked", "warn", tr("Key locked")),
        KeyState.MISSING: State("key-locked", "danger", tr("Key missing")),
    }[keys.state]


def storage_state(view: AppView) -> State:
    """What the disk has room for, or how long audio is kept on it."""
    storage = view.storage
    if (storage.is_low or storage.is_critical) and storage.free_seconds is not None:
        room = tr("Disk: room for {length}").format(length=length(storage.free_seconds))
        return State("warn", "danger" if storage.is_critical else "warn", room)
    return State(
        "computer", "muted", tr("Audio is kept for {days} at most").format(days=days(view.settings.keep_audio_days))
    )


def days(count: float) -> str:
    """``1 day``, ``7 days``."""
    return tr("1 day") if count == 1 else tr("{n} days").format(n=f"{count:g}")
