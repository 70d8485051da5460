"""Orders, and what may be done with one: each rule gives the records as they become."""

from typing import Literal, get_args

from examples.retail.shop.errors import NotAllowed
from examples.retail.shop.payments import GiftCard, Payment, covers
from examples.retail.shop.records import Record
from examples.retail.shop.users import Address, User, pay, payment_method

Status = Literal[
    "pending",
    "pending (item modified)",
    "processed",
    "delivered",
    "cancelled",
    "return requested",
    "exchange requested",
]
CancelReason = Literal["no longer needed", "ordered by mistake"]


class Item(Record):
    """One thing bought, at the price then; an order may hold the same item twice."""

    name: str
    product_id: str
    item_id: str
    price: float
    options: dict[str, str]


class Fulfillment(Record):
    """A parcel on its way."""

    tracking_id: tuple[str, ...]
    item_ids: tuple[str, ...]


class Order(Record):
    """An order; the last fields tell of a cancellation, a return or an exchange."""

    order_id: str
    user_id: str
    address: Address
    items: tuple[Item, ...]
    status: Status
    fulfillments: tuple[Fulfillment, ...]
    payment_history: tuple[Payment, ...]
    cancel_reason: CancelReason | None = None
    return_items: tuple[str, ...] | None = None
    return_payment_method_id: str | None = None
    exchange_items: tuple[str, ...] | None = None
    exchange_new_items: tuple[str, ...] | None = None
    exchange_payment_method_id: str | None = None
    exchange_price_difference: float | None = None


class Change(Record):
    """An order and its owner as they are to be."""

    order: Order
    owner: User


def cancel(order: Order, owner: User, reason: str) -> Change:
    """Cancel: every line of the payment history is refunded, gift cards at once."""
    if order.status != "pending":
        raise NotAllowed("Non-pending order cannot be cancelled")
    if reason not in get_args(CancelReason):
        raise NotAllowed("Invalid reason")
    for payment in order.payment_history:
        owner = pay(owner, payment.payment_method_id, -payment.amount)
    cancelled = {"status": "cancelled", "cancel_reason": reason}
    refunds = [refund(payment) for payment in order.payment_history]
    return Change(order=book(order.model_copy(update=cancelled), refunds), owner=owner)


def move(order: Order, address: Address) -> Order:
    """Send a pending order elsewhere; a change of items does not stand in the way."""
    require_open(order)
    return order.model_copy(update={"address": address})


def repay(order: Order, owner: User, method_id: str) -> Change:
    """Pay the order in another way; the first payment is refunded."""
    require_open(order)
    method = payment_method(owner, method_id)
    first = only_payment(order)
    if first.payment_method_id == method_id:
        raise NotAllowed(
            "The new payment method should be different from the current one"
        )
    if not covers(method, first.amount):
        raise NotAllowed("Insufficient gift card balance to pay for the order")
    owner = pay(owner, method_id, first.amount)
    owner = pay(owner, first.payment_method_id, -first.amount)
    anew = first.model_copy(update={"payment_method_id": method_id})
    return Change(order=book(order, [anew, refund(first)]), owner=owner)


def send_back(
    order: Order, owner: User, item_ids: tuple[str, ...], method_id: str
) -> Order:
    """Ask for a return; the refund goes where the payment came from or to a gift card."""
    if order.status != "delivered":
        raise NotAllowed("Non-delivered order cannot be returned")
    original = order.payment_history[0].payment_method_id
    method = payment_method(owner, method_id)
    if not isinstance(method, GiftCard) and method_id != original:
        raise NotAllowed("Payment method should be the original payment method")
    if missing_item(order, item_ids) is not None:
        raise NotAllowed("Some item not found")
    asked = {
        "status": "return requested",
        "return_items": tuple(sorted(item_ids)),
        "return_payment_method_id": method_id,
    }
    return order.model_copy(update=asked)


def missing_item(order: Order, item_ids: tuple[str, ...]) -> str | None:
    """Give the first item that is asked for more often than the order holds it."""
    held = [item.item_id for item in order.items]
    short = (i for i in item_ids if item_ids.count(i) > held.count(i))
    return next(short, None)


def book(order: Order, payments: list[Payment]) -> Order:
    """Give the order with these lines at the end of its payment history."""
    history = (*order.payment_history, *payments)
    return order.model_copy(update={"payment_history": history})


def refund(payment: Payment) -> Payment:
    """Give the line that pays this one back."""
    return payment.model_copy(update={"transaction_type": "refund"})


def require_open(order: Order) -> None:
    """Raise unless the order is pending, with its items changed or not."""
    if not order.status.startswith("pending"):
        raise NotAllowed("Non-pending order cannot be modified")


def only_payment(order: Order) -> Payment:
    """Give the order's one payment; a second change of payment finds three lines."""
    history = order.payment_history
    if len(history) != 1 or history[0].transaction_type != "payment":
        raise NotAllowed("There should be exactly one payment for a pending order")
    return history[0]
