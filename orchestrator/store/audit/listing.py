"""The audit log as lists show it."""

from typing import Any

from pydantic import BaseModel, ConfigDict
from sqlmodel import col, func, select

from keyturn.orchestrator.store.db import row_count
from keyturn.orchestrator.store.db.row_count import Total
from keyturn.orchestrator.store.db.transaction import Tx
from keyturn.orchestrator.store.tables import AuditRow


class Filter(BaseModel):
    """Which rows to list; None means any."""

    model_config = ConfigDict(frozen=True)

    run: str | None = None
    tenant: str | None = None
    actor: str | None = None
    kind: str | None = None
    subject: str | None = None


async def listing(
    session: Tx, wanted: Filter, *, limit: int, after: int = 0
) -> list[AuditRow]:
    """Return rows in the order of their ids; `after` is the last one of a page."""
    query = select(AuditRow).order_by(col(AuditRow.id)).limit(limit)
    query = query.where(col(AuditRow.id) > after)
    for name, value in wanted.model_dump(exclude_none=True).items():
        query = query.where(getattr(AuditRow, name) == value)
    return list((await session.execute(query)).scalars())


async def known_kinds(session: Tx) -> list[str]:
    """Return the kinds that exist, with one index step for each."""
    first = select(func.min(col(AuditRow.kind)).label("kind")).cte(recursive=True)
    later = select(func.min(col(AuditRow.kind))).where(
        col(AuditRow.kind) > first.c.kind
    )
    walk = first.union_all(
        select(later.scalar_subquery()).where(first.c.kind.is_not(None))
    )
    query = select(walk.c.kind).where(walk.c.kind.is_not(None))
    return list((await session.execute(query)).scalars())


class AuditFilter(BaseModel):
    """Which rows of the audit log; None means any, `kind` is how a kind begins."""

    model_config = ConfigDict(frozen=True)

    tenant: str | None = None
    run: str | None = None
    kind: str | None = None


async def audit_rows(
    session: Tx,
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


async def audit_total(session: Tx, wanted: AuditFilter) -> Total:
    """Return how many rows of the audit log match."""
    return await row_count.total(session, *await _of_log(session, wanted))


async def _of_log(session: Tx, wanted: AuditFilter) -> list[Any]:
    """Return a select of rows, newest first, for each requested kind."""
    query = select(AuditRow).order_by(col(AuditRow.id).desc())
    if wanted.tenant is not None:
        query = query.where(col(AuditRow.tenant) == wanted.tenant)
    if wanted.run:
        query = query.where(col(AuditRow.run) == wanted.run)
    if not wanted.kind:
        return [query]
    kinds = await known_kinds(session)
    return [
        query.where(col(AuditRow.kind) == one)
        for one in kinds
        if one.startswith(wanted.kind)
    ]
