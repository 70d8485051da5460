"""Errors of starting, changing and ending a run."""

from typing import ClassVar

from pydantic import JsonValue

from keyturn.orchestrator.rules.errors import KeyturnError


class NotHandedOff(KeyturnError):
    """Only a run that was handed off can be taken over or settled by a person."""

    http_status: ClassVar[int] = 409


class InOtherHands(KeyturnError):
    """Another person has taken this over, or it is settled."""

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
        """Return the facts that a program reads, in addition to the text."""
        return {"run": self.run, "state": self.status}


class ExternalIdReused(KeyturnError):
    """The external id already names something else."""

    http_status: ClassVar[int] = 409


class NotStarted(KeyturnError):
    """A switch keeps new runs from starting."""

    http_status: ClassVar[int] = 409


class NoSuchEnd(KeyturnError):
    """A run was to end in a way that the record does not confirm.

    `may_have_been`: the record may have confirmed it a moment ago, for example by a
    bulk cancel that was stopped since.
    """

    def __init__(self, words: str, *, may_have_been: bool = False) -> None:
        """Say how it was to end."""
        super().__init__(words)
        self.may_have_been = may_have_been
