"""What keeps a run from being started, changed or ended."""

from keyturn.orchestrator.rules.errors import KeyturnError


class NotHandedOff(KeyturnError):
    """Only a run that was handed off is in a person's hands."""


class InOtherHands(KeyturnError):
    """Somebody else has taken this over, or it is settled."""


class BulkEnded(KeyturnError):
    """It has ended, so there is nothing to stop."""


class RunEnded(KeyturnError):
    """The run has ended, so it cannot be paused, resumed, cancelled or written to."""

    def __init__(self, run: str, status: str) -> None:
        """Name the run and how it ended."""
        self.run = run
        self.status = status
        super().__init__(f"Run {run} has ended ({status}); nothing was changed.")


class ExternalIdReused(KeyturnError):
    """The external id named something else before."""


class NotStarted(KeyturnError):
    """A switch keeps new runs from starting."""


class NoSuchEnd(KeyturnError):
    """A run was to end in a way that the record says nothing of.

    `may_have_been`: the record may have said so a moment ago, as of a cancel of many that
    was stopped since.
    """

    def __init__(self, words: str, *, may_have_been: bool = False) -> None:
        """Say how it was to end."""
        super().__init__(words)
        self.may_have_been = may_have_been
