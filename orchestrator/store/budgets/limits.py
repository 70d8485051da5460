"""A run's limits: those of its release, and those that were raised since."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict

from keyturn.orchestrator.rules.money.budget import Budget, Needs, microusd
from keyturn.orchestrator.rules.money.scope import BudgetScope
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.tables import MeterRow


class Bounds(BaseModel):
    """What a scope may use: None where it has no bound of that unit."""

    model_config = ConfigDict(frozen=True)

    tokens: int | None = None
    cost_microusd: int | None = None
    turns: int | None = None


def bounds(
    budget: Budget, *, run: str, workflow: str, tenant: str, now: datetime
) -> dict[str, Bounds]:
    """Return the scopes of a run's budget, with the day in UTC."""
    scopes = {
        str(BudgetScope.of_run(run)): Bounds(
            tokens=budget.tokens,
            cost_microusd=microusd(budget.cost_usd),
            turns=budget.turns,
        )
    }
    if budget.workflow_day_usd is not None:
        scopes[str(BudgetScope.of_day("workflow", workflow, now))] = Bounds(
            cost_microusd=microusd(budget.workflow_day_usd)
        )
    if budget.tenant_day_usd is not None:
        scopes[str(BudgetScope.of_day("tenant", tenant, now))] = Bounds(
            cost_microusd=microusd(budget.tenant_day_usd)
        )
    return scopes


def as_raised(bound: Bounds, meter: MeterRow) -> Bounds:
    """Return what a scope may use: its contract's limit, or the raised one."""
    return Bounds(
        tokens=_more(bound.tokens, meter.raised_tokens),
        cost_microusd=_more(bound.cost_microusd, meter.raised_microusd),
        turns=_more(bound.turns, meter.raised_turns),
    )


def _more(bound: int | None, raised: int | None) -> int | None:
    # A missing limit of a unit allows more than any limit.
    return None if bound is None else max(bound, raised or 0)


def has_room(bound: Bounds, meter: MeterRow, needs: Needs) -> bool:
    """Tell whether what a run's next turn needs fits the rest of a scope."""
    may = as_raised(bound, meter)
    return all(
        limit is None or taken <= limit
        for limit, taken in (
            (may.tokens, meter.held_tokens + meter.used_tokens + needs.tokens),
            (
                may.cost_microusd,
                meter.held_microusd + meter.used_microusd + needs.microusd,
            ),
            (may.turns, needs.turns),
        )
    )


async def raised_turns(store: Store, run: str) -> int | None:
    """Return the number of turns to which two people raised a run's budget, or None."""
    async with store.read() as session:
        row = await session.get(MeterRow, str(BudgetScope.of_run(run)))
        return row.raised_turns if row is not None else None
