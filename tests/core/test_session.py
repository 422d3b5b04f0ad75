"""The session machine, told as transcripts: what happens on the left, what is to be done about it on the right."""

from __future__ import annotations

import typing
from dataclasses import replace

import pytest

from app.core.events import (
    FILE,
    MICROPHONE,
    CancelTimer,
    CaptureEnded,
    CaptureInterrupted,
    CaptureLost,
    CaptureStarted,
    ChangePatient,
    CheckAgain,
    ChunkSealed,
    ChunkUploaded,
    Command,
    CreateSession,
    Discard,
    DiskRecovered,
    DiskRefused,
    EndCapture,
    EndSession,
    EraseAudio,
    Event,
    GapFound,
    Intent,
    MakeNote,
    MarkReviewed,
    NoteAccepted,
    Patient,
    Pause,
    ProcessTemplate,
    ReadStatus,
    Request,
    RequestFailed,
    Resume,
    Send,
    SendAgain,
    SessionCreated,
    SessionEnded,
    SessionId,
    SetTimer,
    SoundNoticed,
    Start,
    StartCapture,
    StatusRead,
    Stop,
    TimerFired,
    TryNow,
    UndoDiscard,
    UploadChunk,
    Visit,
)
from app.core.part import POLL
from app.core.problems import WORDS, Problem, ProblemKind
from app.core.scribe import ProcessingError, ServiceStatus, SessionResult, TemplateResult, TemplateStatus
from app.core.session import ERASE, REOPEN, RETRY, ROLLOVER, NotAllowed, Session
from app.core.table import TABLE
from app.core.views import Gap, Phase

ID = "ses_0123456789abcdefghij"
VISIT = Visit(templates=("soap", "medications"))
NOW = 1_000.0
CREATE = CreateSession(ID, VISIT, ("soap", "medications"))
SECOND = 16_000
TEN_SECONDS = 160_000

LIMIT = SetTimer(ROLLOVER, 3540.0)
"""A session of which the service does not say how long it lives is left a minute before the hour."""

UNREACHABLE = Problem(ProblemKind.UNREACHABLE)
SIGNED_OUT = Problem(ProblemKind.NOT_SIGNED_IN, "HTTP 401")
EXPIRED = Problem(ProblemKind.SESSION_EXPIRED, "HTTP 410")


def start(visit: Visit = VISIT, source: str = MICROPHONE) -> Start:
    return Start(visit, "local", "audio/wav", 20.0, NOW, source=source)


def sealed(index: int) -> ChunkSealed:
    return ChunkSealed(index, index * TEN_SECONDS, TEN_SECONDS, 320_044)


def result(
    status: ServiceStatus,
    chunks: typing.Iterable[int] = (),
    *,
    notes: tuple[TemplateResult, ...] = (),
    errors: tuple[ProcessingError, ...] = (),
    transcript: str = "",
) -> StatusRead:
    names = tuple(f"audio_{n}.wav" for n in chunks)
    return StatusRead(
        SessionResult(
            status,
            audio_files=names,
            audio_files_received=len(names),
            templates=notes,
            processing_errors=errors,
            transcript=transcript,
        )
    )


def note(template_id: str, status: TemplateStatus = TemplateStatus.SUCCESS) -> TemplateResult:
    return TemplateResult(template_id, status)


BOTH_NOTES = (note("soap"), note("medications"))


class Talk:
    """One session, told event by event."""

    def __init__(self, *events: Event) -> None:
        self.session = Session(SessionId(ID))
        for event in events:
            self.session.handle(event)

    def on(self, event: Event, *expected: Command) -> Talk:
        """This event, and exactly these commands."""
        assert self.session.handle(event) == list(expected)
        return self

    def sees(self, **fields: object) -> Talk:
        """What a screen shows now."""
        view = self.session.view()
        assert {name: getattr(view, name) for name in fields} == fields
        return self

    @property
    def problem(self) -> Problem | None:
        return self.session.view().problem


def recording() -> Talk:
    """Recording; the service has the session."""
    return Talk(start(), CaptureStarted(0, "USB", NOW + 1), SessionCreated(ID))


def delivered(chunks: int = 1) -> Talk:
    """Recorded, stopped, all uploaded; the counts are being compared."""
    talk = recording()
    events: list[Event] = [*map(sealed, range(chunks)), *map(ChunkUploaded, range(chunks))]
    for event in (*events, Stop(NOW), CaptureEnded(0, NOW)):
        talk.session.handle(event)
    return talk.sees(phase=Phase.ENDING)


def processing() -> Talk:
    talk = delivered()
    talk.session.handle(result(ServiceStatus.OPEN, [0]))
    talk.session.handle(SessionEnded(1))
    return talk.sees(phase=Phase.PROCESSING)


def concluded(status: ServiceStatus, *notes: TemplateResult) -> Talk:
    talk = processing()
    talk.session.handle(result(status, [0], notes=notes or BOTH_NOTES))
    return talk


def sends(commands: list[Command]) -> list[Request]:
    return [command.request for command in commands if isinstance(command, Send)]


# From Start to the result ---------------------------------------------------------------------------------------


