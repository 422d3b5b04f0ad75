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
from app.core.views import (
    AppView,
    Gap,
    KeyState,
    KeysView,
    Level,
    MicrophoneInfo,
    MicrophoneTest,
    Phase,
    ServiceState,
    ServiceView,
    SessionView,
    StorageView,
    StoredSession,
    StoredView,
)

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
            allowed=frozenset({"MakeNote", "MarkReviewed", "ChangePatient"}),
            audio_until=NOW + 5 * 86400,
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
        keys=PROTECTED,
    )
    return replace(base, **changes)  # type: ignore[arg-type]


PROTECTED = KeysView(KeyState.PROTECTED, "Secret Service")
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

RECORDING = session(Phase.RECORDING, transcript=" ".join(TALK[:4]), allowed=LIVE_ALLOWED | {"ChangePatient"})
PINNED = Settings(microphone="USB Headset", microphone_host_api="ALSA")
HOLES = (
    Gap(70.0, 35.0, "paused", NOW - 1900),
    Gap(190.0, 4.0, "microphone", NOW - 1700),
    Gap(210.0, 30.0, "silent", NOW - 1650, takes_up_recording=True),
    Gap(240.0, 95.0, "asleep", NOW - 1600),
    Gap(246.0, 0.4, "lost", NOW - 1500),
)
SEALED = KeysView(KeyState.LOCKED, "Secret Service", sealed_session_count=3)
CODE = "7QK2-M9XR-4TWB-0HZC-81NE-PVD5-J3YS-GA6F-KX2Q-R7T0-W9"
WAITING_VISITS = tuple(
    session(
        Phase.DRAINING,
        name,
        number,
        chunks_uploaded=0,
        is_created=False,
        seconds_to_upload=1080.0,
        recorded_seconds=1080.0,
        problem=OFFLINE,
        next_try_at=NOW + 30,
        allowed=frozenset({"TryNow", "Discard"}),
    )
    for number, name in ((1, "M.K."), (2, "S.D."), (3, "R.S."), (4, "लक्ष्मी देवी"))
)
STORED = StoredView(
    (
        StoredSession(SessionId("ses_1"), 22_400_000, is_delivered=False),
        StoredSession(SessionId("ses_4"), 22_900_000, is_delivered=True),
        StoredSession(SessionId("ses_5"), 21_100_000, is_delivered=True),
        StoredSession(SessionId("ses_6"), 0, is_delivered=True),
        StoredSession(SessionId("ses_50"), 23_000_000, is_delivered=True),
        StoredSession(SessionId("ses_sealed"), 9_000_000, is_delivered=False),
    ),
    library_bytes=412_000,
    service_bytes=1_204_000,
    log_bytes=38_000,
)
DIAGNOSTICS = "ScribeDesk 0.3 · Linux 6.1 · Python 3.11\nservice: local, ready\nkeys: protected\n\n" + "\n".join(
    f"2026-09-21 13:{n:02}:07 WARNING engine app.engine.held: upload 12 answered 503, try {n}" for n in range(24)
)


