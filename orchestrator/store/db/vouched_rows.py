"""The rows that carry a code, and their tables."""

from sqlalchemy import inspect
from sqlmodel import SQLModel

from keyturn.orchestrator.store.tables import (
    PersonRow,
    ProposalRow,
    SessionRow,
    TokenRow,
)

Row = PersonRow | SessionRow | TokenRow | ProposalRow


def table_of(row: SQLModel) -> str:
    """Return the name of the table that a row is of."""
    return str(inspect(type(row)).local_table)
