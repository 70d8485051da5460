"""Conditions of the people's side: who may not come in, and why."""

from keyturn.orchestrator.rules.errors import KeyturnError


class NotSignedIn(KeyturnError):
    """Nobody is signed in: no token, or no session that still lives."""


class MayNot(KeyturnError):
    """This person's role does not do this."""


class Forged(KeyturnError):
    """A request that a browser sent without the page's own token."""


class NotFresh(KeyturnError):
    """What is asked for takes the password, or a sign-in of just now, with it."""


class WrongPassword(KeyturnError):
    """The address and the password do not belong together."""


class TooManyAtOnce(KeyturnError):
    """One person, or all together, have as much under way here as they may."""

    def __init__(
        self, words: str, *, under_way: int, most: int, retry_after_s: int
    ) -> None:
        """Say it in words, with how much is under way, the bound, and when to return."""
        self.under_way = under_way
        self.most = most
        self.retry_after_s = retry_after_s
        super().__init__(words)
