"""Conditions of the people's side: who may not come in, and why."""

from typing import ClassVar

from pydantic import JsonValue

from keyturn.orchestrator.rules.errors import KeyturnError


class NotSignedIn(KeyturnError):
    """Nobody is signed in: no token, or no session that still lives."""

    http_status: ClassVar[int] = 401


class MayNot(KeyturnError):
    """This person's role does not do this."""

    http_status: ClassVar[int] = 403


class Forged(KeyturnError):
    """A request that a browser sent without the page's own token."""

    http_status: ClassVar[int] = 403


class NotFresh(KeyturnError):
    """What is asked for takes the password, or a sign-in of just now, with it."""

    http_status: ClassVar[int] = 403


class WrongPassword(KeyturnError):
    """The address and the password do not belong together."""

    http_status: ClassVar[int] = 401


class TooManyAtOnce(KeyturnError):
    """One person, or all together, have as much under way here as they may."""

    http_status: ClassVar[int] = 429

    def __init__(
        self, words: str, *, under_way: int, most: int, retry_after_s: int
    ) -> None:
        """Say it in words, with how much is under way, the bound, and when to return."""
        self.under_way = under_way
        self.most = most
        self.retry_after_s = retry_after_s
        super().__init__(words)

    def facts(self) -> dict[str, JsonValue]:
        """Return what a program reads of it, beside its words."""
        return {"under_way": self.under_way, "most": self.most}
