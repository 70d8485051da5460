"""Conditions of the people's side: who may not come in, and why."""

from orchestrator.errors import KeyturnError


class NotSignedIn(KeyturnError):
    """Nobody is signed in: no token, or no session that still lives."""


class MayNot(KeyturnError):
    """This person's role does not do this."""


class Forged(KeyturnError):
    """A request that a browser sent without the page's own token."""


class WrongPassword(KeyturnError):
    """The address and the password do not belong together."""
