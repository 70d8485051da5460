"""What keeps an incident from being closed."""

from keyturn.orchestrator.rules.errors import KeyturnError


class MayNotClose(KeyturnError):
    """A critical incident is closed by somebody that it is not about."""


class IncidentClosed(KeyturnError):
    """The incident was closed before."""
