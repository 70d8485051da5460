"""What a workflow may spend on models, and how much money it may move."""

from datetime import timedelta
from decimal import Decimal
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.dataclasses import dataclass

from keyturn.orchestrator.rules.contract.declared import Amount, Count, Length, Said
from keyturn.orchestrator.rules.money.money import Money

# Turns are numbered within a step; a run's step n begins at n * 10,000.
TURNS_PER_STEP = 10_000

LimitScope = Literal["run", "subject", "customer", "approver", "workflow", "tenant"]


class Budget(BaseModel):
    """What models may cost: per run, and per day for the workflow and the tenant.

    Tokens count input and output; dollars are reserved at a call's worst case and
    settled at what it used. `None` means that this scope has no budget of its own.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    cost_usd: Amount = Field(gt=0)
    tokens: Count = Field(gt=0)
    turns: Count = Field(gt=0, lt=TURNS_PER_STEP)
    owner: Said
    workflow_day_usd: Amount | None = Field(default=None, gt=0)
    tenant_day_usd: Amount | None = Field(default=None, gt=0)


@dataclass(frozen=True, config={"extra": "forbid"})
class Limit:
    """A bound on money moved: `Limit(Money(1_000_00, "USD"), per="customer", …)`.

    Counts what is reserved and what was moved in the last `within`, in the currency of
    `money` alone; money in a currency without a limit is refused where any is declared.
    """

    money: Money
    per: LimitScope
    within: Length = timedelta(days=1)


class Needs(BaseModel):
    """What a run's next turn may need of a budget's scope, which has no room for it.

    Tokens and micro-dollars come on top of what is held and used; `turns` is how many
    the run would have taken with it.
    """

    model_config = ConfigDict(frozen=True)

    scope: str
    tokens: int = 0
    microusd: int = 0
    turns: int = 0


def in_words(unit: str, count: int) -> str:
    """Return a count of `tokens`, `turns` or `cost_microusd` as people read it."""
    if unit != "cost_microusd":
        return f"{count:,} {unit}"
    whole, _, rest = f"{Decimal(count) / 1_000_000:,.6f}".partition(".")
    return f"{whole}.{rest.rstrip('0'):0<2} USD"


def microusd(dollars: Decimal) -> int:
    """Return dollars as whole micro-dollars."""
    return int(dollars * 1_000_000)
