"""What operators look at: budgets used, what is on its way, the audit log's rows."""

from typing import Any

from pydantic import BaseModel, ConfigDict
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from orchestrator.store import audit, counting, open_rows
from orchestrator.store.counting import Total
from orchestrator.store.tables import AuditRow, EffectRow, MeterRow

MOST_METERS = 100


class Place(BaseModel):
    """Where a page of effects begins: behind this one, in which of the two parts."""

    model_config = ConfigDict(frozen=True)

    key: str
    to_find_out: bool

    @classmethod
    def of(cls, row: EffectRow) -> "Place":
        """Return the place behind an effect."""
        waits = row.status == "unknown" or row.reopened_at is not None
        return cls(key=row.key, to_find_out=waits)


async def meters(
    session: AsyncSession,
    *,
    tenant: str | None,
    limit: int = MOST_METERS,
    before: str | None = None,
) -> list[MeterRow]:
    """Return what budget scopes hold and have used, runs' own left out, by name.

    With a tenant, its own: a workflow's day is the sum of every tenant's. `before` is
    the last scope of a page.
    """
    query = (
        select(MeterRow)
        .where(open_rows.meters_of_days())
        .order_by(col(MeterRow.scope).desc())
        .limit(limit)
    )
    if before is not None:
        query = query.where(col(MeterRow.scope) < before)
    if tenant is not None:
        own = col(MeterRow.scope).startswith(f"tenant {tenant} on ", autoescape=True)
        query = query.where(own)
    return list((await session.execute(query)).scalars())


async def sending(session: AsyncSession, *, tenant: str | None) -> list[EffectRow]:
    """Return the effects that may be on their way to a provider now."""
    query = (
        select(EffectRow)
        .where(open_rows.under_way())
        .order_by(col(EffectRow.created_at))
    )
    if tenant is not None:
        query = query.where(col(EffectRow.tenant) == tenant)
    return list((await session.execute(query)).scalars())


class AuditFilter(BaseModel):
    """Which rows of the audit log; None means any, `kind` is how a kind begins."""

    model_config = ConfigDict(frozen=True)

    tenant: str | None = None
    run: str | None = None
    kind: str | None = None


async def audit_rows(
    session: AsyncSession,
    wanted: AuditFilter,
    *,
    before: int | None = None,
    limit: int = 100,
) -> list[AuditRow]:
    """Return rows of the audit log, newest first."""
    rows: list[AuditRow] = []
    for query in await _of_log(session, wanted):
        part = query if before is None else query.where(col(AuditRow.id) < before)
        rows += (await session.execute(part.limit(limit))).scalars()
    return sorted(rows, key=lambda row: row.id or 0, reverse=True)[:limit]


async def audit_total(session: AsyncSession, wanted: AuditFilter) -> Total:
    """Return how many rows of the audit log fit."""
    return await counting.total(session, *await _of_log(session, wanted))


async def _of_log(session: AsyncSession, wanted: AuditFilter) -> list[Any]:
    """Return a select of rows, newest first, for each kind that is asked for."""
    query = select(AuditRow).order_by(col(AuditRow.id).desc())
    if wanted.tenant is not None:
        query = query.where(col(AuditRow.tenant) == wanted.tenant)
    if wanted.run:
        query = query.where(col(AuditRow.run) == wanted.run)
    if not wanted.kind:
        return [query]
    kinds = await audit.kinds(session)
    return [
        query.where(col(AuditRow.kind) == one)
        for one in kinds
        if one.startswith(wanted.kind)
    ]


async def effects_page(
    session: AsyncSession, *, tenant: str | None, limit: int, after: Place | None
) -> list[EffectRow]:
    """Return effects: those to find out about first, then the others, newest first."""
    first = open_rows.to_find_out()
    found: list[EffectRow] = []
    if after is None or after.to_find_out:
        query = _of(tenant, after.key if after else None).where(first)
        found += (await session.execute(query.limit(limit))).scalars()
        after = None
    if len(found) < limit:
        query = _of(tenant, after.key if after else None).where(~first)
        found += (await session.execute(query.limit(limit - len(found)))).scalars()
    return found


def _of(tenant: str | None, before: str | None):  # noqa: ANN202 a select of effects
    query = select(EffectRow).order_by(col(EffectRow.key).desc())
    if tenant is not None:
        query = query.where(col(EffectRow.tenant) == tenant)
    if before is not None:
        query = query.where(col(EffectRow.key) < before)
    return query
