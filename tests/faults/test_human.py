"""What people do by mistake: the wrong patient, a visit that nobody stops, a visit that has to be forgotten."""

from __future__ import annotations

import pytest

from app.audio.source import Stamp
from app.core.events import ChangePatient, Patient, SessionId, Stop, TryNow
from app.core.views import EraseSession, KeyState, Phase
from app.store.audit import Action, Audit
from app.store.keys import Keys
from app.store.library import Library
from tests.audio.stand_ins import noise, talk
from tests.engine.stand_ins import Microphone
from tests.faults.conftest import Watch
from tests.faults.desk import PATIENT, FaultDesk
from tests.rig.answers import Kind, Scribe, error
from tests.rig.canary import bytes_canary, scan, text_canary

OTHER = Patient(label="Meenakshi Venkataraman", id="MRN-70777")
SECOND = 16_000
HISS = noise(310.0, 0.002)


class LiveMicrophone(Microphone):
    """One whose blocks come as if time went by."""

    @property
    def stamp(self) -> Stamp:
        return Stamp(heard_at=self._given / 4, wall_time=self._given / 4)


@pytest.mark.fault("H1")
def test_the_wrong_patient_is_put_right_before_the_service_hears_of_it(
    desk: FaultDesk, scribe: Scribe, no_plain_text: Watch
) -> None:
    no_plain_text.canaries += [text_canary(word) for p in (PATIENT, OTHER) for word in (p.label, p.id)]
    scribe.say(Kind.CREATE, error(503, "busy"))
    desk.chance = 600.0  # It is long until the next try.
    desk.switch_on()
    desk.await_service()
    desk.views.until(lambda v: v.keys.state is KeyState.PROTECTED)
    visit = desk.begin(PATIENT)
    desk.speak(visit, 3.0)
    desk.session(visit, lambda s: s.next_try_at)
    desk.intend(visit, ChangePatient(OTHER, 0.0))
    desk.session(visit, lambda s: s.visit.patient == OTHER)
    desk.intend(visit, TryNow())
    desk.chance = 0.01
    desk.stop(visit)
    desk.until_phase(visit, Phase.COMPLETED)
    assert scribe.only.patient == {"oid": OTHER.id, "name": OTHER.label}
    desk.switch_off()
    desk.switch_on()
    assert desk.until_phase(visit, Phase.COMPLETED).visit.patient == OTHER
    library = open_library(desk)
    assert (library.search("Anandhi"), library.search("Meenakshi")) == ((), (visit,))
    library.close()
    (line,) = [e for e in audit(desk) if e[0] == Action.PATIENT_CHANGED]
    assert line == (Action.PATIENT_CHANGED, visit, "")


@pytest.mark.fault("H1")
def test_the_wrong_patient_is_put_right_after_the_result(desk: FaultDesk, scribe: Scribe) -> None:
    desk.switch_on()
    desk.await_service()
    desk.views.until(lambda v: v.keys.state is KeyState.PROTECTED)
    visit = desk.visit(3.0)
    desk.until_phase(visit, Phase.COMPLETED)
    desk.intend(visit, ChangePatient(OTHER, 0.0))
    desk.session(visit, lambda s: s.visit.patient == OTHER)
    desk.switch_off()
    desk.switch_on()
    assert desk.until_phase(visit, Phase.COMPLETED).visit.patient == OTHER
    assert scribe.only.patient["name"] == PATIENT.label  # It was told before; it is another's to correct.
    library = open_library(desk)
    assert (library.search("Anandhi"), library.search("Meenakshi")) == ((), (visit,))
    library.close()


@pytest.mark.fault("H2")
def test_a_visit_that_nobody_stops_is_noticed_after_five_minutes_and_goes_on(desk: FaultDesk) -> None:
    microphone = LiveMicrophone()
    desk.next_microphones = [microphone]
    desk.switch_on()
    visit, _ = desk.record()
    microphone.speak(talk(20.0).samples[: 20 * SECOND])
    microphone.speak(HISS[: 290 * SECOND])
    microphone.await_kept()
    view = desk.newest.session(visit)
    assert view
    assert view.sound != "long-silence"
    microphone.speak(HISS[290 * SECOND :])
    noticed = desk.session(visit, lambda s: s.sound == "long-silence")
    assert (noticed.phase, noticed.is_capturing) == (Phase.RECORDING, True)
    desk.intend(visit, Stop(0.0))
    assert desk.until_phase(visit, Phase.COMPLETED).recorded_seconds == 330.0


@pytest.mark.fault("H2")
def test_a_visit_that_goes_on_is_carried_over_at_the_services_limit(desk: FaultDesk, scribe: Scribe) -> None:
    scribe.discovery["models"] = [{"id": "m", "name": "M", "max_session_duration_seconds": 60}]
    desk.switch_on()
    desk.await_service()
    visit = desk.begin()
    for _ in range(10):
        desk.speak(visit, 10.0)
    desk.stop(visit)
    done = desk.until_phase(visit, Phase.COMPLETED)
    assert done.part_count > 1
    assert (done.recorded_seconds, done.gaps) == (100.0, ())


@pytest.mark.fault("H4")
def test_an_erased_visit_is_beyond_recovery(desk: FaultDesk, scribe: Scribe, no_plain_text: Watch) -> None:
    scribe.transcript = "Palpitations after marzipan since Whitsun."
    desk.switch_on()
    desk.await_service()
    desk.views.until(lambda v: v.keys.state is KeyState.PROTECTED)
    kept = desk.visit(3.0)
    desk.until_phase(kept, Phase.COMPLETED)
    visit = desk.visit(3.0)
    desk.until_phase(visit, Phase.COMPLETED)
    key = opened(desk, visit)
    assert visit in session_ids(desk)
    envelope = (desk.folder(visit) / "key").read_bytes()
    sealed = (desk.folder(visit) / "audio").read_bytes()[200:260]
    desk.wish(EraseSession(visit))
    desk.views.until(lambda v: v.session(visit) is None)
    no_plain_text.canaries += [
        bytes_canary("the session's key", key),
        bytes_canary("its envelope", envelope),
        bytes_canary("sealed sound", sealed),
    ]
    desk.switch_off()
    assert scan(no_plain_text.folders, no_plain_text.canaries) == []
    assert session_ids(desk) == {kept}
    assert not desk.folder(visit).exists()
    (line,) = [e for e in audit(desk) if e[0] == Action.ERASED]
    assert line == (Action.ERASED, visit, "")
    desk.switch_on()
    desk.until_phase(kept, Phase.COMPLETED)
    assert desk.newest.session(visit) is None
    assert visit in scribe.sessions  # What the service has is the service's.


def opened(desk: FaultDesk, visit: SessionId) -> bytes:
    """The key of a session, as the app opens it."""
    keys = keys_of(desk)
    envelope = (desk.folder(visit) / "key").read_bytes()
    return keys.open_envelope(visit, envelope).key


def keys_of(desk: FaultDesk) -> Keys:
    keys = Keys(desk.places.keys)
    keys.take(keys.ask(desk.keystore)())
    return keys


def open_library(desk: FaultDesk) -> Library:
    keys = keys_of(desk)
    return Library.open(desk.places.library(keys.key_id), keys.derive("library"))


def session_ids(desk: FaultDesk) -> set[str]:
    library = open_library(desk)
    try:
        return {view.id for view in library.sessions()}
    finally:
        library.close()


def audit(desk: FaultDesk) -> list[tuple[str, str, str]]:
    log = Audit(desk.places.audit, None)
    try:
        return [(entry.action, entry.subject, entry.detail) for entry in log.entries()]
    finally:
        log.close()
