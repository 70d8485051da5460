"""A shop's tools, and contracts that grant them, for tests of rules."""

from collections.abc import Sequence
from decimal import Decimal
from enum import StrEnum
from typing import Literal

from pydantic import BaseModel

from keyturn import Budget, Contract, Limit, Money, Rule, ToolContext, tool
from keyturn.orchestrator.rules.contract.check import check


class Method(StrEnum):
    """Where the money goes."""

    CARD = "card"
    CREDIT = "credit"


class Refund(BaseModel):
    """A refund; `kind` is free text, and `hint` may be left out."""

    order_id: str
    amount: Money
    method: Method
    speed: Literal["fast", "slow"]
    is_gift: bool
    parcels: int
    kind: str
    hint: str = ""


class Note(BaseModel):
    """A note; it moves no money."""

    order_id: str
    text: str


class Done(BaseModel):
    """That it was done."""

    id: str


@tool(authority="irreversible", owner="t", subject="order_id", money="amount")
async def refund(call: Refund, context: ToolContext) -> Done:
    """Refund."""
    return Done(id=f"{call.order_id} {context.run}")


@tool(authority="write", owner="t", subject="order_id")
async def set_note(call: Note, context: ToolContext) -> Done:
    """Note."""
    return Done(id=f"{call.order_id} {context.run}")


@tool(authority="read_only", owner="t")
async def find(call: Note, context: ToolContext) -> Done:
    """Find."""
    return Done(id=f"{call.order_id} {context.run}")


TOOLS = {one.name: one for one in (refund, set_note, find)}


class Ticket(BaseModel):
    """Whose ticket it is."""

    customer: str


def usd(cents: int) -> Money:
    """Return US dollars."""
    return Money(cents, "USD")


def eur(cents: int) -> Money:
    """Return euros."""
    return Money(cents, "EUR")


def contract(
    rules: Sequence[Rule],
    *,
    limits: Sequence[Limit] = (),
    tools: Sequence[str] = ("refund",),
) -> Contract:
    """Return a contract with these rules."""
    return Contract(
        name="shop",
        owner="t",
        on_call="t@example.com",
        input=Ticket,
        output=Done,
        customer="customer",
        tools=tuple(tools),
        rules=tuple(rules),
        limits=tuple(limits),
        budget=Budget(cost_usd=Decimal(1), tokens=1, turns=1, owner="t"),
    )


def accept(*rules: Rule, limits: Sequence[Limit] = ()) -> None:
    """Check a contract with these rules; raises what is wrong."""
    check(contract(rules, limits=limits), TOOLS)
