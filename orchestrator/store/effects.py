"""The effect ledger as people read it."""

from pydantic import BaseModel, ConfigDict
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from orchestrator.rules.errors import NotFound
from orchestrator.rules.status import EffectStatus
from orchestrator.store.tables import EffectRow


class Filter(BaseModel):
    """Which effects to list; None means any."""

    model_config = ConfigDict(frozen=True)

    status: EffectStatus | None = None
    run: str | None = None
    tenant: str | None = None
    workflow: str | None = None
    tool: str | None = None
    customer: str | None = None


async def get(session: AsyncSession, key: str, *, tenant: str | None) -> EffectRow:
    """Return the effect, or raise `NotFound`, also for another tenant's."""
    row = await session.get(EffectRow, key)
    if row is None or tenant not in (None, row.tenant):
        raise NotFound(kind="effect", name=key)
    return row


async def listing(
    session: AsyncSession, wanted: Filter, *, limit: int, before: str | None = None
) -> list[EffectRow]:
    """Return effects, those of the newest run first; `before` is the last key seen."""
    query = select(EffectRow).order_by(col(EffectRow.key).desc()).limit(limit)
    for name, value in wanted.model_dump(exclude_none=True).items():
        query = query.where(getattr(EffectRow, name) == value)
    if before is not None:
        query = query.where(col(EffectRow.key) < before)
    return list((await session.execute(query)).scalars())
