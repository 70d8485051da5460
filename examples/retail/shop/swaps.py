"""Items for other items of the same product: changed before delivery, exchanged after."""

from collections.abc import Callable

from examples.retail.shop.errors import NotAllowed
from examples.retail.shop.orders import Change, Item, Order, book, missing_item
from examples.retail.shop.payments import Payment, covers
from examples.retail.shop.products import Product, Variant, variant_on_sale
from examples.retail.shop.records import Record
from examples.retail.shop.users import User, pay, payment_method

FindProduct = Callable[[str], Product]


class Swap(Record):
    """Items of an order and, place by place, what they become; one method pays."""

    item_ids: tuple[str, ...]
    new_item_ids: tuple[str, ...]
    payment_method_id: str


class Pair(Record):
    """An item at its place in the order, and the variant that it becomes."""

    place: int
    item: Item
    variant: Variant


def exchange(order: Order, owner: User, swap: Swap, product: FindProduct) -> Order:
    """Ask for an exchange; the difference is noted, no balance moves yet."""
    if order.status != "delivered":
        raise NotAllowed("Non-delivered order cannot be exchanged")
    missing = missing_item(order, swap.item_ids)
    if missing is not None:
        raise NotAllowed(f"Number of {missing} not found.")
    if len(swap.item_ids) != len(swap.new_item_ids):
        raise NotAllowed("The number of items to be exchanged should match.")
    due = round(difference(pair(order, swap, product)), 2)
    if not covers(payment_method(owner, swap.payment_method_id), due):
        raise NotAllowed(
            "Insufficient gift card balance to pay for the price difference"
        )
    asked = {
        "status": "exchange requested",
        "exchange_items": tuple(sorted(swap.item_ids)),
        "exchange_new_items": tuple(sorted(swap.new_item_ids)),
        "exchange_payment_method_id": swap.payment_method_id,
        "exchange_price_difference": due,
    }
    return order.model_copy(update=asked)


def change_items(order: Order, owner: User, swap: Swap, product: FindProduct) -> Change:
    """Change items of a pending order, once; the difference is paid or refunded."""
    require_changeable(order, swap)
    pairs = pair(order, swap, product)
    due = difference(pairs)
    if not covers(payment_method(owner, swap.payment_method_id), due):
        raise NotAllowed("Insufficient gift card balance to pay for the new item")
    line = Payment(
        transaction_type="payment" if due > 0 else "refund",
        amount=abs(due),
        payment_method_id=swap.payment_method_id,
    )
    changed = {"status": "pending (item modified)", "items": put(order, pairs)}
    return Change(
        order=book(order.model_copy(update=changed), [line]),
        owner=pay(owner, swap.payment_method_id, due),
    )


def require_changeable(order: Order, swap: Swap) -> None:
    """Raise unless the order is untouched and holds the items to be changed."""
    if order.status != "pending":
        raise NotAllowed("Non-pending order cannot be modified")
    missing = missing_item(order, swap.item_ids)
    if missing is not None:
        raise NotAllowed(f"{missing} not found")
    if len(swap.item_ids) != len(swap.new_item_ids):
        raise NotAllowed("The number of items to be exchanged should match")
    if any(
        old == new for old, new in zip(swap.item_ids, swap.new_item_ids, strict=True)
    ):
        raise NotAllowed("The new item id should be different from the old item id")


def pair(order: Order, swap: Swap, product: FindProduct) -> list[Pair]:
    """Give each item, at a place of its own, with its variant, in the swap's order."""
    places = [*enumerate(order.items)]
    pairs: list[Pair] = []
    for item_id, new_id in zip(swap.item_ids, swap.new_item_ids, strict=True):
        held = next(p for p in places if p[1].item_id == item_id)
        # taken out, so that the same item twice means two places
        places.remove(held)
        variant = variant_on_sale(product(held[1].product_id), new_id)
        pairs.append(Pair(place=held[0], item=held[1], variant=variant))
    return pairs


def difference(pairs: list[Pair]) -> float:
    """Give what is due for the new items, not rounded; negative is a refund."""
    # added in this order and this way: the hash sees the last bit
    due = 0.0
    for each in pairs:
        due += each.variant.price - each.item.price
    return due


def put(order: Order, pairs: list[Pair]) -> tuple[Item, ...]:
    """Give the order's items with the variants in their places."""
    items = list(order.items)
    for each in pairs:
        new = each.variant
        update = {"item_id": new.item_id, "price": new.price, "options": new.options}
        items[each.place] = each.item.model_copy(update=update)
    return tuple(items)
