"""Budgets: the limit, reservations and usage of each scope (P4)."""

from decimal import Decimal
from typing import Annotated

from fastapi import Depends, Query
from pydantic import BaseModel, ConfigDict, Field

from keyturn.approvals.api import proposals as proposed
from keyturn.approvals.api.fields import Id, Line, Reason
from keyturn.approvals.api.idempotency import ONCE
from keyturn.approvals.api.pages import Page, Paged, page
from keyturn.approvals.api.proposals import Proposal
from keyturn.approvals.api.replies import BODY, STATE
from keyturn.approvals.api.run_body import Usd, usd
from keyturn.approvals.auth.visitor import require
from keyturn.approvals.web import routing, tenancy
from keyturn.approvals.web.dependencies import PartsDep, StoreDep
from keyturn.approvals.web.tenancy import Reader
from keyturn.orchestrator.rules.authority.person import Person
from keyturn.orchestrator.rules.money.budget import microusd
from keyturn.orchestrator.store.budgets import listing
from keyturn.orchestrator.store.budgets.listing import Filter, Kind, Meter
from keyturn.orchestrator.store.dual_control import requests
from keyturn.orchestrator.store.dual_control.budget_raise import Raise

MOST = 2**53 - 1

router = routing.of_api("budgets")


class Budget(BaseModel):
    """One scope: `held` is reserved at the worst case, `used` is settled."""

    model_config = ConfigDict(frozen=True)

    scope: str = Field(description="`run ID`, `tenant NAME on DAY`, `workflow …`")
    kind: Kind
    used_tokens: int
    held_tokens: int
    limit_tokens: int | None
    used_usd: Usd
    held_usd: Usd
    limit_usd: Usd | None
    limit_turns: int | None = Field(description="Only for the budget of a run")


class BudgetQuery(Paged):
    """A filter of scopes."""

    # A scope holds names, so its cursor is any line.
    cursor: Line | None = Field(default=None, description="`next` of the previous page")
    kind: Kind | None = None
    run: Id | None = None
    tenant: Line | None = None


@router.get("/budgets")
async def list_budgets(
    person: Reader, store: StoreDep, wanted: Annotated[BudgetQuery, Query()]
) -> Page[Budget]:
    """List the usage, reservations and limits of each scope."""
    chosen = Filter(
        kind=wanted.kind,
        run=wanted.run,
        tenant=tenancy.of_list(person, wanted.tenant),
    )
    async with store.read() as session:
        await session.read_clock()
        found = await listing.listing(
            session, chosen, limit=wanted.one_more, after=wanted.cursor
        )
    return page([_body(meter) for meter in found], wanted, lambda one: one.scope)


class RaiseBudget(BaseModel):
    """The new totals of a budget that stops runs; fields left out stay unchanged."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    scope: Line = Field(description="The name from `GET /budgets` or `stopped_by`")
    usd: Annotated[Decimal, Field(gt=0, max_digits=15, decimal_places=6)] | None = None
    tokens: Annotated[int, Field(gt=0, le=MOST, strict=True)] | None = None
    turns: Annotated[int, Field(gt=0, le=MOST, strict=True)] | None = None
    reason: Reason


@router.post(
    "/budgets:raise", status_code=202, dependencies=ONCE, responses={**BODY, **STATE}
)
async def raise_budget(
    wanted: RaiseBudget,
    person: Annotated[Person, Depends(require("budgets.raise"))],
    parts: PartsDep,
) -> Proposal:
    """Propose to raise a budget that stops runs, only for that run or that day.

    After another person confirms, the stopped runs continue. 409 if the budget stops
    no run; 422 if it is no raise, is too small for any run to continue, or is more
    than ten times what the contract says.
    """
    raised = Raise(
        scope=wanted.scope,
        cost_microusd=None if wanted.usd is None else microusd(wanted.usd),
        tokens=wanted.tokens,
        turns=wanted.turns,
    )
    row = await requests.to_raise(parts.store, raised, person, reason=wanted.reason)
    parts.deliver_soon()
    return await proposed.body(parts.store, row)


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
        limit_turns=meter.bounds.turns,
    )
