"""The session machine on random walks through failing microphones, networks and power; broken machines on the same.

A walk that cannot tell a broken machine from a good one would prove nothing: each planted fault below must be caught.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import pytest

from app.core.events import (
    CancelTimer,
    CaptureEnded,
    CaptureInterrupted,
    CaptureLost,
    ChangePatient,
    ChunksCutAgain,
    Command,
    CutAgain,
    Discard,
    EndSession,
    EraseAudio,
    Event,
    GapFound,
    Request,
    SessionId,
    StartCapture,
    StatusRead,
    TimerFired,
    UploadChunk,
)
from app.core.part import Part
from app.core.scribe import SessionResult
from app.core.sending import Sending
from app.core.session import ERASE, NotAllowed, Session
from app.core.views import Phase
from tests.core.walk import Broken, World

WALKS = 60
STEPS = 120


@pytest.mark.parametrize("block", range(4))
def test_whatever_fails_nothing_is_lost_and_nothing_is_ended_early(block: int) -> None:
    for seed in range(block * WALKS, (block + 1) * WALKS):
        try:
            World(seed).walk(STEPS)
        except Broken as broken:
            pytest.fail(f"seed {seed}: {broken}")


def test_a_journal_that_has_lost_records_is_still_replayed() -> None:
    for seed in range(40):
        world = World(seed)
        world.walk(STEPS)
        chance = random.Random(seed)
        for _ in range(10):
            left = [event for event in world.journal[1:] if chance.random() > 0.03]
            session = Session(world.session.id)
            for event in (world.journal[0], *left[: chance.randrange(len(left) + 1)]):
                with contextlib.suppress(NotAllowed):
                    session.handle(event)
            session.resume()
            assert session.view().started_at is not None


@pytest.mark.slow
@pytest.mark.parametrize("block", range(4, 40))
def test_the_same_on_many_more_walks(block: int) -> None:
    test_whatever_fails_nothing_is_lost_and_nothing_is_ended_early(block)


class EndsWhenStopped(Sending):
    """Ends the session although chunks are still unsent."""

    def _due(self, part: Part, phase: Phase) -> Iterator[Request]:
        for request in super()._due(part, phase):
            is_over = phase is Phase.DRAINING
            yield EndSession(len(part.chunks)) if isinstance(request, UploadChunk) and is_over else request


class CountsOneTooFew(Sending):
    """Tells the service one chunk less than it got."""

    def _due(self, part: Part, phase: Phase) -> Iterator[Request]:
        for request in super()._due(part, phase):
            yield EndSession(request.audio_files_sent - 1) if isinstance(request, EndSession) else request


class NumbersThroughout(Sending):
    """Goes on counting chunks in the service's next session."""

    def _due(self, part: Part, phase: Phase) -> Iterator[Request]:
        for request in super()._due(part, phase):
            yield UploadChunk(request.index) if isinstance(request, UploadChunk) else request


class EndsOnTheVisitsCount(Sending):
    """Tells the service of all chunks of the visit when a part of it ends."""

    def _due(self, part: Part, phase: Phase) -> Iterator[Request]:
        for request in super()._due(part, phase):
            yield EndSession(len(self._recording.chunks)) if isinstance(request, EndSession) else request


class DropsAChunkBetweenParts(Sending):
    """Leaves a chunk out of both parts when it goes on in the next."""

    def _roll_over(self) -> None:
        super()._roll_over()
        self._parts.open.delivery.first += 1


class CutsWhileRecording(Sending):
    """Makes chunks anew while the microphone is open."""

    def _cut_again(self, phase: Phase) -> Iterator[Command]:
        if self._cut_to_seconds is not None and not self._is_cutting:
            self._is_cutting = True
            yield CutAgain(self._cut_to_seconds)


class CutsAcrossParts(Sending):
    """Does not say where a part begins when the recording is cut again."""

    def _cut_again(self, phase: Phase) -> Iterator[Command]:
        for command in super()._cut_again(phase):
            yield CutAgain(command.max_chunk_seconds) if isinstance(command, CutAgain) else command


class ForgetsUploads(Sending):
    """Sends the same chunk twice at once."""

    def _send(self, part: Part, request: Request, phase: Phase) -> Iterator[Command]:
        yield from super()._send(part, request, phase)
        part.delivery.in_flight.discard(request)


class NeverAsksForTheRest(Sending):
    """Forgets the templates that did not fit into the session."""

    def _conclude(self, part: Part, result: SessionResult, phase: Phase) -> Iterator[Command]:
        yield from part.conclude(result, ())


class ForgetsToRollOver(Session):
    """Does not keep that it went on in the next session."""

    def is_durable(self, event: Event) -> bool:
        return super().is_durable(event) and not isinstance(event, TimerFired)


class ForgetsTheCut(Session):
    """Does not keep that the chunks are others now."""

    def is_durable(self, event: Event) -> bool:
        return super().is_durable(event) and not isinstance(event, ChunksCutAgain)