def test_a_visit_that_begins_without_a_network_is_recorded_and_comes_to_its_result() -> None:
    talk = Talk()
    talk.on(start(), StartCapture(0, 0, 0, "audio/wav", 20.0), Send(CREATE))
    talk.on(RequestFailed(CREATE, UNREACHABLE), SetTimer(RETRY, 1.0, is_spread=True))
    talk.sees(phase=Phase.RECORDING, is_capturing=False, problem=UNREACHABLE)
    talk.on(CaptureStarted(0, "USB", NOW + 1)).sees(is_capturing=True, microphone="USB")
    talk.on(sealed(0), SetTimer(POLL, 5.0))
    talk.on(sealed(1))
    talk.sees(chunks_sealed=2, chunks_uploaded=0, seconds_to_upload=20.0, recorded_seconds=20.0)
    talk.on(TimerFired(RETRY), Send(CREATE))
    talk.on(SessionCreated(ID), LIMIT, Send(UploadChunk(0)), Send(UploadChunk(1)))
    talk.sees(problem=None, is_created=True)
    talk.on(sealed(2))
    talk.on(sealed(3))
    talk.on(ChunkUploaded(1), Send(UploadChunk(2)))
    talk.on(ChunkUploaded(0), Send(UploadChunk(3)))
    talk.on(Stop(NOW + 40), CancelTimer(REOPEN), EndCapture()).sees(phase=Phase.DRAINING, is_capturing=True)
    talk.on(ChunkUploaded(2))
    talk.on(sealed(4), Send(UploadChunk(4)))
    talk.on(CaptureEnded(0, NOW + 41)).sees(is_capturing=False)
    talk.on(ChunkUploaded(4))
    talk.sees(phase=Phase.DRAINING)
    talk.on(ChunkUploaded(3), Send(ReadStatus())).sees(phase=Phase.ENDING, seconds_to_upload=0)
    talk.on(result(ServiceStatus.OPEN, range(5)), Send(EndSession(5)))
    talk.on(SessionEnded(5), SetTimer(POLL, 1.0), Send(ReadStatus(may_wait=True)))
    talk.sees(phase=Phase.PROCESSING, is_ended=True)
    talk.on(result(ServiceStatus.PROCESSING, range(5), transcript="Good mor"))
    talk.sees(transcript="Good mor")
    talk.on(TimerFired(POLL), SetTimer(POLL, 1.0), Send(ReadStatus(may_wait=True)))
    talk.on(
        result(ServiceStatus.COMPLETED, range(5), notes=BOTH_NOTES, transcript="Good morning."), CancelTimer(POLL)
    )
    talk.sees(phase=Phase.COMPLETED, transcript="Good morning.", notes=BOTH_NOTES, audio_files_received=5)
    assert talk.session.is_settled


def test_the_service_is_asked_for_the_transcript_so_far_while_the_visit_goes_on() -> None:
    talk = recording()
    talk.on(sealed(0), SetTimer(POLL, 5.0), Send(UploadChunk(0)))
    talk.on(TimerFired(POLL), SetTimer(POLL, 5.0), Send(ReadStatus()))
    talk.on(result(ServiceStatus.OPEN, transcript="So far")).sees(phase=Phase.RECORDING, transcript="So far")


def test_the_services_id_is_gone_on_with_and_nothing_is_sent_before_it_is_known() -> None:
    talk = Talk(start(), CaptureStarted(0, "USB", NOW))
    assert sends(talk.session.handle(sealed(0))) == []
    talk.on(SessionCreated("theirs"), LIMIT, Send(UploadChunk(0)))
    assert talk.session.created == SessionCreated("theirs")


# Trouble at the service -----------------------------------------------------------------------------------------


def test_tries_are_spread_over_a_time_that_grows_to_a_minute() -> None:
    talk = Talk(start())
    bounds = []
    for _ in range(9):
        (timer,) = talk.session.handle(RequestFailed(CREATE, UNREACHABLE))
        assert isinstance(timer, SetTimer)
        assert timer.is_spread
        bounds.append(timer.seconds)
        talk.on(TimerFired(RETRY), Send(CREATE))
    assert bounds == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    talk.on(SessionCreated(ID), LIMIT)
    talk.session.handle(sealed(0))
    talk.on(RequestFailed(UploadChunk(0), UNREACHABLE), SetTimer(RETRY, 1.0, is_spread=True))


@pytest.mark.parametrize(
    ("wished", "waited"), [(-5.0, 1.0), (0.0, 1.0), (7.0, 7.0), (300.0, 300.0), (86_400.0, 300.0)]
)
def test_the_service_may_say_when_within_reason(wished: float, waited: float) -> None:
    busy = Problem(ProblemKind.SERVICE_BUSY, "HTTP 429")
    Talk(start()).on(RequestFailed(CREATE, busy, wished), SetTimer(RETRY, waited, is_spread=False))


def test_two_failures_at_once_are_one_wait() -> None:
    talk = recording()
    talk.session.handle(sealed(0))
    talk.session.handle(sealed(1))
    talk.on(RequestFailed(UploadChunk(0), UNREACHABLE), SetTimer(RETRY, 1.0, is_spread=True))
    talk.on(RequestFailed(UploadChunk(1), UNREACHABLE))
    talk.on(TimerFired(RETRY), Send(UploadChunk(0)), Send(UploadChunk(1)))


def test_try_now_does_not_wait() -> None:
    talk = Talk(start(), RequestFailed(CREATE, UNREACHABLE))
    talk.on(TryNow(), CancelTimer(RETRY), Send(CREATE))
    with pytest.raises(NotAllowed):
        talk.session.handle(TryNow())


def test_without_sign_in_the_recording_goes_on_and_sending_waits_for_a_person() -> None:
    talk = recording()
    talk.session.handle(sealed(0))
    talk.on(RequestFailed(UploadChunk(0), SIGNED_OUT)).sees(phase=Phase.RECORDING, is_capturing=True)
    talk.on(sealed(1))
    assert talk.problem == SIGNED_OUT
    assert talk.session.is_stuck
    talk.on(TryNow(), CancelTimer(RETRY), Send(UploadChunk(0)), Send(UploadChunk(1)))


def test_a_refused_chunk_holds_up_no_other_and_is_told_as_missing() -> None:
    refused = Problem(ProblemKind.CHUNK_REFUSED, "HTTP 415")
    talk = recording()
    talk.session.handle(sealed(0))
    talk.session.handle(sealed(1))
    talk.on(RequestFailed(UploadChunk(0), refused))
    talk.sees(missing_chunks=(0,), missing_spans=((0.0, 10.0),), problem=refused)
    talk.session.handle(Stop(NOW))
    talk.on(CaptureEnded(0, NOW))
    talk.on(ChunkUploaded(1), Send(ReadStatus()))
    talk.on(result(ServiceStatus.OPEN, [1]), Send(EndSession(2)))


