"""What keeps a notice from arriving."""

from typing import ClassVar

from keyturn.orchestrator.rules.errors import KeyturnError


class BadAddress(KeyturnError):
    """A webhook's address may not be posted to."""

    http_status: ClassVar[int] = 422


class NotDelivered(KeyturnError):
    """A notice did not arrive; `for_good` where trying again cannot help."""

    def __init__(self, words: str, *, for_good: bool = False) -> None:
        """Say why."""
        self.for_good = for_good
        super().__init__(words)


class Gone(NotDelivered):
    """The receiver answered 410: it wants no more."""
