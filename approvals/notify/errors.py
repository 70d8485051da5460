"""Errors in the delivery of notices."""

from typing import ClassVar

from keyturn.orchestrator.rules.errors import KeyturnError


class BadAddress(KeyturnError):
    """A webhook's address is not allowed."""

    http_status: ClassVar[int] = 422


class NotDelivered(KeyturnError):
    """A notice was not delivered; `for_good` if a retry cannot help."""

    def __init__(self, words: str, *, for_good: bool = False) -> None:
        """Say why."""
        self.for_good = for_good
        super().__init__(words)


class Gone(NotDelivered):
    """The receiver answered 410: it wants no more."""
