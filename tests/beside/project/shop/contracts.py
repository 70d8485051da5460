"""What the shop's workflow declares."""

from decimal import Decimal

from pydantic import BaseModel

from approvals.manager import MANAGER
from keyturn import Budget, Contract, Fallback, Money, Rule


class Ticket(BaseModel):
    """What a run begins with."""

    customer_id: str
    text: str


class Outcome(BaseModel):
    """What a run comes to."""

    summary: str


SHOP = Contract(
    name="shop",
    owner=MANAGER,
    on_call="oncall@example.com",
    instructions="You serve customers.",
    input=Ticket,
    output=Outcome,
    customer="customer_id",
    tools=("find_lamp", "pay_back"),
    rules=(Rule("pay_back", up_to=Money(20_00, "USD"), verdict="allow"),),
    budget=Budget(cost_usd=Decimal(5), tokens=200_000, turns=10, owner=MANAGER),
    fallback=Fallback(timeout="safer_model"),
)
