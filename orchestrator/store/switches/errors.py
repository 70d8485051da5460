"""Errors of setting and lifting a switch."""

from collections.abc import Sequence
from typing import ClassVar

from keyturn.orchestrator.rules.errors import KeyturnError, StoreUnavailable

ANYWAY = "To set it regardless, use --anyway (`anyway: true`, or the box on the page)."


class UnknownNames(KeyturnError):
    """A switch contains unknown names, so it would not do what it says."""

    http_status: ClassVar[int] = 422

    def __init__(self, why: Sequence[str]) -> None:
        """Say what cannot work, one sentence for each."""
        self.why = tuple(why)
        super().__init__(f"The switch was not set. {' '.join(why)} {ANYWAY}")


class NotSet(StoreUnavailable):
    """The switch is not set: the database could not be locked, or is unreachable."""


class WouldLoosen(KeyturnError):
    """The new switch would hold less than the set switch of the same name."""

    http_status: ClassVar[int] = 409
