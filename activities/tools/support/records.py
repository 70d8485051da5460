"""Records: notes, addresses and the help pages."""

from datetime import timedelta
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from keyturn import ToolContext, ToolError, tool
from keyturn.activities.tools.support.shop import (
    SERVICE,
    Address,
    OrderId,
    Record,
    get,
    order_of,
    own_order,
    post,
)
from keyturn.orchestrator.rules.contract.marks import Prose

OWNER = "support-platform"
KEPT = timedelta(hours=24)


class AddOrderNote(BaseModel):
    """What to note at which order."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    order_id: OrderId
    note: Annotated[str, Prose()] = Field(min_length=1, max_length=1_000)


class ChangeAddress(BaseModel):
    """Where which order goes instead."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    order_id: OrderId
    address: Address


class AddressFacts(BaseModel):
    """Where the order goes as things stand, for whoever approves."""

    model_config = ConfigDict(frozen=True)

    order: str
    status: str
    ships_to_now: Address


class Changed(Record):
    """What the shop recorded."""

    order_id: str
    recorded: str


class SearchHelp(BaseModel):
    """What to look for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    query: str = Field(min_length=2, max_length=200)


class Article(Record):
    """One help page."""

    title: str
    text: str


class Articles(Record):
    """The help pages that fit, best first."""

    articles: tuple[Article, ...]


# No subject: a note acts on nothing, and does not make a later refund a duplicate.
@tool(authority="write", owner=OWNER, idempotency_window=KEPT)
async def add_order_note(call: AddOrderNote, context: ToolContext) -> Changed:
    """Leave a note for colleagues at one of this customer's orders."""
    await own_order(context, call.order_id)
    answer = await post(
        context, "orders", call.order_id, "notes", body={"text": call.note}
    )
    return Changed.model_validate(answer)


async def address_facts(call: ChangeAddress, context: ToolContext) -> AddressFacts:
    """Return the order's address and status; a parcel in transit is not redirected."""
    order = await order_of(context, call.order_id)
    if order.status != "processing":
        raise ToolError(
            f"{order.id} is {order.status}; its address can be changed only before it "
            "is shipped."
        )
    return AddressFacts(order=order.id, status=order.status, ships_to_now=order.ship_to)


@tool(
    authority="write",
    owner=OWNER,
    service=SERVICE,
    subject="order_id",
    preview=address_facts,
    idempotency_window=KEPT,
)
async def change_address(call: ChangeAddress, context: ToolContext) -> Changed:
    """Send an order that is not shipped yet to another address."""
    await own_order(context, call.order_id)
    body = call.address.model_dump(mode="json")
    answer = await post(context, "orders", call.order_id, "address", body=body)
    return Changed.model_validate(answer)


@tool(authority="read_only", owner=OWNER, corpora={"help"})
async def search_help(call: SearchHelp, context: ToolContext) -> Articles:
    """Search the shop's help pages: delivery, returns, refunds, warranty."""
    return Articles.model_validate(await get(context, "help", query=call.query))
