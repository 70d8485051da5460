"""Errors of settling, undoing and compensating an effect."""

from datetime import datetime
from typing import ClassVar

from pydantic import JsonValue

from keyturn.orchestrator.rules.errors import KeyturnError, written


class NoCompensation(KeyturnError):
    """This effect cannot be compensated."""

    http_status: ClassVar[int] = 409


class NoLookUp(KeyturnError):
    """No tool can look this effect up; a person records what happened."""

    http_status: ClassVar[int] = 409


class NeedsAnother(KeyturnError):
    """The person who reported a later failure may not settle it."""

    http_status: ClassVar[int] = 403


class NotDone(KeyturnError):
    """Only a done effect can fail later."""

    http_status: ClassVar[int] = 409

    def __init__(self, key: str, status: str) -> None:
        """Name the effect and its state."""
        self.key = key
        self.status = status
        super().__init__(f"Effect {key} is {status}, not done; nothing was changed.")

    def facts(self) -> dict[str, JsonValue]:
        """Return the facts that a program reads, in addition to the text."""
        return {"effect": self.key, "state": self.status}


class NotSettled(KeyturnError):
    """It cannot be known yet that an effect never happened: it may still do so."""

    http_status: ClassVar[int] = 409

    def __init__(self, key: str, until: datetime) -> None:
        """Name the effect, and the time until which it may still be carried out."""
        self.key = key
        self.until = until
        super().__init__(
            f"Nothing was recorded: the request of {key} may still be carried out until "
            f"{until:%H:%M:%S} UTC. Check again after that, and then record that it "
            "never happened. If it did happen, you can record that now."
        )

    def facts(self) -> dict[str, JsonValue]:
        """Return the facts that a program reads, in addition to the text."""
        return {"effect": self.key, "until": written(self.until)}


class NotUnknown(KeyturnError):
    """Only an unknown effect's outcome is recorded by a person."""

    http_status: ClassVar[int] = 409

    def __init__(self, key: str, status: str) -> None:
        """Name the effect and its state."""
        self.key = key
        self.status = status
        super().__init__(
            f"Effect {key} is {status}, not unknown; nothing was changed. If it was "
            "done and failed later, reopen it first."
        )

    def facts(self) -> dict[str, JsonValue]:
        """Return the facts that a program reads, in addition to the text."""
        return {"effect": self.key, "state": self.status}


class TooLate(KeyturnError):
    """The effect has begun, or the decision is final; nothing was changed."""

    http_status: ClassVar[int] = 409
