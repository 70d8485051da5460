"""Rows that somebody wrote into the database by hand, and the incidents that tell of them."""

from datetime import timedelta
from typing import Any

from sqlalchemy import text

from keyturn.orchestrator.store.tables import IncidentRow
from tests.orchestrator.store.desk import Desk

DAY = timedelta(days=1)
HASHED = "a hash"


async def by_hand(desk: Desk, statement: str, **values: Any) -> None:
    """Write as whoever reached the database, with none of our keys."""
    desk.is_honest = False
    async with desk.store.write() as session:
        await session.execute(text(statement), values)


async def inserted(desk: Desk, row: Any) -> None:
    """Insert a row as it is, past everything that vouches for rows."""
    desk.is_honest = False
    columns = {
        column.name: value
        for column in row.__table__.columns
        if (value := getattr(row, column.name)) is not None
    }
    async with desk.store.write() as session:
        await session.execute(row.__table__.insert().values(columns))


async def critical_incidents(desk: Desk) -> list[str]:
    """The critical incidents that are open."""
    rows = await desk.rows(IncidentRow, severity="critical")
    return [one.source for one in rows]
