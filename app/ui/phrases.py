"""The words for states, times and places: what a value is called on the screen.

Pure decisions over snapshots; every word goes through Qt's translation. Main thread.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from PySide6.QtCore import QCoreApplication, QDate, QLocale

from app.core.problems import Problem, ProblemKind, Words
from app.core.scribe import TemplateStatus
from app.core.transcript import MISSING, Mark
from app.core.views import AppView, Phase, ServiceState, SessionView


@dataclass(frozen=True)
class State:
    """A state as it is shown: a shape, the colour's token and a word. Never the colour alone."""

    icon: str
    token: str
    word: str


def tr(text: str) -> str:
    """The text in the user's language."""
    return QCoreApplication.translate("phrases", text)


def state_of(session: SessionView) -> State:
    """How a session stands."""
    if session.phase.is_live:
        return _live_state(session)
    if session.phase.is_finishing:
        return _finishing_state(session)
    return {
        Phase.COMPLETED: State("state-done", "ok", tr("Ready to read")),
        Phase.PARTIAL: State("state-partial", "warn", tr("Partial")),
        Phase.FAILED: State("state-failed", "danger", tr("Failed")),
        Phase.EXPIRED: State("state-expired", "warn", tr("Expired")),
        Phase.DISCARDED: State("discard", "muted", tr("Discarded")),
    }.get(session.phase, State("state-ready", "muted", tr("Ready")))


def _live_state(session: SessionView) -> State:
    if session.phase is Phase.PAUSED:
        return State("state-paused", "warn", tr("Paused"))
    if session.is_capturing:
        return State("state-recording", "record", tr("Recording"))
    if session.problem is not None and session.problem.kind in MICROPHONE_PROBLEMS:
        return State("warn", "warn", tr("No sound arrives"))
    return State("state-ready", "muted", tr("Starting"))


def _finishing_state(session: SessionView) -> State:
    if session.problem is not None and session.phase is not Phase.PROCESSING:
        return State("state-kept", "warn", tr("Kept on this computer"))
    if session.phase is Phase.DRAINING:
        figures = {"done": session.chunks_uploaded, "all": session.chunks_sealed}
        return State("state-finishing", "info", tr("Uploading {done}/{all}").format(**figures))
    word = tr("Ending") if session.phase is Phase.ENDING else tr("Being written")
    return State("state-finishing", "info", word)


MICROPHONE_PROBLEMS = frozenset({ProblemKind.NO_MICROPHONE, ProblemKind.MICROPHONE_LOST})


def note_state(status: TemplateStatus) -> State:
    """How a template stands."""
    return {
        TemplateStatus.PROCESSING: State("state-finishing", "info", tr("being written")),
        TemplateStatus.SUCCESS: State("state-done", "ok", tr("ready")),
        TemplateStatus.PARTIAL: State("state-partial", "warn", tr("partial")),
        TemplateStatus.FAILED: State("state-failed", "danger", tr("failed")),
    }[status]


def service_state(view: AppView) -> State:
    """How the chosen service stands."""
    name = view.service.name or tr("Scribe service")
    state = view.service.state
    if state is ServiceState.UNREACHABLE:
        return State("cloud-off", "warn", tr("{name} · cannot be reached").format(name=name))
    if state is ServiceState.STARTING:
        return State("state-finishing", "muted", tr("{name} · starting").format(name=name))
    return State("cloud", "ok", tr("{name} · ready").format(name=name))


def problem_words(problem: Problem) -> Words:
    """What a person reads about a problem, in the user's language."""
    words = problem.words
    return Words(*(QCoreApplication.translate("problems", part) for part in (words.what, words.safe, words.do)))


def clock_time(seconds: float) -> str:
    """A running time: ``00:04:12``."""
    whole = max(0, int(seconds))
    return f"{whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02}"


def position(seconds: float) -> str:
    """A place in a recording: ``04:10``, or ``1:04:10`` after the first hour."""
    whole = max(0, round(seconds))
    hours, rest = divmod(whole, 3600)
    tail = f"{rest // 60:02}:{rest % 60:02}"
    return f"{hours}:{tail}" if hours else tail


