"""A visit that outlives the service's session, and one whose chunks are too large: told as transcripts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app.core.document import document, plain_text
from app.core.events import (
    FILE,
    CancelTimer,
    CaptureEnded,
    CaptureStarted,
    ChangePatient,
    ChunksCutAgain,
    ChunkSealed,
    ChunkUploaded,
    CreateSession,
    CutAgain,
    EndSession,
    Event,
    Fact,
    MakeNote,
    NoteAccepted,
    Patient,
    Pause,
    ProcessTemplate,
    ReadStatus,
    RequestFailed,
    Resume,
    Send,
    SendAgain,
    SessionCreated,
    SessionEnded,
    SetTimer,
    StatusRead,
    Stop,
    TimerFired,
    TryNow,
    UploadChunk,
)
from app.core.part import POLL
from app.core.problems import Problem, ProblemKind
from app.core.scribe import (
    ProcessingError,
    ServiceStatus,
    SessionResult,
    Source,
    TemplateResult,
    TemplateStatus,
    Utterance,
)
from app.core.session import RETRY, ROLLOVER, Session
from app.core.views import Phase
from tests.core.test_session import ID, NOW, SECOND, VISIT, Talk, sealed, sends, start

SECOND_ID = ID + "01"
SECOND_CREATE = CreateSession(SECOND_ID, VISIT, ("soap", "medications"))
EXPIRED = Problem(ProblemKind.SESSION_EXPIRED, "HTTP 410")
TOO_LARGE = Problem(ProblemKind.CHUNK_TOO_LARGE, "HTTP 413")


def of(generation: int, fact: Fact) -> Fact:
    """An answer as the engine gives it: it names the session that it is about."""
    return Send(ReadStatus(), generation).answered(fact)


def told(generation: int, status: ServiceStatus, files: int, **parts: object) -> Fact:
    names = tuple(f"audio_{n}.wav" for n in range(files))
    result = SessionResult(status, audio_files=names, audio_files_received=files)
    return of(generation, StatusRead(replace(result, **parts)))  # type: ignore[arg-type]


def soap(status: TemplateStatus = TemplateStatus.SUCCESS, data: object = None, error: str = "") -> TemplateResult:
    return TemplateResult("soap", status, data=data, error=error)


def handle(talk: Talk, *events: Event) -> Talk:
    for event in events:
        talk.session.handle(event)
    return talk


def carried_over() -> Talk:
    """Two chunks in the first part, all of it delivered; the third chunk is the next part's first."""
    talk = Talk(start(), CaptureStarted(0, "USB", NOW), SessionCreated(ID), sealed(0), sealed(1))
    handle(talk, ChunkUploaded(0), ChunkUploaded(1))
    talk.on(TimerFired(ROLLOVER), Send(ReadStatus()))
    return talk


def both_ended() -> Talk:
    """The visit is over, and both parts are being processed."""
    talk = carried_over()
    handle(talk, told(0, ServiceStatus.OPEN, 2), of(0, SessionEnded(2)), sealed(2))
    handle(talk, of(1, SessionCreated(SECOND_ID)), of(1, ChunkUploaded(2)))
    handle(talk, Stop(NOW + 40), CaptureEnded(0, NOW + 40), told(1, ServiceStatus.OPEN, 1), of(1, SessionEnded(1)))
    return talk.sees(phase=Phase.PROCESSING, part_count=2, is_ended=True)


# Carrying over --------------------------------------------------------------------------------------------------


