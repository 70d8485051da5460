"""What operators look at: budgets used, what is on its way, the audit log's rows."""

from pydantic import BaseModel, ConfigDict
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from orchestrator.store import audit, open_rows
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


async def meters(session: AsyncSession, *, tenant: str | None) -> list[MeterRow]:
    """Return what budget scopes hold and have used, runs' own left out.

    With a tenant, its own: a workflow's day is the sum of every tenant's.
    """
    query = (
        select(MeterRow)
        .where(open_rows.meters_of_days())
        .order_by(col(MeterRow.scope).desc())
        .limit(MOST_METERS)
    )
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


async def audit_rows(  # noqa: PLR0913 what to look for
    session: AsyncSession,
    *,
    tenant: str | None,
    run: str | None = None,
    kind: str | None = None,
    before: int | None = None,
    limit: int = 100,
) -> list[AuditRow]:
    """Return rows of the audit log, newest first."""
    query = select(AuditRow)
    if tenant is not None:
        query = query.where(col(AuditRow.tenant) == tenant)
    if run:
        query = query.where(col(AuditRow.run) == run)
    if before is not None:
        query = query.where(col(AuditRow.id) < before)
    newest = query.order_by(col(AuditRow.id).desc()).limit(limit)
    if kind is None:
        return list((await session.execute(newest)).scalars())
    rows = [
        row
        for one in await audit.kinds(session)
        if one.startswith(kind)
        for row in (
            await session.execute(newest.where(col(AuditRow.kind) == one))
        ).scalars()
    ]
    return sorted(rows, key=lambda row: row.id or 0, reverse=True)[:limit]


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
