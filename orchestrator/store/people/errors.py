"""Errors of signing in, and of changing an account."""

from typing import ClassVar, Literal

from keyturn.orchestrator.rules.errors import (
    KeyturnError,
)
from keyturn.orchestrator.store.tables import PersonRow


class OwnAccess(KeyturnError):
    """A person tried to change what they themselves may do."""

    http_status: ClassVar[int] = 403


class LastAdmin(KeyturnError):
    """Nobody would be left who manages these accounts."""

    http_status: ClassVar[int] = 409


class WouldWiden(KeyturnError):
    """One person alone would give an account more than it has."""

    http_status: ClassVar[int] = 409


class TooManyAttempts(KeyturnError):
    """Too many wrong passwords; wait before the next."""

    http_status: ClassVar[int] = 429

    def __init__(self, *, retry_after_s: int) -> None:
        """Say how long to wait."""
        self.retry_after_s = retry_after_s
        super().__init__(
            f"Too many wrong passwords were tried. Try again in {retry_after_s} seconds."
        )


Why = Literal["closed", "unverified", "unknown", "password", "taken"]


class NoAccountFor(KeyturnError):
    """No account belongs to this identity; `why` names the reason."""

    def __init__(self, why: Why, row: PersonRow | None = None) -> None:
        """Take the reason, and the account that it is about, if any."""
        super().__init__(why)
        self.why: Why = why
        self.row = row


class EmailTaken(KeyturnError):
    """An account with this address exists already."""

    http_status: ClassVar[int] = 409


class PasswordChanged(KeyturnError):
    """The password that the person gave is no longer theirs."""


class AccountChanged(KeyturnError):
    """A password was replaced, or its account closed, during its sign-in."""

    http_status: ClassVar[int] = 409


class WiderThanItsToken(KeyturnError):
    """A token would make one that decides, does more or lives longer than itself."""

    http_status: ClassVar[int] = 403


class OpensNothing(KeyturnError):
    """The token opens nothing: unknown, revoked, or expired; the message says which."""
