"""A refund of items, whose prices are looked up."""

from pydantic import BaseModel, JsonValue

from keyturn import Money, ToolContext, ToolError, tool
from tests.apps.desk.tools import NO_UNDO, Receipt


class Items(BaseModel):
    order_id: str
    items: list[str]


class Priced(BaseModel):
    items: dict[str, int]


async def _prices(call: Items, context: ToolContext) -> Priced:
    found = await context.connectors.reader("shop").get(f"/orders/{call.order_id}")
    prices = found.get("prices") if isinstance(found, dict) else None
    if not isinstance(prices, dict):
        raise ToolError(f"There are no prices of {call.order_id}.")
    missing = [one for one in call.items if one not in prices]
    if missing:
        raise ToolError(f"{call.order_id} has no item {missing[0]}.")
    return Priced.model_validate({"items": {one: prices[one] for one in call.items}})


async def _money(call: Items, context: ToolContext) -> Money:
    return Money(sum((await _prices(call, context)).items.values()), "USD")


@tool(
    authority="irreversible",
    undo=NO_UNDO,
    owner="tests",
    description="Refund items.",
    subject="order_id",
    money=_money,
    preview=_prices,
)
async def refund_items(call: Items, context: ToolContext) -> Receipt:
    body: JsonValue = {"items": [*call.items]}
    answer = await context.connectors.writer("shop").post("/refunds", body)
    return Receipt.model_validate(answer)
