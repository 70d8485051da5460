"""Budgets as people read them: what each scope may use, has reserved and has used."""

from pydantic import BaseModel, ConfigDict
from sqlalchemy import literal
from sqlmodel import col, select

from keyturn.orchestrator.rules.money import scope
from keyturn.orchestrator.rules.money.scope import RUN, BudgetScope, Kind
from keyturn.orchestrator.store.budgets import limits
from keyturn.orchestrator.store.budgets.limits import Bounds
from keyturn.orchestrator.store.db import open_rows
from keyturn.orchestrator.store.db.transaction import Tx
from keyturn.orchestrator.store.releases import releases
from keyturn.orchestrator.store.tables import MeterRow, RunRow


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
    session: Tx, wanted: Filter, *, limit: int, after: str | None = None
) -> list[Meter]:
    """Return scopes, runs first, by name; `after` is the last one of a page."""
    rows: list[MeterRow] = []
    if wanted.kind in (None, "run") and (after or RUN).startswith(RUN):
        rows += await _of_runs(session, wanted, limit=limit, after=after or "")
    if wanted.kind != "run" and wanted.run is None and len(rows) < limit:
        behind = after if after and not after.startswith(RUN) else ""
        query = _days(wanted).where(col(MeterRow.scope) > behind)
        rows += (await session.execute(query.limit(limit - len(rows)))).scalars()
    return [await _meter(session, row) for row in rows]


async def _of_runs(
    session: Tx, wanted: Filter, *, limit: int, after: str
) -> list[MeterRow]:
    query = select(MeterRow).limit(limit)
    if wanted.run is not None:
        query = query.where(col(MeterRow.scope) == str(BudgetScope.of_run(wanted.run)))
    if wanted.tenant is not None:
        # Starts at the tenant's runs: its scopes may be few and far apart among all
        # scopes.
        query = (
            query.join(RunRow, col(MeterRow.scope) == literal(RUN) + col(RunRow.id))
            .where(col(RunRow.tenant) == wanted.tenant)
            .where(col(RunRow.id) > after.removeprefix(RUN))
            .order_by(col(RunRow.id))
        )
    else:
        query = query.where(open_rows.meters_of_runs(), col(MeterRow.scope) > after)
        query = query.order_by(col(MeterRow.scope))
    return list((await session.execute(query)).scalars())


def _days(wanted: Filter):  # noqa: ANN202 a select of scopes
    """Select the days of a kind; with a tenant, only its own."""
    query = select(MeterRow).where(open_rows.meters_of_days())
    if wanted.kind is not None:
        query = query.where(col(MeterRow.scope).startswith(f"{wanted.kind} "))
    if wanted.tenant is not None:
        own = scope.days_of("tenant", wanted.tenant)
        query = query.where(col(MeterRow.scope).startswith(own, autoescape=True))
    return query.order_by(col(MeterRow.scope))


async def _meter(session: Tx, row: MeterRow) -> Meter:
    of = BudgetScope.parse(row.scope)
    if of.kind == "run":
        bounds = await _of_run(session, of.name)
    else:
        bounds = await _of_day(session, of.kind, of.name)
    may = limits.as_raised(bounds, row)
    return Meter(**row.model_dump(), kind=of.kind, bounds=may)


async def _of_run(session: Tx, run: str) -> Bounds:
    """Return what the run's pinned release allows it."""
    row = await session.get(RunRow, run)
    if row is None:
        return Bounds()
    release = await releases.load(session, row.release)
    scopes = limits.bounds(
        release.budget,
        run=run,
        workflow=row.workflow,
        tenant=row.tenant,
        now=session.now,
    )
    return scopes[str(BudgetScope.of_run(run))]


async def _of_day(session: Tx, kind: Kind, name: str) -> Bounds:
    """Return the lowest limit that a live release sets for that scope on a day."""
    own = str(BudgetScope.of_day(kind, name, session.now))
    found = [
        limits.bounds(
            release.budget, run="", workflow=workflow, tenant=name, now=session.now
        )
        for workflow, release in await releases.all_live(session)
    ]
    costs = [
        scopes[own].cost_microusd
        for scopes in found
        if own in scopes and scopes[own].cost_microusd is not None
    ]
    return Bounds(cost_microusd=min((c for c in costs if c is not None), default=None))


MOST_METERS = 100


async def meters(
    session: Tx,
    *,
    tenant: str | None,
    limit: int = MOST_METERS,
    before: str | None = None,
) -> list[MeterRow]:
    """Return the reserved and used budgets of scopes other than runs, by name.

    With a tenant, only its own: a workflow's day is the sum over all tenants. `before`
    is the last scope of a page.
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
        own = scope.days_of("tenant", tenant)
        query = query.where(col(MeterRow.scope).startswith(own, autoescape=True))
    return list((await session.execute(query)).scalars())
