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
from app.core.views import AppView, Gap, Phase, SessionView
from app.ui.plain import shown_name


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
        Phase.DISCARDED: State("discard", "warn", tr("Thrown away")),
    }.get(session.phase, State("state-ready", "muted", tr("Ready")))


def _live_state(session: SessionView) -> State:
    if session.phase is Phase.PAUSED:
        return State("state-paused", "warn", tr("Paused"))
    if session.is_capturing:
        return State("state-recording", "record", tr("Recording"))
    if session.problem is not None and session.problem.kind in MICROPHONE_PROBLEMS:
        return State("warn", "danger", tr("No sound arrives"))
    return State("state-ready", "muted", tr("Starting"))


def _finishing_state(session: SessionView) -> State:
    if session.problem is not None and session.phase is not Phase.PROCESSING:
        return State("state-kept", "warn", tr("Kept on this computer"))
    if session.phase is Phase.DRAINING:
        figures = {"done": session.chunks_uploaded, "all": session.chunks_sealed}
        return State("state-finishing", "info", tr("Uploading {done}/{all}").format(**figures))
    word = tr("Ending") if session.phase is Phase.ENDING else tr("Being written")
    return State("state-finishing", "info", word)


MICROPHONE_PROBLEMS = frozenset(
    {
        ProblemKind.NO_MICROPHONE,
        ProblemKind.MICROPHONE_LOST,
        ProblemKind.MICROPHONE_BUSY,
        ProblemKind.MICROPHONE_FORBIDDEN,
    }
)
"""Why no sound may arrive."""


def note_state(status: TemplateStatus) -> State:
    """How a template stands."""
    return {
        TemplateStatus.PROCESSING: State("state-finishing", "info", tr("being written")),
        TemplateStatus.SUCCESS: State("state-done", "ok", tr("ready")),
        TemplateStatus.PARTIAL: State("state-partial", "warn", tr("partial")),
        TemplateStatus.FAILED: State("state-failed", "danger", tr("failed")),
    }[status]


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
    minutes = round(whole / 60)
    if minutes < 60:  # noqa: PLR2004
        return tr("{n} min").format(n=minutes)
    return tr("{hours} h {minutes} min").format(hours=minutes // 60, minutes=minutes % 60)


def spans(stretches: tuple[tuple[float, float], ...]) -> str:
    """Stretches of the recording: ``04:10`` to ``04:40``, and the next one."""
    return ", ".join(f"{position(start)}\u2013{position(end)}" for start, end in stretches)


def mark_words(mark: Mark) -> str:
    """A hole in the transcript: ``Paused for 5 s``."""
    said = tr("Missing at the service") if mark.reason == MISSING else gap_reason(mark.reason)
    if mark.seconds is None:
        return said
    if mark.takes_up_recording and mark.seconds >= 1:
        return f"{said}: {spans(((mark.position_seconds, mark.position_seconds + mark.seconds),))}"
    return tr("{what} for {how_long}").format(what=said, how_long=_how_long(mark.seconds))


def gap_reason(reason: str) -> str:
    """Why a stretch of the visit holds no sound."""
    return {
        "paused": tr("Paused"),
        "microphone": tr("Microphone away"),
        "lost": tr("Sound lost"),
        "silent": tr("Microphone silent"),
        "asleep": tr("Computer asleep"),
        "interrupted": tr("Recording interrupted"),
    }.get(reason, tr("Not recorded"))


def gap_words(gap: Gap) -> str:
    """A stretch without sound, where it is in the recording: ``04:10 Microphone away for 30 s``."""
    where, why = position(gap.position_seconds), gap_reason(gap.reason)
    if gap.seconds is None:
        still = "" if gap.reason == "interrupted" else tr("until now")
        return " ".join(filter(None, (where, why, still)))
    if gap.takes_up_recording and gap.seconds >= 1:
        return f"{spans(((gap.position_seconds, gap.position_seconds + gap.seconds),))} {why}"
    return tr("{where} {why} for {how_long}").format(where=where, why=why, how_long=_how_long(gap.seconds))


def gap_on_the_clock(gap: Gap | Mark) -> str:
    """The same by the clock on the wall: ``14:36:10\u201314:36:40``; nothing when that is not known."""
    if gap.began_at is None:
        return ""
    if gap.seconds is not None and gap.seconds < 1:
        return seconds_of_day(gap.began_at)
    end = seconds_of_day(gap.began_at + gap.seconds) if gap.seconds is not None else ""
    return f"{seconds_of_day(gap.began_at)}\u2013{end}"


def _how_long(seconds: float) -> str:
    return length(seconds) if seconds >= 1 else tr("under 1 s")


def gap_list(session: SessionView) -> str:
    """What was not recorded against the doctor's will."""
    return "; ".join(gap_words(gap) for gap in session.gaps if gap.reason != "paused")


def gaps_text(session: SessionView) -> str:
    """The same as a sentence; nothing when there is nothing to say."""
    told = gap_list(session)
    return tr("Not recorded: {gaps}.").format(gaps=told) if told else ""


def heard_text(session: SessionView) -> str:
    """That the service heard less than was sent: ``7 of 8 pieces were heard.``"""
    heard, sent = session.audio_files_received, session.chunks_sealed
    if heard is None or heard >= sent or not session.phase.is_final:
        return ""
    return tr("{n} of {m} pieces were heard.").format(n=heard, m=sent)


def missing_text(session: SessionView) -> str:
    """Which minutes the service does not have: ``Missing … 04:10 to 04:40.``"""
    if session.missing_spans:
        return tr("Missing from the recording: {spans}.").format(spans=spans(session.missing_spans))
    if session.missing_chunks:
        numbers = ", ".join(str(n + 1) for n in session.missing_chunks)
        return tr("Missing pieces of the recording: {numbers}.").format(numbers=numbers)
    return ""


def incompleteness(session: SessionView) -> str:
    """All that a result lacks, in words."""
    return " ".join(filter(None, (heard_text(session), missing_text(session), gaps_text(session))))


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
    if day == today + timedelta(days=1):
        return tr("Tomorrow")
    return QLocale().toString(QDate(day.year, day.month, day.day), QLocale.FormatType.LongFormat)


def session_title(session: SessionView) -> str:
    """What a session is called: the patient's label, else its time."""
    patient = session.visit.patient
    return shown_name(patient.label) or shown_name(patient.id) or tr("Unnamed visit")


def short_day(at: float, now: float) -> str:
    """``Today``, or the date so short that it fits a column."""
    day, today = day_of(at), day_of(now)
    if abs((day - today).days) <= 1:
        return day_name(day, today)
    return QLocale().toString(QDate(day.year, day.month, day.day), "d MMM yyyy")


def sexes() -> list[tuple[str, str]]:
    """What may be chosen, as (code, word)."""
    return [("", tr("Sex")), ("F", tr("Female")), ("M", tr("Male")), ("O", tr("Other"))]


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
