"""A desk that refunds and writes mail."""

from datetime import timedelta
from decimal import Decimal
from typing import Annotated

from pydantic import BaseModel

from keyturn import Budget, Contract, DataClass, Fallback, Limit, Money, Rule


class Ticket(BaseModel):
    customer_id: str
    email: str = "ann@example.com"
    text: str
    card: Annotated[str | None, DataClass("pci")] = None


class Resolution(BaseModel):
    summary: str
    confidence: float


DESK = Contract(
    name="desk",
    owner="tests",
    on_call="oncall@example.com",
    instructions="You serve customers.",
    input=Ticket,
    output=Resolution,
    customer="customer_id",
    contact="email",
    never_sees=frozenset({"pci"}),
    tools=(
        "find_order",
        "set_note",
        "refund",
        "pay",
        "take_back",
        "top_up",
        "write_mail",
        "broken_read",
    ),
    rules=(
        Rule("set_note", verdict="allow"),
        Rule("refund", up_to=Money(20_00, "USD"), verdict="allow"),
        Rule("refund", up_to=Money(500_00, "USD"), approvers=1, role="agent"),
        Rule("refund", up_to=Money(5_000_00, "USD"), approvers=2, role="lead"),
        Rule("pay", verdict="allow"),
        Rule("take_back", approvers=1, role="agent"),
        Rule("top_up", verdict="allow"),
        Rule("write_mail", approvers=1, role="agent", within=timedelta(hours=4)),
    ),
    budget=Budget(cost_usd=Decimal("5"), tokens=2_000_000, turns=40, owner="tests"),
    limits=(Limit(Money(1_000_00, "USD"), per="customer"),),
    confidence="confidence",
    fallback=Fallback(timeout="safer_model"),
    model_timeout=timedelta(seconds=5),
)
