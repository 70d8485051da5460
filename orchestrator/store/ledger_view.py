"""What operators look at: budgets used, what is on its way, the audit log's rows."""

from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from orchestrator.store.tables import AuditRow, EffectRow, MeterRow

MOST_METERS = 100


async def meters(session: AsyncSession, *, tenant: str | None) -> list[MeterRow]:
    """Return what budget scopes hold and have used, runs' own left out.

    With a tenant, its own: a workflow's day is the sum of every tenant's.
    """
    query = (
        select(MeterRow)
        .where(
            col(MeterRow.scope).not_like("run %"),
            col(MeterRow.scope).not_like("limit %"),
        )
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
        .where(col(EffectRow.status).in_(("leased", "sending")))
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
    query = select(AuditRow).order_by(col(AuditRow.id).desc()).limit(limit)
    if tenant is not None:
        query = query.where(col(AuditRow.tenant) == tenant)
    if run:
        query = query.where(col(AuditRow.run) == run)
    if kind:
        query = query.where(col(AuditRow.kind).startswith(kind, autoescape=True))
    if before is not None:
        query = query.where(col(AuditRow.id) < before)
    return list((await session.execute(query)).scalars())


async def unknown_first(
    session: AsyncSession, *, tenant: str | None, limit: int = 100
) -> list[EffectRow]:
    """Return effects: those to find out about first, then the newest."""
    query = (
        select(EffectRow)
        .order_by(
            (col(EffectRow.status) != "unknown") & col(EffectRow.reopened_at).is_(None),
            col(EffectRow.created_at).desc(),
        )
        .limit(limit)
    )
    if tenant is not None:
        query = query.where(col(EffectRow.tenant) == tenant)
    return list((await session.execute(query)).scalars())