def test_a_visit_goes_on_in_the_next_session_while_the_first_one_ends() -> None:
    talk = carried_over().sees(phase=Phase.RECORDING, part_count=1)
    talk.on(told(0, ServiceStatus.OPEN, 2), Send(EndSession(2)))
    talk.on(sealed(2), SetTimer(f"{POLL} 2", 5.0), Send(SECOND_CREATE, 1)).sees(part_count=2, is_created=False)
    talk.on(of(0, SessionEnded(2)), SetTimer(POLL, 1.0), Send(ReadStatus(may_wait=True)))
    talk.on(of(1, SessionCreated(SECOND_ID)), SetTimer(ROLLOVER, 3540.0), Send(UploadChunk(2, 2), 1))
    assert UploadChunk(2, 2).number == 0
    assert talk.session.created_for(Send(ReadStatus(), 1)) == of(1, SessionCreated(SECOND_ID))
    talk.on(told(0, ServiceStatus.COMPLETED, 2, templates=(soap(),)), CancelTimer(POLL))
    talk.sees(phase=Phase.RECORDING, is_capturing=True, chunks_uploaded=2)
    handle(talk, of(1, ChunkUploaded(2)), Stop(NOW + 40))
    talk.on(CaptureEnded(0, NOW + 40), Send(ReadStatus(), 1))
    talk.on(told(1, ServiceStatus.OPEN, 1), Send(EndSession(1), 1))
    handle(talk, of(1, SessionEnded(1)))
    talk.sees(phase=Phase.PROCESSING)
    handle(talk, told(1, ServiceStatus.COMPLETED, 1, templates=(soap(),)))
    talk.sees(phase=Phase.COMPLETED, audio_files_received=3, missing_chunks=())


@pytest.mark.parametrize(
    ("created", "seconds"),
    [
        (SessionCreated(ID), 3540.0),
        (SessionCreated(ID, expires_at=NOW + 600), 540.0),
        (SessionCreated(ID, expires_at=NOW + 7200 + 900, created_at=NOW + 7200), 840.0),
        (SessionCreated(ID, expires_at=NOW - 50), 3540.0),
        (SessionCreated(ID, expires_at=float("nan")), 3540.0),
        (SessionCreated(ID, expires_at=253_402_300_799.0), 3540.0),
    ],
)
def test_how_long_a_session_lives_is_the_services_word_where_it_can_be_believed(
    created: SessionCreated, seconds: float
) -> None:
    Talk(start(), CaptureStarted(0, "USB", NOW)).on(created, SetTimer(ROLLOVER, seconds))


def test_a_model_that_takes_less_is_obeyed_in_time_and_in_sound() -> None:
    short = replace(start(), max_session_seconds=45.0)
    talk = Talk(short, CaptureStarted(0, "USB", NOW))
    talk.on(SessionCreated(ID), SetTimer(ROLLOVER, 22.5))
    offline = Talk(short, CaptureStarted(0, "USB", NOW), *map(sealed, range(10)))
    offline.sees(part_count=4)


def test_the_time_that_a_session_has_runs_while_nothing_is_recorded() -> None:
    talk = Talk(start(), CaptureStarted(0, "USB", NOW), SessionCreated(ID, expires_at=NOW + 600), sealed(0))
    handle(talk, ChunkUploaded(0), Pause(NOW + 20), CaptureEnded(0, NOW + 20))
    assert SetTimer(ROLLOVER, 520.0) in talk.session.resume()
    handle(talk, Resume(NOW + 900), CaptureStarted(1, "USB", NOW + 900))
    assert SECOND_CREATE in sends(talk.session.handle(sealed(1)))
    talk.sees(part_count=2)


def test_a_long_file_is_no_long_visit() -> None:
    talk = Talk(start(source=FILE), CaptureStarted(0, "visit.wav", NOW), SessionCreated(ID, expires_at=NOW + 600))
    handle(talk, *map(sealed, range(100))).sees(part_count=1)
    handle(Talk(start(), CaptureStarted(0, "USB", NOW), SessionCreated(ID, expires_at=NOW + 600)),
           *map(sealed, range(100))).sees(part_count=2)  # fmt: skip


def test_an_upload_that_is_forbidden_may_have_a_stale_address_so_it_looks_before_it_tries_again() -> None:
    talk = Talk(start(), CaptureStarted(0, "USB", NOW), SessionCreated(ID), sealed(0))
    talk.on(RequestFailed(UploadChunk(0), Problem(ProblemKind.NOT_ALLOWED, "HTTP 403")))
    assert talk.session.is_stuck
    talk.on(TryNow(), CancelTimer(RETRY), Send(ReadStatus()))
    assert sends(talk.session.handle(told(0, ServiceStatus.EXPIRED, 0))) == [SECOND_CREATE]


