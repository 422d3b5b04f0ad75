"""Sign-ins that end, are withdrawn, belong to somebody else: audio waits where it is, and goes where it belongs."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from app.core.events import TryNow
from app.core.problems import ProblemKind
from app.core.settings import Settings
from app.core.views import ChangeSettings, KeyState, Phase
from app.engine.world import World
from app.store.keystore import KeystoreAbsent
from tests.faults.desk import FaultDesk, assert_delivered_as_one
from tests.rig.answers import Kind, Scribe, error

ROOT = Path(__file__).resolve().parents[2]
OLD, NEW, THIRD = "old-token-of-a-doctor", "new-token-of-a-doctor", "third-token-of-a-doctor"
PASSPHRASE = "correct horse battery staple"


class GuardedDesk(FaultDesk):
    """A computer whose store is guarded by a passphrase, so that another process of the app can open it, too."""

    def __init__(self, home: Path, url: str) -> None:
        super().__init__(home, url)
        self.keystore.refusal = KeystoreAbsent

    def _world(self) -> World:
        return replace(super()._world(), passphrase=PASSPHRASE, token="")

    def at_terminal(self, *arguments: str, said: str = "") -> None:
        """Run the app's own command, as an IT person does."""
        environment = {
            **os.environ,
            "SCRIBEDESK_HOME": str(self.places.home),
            "SCRIBEDESK_PASSPHRASE": PASSPHRASE,
            "DBUS_SESSION_BUS_ADDRESS": "unix:path=/nonexistent",
        }
        command = [sys.executable, "-m", "app", *arguments]
        subprocess.run(command, cwd=ROOT, env=environment, input=f"{said}\n", text=True, check=True, timeout=60)


@pytest.fixture
def guarded(home: Path, scribe: Scribe) -> Iterator[GuardedDesk]:
    """A computer that is signed in with ``OLD``."""
    scribe.tokens = {OLD}
    desk = GuardedDesk(home, scribe.url)
    desk.at_terminal("token", scribe.url, said=OLD)
    yield desk
    desk.switch_off()


def shown_tokens(scribe: Scribe) -> set[str]:
    """What the service was shown."""
    return {asked.headers.get("authorization", "").removeprefix("Bearer ") for asked in scribe.asked} - {""}


@pytest.mark.fault("T2", "T6")
def test_a_token_that_is_withdrawn_during_a_visit_costs_nothing_and_a_new_one_sends_it_all(
    guarded: GuardedDesk, scribe: Scribe
) -> None:
    guarded.switch_on()
    guarded.await_service()
    waiting = guarded.visit(3.0)
    guarded.until_phase(waiting, Phase.COMPLETED)
    visit = guarded.begin()
    guarded.speak(visit, 22.0)
    guarded.session(visit, lambda s: s.chunks_uploaded)
    scribe.tokens = {NEW}
    guarded.speak(visit, 30.0)
    told = guarded.until_said(visit, ProblemKind.NOT_SIGNED_IN)
    assert (told.phase, told.is_capturing) == (Phase.RECORDING, True)
    before = len(scribe.asked)
    guarded.speak(visit, 30.0)
    assert guarded.until_said(visit, ProblemKind.NOT_SIGNED_IN).is_capturing
    assert len(scribe.asked) - before <= 2, "the service is asked again and again"
    guarded.stop(visit)
    guarded.at_terminal("token", scribe.url, said=NEW)
    guarded.intend(visit, TryNow())
    guarded.until_phase(visit, Phase.COMPLETED)
    assert_delivered_as_one(guarded, scribe, visit)
    assert shown_tokens(scribe) == {OLD, NEW}


@pytest.mark.fault("T2")
def test_one_new_sign_in_lets_every_visit_that_waits_go_out(guarded: GuardedDesk, scribe: Scribe) -> None:
    guarded.switch_on()
    guarded.await_service()
    scribe.tokens = {NEW}
    visits = [guarded.visit(3.0) for _ in range(3)]
    for visit in visits:
        guarded.until_said(visit, ProblemKind.NOT_SIGNED_IN)
    guarded.at_terminal("token", scribe.url, said=NEW)
    guarded.intend(visits[1], TryNow())
    for visit in visits:
        guarded.until_phase(visit, Phase.COMPLETED)
        assert_delivered_as_one(guarded, scribe, visit)


@pytest.mark.fault("T5")
def test_signing_out_leaves_what_is_unsent_where_it_is(guarded: GuardedDesk, scribe: Scribe) -> None:
    scribe.always(Kind.UPLOAD, answer=error(503, "busy"))
    guarded.switch_on()
    guarded.await_service()
    visit = guarded.visit(5.0)
    scribe.until(lambda: scribe.asked_for(Kind.UPLOAD))
    guarded.switch_off()
    guarded.at_terminal("token", scribe.url, "--forget")
    scribe.always(Kind.UPLOAD, answer=None)
    guarded.switch_on()
    guarded.until_said(visit, ProblemKind.NOT_SIGNED_IN)
    assert guarded.until_phase(visit, Phase.DRAINING).has_audio
    assert (guarded.folder(visit) / "audio").stat().st_size > 5 * 32_000
    assert not scribe.only.uploads
    guarded.at_terminal("token", scribe.url, said=OLD)
    guarded.intend(visit, TryNow())
    guarded.until_phase(visit, Phase.COMPLETED)
    assert_delivered_as_one(guarded, scribe, visit)


@pytest.mark.fault("T4", "T7")
def test_a_visit_stays_with_its_service_and_no_service_sees_anothers_token(
    guarded: GuardedDesk, scribe: Scribe
) -> None:
    with Scribe() as other:
        other.tokens = {THIRD}
        guarded.at_terminal("token", other.url, said=THIRD)
        scribe.always(Kind.UPLOAD, answer=error(503, "busy"))
        guarded.switch_on()
        guarded.await_service()
        waiting = guarded.visit(3.0)
        visit = guarded.begin()
        guarded.speak(visit, 3.0)
        guarded.wish(ChangeSettings(Settings(service_id=other.url)))
        guarded.views.until(lambda v: v.service.id == other.url and v.service.discovery.service_name)
        guarded.speak(visit, 25.0)
        guarded.stop(visit)
        following = guarded.visit(3.0)
        guarded.until_phase(following, Phase.COMPLETED)
        assert_delivered_as_one(guarded, other, following)
        scribe.always(Kind.UPLOAD, answer=None)
        for session_id in (waiting, visit):
            guarded.intend(session_id, TryNow())
            guarded.until_phase(session_id, Phase.COMPLETED)
            assert_delivered_as_one(guarded, scribe, session_id)
        guarded.switch_off()
        assert (shown_tokens(scribe), shown_tokens(other)) == ({OLD}, {THIRD})
        assert len(other.sessions) == 1


@pytest.mark.fault("T4")
def test_another_service_that_wants_a_sign_in_is_not_shown_the_one_that_there_is(
    guarded: GuardedDesk, scribe: Scribe
) -> None:
    with Scribe() as other:
        other.tokens = {THIRD}
        guarded.switch_on()
        guarded.await_service()
        guarded.views.until(lambda v: v.keys.state is KeyState.PASSPHRASE)
        guarded.wish(ChangeSettings(Settings(service_id=other.url)))
        visit = guarded.visit(3.0)
        guarded.until_said(visit, ProblemKind.NOT_SIGNED_IN)
        guarded.switch_off()
        assert shown_tokens(other) == set()
