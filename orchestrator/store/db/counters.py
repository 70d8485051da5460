"""Counts of events, kept as they happen: nobody scans the record for them."""

from pydantic import BaseModel, ConfigDict
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import col, select

from keyturn.orchestrator.store.db.transaction import Tx
from keyturn.orchestrator.store.tables import CounterRow

ATTEMPTS_FAILED = "model_attempts_failed"
CODE_ERRORS = "code_errors"

# A model's name comes from a contract or a person; it is bounded nevertheless.
LONGEST = 200


class Count(BaseModel):
    """How often something happened since the database was made."""

    model_config = ConfigDict(frozen=True)

    name: str
    subject: str
    kind: str
    value: int


async def add(session: Tx, name: str, *, subject: str, kind: str) -> None:
    """Add one to a count, in this transaction; take other locks before this one."""
    insert = sqlite.insert if session.is_sqlite else postgresql.insert
    row = {"name": name, "subject": subject[:LONGEST], "kind": kind, "value": 1}
    added = insert(CounterRow).values(row)
    await session.execute(
        added.on_conflict_do_update(
            index_elements=["name", "subject", "kind"],
            set_={"value": col(CounterRow.value) + 1},
        )
    )


async def read(session: Tx) -> tuple[Count, ...]:
    """Return all counts, one for each kind of event."""
    rows = (await session.execute(select(CounterRow))).scalars()
    return tuple(Count(**row.model_dump()) for row in rows)