def test_a_chunk_that_the_service_does_not_list_is_sent_again_and_after_two_rounds_told_as_missing() -> None:
    talk = delivered(3)
    for _ in range(2):
        talk.on(result(ServiceStatus.OPEN, [0, 2]), Send(UploadChunk(1))).sees(phase=Phase.DRAINING)
        talk.on(ChunkUploaded(1), Send(ReadStatus()))
    talk.on(result(ServiceStatus.OPEN, [0, 2]), Send(EndSession(3)))
    talk.sees(phase=Phase.ENDING, missing_chunks=(1,), missing_spans=((10.0, 20.0),))


def test_a_service_that_lists_no_names_is_believed() -> None:
    told = StatusRead(SessionResult(ServiceStatus.OPEN))
    delivered(3).on(told, Send(EndSession(3)))


@pytest.mark.parametrize("name", ["{}.ogg", "audio_{}.wav", "s3://bucket/visits/2024-05-01/{}.ogg", "{}"])
def test_names_come_back_in_any_dress(name: str) -> None:
    told = StatusRead(SessionResult(ServiceStatus.OPEN, audio_files=tuple(name.format(n) for n in range(12))))
    delivered(12).on(told, Send(EndSession(12)))


def test_when_the_answer_to_the_end_is_lost_it_looks_before_it_ends_again() -> None:
    talk = delivered()
    talk.on(result(ServiceStatus.OPEN, [0]), Send(EndSession(1)))
    talk.on(RequestFailed(EndSession(1), Problem(ProblemKind.TIMED_OUT)), SetTimer(RETRY, 1.0, is_spread=True))
    talk.on(TimerFired(RETRY), Send(ReadStatus()))
    talk.on(result(ServiceStatus.PROCESSING, [0]), SetTimer(POLL, 1.0), Send(ReadStatus(may_wait=True)))
    talk.sees(phase=Phase.PROCESSING)


def test_when_the_end_itself_was_lost_it_is_sent_again() -> None:
    talk = delivered()
    talk.session.handle(result(ServiceStatus.OPEN, [0]))
    talk.session.handle(RequestFailed(EndSession(1), UNREACHABLE))
    talk.on(TimerFired(RETRY), Send(ReadStatus()))
    talk.on(result(ServiceStatus.OPEN, [0]), Send(EndSession(1)))
    talk.sees(phase=Phase.ENDING)


def test_a_result_that_is_there_when_it_looks_is_taken() -> None:
    talk = delivered()
    talk.session.handle(result(ServiceStatus.OPEN, [0]))
    talk.session.handle(RequestFailed(EndSession(1), UNREACHABLE))
    talk.on(TimerFired(RETRY), Send(ReadStatus()))
    talk.session.handle(result(ServiceStatus.COMPLETED, [0], notes=BOTH_NOTES))
    talk.sees(phase=Phase.COMPLETED, notes=BOTH_NOTES)


def test_expired_while_recording_starts_over_under_a_new_id_and_the_microphone_never_stops() -> None:
    talk = recording()
    talk.session.handle(sealed(0))
    talk.session.handle(ChunkUploaded(0))
    talk.on(sealed(1), Send(UploadChunk(1)))
    again = CreateSession(ID + "01", VISIT, ("soap", "medications"))
    talk.on(RequestFailed(UploadChunk(1), EXPIRED), Send(again, generation=1))
    talk.sees(phase=Phase.RECORDING, is_capturing=True, chunks_uploaded=0, is_created=False, problem=None)
    talk.on(SessionCreated(ID + "01"), LIMIT, Send(UploadChunk(0), 1), Send(UploadChunk(1), 1))
    assert not talk.session.awaits(Send(UploadChunk(0), 0))


def test_a_service_that_loses_every_session_is_not_asked_for_ever() -> None:
    talk = recording()
    talk.session.handle(sealed(0))
    for generation in range(1, 4):
        talk.session.handle(RequestFailed(UploadChunk(0), EXPIRED))
        talk.session.handle(SessionCreated(f"{ID}{generation:02d}"))
    talk.on(RequestFailed(UploadChunk(0), EXPIRED)).sees(phase=Phase.RECORDING, problem=EXPIRED)
    assert talk.session.is_stuck


def test_expired_while_processing_is_an_end_from_which_the_kept_audio_can_go_out_again() -> None:
    talk = processing()
    talk.session.handle(result(ServiceStatus.EXPIRED))
    talk.sees(phase=Phase.EXPIRED, problem=Problem(ProblemKind.SESSION_EXPIRED))
    again = CreateSession(ID + "01", VISIT, ("soap", "medications"))
    talk.on(SendAgain(NOW), CancelTimer(POLL), CancelTimer(RETRY), Send(again, 1))
    talk.sees(phase=Phase.DRAINING, problem=None, chunks_uploaded=0, is_ended=False)
    talk.on(SessionCreated(ID + "01"), Send(UploadChunk(0), 1))


def test_failed_can_be_checked_again_and_may_have_turned_out_well() -> None:
    talk = concluded(ServiceStatus.FAILED)
    talk.sees(phase=Phase.FAILED, problem=Problem(ProblemKind.PROCESSING_FAILED))
    talk.on(CheckAgain(), CancelTimer(POLL), SetTimer(POLL, 30.0), Send(ReadStatus(may_wait=True)))
    talk.on(result(ServiceStatus.FAILED, [0])).sees(phase=Phase.FAILED)
    talk.on(TimerFired(POLL), SetTimer(POLL, 30.0), Send(ReadStatus(may_wait=True)))
    talk.session.handle(result(ServiceStatus.COMPLETED, [0], notes=BOTH_NOTES))
    talk.sees(phase=Phase.COMPLETED, problem=None, notes=BOTH_NOTES)


def test_a_result_never_turns_out_worse_afterwards() -> None:
    talk = concluded(ServiceStatus.PARTIAL)
    talk.session.handle(result(ServiceStatus.FAILED, [0]))
    talk.sees(phase=Phase.PARTIAL, notes=BOTH_NOTES)


