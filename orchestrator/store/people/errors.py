"""What keeps somebody from signing in, or an account from being changed."""

from typing import ClassVar, Literal

from keyturn.orchestrator.rules.errors import (
    KeyturnError,
)
from keyturn.orchestrator.store.tables import PersonRow


class OwnAccess(KeyturnError):
    """Somebody would change what they themselves may do."""

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
    """Nobody's account belongs to this identity; `why` names the reason."""

    def __init__(self, why: Why, row: PersonRow | None = None) -> None:
        """Take the reason, and the account that it is about, if one."""
        super().__init__(why)
        self.why: Why = why
        self.row = row


class EmailTaken(KeyturnError):
    """Somebody has an account with this address already."""

    http_status: ClassVar[int] = 409


class PasswordChanged(KeyturnError):
    """The password that somebody gave as theirs is not theirs any more."""


class AccountChanged(KeyturnError):
    """A password was replaced, or its account closed, while somebody came in with it."""

    http_status: ClassVar[int] = 409


class WiderThanItsToken(KeyturnError):
    """A token would make one that decides, does more or lives longer than itself."""

    http_status: ClassVar[int] = 403


class OpensNothing(KeyturnError):
    """A token that opens nothing: unknown, revoked, or over; the message says which."""
