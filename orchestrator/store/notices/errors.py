"""Errors of sending a notice again."""

from typing import ClassVar

from keyturn.orchestrator.rules.errors import KeyturnError


class NotDead(KeyturnError):
    """Only a dead letter may be sent again by hand."""

    http_status: ClassVar[int] = 409