class ErasesAtOnce(Session):
    """Erases a discarded visit before it can be had back."""

    def handle(self, event: Event) -> list[Command]:
        commands = super().handle(event)
        return [*commands, EraseAudio()] if isinstance(event, Discard) else commands


class ErasesWhatWasHadBack(Session):
    """Lets the time run out although the visit was had back."""

    def handle(self, event: Event) -> list[Command]:
        commands = super().handle(event)
        if event == TimerFired(ERASE):
            return [*commands, EraseAudio()]
        return [command for command in commands if command != CancelTimer(ERASE)]


class ForgetsTheGap(Session):
    """Does not keep where there was no sound."""

    def is_durable(self, event: Event) -> bool:
        return super().is_durable(event) and not isinstance(event, GapFound)


class ForgetsThePatient(Session):
    """Does not keep that the patient is another one."""

    def is_durable(self, event: Event) -> bool:
        return super().is_durable(event) and not isinstance(event, ChangePatient)


class SkipsTheLastChunk(Session):
    """Forgets the chunk that Stop has sealed."""

    def handle(self, event: Event) -> list[Command]:
        if type(event).__name__ == "ChunkSealed" and self.phase is Phase.DRAINING:
            return []
        return super().handle(event)


class KeepsTheLightOn(Session):
    """Shows that it records after the microphone has gone."""

    def handle(self, event: Event) -> list[Command]:
        commands = super().handle(event)
        if isinstance(event, CaptureLost):
            self._recording.is_capturing = True
        return commands


class OpensTwice(Session):
    """Opens the microphone again before the last take is over."""

    def _on_resume_now(self) -> list[Command]:
        return [self._begin_take()]

    def handle(self, event: Event) -> list[Command]:
        commands = super().handle(event)
        return commands + (self._on_resume_now() if type(event).__name__ == "Resume" else [])


class ForgetsInterruption(Session):
    """Stays recording after a restart, with nothing that records."""

    def handle(self, event: Event) -> list[Command]:
        return [] if isinstance(event, CaptureInterrupted) else super().handle(event)


class NeverStopsPausing(Session):
    """Lets a pause last after Stop."""

    def handle(self, event: Event) -> list[Command]:
        commands = super().handle(event)
        self._recording.stopped_at = None
        return commands


class JournalsTooLittle(Session):
    """Does not keep what was uploaded."""

    def is_durable(self, event: Event) -> bool:
        return super().is_durable(event) and type(event).__name__ != "ChunkUploaded"


class NumbersFromOne(Session):
    """Numbers chunks from 1 after a pause."""

    def _begin_take(self) -> Command:
        command = super()._begin_take()
        assert isinstance(command, StartCapture)
        return replace(command, first_chunk=command.first_chunk + (1 if command.take else 0))


class TakesWhatItDoesNotOffer(Session):
    """Takes Resume at any time, button or not."""

    def handle(self, event: Event) -> list[Command]:
        return [] if type(event).__name__ == "Resume" else super().handle(event)


class EndsOnTheWrongTake(Session):
    """Takes the end of one take for the end of the visit, paused or not."""

    def handle(self, event: Event) -> list[Command]:
        commands = super().handle(event)
        if isinstance(event, CaptureEnded) and self.phase is Phase.PAUSED:
            self.phase = Phase.DRAINING
        return commands


class BelievesLateAnswers(Session):
    """Completes on the first status it reads after Stop."""

    def handle(self, event: Event) -> list[Command]:
        if isinstance(event, StatusRead) and self.phase in (Phase.DRAINING, Phase.ENDING):
            self.phase = Phase.COMPLETED
            return []
        return super().handle(event)


def _sending_by(planted: type[Sending], session_id: SessionId) -> Session:
    session = Session(session_id)
    session._sending = planted(session_id, session._recording)
    return session


@pytest.mark.parametrize(
    "planted",
    [
        EndsWhenStopped,
        CountsOneTooFew,
        NumbersThroughout,
        EndsOnTheVisitsCount,
        DropsAChunkBetweenParts,
        ForgetsToRollOver,
        CutsWhileRecording,
        CutsAcrossParts,
        ForgetsTheCut,
        ErasesAtOnce,
        ErasesWhatWasHadBack,
        ForgetsTheGap,
        ForgetsThePatient,
        SkipsTheLastChunk,
        ForgetsUploads,
        KeepsTheLightOn,
        OpensTwice,
        ForgetsInterruption,
        NeverStopsPausing,
        JournalsTooLittle,
        NeverAsksForTheRest,
        NumbersFromOne,
        TakesWhatItDoesNotOffer,
        EndsOnTheWrongTake,
        BelievesLateAnswers,
    ],
)
def test_a_planted_fault_is_caught(planted: type[Session] | type[Sending]) -> None:
    make = planted if issubclass(planted, Session) else partial(_sending_by, planted)

    def walk_all() -> None:
        for seed in range(300):
            World(seed, make).walk(STEPS)

    with pytest.raises(Broken):
        walk_all()
