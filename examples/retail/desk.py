"""The way from a tool to the shop: paths of the run's tenant, records as they come."""

from collections.abc import Mapping
from urllib.parse import quote

from pydantic import BaseModel, JsonValue

from examples.retail.shop.orders import Order
from examples.retail.shop.payments import PaymentMethod
from examples.retail.shop.products import Product
from examples.retail.shop.users import User
from keyturn import ToolContext, ToolError

# The name under which KEYTURN_SERVICES gives the shop's address.
SERVICE = "shop"


async def read(
    context: ToolContext, *parts: str, params: Mapping[str, str] | None = None
) -> JsonValue:
    """Give what the shop has there; raise ToolError with its words where it says no."""
    return await context.connectors.reader(SERVICE).get(path(context, *parts), params)


async def change(
    context: ToolContext, *parts: str, call: BaseModel, without: str = ""
) -> JsonValue:
    """Give the shop's answer to the change, made once for the effect's key.

    The body is the call; `without` is the field that stands in the path.
    """
    body = call.model_dump(mode="json", exclude={without})
    return await context.connectors.writer(SERVICE).post(path(context, *parts), body)


async def order_of(context: ToolContext, order_id: str) -> Order:
    """Give the customer's order as it is now."""
    return Order.model_validate(await read(context, "orders", order_id))


async def method_of(context: ToolContext, method_id: str) -> PaymentMethod:
    """Give the customer's own way to pay; raise ToolError for any other."""
    owner = User.model_validate(await read(context, "users", context.customer))
    if method_id not in owner.payment_methods:
        raise ToolError(f"This customer has no payment method {method_id}.")
    return owner.payment_methods[method_id]


async def product_of(context: ToolContext, product_id: str) -> Product:
    """Give the product with its variants."""
    return Product.model_validate(await read(context, "products", product_id))


def path(context: ToolContext, *parts: str) -> str:
    """Give the path in the tenant's own shop; an order's '#' is part of its name."""
    return "".join("/" + quote(part, safe="") for part in (context.tenant, *parts))
