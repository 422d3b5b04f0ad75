"""One renewal of a sign-in for all requests that were refused because of it. Pure; belongs to its caller's thread."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class Verdict(StrEnum):
    """What is to be done about a request that met 401."""

    RENEW = "renew"
    """Renew the sign-in now, then send the request again."""
    WAIT = "wait"
    """It is being renewed: send the request again after that."""
    SEND_AGAIN = "send_again"
    """It has been renewed since the request went out."""
    ASK = "ask"
    """A renewed sign-in was refused, too: only a person can help."""


@dataclass
class Renewal:
    """The sign-in at one service. Each request remembers the ``generation`` that it was sent with."""

    generation: int = 0
    _is_under_way: bool = field(default=False, init=False)
    _is_untried: bool = field(default=False, init=False)

    def on_refused(self, generation: int) -> Verdict:
        """A request met 401."""
        if self._is_under_way:
            return Verdict.WAIT
        if generation < self.generation:
            return Verdict.SEND_AGAIN
        if self._is_untried:
            return Verdict.ASK
        self._is_under_way = True
        return Verdict.RENEW

    def on_accepted(self, generation: int) -> None:
        """A request was served: the sign-in that it carried is good, and may be renewed when it no longer is."""
        if generation == self.generation:
            self._is_untried = False

    def on_renewed(self, *, by_person: bool = False) -> None:
        """There is a new sign-in."""
        self.generation += 1
        self._is_under_way = False
        self._is_untried = not by_person

    def on_not_renewed(self) -> None:
        """There is none: nobody waits any longer."""
        self._is_under_way = False
        self._is_untried = True
