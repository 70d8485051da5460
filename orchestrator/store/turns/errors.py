"""Errors of committing a turn."""

from keyturn.orchestrator.rules.authority.hold import Hold
from keyturn.orchestrator.rules.errors import KeyturnError


class EndHeld(KeyturnError):
    """A pause or halt came during the last reply: nothing was committed.

    The reply is paid for and kept; once that is lifted the turn is committed from it,
    and ends the run unless the customer has written meanwhile.
    """

    def __init__(self, by: Hold) -> None:
        """Name what holds the run's end."""
        self.by = by
        super().__init__(f"The run's end is held by {by}.")