def sounding(notice: str) -> AppView:
    """A running visit with this notice of its sound."""
    return view(replace(RECORDING, sound=notice), *EARLIER)


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
    "recording-no-sound": (sounding("no-sound"), SessionId("ses_1")),
    "recording-too-quiet": (sounding("too-quiet"), SessionId("ses_1")),
    "recording-clipping": (sounding("clipping"), SessionId("ses_1")),
    "recording-no-speech": (sounding("no-speech"), SessionId("ses_1")),
    "recording-long-silence": (sounding("long-silence"), SessionId("ses_1")),
    "recording-microphone-changed": (
        view(
            replace(
                RECORDING,
                microphone="Built-in Microphone",
                problem=Problem(ProblemKind.MICROPHONE_CHANGED),
                gaps=(Gap(190.0, 1.2, "microphone", NOW - 60),),
            ),
            *EARLIER,
            settings=PINNED,
            microphones=MICROPHONES[:1],
            microphone_missing=True,
        ),
        SessionId("ses_1"),
    ),
    "recording-microphone-back": (
        view(replace(RECORDING, microphone="Built-in Microphone"), *EARLIER, settings=PINNED),
        SessionId("ses_1"),
    ),
    "recording-disk-critical": (
        view(RECORDING, *EARLIER, storage=StorageView(540.0, is_low=True, is_critical=True)),
        SessionId("ses_1"),
    ),
    "recording-disk-refuses": (
        view(
            replace(RECORDING, problem=Problem(ProblemKind.DISK_WAITING, "ENOSPC")),
            *EARLIER,
            storage=StorageView(0.0, is_low=True, is_critical=True),
        ),
        SessionId("ses_1"),
    ),
    "paused-disk-full": (
        view(
            session(
                Phase.PAUSED,
                allowed=frozenset({"Resume", "Stop", "Discard"}),
                problem=Problem(ProblemKind.DISK_FULL, "ENOSPC"),
                gaps=(Gap(250.0, None, "interrupted", NOW),),
            ),
            *EARLIER,
        ),
        SessionId("ses_1"),
    ),
    "recording-gaps": (view(replace(RECORDING, gaps=HOLES), *EARLIER), SessionId("ses_1")),
    "recovered": (
        view(
            session(
                Phase.PAUSED,
                allowed=frozenset({"Resume", "Stop", "Discard"}),
                is_recovered=True,
                gaps=(Gap(250.0, None, "interrupted", NOW - 900),),
                transcript=" ".join(TALK[:3]),
            ),
            *EARLIER,
        ),
        SessionId("ses_1"),
    ),
    "offline-queue": (view(*WAITING_VISITS, *EARLIER, service=LOCAL_DOWN), None),
    "ready-disk-low": (
        view(*EARLIER, storage=StorageView(2520.0, is_low=True, folder="D:/ScribeDesk")),
        None,
    ),
    "ready-folder-network": (
        view(*EARLIER, storage=StorageView(refusal="network", folder="//fileserver/doctors/ScribeDesk")),
        None,
    ),
    "ready-folder-read-only": (view(*EARLIER, storage=StorageView(refusal="read-only", folder="/srv/visits")), None),
    "ready-microphone-missing": (
        view(*EARLIER, settings=PINNED, microphones=MICROPHONES[:1], microphone_missing=True),
        None,
    ),
    "keys-session-only": (view(*EARLIER, keys=KeysView(KeyState.SESSION_ONLY)), None),
    "keys-locked": (view(session(Phase.PROCESSING, notes=(PENDING_NOTE,)), keys=SEALED), None),
    "keys-missing": (view(keys=replace(SEALED, state=KeyState.MISSING, sealed_session_count=264)), None),
    "keys-recovery-code": (view(*EARLIER, keys=replace(PROTECTED, recovery_code=CODE)), None),
    "discarded": (
        view(
            session(Phase.DISCARDED, undo_until=NOW + 28.0, allowed=frozenset({"UndoDiscard"})),
            *EARLIER,
        ),
        SessionId("ses_1"),
    ),
    "result-heard-fewer": (
        view(
            session(
                Phase.COMPLETED, audio_files_received=70, allowed=frozenset({"MakeNote", "SendAgain", "MarkReviewed"})
            ),
            *EARLIER,
        ),
        SessionId("ses_1"),
    ),
    "result-gaps": (view(session(Phase.COMPLETED, gaps=HOLES), *EARLIER), SessionId("ses_1")),
    "result-reviewed": (
        view(
            session(Phase.COMPLETED, reviewed_at=NOW - 60, has_audio=False, allowed=frozenset({"MakeNote"})), *EARLIER
        ),
        SessionId("ses_1"),
    ),
}
"""Every state by name, with the session that is looked at."""

DIALOGS: dict[str, tuple[AppView, str, AppView]] = {
    "passphrase": (STATES["keys-session-only"][0], "set_passphrase", STATES["keys-session-only"][0]),
    "unlock": (STATES["keys-locked"][0], "unlock", STATES["keys-locked"][0]),
    "unlock-refused": (
        STATES["keys-locked"][0],
        "unlock",
        view(keys=replace(SEALED, was_refused=True, next_try_at=NOW + 8)),
    ),
    "recovery-code": (STATES["keys-recovery-code"][0], "show_recovery_code", STATES["keys-recovery-code"][0]),
    "new-store": (STATES["keys-missing"][0], "begin_new_store", STATES["keys-missing"][0]),
    "test-recording": (
        view(*EARLIER),
        "test_microphone",
        view(*EARLIER, microphone_test=MicrophoneTest("recording", 6.0, -14.0)),
    ),
    "test-done": (
        view(*EARLIER, microphone_test=MicrophoneTest("playing", 9.0)),
        "test_microphone",
        view(*EARLIER, microphone_test=MicrophoneTest("failed", 0.0, problem=Problem(ProblemKind.MICROPHONE_BUSY))),
    ),
    "stored": (
        view(session(Phase.PROCESSING, "S.D.", 1), *EARLIER),
        "look_at_stored",
        view(session(Phase.PROCESSING, "S.D.", 1), *EARLIER, stored=STORED),
    ),
    "queue": (STATES["offline-queue"][0], "show_queue", STATES["offline-queue"][0]),
    "diagnostics": (view(*EARLIER), "show_diagnostics", view(*EARLIER, diagnostics=DIAGNOSTICS)),
}
"""Every dialog by name: what is shown before it, how it is opened, and what is shown then."""