def length(seconds: float) -> str:
    """How long something is, for people: ``45 s``, ``12 min``."""
    whole = round(seconds)
    if whole < 60:  # noqa: PLR2004
        return tr("{n} s").format(n=whole)
    return tr("{n} min").format(n=round(whole / 60))


def spans(stretches: tuple[tuple[float, float], ...]) -> str:
    """Stretches of the recording: ``04:10`` to ``04:40``, and the next one."""
    return ", ".join(f"{position(start)}\u2013{position(end)}" for start, end in stretches)


def mark_words(mark: Mark) -> str:
    """A hole in the transcript: ``Paused for 5 s``."""
    said = {
        "paused": tr("Paused"),
        "microphone": tr("Microphone away"),
        "interrupted": tr("Recording interrupted"),
        MISSING: tr("Missing at the service"),
    }.get(mark.reason, mark.reason)
    if mark.seconds is None:
        return said
    if mark.reason == MISSING:
        return f"{said}: {spans(((mark.position_seconds, mark.position_seconds + mark.seconds),))}"
    return tr("{what} for {how_long}").format(what=said, how_long=length(mark.seconds))


def time_of_day(at: float | None) -> str:
    """``10:12``, in the user's own way of writing it."""
    if at is None:
        return ""
    moment = datetime.fromtimestamp(at).astimezone()
    return moment.strftime("%H:%M")


def seconds_of_day(at: float) -> str:
    """``10:12:05``."""
    return datetime.fromtimestamp(at).astimezone().strftime("%H:%M:%S")


def day_of(at: float) -> date:
    """The calendar day here."""
    return datetime.fromtimestamp(at).astimezone().date()


def day_name(day: date, today: date) -> str:
    """``Today``, ``Yesterday`` or the date."""
    if day == today:
        return tr("Today")
    if day == today - timedelta(days=1):
        return tr("Yesterday")
    return QLocale().toString(QDate(day.year, day.month, day.day), QLocale.FormatType.LongFormat)


def session_title(session: SessionView) -> str:
    """What a session is called: the patient's label, else its time."""
    return session.visit.patient.label.strip() or session.visit.patient.id.strip() or tr("Unnamed visit")


def language_name(code: str) -> str:
    """``Hindi`` for ``hi``; the code itself where nobody knows it."""
    locale = QLocale(code)
    return code if locale.language() is QLocale.Language.C else QLocale.languageToString(locale.language())


def template_name(view: AppView, template_id: str, given: str = "") -> str:
    """What the service calls a template, else its id made readable."""
    for info in view.service.templates:
        if info.id == template_id and info.name:
            return info.name
    if given:
        return given
    known = {"soap": tr("SOAP note"), "hpi": tr("HPI")}
    return known.get(template_id, template_id.replace("_", " ").replace("-", " ").capitalize())


def pieces(count: int) -> str:
    """``1 piece``, ``5 pieces``."""
    return tr("1 piece") if count == 1 else tr("{n} pieces").format(n=count)


def where_audio(session: SessionView) -> str:
    """Where the audio of a visit is: ``5 pieces on this computer, 4 on the service, 3 s behind``."""
    if session.chunks_sealed == 0:
        return tr("The first piece is being recorded to this computer.")
    here = tr("{pieces} on this computer").format(pieces=pieces(session.chunks_sealed))
    there = tr("{n} on the service").format(n=session.chunks_uploaded)
    if session.chunks_uploaded >= session.chunks_sealed:
        return tr("{here}, all of them on the service too").format(here=here)
    behind = tr("{n} s behind").format(n=round(session.seconds_to_upload))
    return f"{here}, {there}, {behind}"


def queue(view: AppView) -> str:
    """What waits to be sent."""
    waiting = [s for s in view.sessions if s.chunks_uploaded < s.chunks_sealed and s.phase is not Phase.DISCARDED]
    if not waiting:
        return tr("Nothing waits to be sent")
    count = sum(s.chunks_sealed - s.chunks_uploaded for s in waiting)
    seconds = sum(s.seconds_to_upload for s in waiting)
    return tr("{pieces} to send ({length})").format(pieces=pieces(count), length=length(seconds))
