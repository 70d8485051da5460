"""Two contracts of the same loop: with the whole transcript, and with a window."""

from decimal import Decimal

from pydantic import BaseModel

from keyturn import Budget, Contract, Money, Rule

# The window keeps about 25 turns of 2 kB each.
WINDOW_TOKENS = 15_000
BUDGET = Budget(
    cost_usd=Decimal(100_000), tokens=10**12, turns=9_999, owner="benchmarks"
)


class Job(BaseModel):
    """How many turns to take: `bench:N:measure` for the simulator."""

    customer: str
    text: str


class Report(BaseModel):
    """The end."""

    summary: str


WHOLE = Contract(
    name="loop-whole",
    owner="benchmarks",
    on_call="nobody@example.com",
    input=Job,
    output=Report,
    customer="customer",
    tools=("measure", "pay"),
    rules=(
        Rule("pay", up_to=Money(100, "USD"), verdict="allow"),
        Rule("pay", approvers=1, role="agent"),
    ),
    budget=BUDGET,
)
WINDOWED = WHOLE.model_copy(update={"name": "loop-windowed", "window": WINDOW_TOKENS})
