"""Budgets: what each scope may cost, holds and has cost (P4)."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from approvals.api import tenancy
from approvals.api.json_route import StrictRoute
from approvals.api.paging import Page, Paged, page
from approvals.api.run_body import Usd, usd
from approvals.api.tenancy import Reader
from approvals.api.text import Id, Line
from approvals.dependencies import StoreDep
from orchestrator.store import budgets
from orchestrator.store.budgets import Filter, Kind, Meter

router = APIRouter(tags=["budgets"], route_class=StrictRoute)


class Budget(BaseModel):
    """One scope; held is reserved at the worst case, used is settled."""

    model_config = ConfigDict(frozen=True)

    scope: str = Field(description="`run ID`, `tenant NAME on DAY`, `workflow …`")
    kind: Kind
    used_tokens: int
    held_tokens: int
    limit_tokens: int | None
    used_usd: Usd
    held_usd: Usd
    limit_usd: Usd | None


class BudgetQuery(Paged):
    """Which scopes to list."""

    # A scope holds names, so its cursor is any line.
    cursor: Line | None = Field(default=None, description="`next` of the page before")
    kind: Kind | None = None
    run: Id | None = None
    tenant: Line | None = None


@router.get("/budgets")
async def list_budgets(
    person: Reader, store: StoreDep, wanted: Annotated[BudgetQuery, Query()]
) -> Page[Budget]:
    """List what was used and is held, with what each scope may use."""
    chosen = Filter(
        kind=wanted.kind,
        run=wanted.run,
        tenant=tenancy.of_list(person, wanted.tenant),
    )
    async with store.read() as session:
        found = await budgets.listing(
            session,
            chosen,
            now=await store.now(session),
            limit=wanted.one_more,
            after=wanted.cursor,
        )
    return page([_body(meter) for meter in found], wanted, lambda one: one.scope)


def _body(meter: Meter) -> Budget:
    limit = meter.bounds.cost_microusd
    return Budget(
        scope=meter.scope,
        kind=meter.kind,
        used_tokens=meter.used_tokens,
        held_tokens=meter.held_tokens,
        limit_tokens=meter.bounds.tokens,
        used_usd=usd(meter.used_microusd),
        held_usd=usd(meter.held_microusd),
        limit_usd=None if limit is None else usd(limit),
    )
