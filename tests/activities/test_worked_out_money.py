"""What a tool's own function says of money is an amount, or the call is not made."""

from typing import Any, cast

import pytest
from pydantic import BaseModel

from activities.toolbox import Actor, Toolbox
from orchestrator import Money, ToolContext, tool
from orchestrator.connector import Connectors
from orchestrator.tool import ToolError


class Call(BaseModel):
    amount: Any


class Done(BaseModel):
    id: str


async def _worth(call: Call, context: ToolContext) -> Money:
    return cast("Money", call.amount) if context.tenant else Money(1, "USD")


async def _built(call: Call, context: ToolContext) -> Money:
    return Money(call.amount, "USD") if context.tenant else Money(1, "USD")


def _toolbox(money: Any) -> Toolbox:
    @tool(authority="irreversible", owner="t", money=money)
    async def pay(call: Call, context: ToolContext) -> Done:
        """Pay."""
        return Done(id=f"{call.amount} {context.run}")

    return Toolbox({"pay": pay}, _no_connectors)


def _no_connectors(actor: Actor) -> Connectors:
    raise AssertionError(actor)


CONTEXT = ToolContext(
    run="r",
    call="c",
    tenant="north",
    customer="C-1",
    connectors=cast("Connectors", None),
)


@pytest.mark.parametrize("amount", [0, -5, 2 * 10**15, 1.5, None, "5"])
async def test_no_amount_is_refused_in_words(amount: object) -> None:
    given = Call(amount=amount).model_dump_json()

    with pytest.raises(ToolError, match="is no amount") as refused:
        await _toolbox(_built).read("pay", given, CONTEXT)

    assert f"amount={amount!r}" in str(refused.value)


async def test_what_is_no_money_is_refused_in_words() -> None:
    with pytest.raises(ToolError, match="returned str instead of Money"):
        await _toolbox(_worth).read("pay", '{"amount": "5 USD"}', CONTEXT)


async def test_an_amount_is_taken() -> None:
    read = await _toolbox(_built).read("pay", '{"amount": 5}', CONTEXT)

    assert read == ("{}", Money(5, "USD"))