def test_a_partial_result_names_the_stretches_that_are_missing() -> None:
    talk = processing()
    lacks = ProcessingError("count_mismatch", "files are missing", missing=(0, 7))
    talk.session.handle(result(ServiceStatus.PARTIAL, notes=BOTH_NOTES, errors=(lacks,)))
    talk.sees(phase=Phase.PARTIAL, missing_chunks=(0, 7), missing_spans=((0.0, 10.0),), processing_errors=(lacks,))


def test_polling_slows_down() -> None:
    talk = processing()
    waits = [1.0]  # The poll that came with the accepted end.
    for _ in range(80):
        talk.session.handle(result(ServiceStatus.PROCESSING, [0]))
        timer, _ = talk.session.handle(TimerFired(POLL))
        assert isinstance(timer, SetTimer)
        waits.append(timer.seconds)
    assert waits == [1.0] * 30 + [2.0] * 45 + [5.0] * 6


def test_one_question_at_a_time_however_long_the_service_holds_it() -> None:
    talk = processing()
    talk.session.handle(result(ServiceStatus.PROCESSING, [0]))
    assert sends(talk.session.handle(TimerFired(POLL))) == [ReadStatus(may_wait=True)]
    assert sends(talk.session.handle(TimerFired(POLL))) == []


# Notes ----------------------------------------------------------------------------------------------------------


def test_the_third_template_is_asked_for_after_the_end() -> None:
    visit = Visit(templates=("soap", "medications", "vitals"))
    talk = Talk()
    created = CreateSession(ID, visit, ("soap", "medications"))
    talk.on(start(visit), StartCapture(0, 0, 0, "audio/wav", 20.0), Send(created))
    for event in (SessionCreated(ID), sealed(0), ChunkUploaded(0), Stop(NOW), CaptureEnded(0, NOW)):
        talk.session.handle(event)
    talk.session.handle(result(ServiceStatus.OPEN, [0]))
    talk.session.handle(SessionEnded(1))
    commands = talk.session.handle(result(ServiceStatus.COMPLETED, [0], notes=BOTH_NOTES))
    assert sends(commands) == [ProcessTemplate("vitals")]
    talk.sees(phase=Phase.COMPLETED, notes=(*BOTH_NOTES, note("vitals", TemplateStatus.PROCESSING)))
    assert not talk.session.is_settled
    talk.on(NoteAccepted("vitals"), CancelTimer(POLL), SetTimer(POLL, 1.0), Send(ReadStatus(may_wait=True)))
    three = (*BOTH_NOTES, note("vitals"))
    talk.session.handle(result(ServiceStatus.COMPLETED, [0], notes=three))
    talk.sees(notes=three)
    assert talk.session.is_settled


def test_another_note_can_be_wished_later_and_a_refusal_is_that_notes_alone() -> None:
    talk = concluded(ServiceStatus.COMPLETED)
    talk.on(MakeNote("referral_letter"), Send(ProcessTemplate("referral_letter")))
    talk.on(RequestFailed(ProcessTemplate("referral_letter"), Problem(ProblemKind.REQUEST_REFUSED, "no template")))
    *came, failed = talk.session.view().notes
    assert tuple(came) == BOTH_NOTES
    assert (failed.id, failed.status) == ("referral_letter", TemplateStatus.FAILED)
    assert "no template" in failed.error
    assert talk.problem is None
    talk.on(MakeNote("referral_letter"), Send(ProcessTemplate("referral_letter")))


def test_a_note_waits_for_the_network_like_anything_else() -> None:
    talk = concluded(ServiceStatus.COMPLETED)
    talk.session.handle(MakeNote("hpi"))
    talk.on(RequestFailed(ProcessTemplate("hpi"), UNREACHABLE), SetTimer(RETRY, 1.0, is_spread=True))
    talk.on(TimerFired(RETRY), Send(ProcessTemplate("hpi")))


def test_a_note_that_never_came_says_so() -> None:
    talk = concluded(ServiceStatus.COMPLETED, note("soap"))
    assert [n.status for n in talk.session.view().notes] == [TemplateStatus.SUCCESS, TemplateStatus.FAILED]


# The microphone -------------------------------------------------------------------------------------------------


def test_a_pause_is_a_gap_with_a_start_and_an_end() -> None:
    talk = recording()
    talk.session.handle(sealed(0))
    talk.on(Pause(NOW + 20), CancelTimer(REOPEN), EndCapture()).sees(phase=Phase.PAUSED, is_capturing=True)
    assert sends(talk.session.handle(sealed(1))) == [UploadChunk(1)]
    talk.on(CaptureEnded(0, NOW + 21)).sees(is_capturing=False, gaps=(Gap(20.0, None, "paused", NOW + 20),))
    talk.on(Resume(NOW + 50), StartCapture(1, 2, 2 * TEN_SECONDS, "audio/wav", 20.0)).sees(phase=Phase.RECORDING)
    talk.on(CaptureStarted(1, "USB", NOW + 51)).sees(gaps=(Gap(20.0, 31.0, "paused", NOW + 20),), is_capturing=True)


@pytest.mark.parametrize("is_closed", [True, False])
def test_a_pause_lasts_no_longer_than_the_visit(is_closed: bool) -> None:
    talk = recording()
    talk.session.handle(sealed(0))
    talk.session.handle(Pause(NOW + 20))
    closing: list[Event] = [sealed(1), CaptureEnded(0, NOW + 20.5)]
    events: list[Event] = [*closing, Stop(NOW + 50)] if is_closed else [Stop(NOW + 50), *closing]
    for event in events:
        talk.session.handle(event)
    talk.sees(phase=Phase.DRAINING, gaps=(Gap(20.0, 30.0, "paused", NOW + 20),))


def test_resume_waits_for_a_take_that_is_still_closing() -> None:
    talk = recording()
    talk.on(Pause(NOW + 1), CancelTimer(REOPEN), EndCapture())
    talk.on(Resume(NOW + 2))
    talk.on(CaptureEnded(0, NOW + 3), StartCapture(1, 0, 0, "audio/wav", 20.0))


