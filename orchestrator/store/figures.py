"""Counts for operators: how much there is in each state, and how long it waits."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, func, select

from orchestrator.store import counters
from orchestrator.store.counters import Count
from orchestrator.store.engine import Store
from orchestrator.store.tables import (
    ApprovalRow,
    DecisionRow,
    EffectRow,
    OutboxRow,
    RunRow,
)


class Figures(BaseModel):
    """What the record holds now; ages in seconds, 0 where nothing waits."""

    model_config = ConfigDict(frozen=True)

    runs: Mapping[str, int]
    approvals: Mapping[str, int]
    oldest_pending_s: float
    effects: Mapping[str, int]
    decisions: Mapping[str, int]
    outbox: int
    oldest_outbox_s: float
    counters: tuple[Count, ...] = ()


async def read(store: Store) -> Figures:
    """Return the figures of this moment."""
    async with store.read() as session:
        now = await store.now(session)
        pending = col(ApprovalRow.status) == "pending"
        waiting = col(OutboxRow.done_at).is_(None)
        return Figures(
            runs=await _by(session, RunRow.status),
            approvals=await _by(session, ApprovalRow.status),
            oldest_pending_s=await _age(session, ApprovalRow.created_at, pending, now),
            effects=await _by(session, EffectRow.status),
            decisions=await _by(session, DecisionRow.decision),
            counters=await counters.read(session),
            outbox=await _count(session, waiting),
            oldest_outbox_s=await _age(session, OutboxRow.created_at, waiting, now),
        )


async def _by(session: AsyncSession, column: Any) -> dict[str, int]:  # noqa: ANN401 a column
    query = select(column, func.count()).group_by(column)
    return {name: count for name, count in (await session.execute(query)).all()}  # noqa: C416 rows are no pairs to a type checker


async def _count(session: AsyncSession, condition: Any) -> int:  # noqa: ANN401 an SQL condition
    query = select(func.count()).select_from(OutboxRow).where(condition)
    return (await session.execute(query)).scalar_one()


async def _age(
    session: AsyncSession,
    column: Any,  # noqa: ANN401 a column of times
    condition: Any,  # noqa: ANN401 an SQL condition
    now: datetime,
) -> float:
    query = select(column).where(condition).order_by(column).limit(1)
    oldest = (await session.execute(query)).scalar_one_or_none()
    return max(0.0, (now - oldest).total_seconds()) if oldest else 0.0