def test_a_session_that_expires_before_anything_was_said_is_replaced_by_one_that_is_made_when_it_is_needed() -> None:
    talk = Talk(start(), CaptureStarted(0, "USB", NOW), SessionCreated(ID))
    talk.on(TimerFired(ROLLOVER)).sees(part_count=1)
    assert sends(talk.session.handle(sealed(0))) == [SECOND_CREATE]


def test_a_visit_that_is_over_is_not_carried_over() -> None:
    talk = Talk(start(), CaptureStarted(0, "USB", NOW), SessionCreated(ID), sealed(0))
    handle(talk, Stop(NOW + 10), CaptureEnded(0, NOW + 10))
    assert not talk.session.is_durable(TimerFired(ROLLOVER))
    talk.on(TimerFired(ROLLOVER)).sees(part_count=1)


def test_a_part_that_the_service_lost_goes_out_again_alone() -> None:
    talk = carried_over()
    handle(talk, sealed(2), of(1, SessionCreated(SECOND_ID)))
    third = CreateSession(ID + "02", VISIT, ("soap", "medications"))
    talk.on(of(0, RequestFailed(ReadStatus(), EXPIRED)), Send(third, 2))
    talk.on(of(2, SessionCreated(ID + "02")), Send(UploadChunk(0), 2), Send(UploadChunk(1), 2))
    handle(talk, of(1, ChunkUploaded(2)))
    talk.sees(chunks_uploaded=1, phase=Phase.RECORDING)
    assert not talk.session.awaits(Send(ReadStatus(), 0))


def test_the_next_session_is_made_once_there_is_room_to_send_its_sound() -> None:
    talk = Talk(start(), CaptureStarted(0, "USB", NOW), SessionCreated(ID), *map(sealed, range(3)))
    handle(talk, TimerFired(ROLLOVER))
    assert sends(talk.session.handle(sealed(3))) == []
    talk.on(ChunkUploaded(0), Send(UploadChunk(2)))
    talk.on(ChunkUploaded(1), Send(SECOND_CREATE, 1))


def test_an_answer_of_a_session_that_was_given_up_is_nobodys() -> None:
    talk = carried_over()
    before = talk.session.view()
    handle(talk, of(7, SessionCreated("other")), of(7, ChunkUploaded(0)))
    assert talk.session.view() == before


def test_the_patient_who_was_changed_is_the_next_sessions_patient() -> None:
    talk = carried_over()
    handle(talk, ChangePatient(Patient("Mrs Rao"), NOW + 20))
    visit = replace(VISIT, patient=Patient("Mrs Rao"))
    assert replace(SECOND_CREATE, visit=visit) in sends(talk.session.handle(sealed(2)))


# What the parts come to -----------------------------------------------------------------------------------------


def test_two_parts_read_as_one() -> None:
    talk = both_ended()
    first = soap(data={"subjective": "Cough for three days.", "plan": "Honey."})
    second = TemplateResult(
        "soap",
        TemplateStatus.SUCCESS,
        data='{"plan": "Come back on Friday, or earlier should it get worse."}',
        sources=(Source("/plan", "Come back on Friday", 0, 1.0, 3.0),),
    )
    said = (Utterance("I cough.", 2.0, 4.0), Utterance("Take honey.", 5.0, 7.0))
    handle(talk, told(0, ServiceStatus.COMPLETED, 2, templates=(first,), utterances=said, transcript="I cough."))
    assert talk.session.view().notes[0].status is TemplateStatus.PROCESSING
    later = (Utterance("Until Friday.", 1.0, 3.0),)
    handle(
        talk, told(1, ServiceStatus.COMPLETED, 1, templates=(second,), utterances=later, transcript="Until Friday.")
    )
    view = talk.session.view()
    assert view.phase is Phase.COMPLETED
    assert view.transcript == "I cough.\n\nUntil Friday."
    assert view.utterances == (*said, Utterance("Until Friday.", 21.0, 23.0))
    note = view.notes[0]
    assert note.status is TemplateStatus.SUCCESS
    assert plain_text(document(note.data)).splitlines() == [
        "Part 1 · 00:00-00:20",
        "Subjective",
        "Cough for three days.",
        "",
        "Plan",
        "Honey.",
        "",
        "Part 2 · 00:20-00:30",
        "Plan",
        "Come back on Friday, or earlier should it get worse.",
    ]
    assert note.sources == (Source("/Part 2 · 00:20-00:30/plan", "Come back on Friday", 2, 21.0, 23.0),)