def test_a_lost_microphone_is_a_gap_and_is_opened_again_with_patience() -> None:
    lost = Problem(ProblemKind.MICROPHONE_LOST, "unplugged")
    talk = recording()
    talk.session.handle(sealed(0))
    talk.on(CaptureLost(0, lost, NOW + 11), SetTimer(REOPEN, 0.25))
    talk.sees(
        phase=Phase.RECORDING, is_capturing=False, problem=lost, gaps=(Gap(10.0, None, "microphone", NOW + 11),)
    )
    waits = []
    for take in range(1, 6):
        talk.on(TimerFired(REOPEN), StartCapture(take, 1, TEN_SECONDS, "audio/wav", 20.0))
        (timer,) = talk.session.handle(CaptureLost(take, Problem(ProblemKind.NO_MICROPHONE), NOW + 11 + take))
        assert isinstance(timer, SetTimer)
        waits.append(timer.seconds)
    assert waits == [0.5, 1.0, 1.0, 1.0, 1.0]
    talk.on(TimerFired(REOPEN), StartCapture(6, 1, TEN_SECONDS, "audio/wav", 20.0))
    talk.on(CaptureStarted(6, "Built-in", NOW + 31))
    talk.sees(problem=None, microphone="Built-in", gaps=(Gap(10.0, 20.0, "microphone", NOW + 11),))
    talk.on(CaptureLost(6, lost, NOW + 40), SetTimer(REOPEN, 0.25))


def test_stop_without_a_microphone_ends_the_visit_with_what_there_is() -> None:
    talk = recording()
    talk.session.handle(sealed(0))
    talk.session.handle(ChunkUploaded(0))
    talk.session.handle(CaptureLost(0, Problem(ProblemKind.MICROPHONE_LOST), NOW))
    talk.on(Stop(NOW + 5), CancelTimer(REOPEN), Send(ReadStatus())).sees(phase=Phase.ENDING, problem=None)
    talk.on(TimerFired(REOPEN)).sees(gaps=(Gap(10.0, 5.0, "microphone", NOW),))


def test_a_microphone_that_is_lost_while_it_closes_troubles_nobody() -> None:
    talk = recording()
    talk.session.handle(sealed(0))
    talk.session.handle(Stop(NOW))
    talk.on(CaptureLost(0, Problem(ProblemKind.MICROPHONE_LOST), NOW + 1))
    talk.sees(phase=Phase.DRAINING, problem=None, gaps=())


FULL = Problem(ProblemKind.DISK_FULL, "ENOSPC")


@pytest.mark.parametrize("source", [MICROPHONE, FILE])
def test_a_full_disk_pauses_until_a_person_has_made_room(source: str) -> None:
    talk = Talk(start(source=source), CaptureStarted(0, "USB", NOW), SessionCreated(ID))
    talk.session.handle(sealed(0))
    talk.on(CaptureLost(0, FULL, NOW + 11)).sees(phase=Phase.PAUSED, problem=FULL, is_capturing=False)
    talk.on(Resume(NOW + 60), StartCapture(1, 1, TEN_SECONDS, "audio/wav", 20.0))
    talk.on(CaptureStarted(1, "USB", NOW + 61)).sees(phase=Phase.RECORDING, problem=None)


def test_a_disk_that_fills_up_after_stop_does_not_end_the_visit_short() -> None:
    talk = recording()
    talk.session.handle(sealed(0))
    talk.session.handle(ChunkUploaded(0))
    talk.session.handle(Stop(NOW))
    talk.on(CaptureLost(0, FULL, NOW + 1)).sees(phase=Phase.PAUSED, problem=FULL)
    talk.sees(gaps=(Gap(10.0, None, "microphone", NOW + 1),))
    talk.on(sealed(1), Send(UploadChunk(1)))
    talk.on(Stop(NOW + 9), CancelTimer(REOPEN)).sees(phase=Phase.DRAINING, problem=None)
    talk.sees(gaps=(Gap(10.0, 8.0, "microphone", NOW + 1),))
    talk.on(ChunkUploaded(1), Send(ReadStatus()))


def test_late_facts_of_an_old_take_change_nothing() -> None:
    talk = recording()
    talk.session.handle(CaptureLost(0, Problem(ProblemKind.MICROPHONE_LOST), NOW))
    talk.session.handle(TimerFired(REOPEN))
    talk.session.handle(CaptureStarted(1, "Built-in", NOW + 2))
    before = talk.session.view()
    for late in (
        CaptureStarted(0, "USB", NOW + 3),
        CaptureLost(0, Problem(ProblemKind.MICROPHONE_LOST), NOW + 3),
        CaptureEnded(0, NOW + 3),
    ):
        talk.on(late)
        assert talk.session.view() == before


def test_a_file_ends_its_visit_by_itself() -> None:
    talk = Talk(start(source=FILE), CaptureStarted(0, "visit.wav", NOW), SessionCreated(ID), sealed(0))
    talk.on(CaptureEnded(0, NOW + 1)).sees(phase=Phase.DRAINING)
    talk.on(ChunkUploaded(0), Send(ReadStatus()))


def test_a_file_that_is_paused_has_not_ended() -> None:
    talk = Talk(start(source=FILE), CaptureStarted(0, "visit.wav", NOW), SessionCreated(ID), sealed(0))
    talk.session.handle(Pause(NOW + 1))
    talk.on(CaptureEnded(0, NOW + 1)).sees(phase=Phase.PAUSED)
    talk.on(Resume(NOW + 2), StartCapture(1, 1, TEN_SECONDS, "audio/wav", 20.0))


def test_nothing_recorded_is_never_ended_and_says_so() -> None:
    talk = recording()
    talk.session.handle(Stop(NOW))
    assert sends(talk.session.handle(CaptureEnded(0, NOW))) == []
    talk.sees(
        phase=Phase.FAILED,
        problem=Problem(ProblemKind.NOTHING_RECORDED),
        allowed=frozenset({"ChangePatient"}),
    )


def test_a_file_that_cannot_be_read_says_why() -> None:
    unreadable = Problem(ProblemKind.AUDIO_UNREADABLE, "no sound in it")
    talk = Talk(start(source=FILE))
    talk.on(CaptureLost(0, unreadable, NOW)).sees(phase=Phase.FAILED, problem=unreadable)


