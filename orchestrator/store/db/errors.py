"""Errors of the database layer: rows that do not verify, keys in use."""

from typing import ClassVar

from keyturn.orchestrator.rules.errors import KeyturnError
from keyturn.orchestrator.store.db import vouched_rows
from keyturn.orchestrator.store.db.vouched_rows import Row
from keyturn.orchestrator.store.tables import (
    ApprovalRow,
)


class KeyReused(KeyturnError):
    """An Idempotency-Key was sent again with another request."""

    http_status: ClassVar[int] = 422


class KeyInUse(KeyturnError):
    """The first request with this Idempotency-Key is still being answered."""

    http_status: ClassVar[int] = 409


SEND_AGAIN = (
    "The database cannot be used now. Your request may have been carried out. Send it "
    "again in a moment with the same ids: it is carried out only once."
)


class AnswerLost(KeyturnError):
    """The first request with this key acted, and its answer was lost."""

    http_status: ClassVar[int] = 409


class KeyLost(KeyInUse):
    """The process was suspended so long that another one now has its request's key."""


class CannotVouch(KeyturnError):
    """This process has no key to vouch for accounts, sessions, tokens and proposals."""


class ForgedRow(KeyturnError):
    """A row that gives authority was not written by Keyturn."""

    http_status: ClassVar[int] = 409

    def __init__(self, row: Row | ApprovalRow) -> None:
        """Name the row, which may also be a draft that shows what is not bound."""
        self.table, self.id = vouched_rows.table_of(row), row.id
        super().__init__(
            f"The row {row.id} of the table {self.table} was not written by Keyturn and is "
            "ignored; nothing was done. An incident was opened that says what to "
            "do."
        )
