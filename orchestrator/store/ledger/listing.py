"""The effect ledger as lists show it."""

from pydantic import BaseModel, ConfigDict
from sqlmodel import col, select

from keyturn.orchestrator.rules.errors import NotFound
from keyturn.orchestrator.rules.status import EffectStatus
from keyturn.orchestrator.store.db import open_rows
from keyturn.orchestrator.store.db.transaction import Tx
from keyturn.orchestrator.store.tables import EffectRow


class Filter(BaseModel):
    """Which effects to list; None means any."""

    model_config = ConfigDict(frozen=True)

    status: EffectStatus | None = None
    run: str | None = None
    tenant: str | None = None
    workflow: str | None = None
    tool: str | None = None
    customer: str | None = None


async def get(session: Tx, key: str, *, tenant: str | None) -> EffectRow:
    """Return the effect, or raise `NotFound`, also for another tenant's."""
    row = await session.get(EffectRow, key)
    if row is None or tenant not in (None, row.tenant):
        raise NotFound(kind="effect", name=key)
    return row


async def listing(
    session: Tx, wanted: Filter, *, limit: int, before: str | None = None
) -> list[EffectRow]:
    """Return effects, those of the newest run first; `before` is the last key seen."""
    query = select(EffectRow).order_by(col(EffectRow.key).desc()).limit(limit)
    for name, value in wanted.model_dump(exclude_none=True).items():
        query = query.where(getattr(EffectRow, name) == value)
    if before is not None:
        query = query.where(col(EffectRow.key) < before)
    return list((await session.execute(query)).scalars())


class Place(BaseModel):
    """Where a page of effects begins: after this one, in which of the two parts."""

    model_config = ConfigDict(frozen=True)

    key: str
    to_find_out: bool

    @classmethod
    def of(cls, row: EffectRow) -> "Place":
        """Return the place directly after an effect."""
        waits = row.status == "unknown" or row.reopened_at is not None
        return cls(key=row.key, to_find_out=waits)


async def sending(session: Tx, *, tenant: str | None) -> list[EffectRow]:
    """Return the effects that may be on their way to a provider now."""
    query = (
        select(EffectRow)
        .where(open_rows.under_way())
        .order_by(col(EffectRow.created_at))
    )
    if tenant is not None:
        query = query.where(col(EffectRow.tenant) == tenant)
    return list((await session.execute(query)).scalars())


async def effects_page(
    session: Tx, *, tenant: str | None, limit: int, after: Place | None
) -> list[EffectRow]:
    """Return effects: those with an unknown outcome, then others, newest first."""
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