@pytest.mark.parametrize(
    ("broken_off", "why"),
    [
        (CaptureLost(0, Problem(ProblemKind.AUDIO_UNREADABLE, "it breaks off"), NOW), "it breaks off"),
        (CaptureInterrupted(NOW), "the app was closed meanwhile"),
    ],
)
def test_of_a_file_that_breaks_off_all_is_sent_and_the_result_is_never_a_whole_one(
    broken_off: CaptureLost | CaptureInterrupted, why: str
) -> None:
    cut_short = Problem(ProblemKind.AUDIO_CUT_SHORT, why)
    talk = Talk(start(source=FILE), CaptureStarted(0, "visit.flac", NOW), SessionCreated(ID), sealed(0))
    talk.on(broken_off).sees(phase=Phase.DRAINING, problem=None, gaps=(Gap(10.0, None, "interrupted", NOW),))
    talk.on(ChunkUploaded(0), Send(ReadStatus()))
    talk.on(result(ServiceStatus.OPEN, [0]), Send(EndSession(1)))
    talk.on(SessionEnded(1), SetTimer(POLL, 1.0), Send(ReadStatus(may_wait=True)))
    talk.on(result(ServiceStatus.COMPLETED, [0], notes=BOTH_NOTES), CancelTimer(POLL))
    allowed = frozenset({"ChangePatient", "MakeNote", "MarkReviewed", "SendAgain"})
    talk.sees(phase=Phase.PARTIAL, problem=cut_short, notes=BOTH_NOTES, allowed=allowed)
    talk.on(MakeNote("hpi"), Send(ProcessTemplate("hpi")))
    talk.session.handle(RequestFailed(ProcessTemplate("hpi"), UNREACHABLE))
    talk.session.handle(TimerFired(RETRY))
    talk.session.handle(NoteAccepted("hpi"))
    three = (*BOTH_NOTES, note("hpi"))
    talk.session.handle(result(ServiceStatus.COMPLETED, [0], notes=three))
    talk.sees(phase=Phase.PARTIAL, problem=cut_short, notes=three)
    assert talk.session.is_settled


def test_a_verdict_on_half_a_file_may_get_better_but_not_whole() -> None:
    lost = CaptureLost(0, Problem(ProblemKind.AUDIO_UNREADABLE, "it breaks off"), NOW)
    talk = Talk(start(source=FILE), CaptureStarted(0, "visit.flac", NOW), SessionCreated(ID), sealed(0), lost)
    talk.session.handle(ChunkUploaded(0))
    talk.session.handle(result(ServiceStatus.OPEN, [0]))
    talk.session.handle(SessionEnded(1))
    talk.session.handle(result(ServiceStatus.FAILED, [0]))
    talk.sees(phase=Phase.FAILED, problem=Problem(ProblemKind.PROCESSING_FAILED))
    talk.session.handle(CheckAgain())
    talk.session.handle(result(ServiceStatus.COMPLETED, [0], notes=BOTH_NOTES))
    talk.sees(phase=Phase.PARTIAL, problem=Problem(ProblemKind.AUDIO_CUT_SHORT, "it breaks off"))


def test_a_discarded_visit_is_erased_half_a_minute_after_the_microphone_is_closed() -> None:
    talk = recording()
    talk.session.handle(sealed(0))
    talk.on(Discard(NOW + 20), CancelTimer(REOPEN), EndCapture())
    talk.sees(phase=Phase.DISCARDED, allowed=frozenset({"UndoDiscard"}), undo_until=NOW + 50)
    talk.on(ChunkUploaded(0))
    talk.on(sealed(1))
    talk.on(CaptureEnded(0, NOW + 21), SetTimer(ERASE, 30.0)).sees(undo_until=NOW + 51)
    assert not talk.session.is_settled
    talk.on(TimerFired(ERASE), EraseAudio()).sees(allowed=frozenset())
    assert talk.session.is_settled


def test_a_discarded_visit_can_be_had_back_as_a_pause_with_all_that_was_recorded() -> None:
    talk = recording()
    talk.session.handle(sealed(0))
    talk.session.handle(Discard(NOW + 10))
    talk.session.handle(sealed(1))
    talk.session.handle(CaptureEnded(0, NOW + 10))
    talk.on(ChunkUploaded(0))
    talk.on(UndoDiscard(NOW + 30), CancelTimer(ERASE), Send(UploadChunk(1)))
    talk.sees(phase=Phase.PAUSED, undo_until=None, gaps=(Gap(20.0, None, "paused", NOW + 10),))
    talk.on(TimerFired(ERASE)).sees(phase=Phase.PAUSED)
    talk.session.handle(Resume(NOW + 60))
    talk.session.handle(CaptureStarted(1, "USB", NOW + 61))
    talk.sees(phase=Phase.RECORDING, gaps=(Gap(20.0, 51.0, "paused", NOW + 10),))


def test_a_discard_that_is_undone_while_the_take_still_closes_is_a_pause() -> None:
    talk = recording()
    talk.session.handle(Discard(NOW))
    talk.on(UndoDiscard(NOW + 0.1), CancelTimer(ERASE))
    talk.on(CaptureEnded(0, NOW + 0.2)).sees(phase=Phase.PAUSED, is_capturing=False)


def test_a_discarded_pause_has_its_half_minute_and_a_whole_one_again_after_a_restart() -> None:
    talk = recording()
    talk.session.handle(Pause(NOW))
    talk.session.handle(CaptureEnded(0, NOW))
    talk.on(Discard(NOW + 5), CancelTimer(REOPEN), SetTimer(ERASE, 30.0)).sees(undo_until=NOW + 35)
    assert SetTimer(ERASE, 30.0) in talk.session.resume()
    talk.on(TimerFired(ERASE), EraseAudio())


# What is found in the sound -----------------------------------------------------------------------------------------


