"""Errors of the web package: authentication, permissions and quotas."""

from typing import ClassVar

from pydantic import JsonValue

from keyturn.orchestrator.rules.errors import KeyturnError


class NotSignedIn(KeyturnError):
    """Nobody is signed in: the request has no token and no live session."""

    http_status: ClassVar[int] = 401


class MayNot(KeyturnError):
    """The person's role, kind or token does not permit this."""

    http_status: ClassVar[int] = 403


class Forged(KeyturnError):
    """A request that a browser sent without the page's CSRF token."""

    http_status: ClassVar[int] = 403


class NotFresh(KeyturnError):
    """The request needs the password or a recent sign-in, and has neither."""

    http_status: ClassVar[int] = 403


class WrongPassword(KeyturnError):
    """The password does not match the address."""

    http_status: ClassVar[int] = 401


class TooManyAtOnce(KeyturnError):
    """A quota on concurrent requests or streams is reached, for one person or in total."""

    http_status: ClassVar[int] = 429

    def __init__(
        self, words: str, *, under_way: int, most: int, retry_after_s: int
    ) -> None:
        """Take the message, the number under way, the bound, and when to retry."""
        self.under_way = under_way
        self.most = most
        self.retry_after_s = retry_after_s
        super().__init__(words)

    def facts(self) -> dict[str, JsonValue]:
        """Return the facts for programs, besides the message."""
        return {"under_way": self.under_way, "most": self.most}
