"""Errors of closing an incident."""

from typing import ClassVar

from keyturn.orchestrator.rules.errors import KeyturnError


class MayNotClose(KeyturnError):
    """A critical incident may only be closed by a person whom it does not concern."""

    http_status: ClassVar[int] = 403


class IncidentClosed(KeyturnError):
    """The incident is closed already."""

    http_status: ClassVar[int] = 409
