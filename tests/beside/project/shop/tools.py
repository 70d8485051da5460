"""What the shop's model may call."""

from datetime import timedelta

from pydantic import BaseModel

from activities.stock import reserve
from keyturn import Money, ToolContext, tool


class Find(BaseModel):
    """Which order."""

    order_id: str


class Refund(BaseModel):
    """Which order gets how much back."""

    order_id: str
    amount: Money


class Done(BaseModel):
    """What the shop answered."""

    words: str


@tool(authority="read_only", owner="shop", description="Find an order.")
async def find_lamp(call: Find, context: ToolContext) -> Done:
    """Return an order."""
    found = await context.connectors.reader("shop").get(f"/orders/{call.order_id}")
    return Done.model_validate(found)


@tool(
    authority="irreversible",
    undo=timedelta(minutes=5),
    owner="shop",
    description="Pay back.",
    subject="order_id",
    money="amount",
)
async def pay_back(call: Refund, context: ToolContext) -> Done:
    """Pay an order back."""
    del context
    return Done(words=await reserve(call.order_id))
