"""What keeps a run from being started, changed or ended."""

from typing import ClassVar

from pydantic import JsonValue

from keyturn.orchestrator.rules.errors import KeyturnError


class NotHandedOff(KeyturnError):
    """Only a run that was handed off is in a person's hands."""

    http_status: ClassVar[int] = 409


class InOtherHands(KeyturnError):
    """Somebody else has taken this over, or it is settled."""

    http_status: ClassVar[int] = 409


class BulkEnded(KeyturnError):
    """It has ended, so there is nothing to stop."""

    http_status: ClassVar[int] = 409


class RunEnded(KeyturnError):
    """The run has ended, so it cannot be paused, resumed, cancelled or written to."""

    http_status: ClassVar[int] = 409

    def __init__(self, run: str, status: str) -> None:
        """Name the run and how it ended."""
        self.run = run
        self.status = status
        super().__init__(f"Run {run} has ended ({status}); nothing was changed.")

    def facts(self) -> dict[str, JsonValue]:
        """Return what a program reads of it, beside its words."""
        return {"run": self.run, "state": self.status}


class ExternalIdReused(KeyturnError):
    """The external id named something else before."""

    http_status: ClassVar[int] = 409


class NotStarted(KeyturnError):
    """A switch keeps new runs from starting."""

    http_status: ClassVar[int] = 409


class NoSuchEnd(KeyturnError):
    """A run was to end in a way that the record says nothing of.

    `may_have_been`: the record may have said so a moment ago, as of a cancel of many that
    was stopped since.
    """

    def __init__(self, words: str, *, may_have_been: bool = False) -> None:
        """Say how it was to end."""
        super().__init__(words)
        self.may_have_been = may_have_been