def test_gaps_within_a_take_stand_where_they_were_found() -> None:
    talk = recording()
    talk.on(GapFound(0, 5 * SECOND, 2.5, "lost", NOW + 6))
    talk.on(GapFound(0, 2 * SECOND, 4.0, "silent", NOW + 3))
    lost, silent = Gap(5.0, 2.5, "lost", NOW + 6), Gap(2.0, 4.0, "silent", NOW + 3, takes_up_recording=True)
    talk.sees(gaps=(silent, lost))
    talk.on(GapFound(0, 2 * SECOND, 8.0, "silent", NOW + 3))
    silent = Gap(2.0, 8.0, "silent", NOW + 3, takes_up_recording=True)
    talk.sees(gaps=(silent, lost))
    talk.session.handle(sealed(0))
    talk.session.handle(Pause(NOW + 11))
    talk.on(GapFound(0, 9 * SECOND, 1.0, "asleep", NOW + 9))
    asleep = Gap(9.0, 1.0, "asleep", NOW + 9)
    talk.sees(gaps=(silent, lost, asleep, Gap(10.0, None, "paused", NOW + 11)))
    assert talk.session.is_durable(GapFound(0, 0, 1.0, "lost", NOW))


def test_what_is_noteworthy_of_the_sound_is_shown_until_it_is_in_order_or_the_take_is_over() -> None:
    talk = recording()
    talk.on(SoundNoticed(0, "no-sound", NOW + 5)).sees(sound="no-sound")
    talk.on(SoundNoticed(0, "", NOW + 9)).sees(sound="")
    talk.session.handle(SoundNoticed(0, "clipping", NOW + 10))
    talk.session.handle(CaptureLost(0, Problem(ProblemKind.MICROPHONE_LOST), NOW + 11))
    talk.sees(sound="")
    talk.on(SoundNoticed(0, "too-quiet", NOW + 12)).sees(sound="")
    assert not talk.session.is_durable(SoundNoticed(0, "clipping", NOW))


def test_a_disk_that_refuses_for_a_while_is_said_and_ends_nothing() -> None:
    talk = recording()
    talk.on(DiskRefused(0, FULL, NOW + 1)).sees(phase=Phase.RECORDING, is_capturing=True)
    assert talk.problem == Problem(ProblemKind.DISK_WAITING, "ENOSPC")
    talk.on(DiskRecovered(0, NOW + 8)).sees(problem=None)
    talk.session.handle(DiskRefused(0, FULL, NOW + 9))
    talk.on(CaptureLost(0, FULL, NOW + 30)).sees(phase=Phase.PAUSED, problem=FULL)


def test_another_microphone_is_opened_at_once_and_named() -> None:
    talk = recording()
    talk.session.handle(sealed(0))
    changed = Problem(ProblemKind.MICROPHONE_CHANGED, "Headset")
    talk.on(CaptureLost(0, changed, NOW + 10), SetTimer(REOPEN, 0.0))
    talk.on(TimerFired(REOPEN), StartCapture(1, 1, TEN_SECONDS, "audio/wav", 20.0))
    talk.on(CaptureStarted(1, "Headset", NOW + 10.4))
    talk.sees(problem=None, microphone="Headset", is_capturing=True)


# What people do later -----------------------------------------------------------------------------------------------


def test_a_visit_knows_when_it_was_over() -> None:
    talk = recording().sees(ended_at=None)
    talk.session.handle(sealed(0))
    talk.session.handle(Stop(NOW + 60))
    talk.sees(ended_at=NOW + 60)
    file = Talk(start(source=FILE), CaptureStarted(0, "visit.wav", NOW), sealed(0), CaptureEnded(0, NOW + 7))
    file.sees(ended_at=NOW + 7)


def test_notes_are_reviewed_once_there_is_something_to_review() -> None:
    talk = concluded(ServiceStatus.COMPLETED)
    talk.on(MarkReviewed(NOW + 100)).sees(reviewed_at=NOW + 100, phase=Phase.COMPLETED)
    talk.session.handle(MakeNote("hpi"))
    talk.sees(reviewed_at=NOW + 100)
    nothing = recording()
    nothing.session.handle(Stop(NOW))
    nothing.session.handle(CaptureEnded(0, NOW))
    with pytest.raises(NotAllowed):
        nothing.session.handle(MarkReviewed(NOW))


def test_what_is_sent_again_is_to_be_reviewed_again() -> None:
    talk = concluded(ServiceStatus.PARTIAL)
    talk.session.handle(MarkReviewed(NOW + 100))
    talk.session.handle(SendAgain(NOW + 200))
    talk.sees(reviewed_at=None)


def test_the_patient_can_be_changed_and_the_service_hears_of_the_one_it_was_told_first() -> None:
    other = Patient("Mrs Rao")
    visit = replace(VISIT, patient=other)
    talk = Talk(start())
    talk.on(ChangePatient(other, NOW)).sees(visit=visit)
    talk.on(RequestFailed(CREATE, UNREACHABLE), SetTimer(RETRY, 1.0, is_spread=True))
    talk.on(TimerFired(RETRY), Send(replace(CREATE, visit=visit)))
    talk.session.handle(SessionCreated(ID))
    third = Patient("Mr Sen")
    talk.on(ChangePatient(third, NOW)).sees(visit=replace(VISIT, patient=third))


# Recovery -------------------------------------------------------------------------------------------------------


def test_a_session_that_recorded_comes_back_paused_with_its_gap_marked() -> None:
    talk = Talk(start(), CaptureStarted(0, "USB", NOW), SessionCreated(ID), sealed(0), ChunkUploaded(0), sealed(1))
    assert talk.session.is_capture_open
    talk.session.handle(CaptureInterrupted(NOW + 21))
    assert sends(talk.session.resume()) == [UploadChunk(1), ReadStatus()]
    talk.sees(phase=Phase.PAUSED, gaps=(Gap(20.0, None, "interrupted", NOW + 21),), is_capturing=False)
    talk.sees(is_recovered=True)
    talk.on(Resume(NOW + 100), StartCapture(1, 2, 2 * TEN_SECONDS, "audio/wav", 20.0))
    talk.sees(is_recovered=False)
    talk.on(CaptureStarted(1, "USB", NOW + 101)).sees(gaps=(Gap(20.0, 80.0, "interrupted", NOW + 21),))


