"""What must be said at the top of a session's page, decided from a snapshot: what happened, whether the recording is
safe, what to do.

Of several things the gravest is said. A notice never stops or discards anything. Main thread.
"""

from __future__ import annotations

from collections.abc import Iterator

from app.core.problems import Problem, ProblemKind
from app.core.views import AppView, Phase, SessionView, is_worth_saying
from app.ui.notice import ALARM, DISK, GRAVE, Notice, is_there, pinned_microphone, with_room
from app.ui.phrases import (
    MICROPHONE_PROBLEMS,
    gap_list,
    heard_text,
    incompleteness,
    missing_text,
    problem_words,
    seconds_of_day,
    time_of_day,
    tr,
)
from app.ui.plain import shown_name


def notice_for_session(view: AppView, session: SessionView, now: float) -> Notice | None:
    """What has to be said about a session at a time, if anything."""
    candidates = (
        *_while_live(view, session),
        _problem(session, now),
        _sound(session),
        _waiting(session, now),
        _outcome(session),
    )
    return next((notice for notice in candidates if notice is not None), None)


def _while_live(view: AppView, session: SessionView) -> Iterator[Notice | None]:
    if session.phase.is_live:
        yield _recovered(session)
        yield _disk_refuses(session)
        yield _nothing_heard(session)
        yield _disk_nearly_full(view)
        yield _other_microphone(view, session)


def _recovered(session: SessionView) -> Notice | None:
    if not session.is_recovered or session.phase is not Phase.PAUSED:
        return None
    broken = [gap for gap in session.gaps if gap.reason == "interrupted" and gap.began_at is not None]
    at = time_of_day(broken[-1].began_at) if broken else ""
    what = tr("ScribeDesk was closed during this visit at {time}.").format(time=at)
    return Notice(
        "warn",
        what if at else tr("ScribeDesk was closed during this visit."),
        tr("All but the last moment is here. Resume the recording if the visit goes on, or finish it: its notes are "
           "made of what there is."),
        actions=frozenset(name for intent, name in _OF_RECOVERED if intent in session.allowed),
    )  # fmt: skip


_OF_RECOVERED = (("Resume", "Resume"), ("Stop", "Finish"))


def _nothing_heard(session: SessionView) -> Notice | None:
    if session.phase is not Phase.RECORDING:
        return None
    choose = frozenset({"ChooseMicrophone"})
    problem = session.problem
    if problem is not None and problem.kind in MICROPHONE_PROBLEMS and not session.is_capturing:
        words = problem_words(problem)
        what = tr("{what} Nothing is being recorded.").format(what=words.what)
        return Notice(ALARM, what, f"{words.safe} {words.do}", problem.detail, choose)
    if session.sound == "no-sound":
        return Notice(
            ALARM,
            tr("No sound comes from {name}.").format(name=_name(session)),
            tr("The recording goes on, but it is silent. What was recorded before is safe on this computer. "
               "Look whether the microphone is muted or switched off, or choose another."),
            actions=choose,
        )  # fmt: skip
    return None


def _disk_refuses(session: SessionView) -> Notice | None:
    problem = session.problem
    if problem is None or problem.kind not in DISK | {ProblemKind.DISK_WAITING}:
        return None
    words = problem_words(problem)
    goes_on = tr("Recording goes on. Do not close ScribeDesk.")
    more = (words.safe, words.do, goes_on if problem.kind is ProblemKind.DISK_WAITING else "")
    return Notice(ALARM, words.what, " ".join(filter(None, more)), problem.detail)


def _disk_nearly_full(view: AppView) -> Notice | None:
    if not view.storage.is_critical:
        return None
    words = problem_words(Problem(ProblemKind.DISK_LOW))
    return Notice("danger", with_room(words.what, view), f"{words.safe} {words.do}")


def _other_microphone(view: AppView, session: SessionView) -> Notice | None:
    pinned = pinned_microphone(view)
    if pinned is None or not session.is_capturing or not session.microphone:
        return None
    if view.microphone_missing or pinned.name in session.microphone or not is_there(view, pinned):
        return None
    return Notice(
        "info",
        tr("{name} is back.").format(name=shown_name(pinned.name)),
        tr("{other} is recording meanwhile; nothing is lost.").format(other=_name(session)),
        actions=frozenset({"UsePinned"}),
    )


def _name(session: SessionView) -> str:
    return shown_name(session.microphone) or tr("the microphone")


