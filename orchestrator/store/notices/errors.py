"""What keeps a notice from being sent again."""

from typing import ClassVar

from keyturn.orchestrator.rules.errors import KeyturnError


class NotDead(KeyturnError):
    """Only a dead letter is sent again by hand."""

    http_status: ClassVar[int] = 409
