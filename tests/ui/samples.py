"""Snapshots made by hand: every state that a window can be asked to show."""

from __future__ import annotations

from dataclasses import replace

from app.core.events import Patient, SessionId, Visit
from app.core.problems import Problem, ProblemKind
from app.core.scribe import (
    Discovery,
    ProcessingError,
    ServiceModel,
    TemplateInfo,
    TemplateResult,
    TemplateStatus,
    Utterance,
)
from app.core.settings import Settings
from app.core.views import AppView, Gap, Level, MicrophoneInfo, Phase, ServiceState, ServiceView, SessionView

NOW = 1_790_000_000.0
"""A fixed moment, for clocks and dates."""

TEMPLATES = (
    TemplateInfo("soap", "SOAP note"),
    TemplateInfo("medications", "Medications"),
    TemplateInfo("vitals", "Vitals"),
    TemplateInfo("hpi", "History of present illness"),
    TemplateInfo("referral_letter", "Referral letter"),
    TemplateInfo("discharge_summary", "Discharge summary"),
)
SERVICE = ServiceView(
    id="local",
    name="Scribe on this computer",
    state=ServiceState.READY,
    discovery=Discovery(service_name="Scribe", languages=("en", "hi", "ta"), models=(ServiceModel("lite", "Lite"),)),
    templates=TEMPLATES,
    max_templates=2,
)
MICROPHONES = (
    MicrophoneInfo("Built-in Microphone", "ALSA", is_default=True),
    MicrophoneInfo("USB Headset", "ALSA"),
)
LEVEL = Level(rms_dbfs=-21.0, peak_dbfs=-9.0, captured_seconds=252.4, is_live=True)

SOAP = {
    "subjective": "Dry cough for three days, worse at night. No fever. Takes <50 mg of atenolol a day.",
    "objective": ["Blood pressure 138/86 mmHg", "Pulse 78 per minute", "Chest clear on both sides"],
    "assessment": "Viral upper respiratory infection, likely.\nNo sign of pneumonia.",
    "plan": ["Paracetamol 500 mg three times a day for 3 days", "Warm fluids & rest", "Come back if fever > 38.5 °C"],
}
MEDICATIONS = [
    {
        "name": "Paracetamol",
        "dose": "500 mg",
        "route": "by mouth",
        "frequency": "three times a day",
        "duration": "3 days",
    },
    {"name": "Atenolol", "dose": "<50 mg", "route": "by mouth", "frequency": "once a day", "duration": ""},
]
TALK = (
    "Good morning. What brings you in today?",
    "I have had a dry cough for three days, doctor, and it is worse at night.",
    "Any fever, or pain in the chest when you breathe in?",
    "No fever. No pain. I take my atenolol, less than fifty milligrams, every day.",
    "Your blood pressure is one hundred and thirty eight over eighty six. The chest is clear on both sides.",
    "I will give you paracetamol, five hundred milligrams, three times a day for three days.",
)
UTTERANCES = tuple(Utterance(text, 12.0 * at, 12.0 * at + 11) for at, text in enumerate(TALK))
NOTES = (
    TemplateResult("soap", TemplateStatus.SUCCESS, "SOAP note", SOAP, made_by="Rules on this computer"),
    TemplateResult(
        "medications", TemplateStatus.SUCCESS, "Medications", MEDICATIONS, made_by="Rules on this computer"
    ),
)
LIVE_ALLOWED = frozenset({"Pause", "Stop", "Discard"})


def session(phase: Phase, name: str = "M.K.", number: int = 1, **changes: object) -> SessionView:
    """A session with the usual values of its phase."""
    base = SessionView(
        id=SessionId(f"ses_{number}"),
        phase=phase,
        visit=Visit(Patient(label=name)),
        started_at=NOW - 2000.0 * number,
        recorded_seconds=250.0 if phase.is_live else 724.0,
        microphone="USB Headset",
        chunks_sealed=25 if phase.is_live else 72,
        chunks_uploaded=24 if phase.is_live else 72,
        seconds_to_upload=3.0 if phase.is_live else 0.0,
        is_created=True,
        is_ended=phase is Phase.PROCESSING or phase.is_final,
        is_capturing=phase is Phase.RECORDING,
        allowed=LIVE_ALLOWED if phase is Phase.RECORDING else frozenset(),
        service_name="Scribe on this computer",
    )
    if phase.is_final:
        base = replace(
            base,
            notes=NOTES,
            utterances=UTTERANCES,
            transcript="\n".join(TALK),
            transcript_by="PocketSphinx on this computer",
            allowed=frozenset({"MakeNote"}),
        )
    return replace(base, **changes)  # type: ignore[arg-type]


def view(*sessions: SessionView, **changes: object) -> AppView:
    """A window's snapshot with these sessions, service and microphones being there."""
    live = next((each.id for each in sessions if each.phase.is_live), None)
    base = AppView(
        sessions=sessions,
        live=live,
        microphones=MICROPHONES,
        microphones_listed=True,
        service=SERVICE,
        settings=Settings(),
    )
    return replace(base, **changes)  # type: ignore[arg-type]


