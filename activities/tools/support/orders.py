"""Reading: the customer and their orders; no call can name another customer."""

from pydantic import BaseModel, ConfigDict

from keyturn import ToolContext, tool
from keyturn.activities.tools.support.shop import (
    Customer,
    Order,
    OrderId,
    Record,
    customer_of,
    get,
    order_of,
)

OWNER = "support-platform"


class FindCustomer(BaseModel):
    """Nothing to say: it is the run's own customer."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ListOrders(BaseModel):
    """Nothing to say: they are the run's own customer's."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class FindOrder(BaseModel):
    """Which order to look up."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    order_id: OrderId


class OrderLine(Record):
    """An order in short; `total` in minor units."""

    id: str
    customer_id: str
    status: str
    placed_on: str
    currency: str
    total: int


class Orders(BaseModel):
    """The customer's orders, newest first."""

    model_config = ConfigDict(frozen=True)

    orders: tuple[OrderLine, ...]


class _Listing(Record):
    orders: tuple[OrderLine, ...]


@tool(authority="read_only", owner=OWNER)
async def find_customer(call: FindCustomer, context: ToolContext) -> Customer:
    """Get the name and address on file of the customer whose ticket this is."""
    del call
    return await customer_of(context)


@tool(authority="read_only", owner=OWNER)
async def list_orders(call: ListOrders, context: ToolContext) -> Orders:
    """List this customer's orders, newest first; use it where no order is named."""
    del call
    found = _Listing.model_validate(await get(context, "orders"))
    own = (one for one in found.orders if one.customer_id == context.customer)
    return Orders(orders=tuple(own))


@tool(authority="read_only", owner=OWNER)
async def find_order(call: FindOrder, context: ToolContext) -> Order:
    """Get one of this customer's orders: items, what was paid, refunded and where it is.

    Amounts are in minor units: 1850 in USD is 18.50 USD.
    """
    return await order_of(context, call.order_id)
