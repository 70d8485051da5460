"""Counts for operators: how much is open in each state, and how long it waits.

Ended rows are not counted: a scrape would read all rows that ever existed.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict
from sqlmodel import SQLModel, func, select

from keyturn.orchestrator.store.db import counters as db_counters
from keyturn.orchestrator.store.db import open_rows
from keyturn.orchestrator.store.db.counters import Count
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.db.transaction import Tx
from keyturn.orchestrator.store.tables import ApprovalRow, EffectRow, OutboxRow, RunRow


class Figures(BaseModel):
    """What is open now; ages in seconds, 0 if nothing waits."""

    model_config = ConfigDict(frozen=True)

    runs: Mapping[str, int]
    handoffs: int
    approvals: Mapping[str, int]
    oldest_pending_s: float
    effects: Mapping[str, int]
    outbox: int
    oldest_outbox_s: float
    counters: tuple[Count, ...] = ()


async def read(store: Store) -> Figures:
    """Return the present figures."""
    async with store.read() as session:
        await session.read_clock()
        pending, waiting = open_rows.approvals(), open_rows.deliveries()
        handed = await _count(session, RunRow, open_rows.handoffs())
        asked = await _count(session, ApprovalRow, pending)
        return Figures(
            runs=await _by(session, RunRow.status, open_rows.runs()),
            handoffs=handed,
            approvals={"pending": asked},
            oldest_pending_s=await _age(session, ApprovalRow.created_at, pending),
            counters=await db_counters.read(session),
            effects=await _by(session, EffectRow.status, open_rows.under_way())
            | {"unknown": await _count(session, EffectRow, open_rows.to_find_out())},
            outbox=await _count(session, OutboxRow, waiting),
            oldest_outbox_s=await _age(session, OutboxRow.created_at, waiting),
        )


async def _by(session: Tx, column: Any, condition: Any) -> dict[str, int]:  # noqa: ANN401 a column and SQL
    query = select(column, func.count()).where(condition).group_by(column)
    return {name: count for name, count in (await session.execute(query)).all()}  # noqa: C416 rows are no pairs to a type checker


async def _count(
    session: Tx,
    table: type[SQLModel],
    condition: Any,  # noqa: ANN401 an SQL condition
) -> int:
    query = select(func.count()).select_from(table).where(condition)
    return (await session.execute(query)).scalar_one()


async def _age(
    session: Tx,
    column: Any,  # noqa: ANN401 a column of times
    condition: Any,  # noqa: ANN401 an SQL condition
) -> float:
    query = select(func.min(column)).where(condition)
    oldest = (await session.execute(query)).scalar_one()
    return max(0.0, (session.now - oldest).total_seconds()) if oldest else 0.0
