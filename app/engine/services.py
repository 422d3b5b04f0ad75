"""The scribe services in use: connected or not, and what each says of itself. Owned by the engine's thread."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

from app.core.events import Send, SessionId
from app.core.problems import Problem
from app.core.scribe import Discovery, TemplateInfo
from app.core.settings import LOCAL_SERVICE
from app.core.views import ServiceState, ServiceView
from app.engine.requests import ScribeService

LOCAL_NAME = "This computer"


@dataclass
class ServiceEntry:
    """One service. ``connection`` is None while there is none."""

    view: ServiceView
    connection: ScribeService | None = None
    is_connecting: bool = False
    parked: list[tuple[SessionId, Send]] = field(default_factory=list)
    """Requests that came while there was no connection; the next one takes them, or the news that there is none."""


class Services:
    """All services that a session is bound to or that the user has chosen."""

    def __init__(self, load_discovery: Callable[[str], Discovery | None]) -> None:
        self._entries: dict[str, ServiceEntry] = {}
        self._load_discovery = load_discovery

    def entry(self, service_id: str) -> ServiceEntry:
        """The service of that id."""
        if service_id not in self._entries:
            view = ServiceView(service_id, service_name(service_id))
            if known := self._load_discovery(service_id):
                view = replace(view, discovery=known)
            self._entries[service_id] = ServiceEntry(view)
        return self._entries[service_id]

    def view(self, service_id: str) -> ServiceView:
        """How a service stands."""
        return self.entry(service_id).view

    def unpark(self, service_id: str) -> list[tuple[SessionId, Send]]:
        """The requests that waited for a connection."""
        entry = self.entry(service_id)
        parked, entry.parked = entry.parked, []
        return parked

    def on_connected(self, service_id: str, connection: ScribeService) -> None:
        """Requests can be sent."""
        entry = self.entry(service_id)
        self._drop(entry)
        entry.connection = connection
        entry.is_connecting = False

    def on_disconnected(self, service_id: str, problem: Problem) -> None:
        """There is nobody to send requests to."""
        entry = self.entry(service_id)
        self._drop(entry)
        entry.view = replace(entry.view, state=ServiceState.STARTING, problem=problem)

    def on_described(self, service_id: str, discovery: Discovery, templates: tuple[TemplateInfo, ...]) -> None:
        """The service has told what it offers."""
        entry = self.entry(service_id)
        name = LOCAL_NAME if service_id == LOCAL_SERVICE else discovery.service_name or service_name(service_id)
        entry.view = replace(
            entry.view, name=name, state=ServiceState.READY, problem=None, discovery=discovery, templates=templates
        )

    def on_problem(self, service_id: str, problem: Problem) -> None:
        """A request, or the way to the service, failed for a reason that does not lie with a session."""
        entry = self.entry(service_id)
        entry.is_connecting = False
        entry.view = replace(entry.view, state=ServiceState.UNREACHABLE, problem=problem)

    def on_answer(self, service_id: str) -> None:
        """A request succeeded."""
        entry = self.entry(service_id)
        if entry.view.state is not ServiceState.READY:
            entry.view = replace(entry.view, state=ServiceState.READY, problem=None)

    def close(self) -> None:
        """Close all connections."""
        for entry in self._entries.values():
            self._drop(entry)

    @staticmethod
    def _drop(entry: ServiceEntry) -> None:
        if entry.connection is not None:
            entry.connection.close()
        entry.connection = None


def service_name(service_id: str) -> str:
    """What a person calls a service of which no more is known than its id."""
    return LOCAL_NAME if service_id == LOCAL_SERVICE else urlsplit(service_id).hostname or service_id