def test_when_one_part_fails_what_came_is_kept_and_only_that_part_is_sent_again() -> None:
    talk = both_ended()
    handle(talk, told(0, ServiceStatus.COMPLETED, 2, templates=(soap(data={"plan": "Honey."}),), transcript="One."))
    talk.on(told(1, ServiceStatus.FAILED, 1, message="no"), CancelTimer(f"{POLL} 2"), SetTimer(f"{POLL} 2", 30.0))
    talk.sees(phase=Phase.PARTIAL, transcript="One.", problem=Problem(ProblemKind.PROCESSING_FAILED, "no"))
    note = talk.session.view().notes[0]
    assert note.status is TemplateStatus.PARTIAL
    assert note.warnings == ("Part 2 · 00:20-00:30: The service did not return this note.",)
    third = CreateSession(ID + "02", VISIT, ("soap", "medications"))
    talk.on(SendAgain(NOW + 99), CancelTimer(f"{POLL} 2"), CancelTimer(RETRY), Send(third, 2))
    talk.sees(phase=Phase.DRAINING, chunks_uploaded=2, problem=None)


@pytest.mark.parametrize(
    ("one", "other", "phase"),
    [
        (ServiceStatus.FAILED, ServiceStatus.FAILED, Phase.FAILED),
        (ServiceStatus.EXPIRED, ServiceStatus.EXPIRED, Phase.EXPIRED),
        (ServiceStatus.FAILED, ServiceStatus.EXPIRED, Phase.FAILED),
        (ServiceStatus.PARTIAL, ServiceStatus.COMPLETED, Phase.PARTIAL),
        (ServiceStatus.COMPLETED, ServiceStatus.EXPIRED, Phase.PARTIAL),
    ],
)
def test_the_verdict_on_both_is_no_better_than_what_came(
    one: ServiceStatus, other: ServiceStatus, phase: Phase
) -> None:
    handle(both_ended(), told(0, one, 2), told(1, other, 1)).sees(phase=phase)


def test_another_note_is_made_of_every_part() -> None:
    talk = handle(both_ended(), told(0, ServiceStatus.COMPLETED, 2), told(1, ServiceStatus.COMPLETED, 1))
    hpi = ProcessTemplate("hpi")
    talk.on(MakeNote("hpi"), Send(hpi), Send(hpi, 1))
    handle(talk, of(0, NoteAccepted("hpi")), of(1, NoteAccepted("hpi")))
    made = TemplateResult("hpi", TemplateStatus.SUCCESS, data="A cough.")
    handle(talk, told(0, ServiceStatus.COMPLETED, 2, templates=(made,)))
    assert talk.session.view().notes[-1].status is TemplateStatus.PROCESSING
    handle(talk, told(1, ServiceStatus.COMPLETED, 1, templates=(made,)))
    assert talk.session.view().notes[-1].status is TemplateStatus.SUCCESS
    assert talk.session.is_settled


def test_what_a_part_lacks_is_told_by_its_place_in_the_visit() -> None:
    talk = both_ended()
    lacks = ProcessingError("count_mismatch", "files are missing", missing=(0,))
    handle(talk, told(0, ServiceStatus.COMPLETED, 2), told(1, ServiceStatus.PARTIAL, 0, processing_errors=(lacks,)))
    talk.sees(missing_chunks=(2,), missing_spans=((20.0, 30.0),))


# Fewer heard than sent, and expired with something -----------------------------------------------------------------


def test_a_result_of_fewer_files_than_were_sent_is_not_a_whole_one_and_says_so() -> None:
    talk = handle(both_ended(), told(0, ServiceStatus.COMPLETED, 1), told(1, ServiceStatus.COMPLETED, 1))
    talk.sees(phase=Phase.PARTIAL, missing_chunks=(1,), missing_spans=((10.0, 20.0),), audio_files_received=2)
    problem = talk.problem
    assert problem == Problem(ProblemKind.HEARD_FEWER, "1 of 2 pieces of the recording")
    (error,) = talk.session.view().processing_errors
    assert error.message == "The service heard 1 of 2 pieces of the recording."
    assert "SendAgain" in talk.session.view().allowed