def test_an_interrupted_session_that_is_stopped_was_interrupted_until_then() -> None:
    talk = Talk(start(), CaptureStarted(0, "USB", NOW), SessionCreated(ID), sealed(0))
    talk.session.handle(CaptureInterrupted(NOW + 11))
    talk.session.handle(Stop(NOW + 100))
    talk.sees(phase=Phase.DRAINING, gaps=(Gap(10.0, 89.0, "interrupted", NOW + 11),))


def test_a_session_that_waited_for_its_microphone_when_it_was_killed_comes_back_paused() -> None:
    talk = Talk(start(), CaptureStarted(0, "USB", NOW), SessionCreated(ID), sealed(0))
    talk.session.handle(CaptureLost(0, Problem(ProblemKind.MICROPHONE_LOST), NOW + 10))
    assert talk.session.is_capture_open
    talk.session.handle(CaptureInterrupted(NOW + 10))
    talk.sees(phase=Phase.PAUSED, is_recovered=True, problem=None, gaps=(Gap(10.0, None, "microphone", NOW + 10),))


def test_a_session_that_was_killed_between_stop_and_its_last_sample_lacks_only_that() -> None:
    talk = Talk(start(), CaptureStarted(0, "USB", NOW), SessionCreated(ID), sealed(0), Stop(NOW + 11))
    talk.session.handle(CaptureInterrupted(NOW + 11.1))
    talk.sees(phase=Phase.DRAINING, gaps=())


def test_a_session_that_waited_for_a_person_tries_again_after_a_restart() -> None:
    talk = recording()
    talk.session.handle(sealed(0))
    talk.session.handle(RequestFailed(UploadChunk(0), SIGNED_OUT))
    talk.session.handle(Pause(NOW))
    talk.session.handle(CaptureEnded(0, NOW))
    assert UploadChunk(0) in sends(talk.session.resume())


def test_a_session_that_was_being_processed_is_asked_about_at_once() -> None:
    assert sends(processing().session.resume()) == [ReadStatus(may_wait=True)]


# The table ------------------------------------------------------------------------------------------------------

IN_PHASE: dict[Phase, typing.Callable[[], Talk]] = {
    Phase.IDLE: Talk,
    Phase.RECORDING: recording,
    Phase.PAUSED: lambda: Talk(start(), Pause(NOW)),
    Phase.DRAINING: lambda: Talk(start(), CaptureStarted(0, "USB", NOW), sealed(0), Stop(NOW)),
    Phase.ENDING: delivered,
    Phase.PROCESSING: processing,
    Phase.COMPLETED: lambda: concluded(ServiceStatus.COMPLETED),
    Phase.PARTIAL: lambda: concluded(ServiceStatus.PARTIAL),
    Phase.FAILED: lambda: concluded(ServiceStatus.FAILED),
    Phase.EXPIRED: lambda: concluded(ServiceStatus.EXPIRED),
    Phase.DISCARDED: lambda: Talk(start(), Discard(NOW)),
}
WISHES: tuple[Intent, ...] = (
    *(start(), Pause(NOW), Resume(NOW), Stop(NOW), Discard(NOW)),
    *(TryNow(), CheckAgain(), SendAgain(NOW), MakeNote("hpi")),
    *(UndoDiscard(NOW), MarkReviewed(NOW), ChangePatient(Patient("Mrs Rao"), NOW)),
)
OFFERED = {
    Phase.IDLE: {"Start"},
    Phase.RECORDING: {"Pause", "Stop", "Discard", "ChangePatient"},
    Phase.PAUSED: {"Resume", "Stop", "Discard", "ChangePatient"},
    Phase.DRAINING: {"ChangePatient"},
    Phase.ENDING: {"ChangePatient"},
    Phase.PROCESSING: {"ChangePatient"},
    Phase.COMPLETED: {"MakeNote", "MarkReviewed", "ChangePatient"},
    Phase.PARTIAL: {"MakeNote", "CheckAgain", "SendAgain", "MarkReviewed", "ChangePatient"},
    Phase.FAILED: {"CheckAgain", "SendAgain", "MarkReviewed", "ChangePatient"},
    Phase.EXPIRED: {"SendAgain", "MarkReviewed", "ChangePatient"},
    Phase.DISCARDED: {"UndoDiscard"},
}


def test_every_wish_is_tried_in_every_phase() -> None:
    assert {type(wish) for wish in WISHES} == set(typing.get_args(Intent))
    assert set(IN_PHASE) == set(OFFERED) == set(Phase)


@pytest.mark.parametrize("phase", Phase)
@pytest.mark.parametrize("wish", WISHES, ids=lambda wish: type(wish).__name__)
def test_a_wish_is_taken_exactly_where_it_is_offered(phase: Phase, wish: Intent) -> None:
    talk = IN_PHASE[phase]()
    before = talk.session.view()
    assert before.phase is phase
    assert before.allowed == OFFERED[phase]
    if type(wish).__name__ in before.allowed:
        talk.session.handle(wish)
        assert TABLE[phase, type(wish)] in (talk.session.phase, Phase.DRAINING)
    else:
        with pytest.raises(NotAllowed):
            talk.session.handle(wish)
        assert talk.session.view() == before


@pytest.mark.parametrize("phase", [phase for phase in Phase if (phase, TryNow) in TABLE])
def test_try_now_is_offered_while_something_waits(phase: Phase) -> None:
    talk = IN_PHASE[phase]()
    talk.session.handle(RequestFailed(ReadStatus(), UNREACHABLE))
    assert "TryNow" in talk.session.view().allowed
    talk.session.handle(TryNow())
    assert "TryNow" not in talk.session.view().allowed


# Words ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ProblemKind)
def test_every_problem_says_what_happened_whether_the_recording_is_safe_and_what_to_do(kind: ProblemKind) -> None:
    problem = Problem(kind, "HTTP 500")
    words = WORDS[kind]
    assert problem.sentence == f"{words.what} {words.safe} {words.do}"
    for sentence in (words.what, words.safe, words.do):
        assert sentence[0].isupper()
        assert sentence.endswith(".")
    assert "HTTP" not in problem.sentence
