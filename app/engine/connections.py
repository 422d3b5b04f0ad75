"""The ways to the scribe services: who is connected, what each offers, since when there is trouble.

Owns the process of the local service, and the requests that wait until there is a connection. Belongs to the
engine's thread; what blocks is found out by workers.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import NamedTuple
from urllib.parse import urlsplit

from app.core.events import Fact, RequestFailed, Send, SessionId
from app.core.problems import Problem
from app.core.scribe import Discovery, TemplateInfo
from app.core.settings import LOCAL_SERVICE
from app.core.views import QUIET_SECONDS, ServiceState, ServiceView
from app.engine.bucket import Bucket
from app.engine.local_service import Address, LocalService
from app.engine.loop import Loop
from app.engine.renewal import Renewal, Verdict
from app.engine.requests import ScribeService
from app.engine.vault import Vault
from app.engine.world import World
from app.store.places import Places
from app.store.remembered import load_discovery, save_discovery

_log = logging.getLogger(__name__)

LOCAL_NAME = "This computer"
_DESCRIBE_PAUSE_SECONDS = 3.0
_CLOSE_SECONDS = 2.0


class Parked(NamedTuple):
    """A request that came while there was no connection."""

    session_id: SessionId
    sent: Send


class ConnectionNews(NamedTuple):
    """A service can be reached, or cannot, because of a ``problem``. It takes up what was parked until now."""

    service_id: str
    parked: list[Parked]
    problem: Problem | None = None


@dataclass
class _Service:
    """One service. ``connection`` is None while there is none."""

    view: ServiceView
    connection: ScribeService | None = None
    token: str = field(default="", repr=False)
    """What the connection was made with."""
    renewal: Renewal = field(default_factory=Renewal)
    bucket: Bucket = field(default_factory=Bucket)
    is_connecting: bool = False
    parked: list[Parked] = field(default_factory=list)

    def drop(self) -> None:
        if self.connection is not None:
            self.connection.close()
        self.connection = None

    def unpark(self) -> list[Parked]:
        parked, self.parked = self.parked, []
        return parked


class Connections:
    """All services that a session is bound to or that the user has chosen."""

    def __init__(
        self, world: World, places: Places, loop: Loop, vault: Vault, tell: Callable[[ConnectionNews], None]
    ) -> None:
        """``tell`` is called on the engine's thread when a way is there, and each time that there is none."""
        self._world = world
        self._places = places
        self._loop = loop
        self._vault = vault
        self._tell = tell
        self._awaited: set[str] = set()
        """Services that are wanted but must wait for the keystore's answer."""
        self._services: dict[str, _Service] = {}
        self._local: LocalService | None = None
        self._troubles: dict[str, float] = {}
        """Since when each session or service has had trouble that may pass."""

    # The door -----------------------------------------------------------------------------------------------------

    def use(self, service_id: str) -> None:
        """See to it that a service is connected, as soon as the keystore has been heard."""
        if not self._vault.is_settled:
            self._awaited.add(service_id)
        elif service_id != LOCAL_SERVICE:
            service = self._service(service_id)
            if service.connection is None and not service.is_connecting:
                self._connect(Address(service_id, self._token(service_id)))
        elif self._local is None:
            self._local = LocalService(
                self._world.local_command(self._vault.service_name),
                self._vault.service_key,
                on_up=lambda address: self._loop.post(partial(self._connect, address, LOCAL_SERVICE)),
                on_down=lambda problem: self._loop.post(partial(self._on_down, problem)),
            )
            self._local.start()

    def on_open(self) -> None:
        """The keystore has been heard: what waited for it goes on, and what is signed in otherwise now does so."""
        awaited, self._awaited = self._awaited, set()
        for service_id in awaited:
            self.use(service_id)
        for service_id, service in self._services.items():
            if service.connection is not None and service.token != self._token(service_id) != "":
                self._connect(Address(service_id, self._token(service_id)))

    def _token(self, service_id: str) -> str:
        if service_id == LOCAL_SERVICE:
            return ""
        return self._world.token or self._vault.library.token(service_id) or ""

    def reach(self, service_id: str, session_id: SessionId, sent: Send) -> ScribeService | None:
        """The way for a request. Where there is none yet, the request is parked until there is news of one."""
        service = self._service(service_id)
        if service.connection is None:
            service.parked.append(Parked(session_id, sent))
            self.use(service_id)
        return service.connection

    def generation(self, service_id: str) -> int:
        """Counts the sign-ins at a service."""
        return self._service(service_id).renewal.generation

    def wait_seconds(self, service_id: str) -> float:
        """How long the next request must wait, so that all sessions together are no storm to a service in trouble."""
        return self._service(service_id).bucket.wait_seconds(self._world.monotonic())

    def on_refused_sign_in(self, service_id: str, session_id: SessionId, sent: Send, generation: int) -> bool:
        """A request that went out with a sign-in was refused because of it. Whether it goes out again by itself."""
        service = self._service(service_id)
        verdict = service.renewal.on_refused(generation)
        if verdict is Verdict.ASK:
            return False
        service.parked.append(Parked(session_id, sent))
        if verdict is Verdict.RENEW and not self._renew(service_id):
            service.renewal.on_not_renewed()
            service.parked.pop()
            return False
        if verdict is Verdict.SEND_AGAIN and service.connection is not None:
            self._tell(ConnectionNews(service_id, service.unpark()))
        return True

    def _renew(self, service_id: str) -> bool:
        """Connect anew if there is another token by now; once, however many ask for it."""
        token = self._token(service_id)
        service = self._service(service_id)
        if not token or token == service.token:
            return False
        if not service.is_connecting:
            service.drop()  # What is sent from now on waits for the new sign-in.
            self._connect(Address(service_id, token))
        return True

    def sign_in_again(self, service_id: str) -> None:
        """A person wants it tried: perhaps with a token that has been kept since."""
        if self._vault.is_settled:
            self._renew(service_id)

    def on_answer(self, service_id: str, generation: int, fact: Fact) -> bool:
        """What came of a request tells of the service, too, unless the failure lies with the session.

        Returns whether those that wait for their turn need not wait any longer.
        """
        service = self._service(service_id)
        is_well_again = False
        if isinstance(fact, RequestFailed) and fact.problem.is_transient:
            service.bucket.on_trouble(self._world.monotonic())
        else:
            is_well_again = service.bucket.on_answer()
        if not isinstance(fact, RequestFailed):
            service.renewal.on_accepted(generation)
            if service.view.state is not ServiceState.READY:
                service.view = replace(service.view, state=ServiceState.READY, problem=None)
        elif fact.problem.is_transient:
            self._on_problem(service_id, fact.problem)
        return is_well_again

    def view(self, service_id: str) -> ServiceView:
        """How a service stands."""
        return self._service(service_id).view

    def trouble_since(self, owner: str, problem: Problem | None) -> float | None:
        """When trouble of a session or service that may pass began; once it has lasted, the engine is woken."""
        if problem is None or not problem.is_transient:
            self._troubles.pop(owner, None)
            return None
        if owner not in self._troubles:
            self._troubles[owner] = self._world.wall_clock()
            self._loop.set_timer((owner, "worry"), QUIET_SECONDS, lambda: None)
        return self._troubles[owner]

    def close(self) -> None:
        """Close all connections, end the local service."""
        try:
            for service in self._services.values():
                service.drop()
        finally:
            if self._local is not None:
                self._local.close(_CLOSE_SECONDS)

    # Connecting ---------------------------------------------------------------------------------------------------

    def _service(self, service_id: str) -> _Service:
        if service_id not in self._services:
            view = ServiceView(service_id, service_name(service_id))
            if known := load_discovery(self._places, service_id):
                view = replace(view, discovery=known)
            self._services[service_id] = _Service(view)
        return self._services[service_id]

    def _connect(self, address: Address, service_id: str = "") -> None:
        service_id = service_id or address.base_url
        self._service(service_id).is_connecting = True
        self._loop.ask(
            lambda: self._world.connect(address),
            partial(self._on_connected, service_id, address.token),
            partial(self._on_not_connected, service_id),
        )

    def _on_connected(self, service_id: str, token: str, connection: ScribeService) -> None:
        service = self._service(service_id)
        if service_id != LOCAL_SERVICE and token != (wanted := self._token(service_id)) and wanted:
            connection.close()  # The key to the token came meanwhile.
            self._connect(Address(service_id, wanted))
            return
        service.drop()
        service.connection, service.token = connection, token
        service.renewal.on_renewed()
        service.bucket.on_connected(self._world.monotonic())
        service.is_connecting = False
        self._describe(service_id)
        self._tell(ConnectionNews(service_id, service.unpark()))

    def _on_not_connected(self, service_id: str, problem: Problem) -> None:
        self._on_problem(service_id, problem)
        self._tell(ConnectionNews(service_id, self._service(service_id).unpark(), problem))

    def _on_down(self, problem: Problem) -> None:
        """The local service has stopped; it is being started again."""
        service = self._service(LOCAL_SERVICE)
        service.drop()
        service.view = replace(service.view, state=ServiceState.STARTING, problem=problem)
        self._tell(ConnectionNews(LOCAL_SERVICE, service.unpark(), problem))

    def _on_problem(self, service_id: str, problem: Problem) -> None:
        service = self._service(service_id)
        service.is_connecting = False
        service.view = replace(service.view, state=ServiceState.UNREACHABLE, problem=problem)

    # What a service offers ----------------------------------------------------------------------------------------

    def _describe(self, service_id: str) -> None:
        connection = self._service(service_id).connection
        if connection is not None:
            self._loop.ask(
                lambda: (connection.discover(), connection.templates()),
                partial(self._on_described, service_id),
                partial(self._on_not_described, service_id),
            )

    def _on_described(self, service_id: str, told: tuple[Discovery, tuple[TemplateInfo, ...]]) -> None:
        discovery, templates = told
        service = self._service(service_id)
        name = LOCAL_NAME if service_id == LOCAL_SERVICE else discovery.service_name or service_name(service_id)
        service.view = replace(
            service.view, name=name, state=ServiceState.READY, problem=None, discovery=discovery, templates=templates
        )
        try:
            save_discovery(self._places, service_id, discovery)
        except OSError as error:
            _log.warning("What a service offers was not kept: %s", type(error).__name__)

    def _on_not_described(self, service_id: str, problem: Problem) -> None:
        self._on_problem(service_id, problem)
        self._loop.set_timer((service_id, "describe"), _DESCRIBE_PAUSE_SECONDS, partial(self._describe, service_id))


def service_name(service_id: str) -> str:
    """What a person calls a service of which no more is known than its id."""
    return LOCAL_NAME if service_id == LOCAL_SERVICE else urlsplit(service_id).hostname or service_id