def test_what_the_end_said_counts_when_the_result_says_nothing() -> None:
    talk = carried_over()
    handle(talk, told(0, ServiceStatus.OPEN, 2), of(0, SessionEnded(1)))
    handle(talk, Stop(NOW + 30), CaptureEnded(0, NOW + 30))
    handle(talk, of(0, StatusRead(SessionResult(ServiceStatus.COMPLETED, transcript="Half of it."))))
    talk.sees(phase=Phase.PARTIAL, audio_files_received=1)


def test_what_came_before_a_session_expired_is_shown_and_the_audio_can_go_out_again() -> None:
    talk = handle(both_ended(), told(1, ServiceStatus.COMPLETED, 1))
    handle(talk, told(0, ServiceStatus.EXPIRED, 2, transcript="Some of it.", templates=(soap(data="A start."),)))
    talk.sees(phase=Phase.PARTIAL, transcript="Some of it.", problem=Problem(ProblemKind.SESSION_EXPIRED))
    assert {"SendAgain", "MarkReviewed"} <= talk.session.view().allowed


def test_a_session_that_turns_out_to_have_expired_while_recording_starts_over() -> None:
    talk = Talk(start(), CaptureStarted(0, "USB", NOW), SessionCreated(ID), sealed(0), ChunkUploaded(0))
    handle(talk, TimerFired(POLL))
    assert sends(talk.session.handle(told(0, ServiceStatus.EXPIRED, 0))) == [SECOND_CREATE]
    talk.sees(phase=Phase.RECORDING, chunks_uploaded=0)


def test_a_session_that_the_service_has_ended_by_itself_is_not_asked_in_circles() -> None:
    talk = Talk(start(), CaptureStarted(0, "USB", NOW), SessionCreated(ID), sealed(0))
    talk.on(RequestFailed(UploadChunk(0), Problem(ProblemKind.SESSION_ENDED)), Send(ReadStatus()))
    assert sends(talk.session.handle(told(0, ServiceStatus.PROCESSING, 0))) == [SECOND_CREATE]


# Chunks that are too large ----------------------------------------------------------------------------------------


def cut(chunks: int, seconds: int) -> tuple[ChunkSealed, ...]:
    return tuple(ChunkSealed(n, n * seconds * SECOND, seconds * SECOND, 100) for n in range(chunks))


def test_a_chunk_that_is_too_large_waits_for_the_visits_end_and_is_cut_in_half() -> None:
    talk = Talk(start(), CaptureStarted(0, "USB", NOW), SessionCreated(ID), sealed(0), sealed(1))
    talk.on(RequestFailed(UploadChunk(0), TOO_LARGE)).sees(
        phase=Phase.RECORDING, problem=TOO_LARGE, missing_chunks=()
    )
    talk.on(RequestFailed(UploadChunk(1), TOO_LARGE))
    assert talk.session.max_chunk_seconds == 5.0
    assert talk.session.is_durable(RequestFailed(UploadChunk(0), TOO_LARGE))
    handle(talk, Stop(NOW + 20))
    talk.on(CaptureEnded(0, NOW + 20), CutAgain(5.0)).sees(phase=Phase.DRAINING)
    talk.on(TimerFired(POLL))
    talk.on(ChunksCutAgain(5.0, cut(4, 5)), Send(SECOND_CREATE, 1)).sees(chunks_sealed=4, problem=None)
    talk.on(of(1, SessionCreated(SECOND_ID)), Send(UploadChunk(0), 1), Send(UploadChunk(1), 1))
    for index in range(4):
        handle(talk, of(1, ChunkUploaded(index)))
    talk.on(told(1, ServiceStatus.OPEN, 4), Send(EndSession(4), 1))