def _problem(session: SessionView, now: float) -> Notice | None:
    """Trouble that needs a person."""
    problem = session.problem
    if problem is None or problem.is_transient or not is_worth_saying(problem, session.trouble_since, now):
        return None
    return _about_problem(session, problem)


def _waiting(session: SessionView, now: float) -> Notice | None:
    """Trouble that passes by itself: the last thing to be said during a visit."""
    problem = session.problem
    if problem is None or not problem.is_transient or not is_worth_saying(problem, session.trouble_since, now):
        return None
    return _about_problem(session, problem)


def _about_problem(session: SessionView, problem: Problem) -> Notice:
    words = problem_words(problem)
    what = words.what
    if problem.kind is ProblemKind.MICROPHONE_CHANGED and session.is_capturing and session.microphone:
        what = tr("{what} It is {name}.").format(what=words.what, name=_name(session))
    actions = session.allowed & _INTENTS
    if problem.kind is ProblemKind.MICROPHONE_CHANGED and session.phase is Phase.RECORDING:
        actions |= {"ChooseMicrophone"}
    more = " ".join(filter(None, (words.safe, words.do, incompleteness(session), _next_try(session))))
    is_grave = session.phase is Phase.FAILED or problem.kind in GRAVE
    return Notice("danger" if is_grave else "warn", what, more, _details(session), actions)


_INTENTS = frozenset({"TryNow", "CheckAgain", "SendAgain"})


def _next_try(session: SessionView) -> str:
    if session.next_try_at is None:
        return ""
    return tr("Next try at {time}.").format(time=seconds_of_day(session.next_try_at))


def _details(session: SessionView) -> str:
    reported = [error.message or error.type for error in session.processing_errors]
    own = [session.problem.detail] if session.problem is not None else []
    return " · ".join(filter(None, own + reported))


def _sound(session: SessionView) -> Notice | None:
    if session.phase is not Phase.RECORDING or session.sound not in _SOUNDS:
        return None
    what, more, action = _SOUNDS[session.sound]
    allowed = session.allowed | {"ChooseMicrophone"}
    return Notice("warn", tr(what).format(name=_name(session)), tr(more), actions=frozenset({action}) & allowed)


_SOUNDS = {
    "too-quiet": (
        "{name} is very quiet.",
        "The recording goes on. Put the microphone nearer, turn it up, or choose another.",
        "ChooseMicrophone",
    ),
    "clipping": (
        "{name} is too loud: the sound is distorted.",
        "The recording goes on. Move the microphone away a little, or turn it down.",
        "ChooseMicrophone",
    ),
    "no-speech": (
        "No speech has been heard so far.",
        "The recording goes on. Look whether {name} is the right microphone.",
        "ChooseMicrophone",
    ),
    "long-silence": (
        "Nobody has spoken for some minutes.",
        "The recording goes on. If the visit is over, stop it: the notes are made then.",
        "Stop",
    ),
}
"""What is said of each notice of the sound; *no-sound* is an alarm."""


def _outcome(session: SessionView) -> Notice | None:
    lacks = incompleteness(session)
    actions, details = session.allowed & _INTENTS, _details(session)
    safe = tr("The recording is safe on this computer.") if session.has_audio else ""
    if session.phase is Phase.EXPIRED:
        more = " ".join(filter(None, (lacks, safe, _offer(session))))
        return Notice("warn", tr("The session expired at the service."), more, details, actions)
    if session.phase is Phase.FAILED:
        what = tr("The service could not make the transcript and the notes.")
        return Notice("danger", what, safe, details, actions)
    if not session.phase.is_final and not session.missing_chunks:
        return None
    if session.phase is Phase.PARTIAL or heard_text(session) or missing_text(session):
        more = " ".join(filter(None, (lacks or _unfinished(session), safe, _offer(session))))
        return Notice("warn", tr("This result is not whole."), more, details, actions)
    if gap_list(session):
        return Notice("info", tr("Parts of this visit were not recorded."), f"{gap_list(session)}.", details, actions)
    return None


def _offer(session: SessionView) -> str:
    return tr("You can send it again.") if "SendAgain" in session.allowed else ""


def _unfinished(session: SessionView) -> str:
    if session.processing_errors:
        return tr("The service reported trouble with parts of it.")
    return tr("Some notes could not be made; their tabs say which.")
