"""A tool's access to the shop: only records of the run's own customer."""

from typing import Annotated, Literal
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from keyturn import DataClass, ToolContext, ToolError
from keyturn.orchestrator.rules.contract.connector import NotSent
from keyturn.orchestrator.rules.money.money import Currency, format_minor

# The payment service also stores the orders; KEYTURN_PAYMENTS_URL is its address.
SERVICE = "payments"

# No slash and no dot: an id is one part of a path, never a way to another.
OrderId = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,39}$",
        description="The order's id, for example O-24680",
    ),
]
OrderStatus = Literal["processing", "shipped", "delivered", "cancelled"]


class Record(BaseModel):
    """What the shop answers; what it adds later is left out."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Item(Record):
    """A line of an order; `price` is what was paid for it, in minor units."""

    name: str
    quantity: int
    price: int


class Payment(Record):
    """How an order was paid; its digits are for people only."""

    method: str
    brand: str | None = None
    last4: Annotated[str | None, DataClass("pci")] = None

    def __str__(self) -> str:
        """Return it as an approver knows it."""
        ending = f" ending in {self.last4}" if self.last4 else ""
        return f"{self.brand or self.method}{ending}"


class Address(BaseModel):
    """Where a parcel goes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, max_length=100)
    street: str = Field(min_length=1, max_length=200)
    city: str = Field(min_length=1, max_length=100)
    postcode: str = Field(min_length=1, max_length=20)
    country: str = Field(min_length=2, max_length=60)


class Order(Record):
    """An order of the run's own customer; amounts in minor units of `currency`."""

    id: str
    customer_id: str
    status: OrderStatus
    placed_on: str
    items: tuple[Item, ...]
    currency: Currency
    total: int
    refunded: int
    payment: Payment
    ship_to: Address
    delivery: str = ""
    notes: tuple[str, ...] = ()

    @property
    def left(self) -> int:
        """Return the amount paid and not yet refunded."""
        return max(0, self.total - self.refunded)

    def words(self, amount: int) -> str:
        """Return an amount of this order in its currency."""
        return format_minor(amount, self.currency)


class Customer(Record):
    """The run's own customer."""

    id: str
    name: str
    email: str
    since: str


async def get(context: ToolContext, *parts: str, **params: str) -> JsonValue:
    """Return the shop's data at a path of these parts."""
    return await context.connectors.reader(SERVICE).get(path(*parts), params)


async def post(context: ToolContext, *parts: str, body: JsonValue) -> JsonValue:
    """Return the shop's answer to a change, made once for the effect's key."""
    return await context.connectors.writer(SERVICE).post(path(*parts), body)


async def order_of(context: ToolContext, order_id: str) -> Order:
    """Return the order, or raise `ToolError` where this customer has none of that id.

    The same message for another's order and for none: nobody learns that it exists.
    """
    none = f"This customer has no order {order_id}."
    try:
        order = Order.model_validate(await get(context, "orders", order_id))
    except ValidationError as error:
        raise ToolError(
            f"The shop's record of {order_id} is unusable: {error}"
        ) from None
    # The shop checks the customer as well; one of the two checks may be wrong one day.
    if order.customer_id != context.customer or order.id != order_id:
        raise ToolError(none)
    return order


async def own_order(context: ToolContext, order_id: str) -> Order:
    """Return the order right before a change to it; raises like `order_of`.

    Where it cannot be read, nothing was sent yet, so the change may be retried.
    """
    try:
        return await order_of(context, order_id)
    except ToolError:
        raise
    except Exception as error:
        raise NotSent(f"{order_id} cannot be read now: {error}") from error


async def customer_of(context: ToolContext) -> Customer:
    """Return the shop's record of the run's customer."""
    found = Customer.model_validate(await get(context, "customers", context.customer))
    if found.id != context.customer:
        raise ToolError("The shop has no record of this customer.")
    return found


def path(*parts: str) -> str:
    """Return the path of these parts, each quoted separately."""
    return "".join(f"/{quote(part, safe='')}" for part in parts)