def test_cutting_begins_anew_after_a_restart() -> None:
    talk = Talk(start(), CaptureStarted(0, "USB", NOW), SessionCreated(ID), sealed(0))
    handle(talk, RequestFailed(UploadChunk(0), TOO_LARGE), Stop(NOW + 10), CaptureEnded(0, NOW + 10))
    assert talk.session.resume() == [CutAgain(5.0)]


def test_below_two_seconds_a_refused_chunk_is_a_missing_one() -> None:
    tiny = ChunkSealed(0, 0, 3 * SECOND, 100)
    talk = Talk(start(), CaptureStarted(0, "USB", NOW), SessionCreated(ID), tiny)
    talk.on(RequestFailed(UploadChunk(0), TOO_LARGE)).sees(missing_chunks=(0,))
    handle(talk, Stop(NOW + 10))
    talk.on(CaptureEnded(0, NOW + 10), Send(ReadStatus()))


def test_a_part_that_the_service_has_is_left_alone_when_the_rest_is_cut_again() -> None:
    talk = carried_over()
    handle(talk, told(0, ServiceStatus.OPEN, 2), of(0, SessionEnded(2)), sealed(2), of(1, SessionCreated(SECOND_ID)))
    handle(talk, of(1, RequestFailed(UploadChunk(2, 2), TOO_LARGE)), Stop(NOW + 30))
    talk.on(CaptureEnded(0, NOW + 30), CutAgain(5.0, (20 * SECOND,)))
    third = CreateSession(ID + "02", VISIT, ("soap", "medications"))
    talk.on(ChunksCutAgain(5.0, cut(6, 5)), Send(third, 2)).sees(part_count=2, chunks_uploaded=4)
    talk.on(of(2, SessionCreated(ID + "02")), Send(UploadChunk(4, 4), 2), Send(UploadChunk(5, 4), 2))
    handle(talk, told(0, ServiceStatus.COMPLETED, 2), of(2, ChunkUploaded(4)), of(2, ChunkUploaded(5)))
    talk.on(told(2, ServiceStatus.OPEN, 2), Send(EndSession(2), 2))
    handle(talk, of(2, SessionEnded(2)), told(2, ServiceStatus.COMPLETED, 2)).sees(phase=Phase.COMPLETED)


def test_what_a_part_lacked_before_it_was_cut_again_is_still_told() -> None:
    talk = carried_over()
    handle(talk, told(0, ServiceStatus.OPEN, 2), of(0, SessionEnded(2)), sealed(2), of(1, SessionCreated(SECOND_ID)))
    handle(talk, told(0, ServiceStatus.COMPLETED, 1), of(1, RequestFailed(UploadChunk(2, 2), TOO_LARGE)))
    handle(talk, Stop(NOW + 30), CaptureEnded(0, NOW + 30))
    talk.sees(missing_chunks=(1,), missing_spans=((10.0, 20.0),))
    handle(talk, ChunksCutAgain(5.0, cut(6, 5)))
    talk.sees(missing_chunks=(2, 3), missing_spans=((10.0, 15.0), (15.0, 20.0)))


def test_where_a_boundary_was_not_kept_all_of_it_goes_out_as_one() -> None:
    talk = carried_over()
    handle(talk, told(0, ServiceStatus.OPEN, 2), of(0, SessionEnded(2)), sealed(2), of(1, SessionCreated(SECOND_ID)))
    handle(talk, of(1, RequestFailed(UploadChunk(2, 2), TOO_LARGE)), Stop(NOW + 30), CaptureEnded(0, NOW + 30))
    third = CreateSession(ID + "02", VISIT, ("soap", "medications"))
    talk.on(ChunksCutAgain(3.0, cut(10, 3)), Send(third, 2)).sees(part_count=1, chunks_uploaded=0)


def test_the_journal_of_a_visit_in_two_parts_comes_to_the_same() -> None:
    talk = carried_over()
    replayed = Session(talk.session.id)
    for event in (
        *(start(), CaptureStarted(0, "USB", NOW), SessionCreated(ID), sealed(0), sealed(1)),
        *(ChunkUploaded(0), ChunkUploaded(1), TimerFired(ROLLOVER)),
    ):
        replayed.handle(event)
    assert replayed.view() == talk.session.view()
    assert sends(replayed.resume()) == [ReadStatus()]
