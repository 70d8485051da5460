"""Errors of proposing and confirming a loosening."""

from typing import ClassVar

from pydantic import JsonValue

from keyturn.orchestrator.rules.errors import KeyturnError
from keyturn.orchestrator.store.dual_control.state import State


class ProposalClosed(KeyturnError):
    """The proposal is no longer open."""

    http_status: ClassVar[int] = 409

    def __init__(self, proposal: str, state: State, why: str) -> None:
        """Name the proposal, its outcome, and the reason."""
        self.proposal, self.state = proposal, state
        super().__init__(f"The proposal {proposal} is {state}: {why}")

    def facts(self) -> dict[str, JsonValue]:
        """Return the facts that a program reads, in addition to the text."""
        return {"proposal": self.proposal, "state": self.state}


class NobodyElseConfirms(KeyturnError):
    """Nobody else manages these people, so nobody could confirm."""

    http_status: ClassVar[int] = 409


class HoldsNothing(KeyturnError):
    """No run is held by this budget, so there is nothing to raise it for."""

    http_status: ClassVar[int] = 409


class NeedsSecondPerson(KeyturnError):
    """This person cannot be the second one."""

    http_status: ClassVar[int] = 403
