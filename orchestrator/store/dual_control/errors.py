"""What keeps a loosening from being proposed or confirmed."""

from keyturn.orchestrator.rules.errors import KeyturnError
from keyturn.orchestrator.store.dual_control.state import State


class ProposalClosed(KeyturnError):
    """The proposal waits for nobody any more."""

    def __init__(self, proposal: str, state: State, why: str) -> None:
        """Name the proposal, what became of it, and why."""
        self.proposal, self.state = proposal, state
        super().__init__(f"The proposal {proposal} is {state}: {why}")


class NobodyElseConfirms(KeyturnError):
    """Nobody else manages these people, so nobody could say yes."""


class HoldsNothing(KeyturnError):
    """No run is held by this budget, so there is nothing to raise it for."""


class NeedsSecondPerson(KeyturnError):
    """This person cannot be the second one."""
