"""What keeps an incident from being closed."""

from typing import ClassVar

from keyturn.orchestrator.rules.errors import KeyturnError


class MayNotClose(KeyturnError):
    """A critical incident is closed by somebody that it is not about."""

    http_status: ClassVar[int] = 403


class IncidentClosed(KeyturnError):
    """The incident was closed before."""

    http_status: ClassVar[int] = 409
