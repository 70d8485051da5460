"""Cards are marked wherever they may stand; the contract never sees them."""

from decimal import Decimal
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from keyturn import Budget, Contract, DataClass, Rule

Card = Annotated[str, DataClass("pci")]


class Payment(BaseModel):
    method: str = "card"
    number: Card = ""


class Ticket(BaseModel):
    model_config = ConfigDict(populate_by_name=True)

    customer_id: str
    text: str
    card: Card = ""
    iban: Card = Field(default="", alias="bankAccount")
    payments: list[Payment] = []


class Resolution(BaseModel):
    summary: str


DISCREET = Contract(
    name="discreet",
    owner="tests",
    on_call="oncall@example.com",
    input=Ticket,
    output=Resolution,
    customer="customer_id",
    never_sees=frozenset({"pci"}),
    tools=("find_account", "close_account"),
    rules=(Rule("close_account", approvers=1, role="agent"),),
    budget=Budget(cost_usd=Decimal(5), tokens=200_000, turns=10, owner="tests"),
)
