"""What a tool's own function says of money is an amount, or the call is not made."""

from dataclasses import replace
from typing import Any, cast

import pytest
from pydantic import BaseModel

from keyturn import Money, ToolContext, tool
from keyturn.activities.toolbox import Actor, Toolbox
from keyturn.orchestrator.rules.contract.connector import Connectors
from keyturn.orchestrator.rules.contract.release import spec
from keyturn.orchestrator.rules.contract.tool import ToolError


class Call(BaseModel):
    amount: Any


class Done(BaseModel):
    id: str


async def _worth(call: Call, context: ToolContext) -> Money:
    return call.amount if context.tenant else Money(1, "USD")


async def _built(call: Call, context: ToolContext) -> Money:
    return Money(call.amount, "USD") if context.tenant else Money(1, "USD")


async def _seen(call: Call, context: ToolContext) -> Done:
    return Done(id=f"{call.amount} {context.run}")


def _toolbox(money: Any, preview: Any = None) -> Toolbox:
    @tool(authority="irreversible", owner="t", money=money, preview=preview)
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


async def _read(toolbox: Toolbox, arguments: str) -> tuple[str, Money | None]:
    return await toolbox.read(spec(toolbox.tools["pay"]), arguments, CONTEXT)


@pytest.mark.parametrize("amount", [0, -5, 2 * 10**15, 1.5, None, "5"])
async def test_no_amount_is_refused_in_words(amount: object) -> None:
    given = Call(amount=amount).model_dump_json()

    with pytest.raises(ToolError, match="is no amount") as refused:
        await _read(_toolbox(_built), given)

    assert f"amount={amount!r}" in str(refused.value)


async def test_what_is_no_money_is_refused_in_words() -> None:
    with pytest.raises(ToolError, match="returned str instead of Money"):
        await _read(_toolbox(_worth), '{"amount": "5 USD"}')


async def test_an_amount_is_taken() -> None:
    read = await _read(_toolbox(_built), '{"amount": 5}')

    assert read == ("{}", Money(5, "USD"))


@pytest.mark.parametrize(
    ("lost", "words"),
    [
        ({"preview": None, "facts": None}, "has no preview, which"),
        ({"money": None}, "has no money, which"),
        (
            {"preview": None, "facts": None, "money": None},
            "has no preview and no money",
        ),
    ],
    ids=["preview", "money", "both"],
)
async def test_p01_nothing_is_read_by_code_that_lacks_what_the_release_shows(
    lost: dict[str, None], words: str
) -> None:
    """A person would approve without the facts, and no limit would count the money."""
    whole = _toolbox(_built, _seen)
    pinned = spec(whole.tools["pay"])
    later = Toolbox({"pay": replace(whole.tools["pay"], **lost)}, _no_connectors)

    with pytest.raises(ToolError, match=words):
        await later.read(pinned, '{"amount": 5}', CONTEXT)
