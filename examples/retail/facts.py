"""What a person sees before saying yes, read from the shop and never from the model.

The same is read again before the change is made: where it differs, the yes is void.
"""

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict

from examples.retail import calls
from examples.retail.desk import method_of, order_of, product_of
from examples.retail.shop.orders import Item, Order
from keyturn import Money, ToolContext

ItemSwap = calls.ExchangeDeliveredOrderItems | calls.ModifyPendingOrderItems


class Line(BaseModel):
    """One item of the order, and what it would become."""

    model_config = ConfigDict(frozen=True)

    item: str
    price: str
    becomes: str | None = None
    new_price: str | None = None


class OrderFacts(BaseModel):
    """The order as it is, the items that the action is about, and the sum of it."""

    model_config = ConfigDict(frozen=True)

    order: str
    status: str
    paid: tuple[str, ...]
    items: tuple[Line, ...]
    amount: str


async def cancel_facts(
    call: calls.CancelPendingOrder, context: ToolContext
) -> OrderFacts:
    """Give the whole order; its payments are what is refunded."""
    order = await order_of(context, call.order_id)
    return facts(order, lines(order.items), f"refund of {dollars(paid(order))}")


async def return_facts(
    call: calls.ReturnDeliveredOrderItems, context: ToolContext
) -> OrderFacts:
    """Give the items that go back; their prices are what is refunded."""
    order = await order_of(context, call.order_id)
    await method_of(context, call.payment_method_id)
    items = held(order, call.item_ids)
    total = sum(item.price for item in items)
    return facts(order, lines(items), f"refund of {dollars(total)}")


async def swap_facts(call: ItemSwap, context: ToolContext) -> OrderFacts:
    """Give each item beside the one that takes its place, and the difference."""
    order = await order_of(context, call.order_id)
    await method_of(context, call.payment_method_id)
    by_id = {item.item_id: item for item in order.items}
    asked = zip(call.item_ids, call.new_item_ids, strict=False)
    pairs = [(by_id[old], new) for old, new in asked if old in by_id]
    swapped = [await swap_line(item, new, context) for item, new in pairs]
    due = sum(difference for _, difference in swapped)
    word = "to pay" if due > 0 else "to refund"
    lines_ = tuple(line for line, _ in swapped)
    return facts(order, lines_, f"{dollars(abs(due))} {word}")


async def payment_facts(
    call: calls.ModifyPendingOrderPayment, context: ToolContext
) -> OrderFacts:
    """Give the order with what was paid and how, and how it would be paid."""
    order = await order_of(context, call.order_id)
    method = await method_of(context, call.payment_method_id)
    amount = f"{dollars(paid(order))} paid with {method.source} {method.id} instead"
    return facts(order, lines(order.items), amount)


async def payment_money(
    call: calls.ModifyPendingOrderPayment, context: ToolContext
) -> Money:
    """Give what was paid for the order, which another way to pay moves."""
    await method_of(context, call.payment_method_id)
    return cents(paid(await order_of(context, call.order_id)))


async def order_money(call: calls.CancelPendingOrder, context: ToolContext) -> Money:
    """Give what was paid for the order, which a cancellation moves."""
    return cents(paid(await order_of(context, call.order_id)))


async def return_money(
    call: calls.ReturnDeliveredOrderItems, context: ToolContext
) -> Money:
    """Give the prices of the items that go back."""
    await method_of(context, call.payment_method_id)
    order = await order_of(context, call.order_id)
    return cents(sum(item.price for item in held(order, call.item_ids)))


async def swap_line(
    item: Item, new_id: str, context: ToolContext
) -> tuple[Line, float]:
    """Give an item beside its successor, and how much more that costs."""
    variant = (await product_of(context, item.product_id)).variants.get(new_id)
    if variant is None:
        line = Line(item=name_of(item), price=dollars(item.price), becomes="unknown")
        return line, 0.0
    becomes = words(item.name, variant.options)
    price, new_price = dollars(item.price), dollars(variant.price)
    line = Line(item=name_of(item), price=price, becomes=becomes, new_price=new_price)
    return line, variant.price - item.price


def facts(order: Order, items: tuple[Line, ...], amount: str) -> OrderFacts:
    """Give the order's facts with these lines."""
    history = (
        f"{line.transaction_type} {dollars(line.amount)} {line.payment_method_id}"
        for line in order.payment_history
    )
    return OrderFacts(
        order=order.order_id,
        status=order.status,
        paid=tuple(history),
        items=items,
        amount=amount,
    )


def held(order: Order, item_ids: Sequence[str]) -> list[Item]:
    """Give the order's items of these ids, in this sequence; unknown ones are left out."""
    by_id = {item.item_id: item for item in order.items}
    return [by_id[item_id] for item_id in item_ids if item_id in by_id]


def lines(items: Sequence[Item]) -> tuple[Line, ...]:
    """Give the items as a person reads them."""
    return tuple(Line(item=name_of(i), price=dollars(i.price)) for i in items)


def paid(order: Order) -> float:
    """Give all that was paid for the order and not refunded yet."""
    signs = {"payment": 1, "refund": -1}
    return sum(signs[p.transaction_type] * p.amount for p in order.payment_history)


def name_of(item: Item) -> str:
    """Give the item's name with its options."""
    return words(item.name, item.options)


def words(name: str, options: dict[str, str]) -> str:
    """Give a name with options, such as "Mug (color: blue)"."""
    listed = ", ".join(f"{key}: {value}" for key, value in sorted(options.items()))
    return f"{name} ({listed})" if listed else name


def dollars(amount: float) -> str:
    """Give the shop's float as dollars and cents."""
    return f"{amount:.2f} USD"


def cents(amount: float) -> Money:
    """Give the shop's float as money; nothing counts as the smallest amount."""
    return Money(max(1, round(amount * 100)), "USD")
