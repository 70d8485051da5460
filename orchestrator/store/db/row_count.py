"""The number of rows in a list, counted no further than people read."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select
from sqlmodel import func, select

from keyturn.orchestrator.store.db.transaction import Tx

# A larger total is shown as “more than” this: a record of years is not counted.
MOST = 1_000


@dataclass(frozen=True)
class Total:
    """A count; `is_more` means at least one more than `found`."""

    found: int
    is_more: bool


async def total(session: Tx, *lists: Select[Any]) -> Total:
    """Count the rows of lists, each in its own order, up to `MOST` in total.

    The order lets the database read the rows from an index and stop early.
    """
    found = 0
    for rows in lists:
        part = rows.limit(MOST + 1 - found).subquery()
        counted = select(func.count()).select_from(part)
        found += (await session.execute(counted)).scalar_one()
        if found > MOST:
            return Total(MOST, is_more=True)
    return Total(found, is_more=False)
