"""What keeps a switch from being set or lifted."""

from collections.abc import Sequence
from typing import ClassVar

from keyturn.orchestrator.rules.errors import KeyturnError, StoreUnavailable

ANYWAY = "Set it all the same with --anyway (`anyway: true`, or the box on the page)."


class UnknownNames(KeyturnError):
    """A switch names what there is not, so it would not do what it says."""

    http_status: ClassVar[int] = 422

    def __init__(self, why: Sequence[str]) -> None:
        """Say what of it cannot work, a sentence each."""
        self.why = tuple(why)
        super().__init__(f"The switch was not set. {' '.join(why)} {ANYWAY}")


class NotSet(StoreUnavailable):
    """The switch is not set: the database could not be locked, or is away."""


class WouldLoosen(KeyturnError):
    """The switch would hold less than the one of its name that is set."""

    http_status: ClassVar[int] = 409
