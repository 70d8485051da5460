"""What can be read over HTTP: customers and orders by their owner, products by all."""

from fastapi import APIRouter
from pydantic import JsonValue

from examples.retail.shop.access import CounterHere, ShopHere
from examples.retail.shop.users import Name

router = APIRouter(prefix="/{tenant}")


@router.get("/users")
async def find_user(
    counter: CounterHere,
    email: str | None = None,
    first_name: str = "",
    last_name: str = "",
    zip: str = "",  # noqa: A002 - the shop's own word for it
) -> dict[str, str]:
    """Give the customer's id by email address, or by name and zip code."""
    if email is not None:
        return {"user_id": counter.find_by_email(email)}
    name = Name(first_name=first_name, last_name=last_name)
    return {"user_id": counter.find_by_name(name, zip)}


@router.get("/users/{user_id}")
async def get_user(counter: CounterHere, user_id: str) -> dict[str, JsonValue]:
    """Give the customer's own record."""
    return counter.user(user_id).plain()


@router.get("/orders/{order_id}")
async def get_order(counter: CounterHere, order_id: str) -> dict[str, JsonValue]:
    """Give one of the customer's orders."""
    return counter.order(order_id).plain()


@router.get("/products")
async def list_products(shop: ShopHere) -> dict[str, str]:
    """Give the product ids by name."""
    return shop.state.product_ids()


@router.get("/products/{product_id}")
async def get_product(shop: ShopHere, product_id: str) -> dict[str, JsonValue]:
    """Give a product with all its variants."""
    return shop.state.product(product_id).plain()


@router.get("/items/{item_id}")
async def get_item(shop: ShopHere, item_id: str) -> dict[str, JsonValue]:
    """Give one variant of a product."""
    return shop.state.variant(item_id).plain()


@router.get("/state-hash")
async def get_state_hash(shop: ShopHere) -> dict[str, str]:
    """Give the hash of the whole state."""
    return {"state_hash": shop.state.digest()}


@router.get("/changes")
async def get_changes(shop: ShopHere) -> dict[str, dict[str, JsonValue]]:
    """Give the records that differ from the base."""
    return shop.state.changes()


@router.get("/writes")
async def list_writes(shop: ShopHere) -> dict[str, list[JsonValue]]:
    """Give every write with its key and its answer, the refused ones too."""
    return {"items": [write.plain() for write in shop.journal.writes()]}