EARLIER = (
    session(Phase.COMPLETED, "R.S.", 4),
    session(Phase.PARTIAL, "A.P.", 5, missing_spans=((250.0, 280.0),)),
    session(Phase.COMPLETED, "", 6),
    session(Phase.FAILED, "Venkataraman Subramaniam, S/o Ramanathan", 50),
    session(Phase.EXPIRED, "T.N.", 51, recorded_seconds=31.0),
    session(Phase.COMPLETED, "लक्ष्मी देवी", 52),
)
OFFLINE = Problem(ProblemKind.UNREACHABLE, "connection refused")
MISSING = ProcessingError("missing_audio", "audio file 26 was never received", "26.ogg", (25,))
FAILED_NOTE = TemplateResult(
    "referral_letter", TemplateStatus.FAILED, error="The template needs the name of a colleague."
)
PENDING_NOTE = TemplateResult("medications", TemplateStatus.PROCESSING)
PARTLY = (
    replace(NOTES[0], status=TemplateStatus.PARTIAL, warnings=("Nothing was said about allergies.",)),
    NOTES[1],
    FAILED_NOTE,
)
LOCAL_DOWN = replace(SERVICE, state=ServiceState.UNREACHABLE, problem=OFFLINE)

STATES: dict[str, tuple[AppView, SessionId | None]] = {
    "ready-first-run": (
        AppView(microphones_listed=False, service=ServiceView(name="Scribe on this computer")),
        None,
    ),
    "ready": (view(*EARLIER), None),
    "ready-no-microphone": (view(microphones=()), None),
    "ready-while-recording": (view(session(Phase.RECORDING), *EARLIER), None),
    "ready-offline": (
        view(*EARLIER, service=LOCAL_DOWN, settings=Settings(templates=("soap", "vitals", "hpi"))),
        None,
    ),
    "recording-starting": (
        view(
            session(
                Phase.RECORDING,
                is_capturing=False,
                microphone="",
                chunks_sealed=0,
                chunks_uploaded=0,
                recorded_seconds=0.0,
            ),
            *EARLIER,
        ),
        SessionId("ses_1"),
    ),
    "recording": (
        view(session(Phase.RECORDING, transcript=" ".join(TALK[:4])), session(Phase.PROCESSING, "S.D.", 2), *EARLIER),
        SessionId("ses_1"),
    ),
    "recording-offline": (
        view(
            session(
                Phase.RECORDING,
                problem=OFFLINE,
                next_try_at=NOW + 20,
                chunks_uploaded=11,
                seconds_to_upload=133.0,
                allowed=LIVE_ALLOWED | {"TryNow"},
                gaps=(Gap(70.0, 35.0, "paused"), Gap(190.0, 4.0, "microphone")),
            ),
            *EARLIER,
            service=LOCAL_DOWN,
        ),
        SessionId("ses_1"),
    ),
    "recording-microphone-lost": (
        view(
            session(
                Phase.RECORDING,
                is_capturing=False,
                problem=Problem(ProblemKind.MICROPHONE_LOST, "device unavailable"),
                gaps=(Gap(250.0, None, "microphone"),),
            ),
            *EARLIER,
        ),
        SessionId("ses_1"),
    ),
    "paused": (
        view(
            session(
                Phase.PAUSED,
                allowed=frozenset({"Resume", "Stop", "Discard"}),
                gaps=(Gap(250.0, None, "paused"),),
                transcript=" ".join(TALK[:3]),
            ),
            *EARLIER,
        ),
        SessionId("ses_1"),
    ),
    "finishing-uploading": (
        view(
            session(Phase.DRAINING, chunks_uploaded=67, seconds_to_upload=48.0, notes=(), transcript=" ".join(TALK)),
            *EARLIER,
        ),
        SessionId("ses_1"),
    ),
    "finishing-offline": (
        view(
            session(
                Phase.DRAINING,
                chunks_uploaded=12,
                seconds_to_upload=600.0,
                problem=OFFLINE,
                next_try_at=NOW + 30,
                allowed=frozenset({"TryNow", "Discard"}),
            ),
            *EARLIER,
            service=LOCAL_DOWN,
        ),
        SessionId("ses_1"),
    ),
    "finishing-notes": (
        view(session(Phase.PROCESSING, notes=(NOTES[0], PENDING_NOTE), transcript="\n".join(TALK)), *EARLIER),
        SessionId("ses_1"),
    ),
    "result": (view(session(Phase.COMPLETED), *EARLIER), SessionId("ses_1")),
    "result-partial": (
        view(
            session(
                Phase.PARTIAL,
                notes=PARTLY,
                missing_spans=((250.0, 280.0), (301.0, 312.0)),
                processing_errors=(MISSING,),
                allowed=frozenset({"MakeNote", "CheckAgain", "SendAgain", "Discard"}),
            ),
            *EARLIER,
        ),
        SessionId("ses_1"),
    ),
    "result-failed": (
        view(
            session(
                Phase.FAILED,
                notes=(),
                transcript="",
                utterances=(),
                transcript_by="",
                problem=Problem(ProblemKind.PROCESSING_FAILED, "audio_decode_error"),
                allowed=frozenset({"SendAgain", "CheckAgain", "Discard"}),
            ),
            *EARLIER,
        ),
        SessionId("ses_1"),
    ),
    "result-expired": (
        view(session(Phase.EXPIRED, notes=NOTES[:1], allowed=frozenset({"SendAgain"})), *EARLIER),
        SessionId("ses_1"),
    ),
}
"""Every state by name, with the session that is looked at."""
