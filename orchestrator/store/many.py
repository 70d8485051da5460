"""Which runs a pause, a resume or a cancel by filter still has to reach."""

from typing import Literal

from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from orchestrator.status import ENDED_RUNS
from orchestrator.store.runs import Filter
from orchestrator.store.tables import RunRow

Verb = Literal["pause", "resume", "cancel"]


async def candidates(
    session: AsyncSession, verb: Verb, wanted: Filter, *, limit: int
) -> list[str]:
    """Return open runs that match and are not yet so, oldest first.

    Asked again after acting on them, this returns the next ones.
    """
    query = (
        select(RunRow.id)
        .where(col(RunRow.status).not_in(ENDED_RUNS))
        .order_by(col(RunRow.id))
        .limit(limit)
    )
    match verb:
        case "pause":
            query = query.where(col(RunRow.paused_by).is_(None))
        case "resume":
            query = query.where(col(RunRow.paused_by).is_not(None))
        case "cancel":
            query = query.where(col(RunRow.cancel_reason).is_(None))
    for name, value in wanted.model_dump(exclude_none=True).items():
        query = query.where(getattr(RunRow, name) == value)
    return list((await session.execute(query)).scalars())
