"""Budgets as people read them: what each scope may use, holds and has used."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, or_, select

from orchestrator.store import meters, releases
from orchestrator.store.meters import Bounds
from orchestrator.store.tables import MeterRow, RunRow

Kind = Literal["run", "tenant", "workflow"]
KINDS: tuple[Kind, ...] = ("run", "tenant", "workflow")


class Meter(BaseModel):
    """One scope: `run ID`, or `tenant NAME on DAY`, `workflow NAME on DAY`."""

    model_config = ConfigDict(frozen=True)

    scope: str
    kind: Kind
    held_tokens: int
    held_microusd: int
    used_tokens: int
    used_microusd: int
    bounds: Bounds


class Filter(BaseModel):
    """Which scopes to list; None means any."""

    model_config = ConfigDict(frozen=True)

    kind: Kind | None = None
    run: str | None = None
    tenant: str | None = None


async def listing(
    session: AsyncSession,
    wanted: Filter,
    *,
    now: datetime,
    limit: int,
    after: str | None = None,
) -> list[Meter]:
    """Return scopes in the order of their names; `after` is the last one of a page."""
    query = select(MeterRow).order_by(col(MeterRow.scope)).limit(limit)
    # Limits on money lock rows of the same table; they hold and use nothing.
    kinds = [wanted.kind] if wanted.kind else KINDS
    query = query.where(or_(*(col(MeterRow.scope).startswith(f"{k} ") for k in kinds)))
    if wanted.run is not None:
        query = query.where(col(MeterRow.scope) == f"run {wanted.run}")
    if wanted.tenant is not None:
        query = query.where(_of_tenant(wanted.tenant))
    if after is not None:
        query = query.where(col(MeterRow.scope) > after)
    rows = list((await session.execute(query)).scalars())
    return [await _meter(session, row, now=now) for row in rows]


def _of_tenant(tenant: str):  # noqa: ANN202 an SQL condition
    """Choose the tenant's own days and the runs that are its."""
    own = f"tenant {tenant} on "
    runs = select("run " + col(RunRow.id)).where(col(RunRow.tenant) == tenant)
    return or_(
        col(MeterRow.scope).startswith(own, autoescape=True),
        col(MeterRow.scope).in_(runs),
    )


async def _meter(session: AsyncSession, row: MeterRow, *, now: datetime) -> Meter:
    kind: Kind = next(one for one in KINDS if row.scope.startswith(f"{one} "))
    rest = row.scope.removeprefix(f"{kind} ")
    if kind == "run":
        bounds = await _of_run(session, rest, now=now)
    else:
        bounds = await _of_day(session, kind, rest.rpartition(" on ")[0], now=now)
    return Meter(**row.model_dump(), kind=kind, bounds=bounds)


async def _of_run(session: AsyncSession, run: str, *, now: datetime) -> Bounds:
    """Return what the release that the run is pinned to allows it."""
    row = await session.get(RunRow, run)
    if row is None:
        return Bounds()
    release = await releases.load(session, row.release)
    scopes = meters.bounds(
        release.budget, run=run, workflow=row.workflow, tenant=row.tenant, now=now
    )
    return scopes[f"run {run}"]


async def _of_day(
    session: AsyncSession, kind: Kind, name: str, *, now: datetime
) -> Bounds:
    """Return the least that a live release allows that scope on a day."""
    scope = f"{kind} {name} on {now.date().isoformat()}"
    found = [
        meters.bounds(release.budget, run="", workflow=workflow, tenant=name, now=now)
        for workflow, release in await releases.all_live(session)
    ]
    costs = [
        scopes[scope].cost_microusd
        for scopes in found
        if scope in scopes and scopes[scope].cost_microusd is not None
    ]
    return Bounds(cost_microusd=min((c for c in costs if c is not None), default=None))
