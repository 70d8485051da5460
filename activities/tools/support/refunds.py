"""Refunds: money back for an order, once for each effect."""

from datetime import timedelta
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from keyturn import Money, ToolContext, ToolError, tool
from keyturn.activities.tools.support.shop import (
    SERVICE,
    Order,
    OrderId,
    Record,
    order_of,
    own_order,
    path,
    post,
)
from keyturn.orchestrator.rules.contract.marks import Prose

# The payments service keeps a key permanently; we rely on it for a day.
KEPT = timedelta(hours=24)


class RefundOrder(BaseModel):
    """How much of which order goes back, and why."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    order_id: OrderId
    amount: Money = Field(
        description="In minor units: {amount: 1850, currency: USD} is 18.50 USD"
    )
    reason: Annotated[str, Prose()] = Field(
        min_length=3,
        max_length=500,
        description="Why, in words that a colleague can check against the order",
    )


class RefundFacts(BaseModel):
    """What the order's records say, for whoever approves."""

    model_config = ConfigDict(frozen=True)

    order: str
    status: str
    items: tuple[str, ...]
    total: str
    refunded: str
    left: str
    pays_back_to: str


class RefundReceipt(Record):
    """What the payments service did."""

    refund_id: str
    order_id: str
    amount: Money
    status: str


class _Found(Record):
    refund: RefundReceipt | None


async def refund_facts(call: RefundOrder, context: ToolContext) -> RefundFacts:
    """Return the order's money as it is now; refuse more than the order allows."""
    order = await order_of(context, call.order_id)
    _check_possible(call, order)
    return RefundFacts(
        order=order.id,
        status=order.status,
        items=tuple(
            f"{item.quantity} of {item.name}: {order.words(item.price)}"
            for item in order.items
        ),
        total=order.words(order.total),
        refunded=order.words(order.refunded),
        left=order.words(order.left),
        pays_back_to=str(order.payment),
    )


async def refund_outcome(
    call: RefundOrder, context: ToolContext
) -> RefundReceipt | None:
    """Return the refund under the effect's key, or None where there never will be one.

    Closing the key, and not only reading it, makes "none" final: a request that is
    still in transit is refused when it arrives.
    """
    key = context.effect_key or ""
    answer = await post(context, "refunds", key, "close", body={})
    found = _Found.model_validate(answer).refund
    if found is not None and found.order_id != call.order_id:
        raise ValueError(f"{SERVICE}{path('refunds', key)} is of another order")
    return found


@tool(
    authority="irreversible",
    owner="payments",
    service=SERVICE,
    subject="order_id",
    money="amount",
    preview=refund_facts,
    reconcile=refund_outcome,
    idempotency_window=KEPT,
)
async def refund_order(call: RefundOrder, context: ToolContext) -> RefundReceipt:
    """Pay money of one of this customer's orders back, the way it was paid.

    At most what is left to refund; the customer has it in 3 to 5 working days.
    """
    await own_order(context, call.order_id)
    body = call.model_dump(mode="json")
    return RefundReceipt.model_validate(await post(context, "refunds", body=body))


def _check_possible(call: RefundOrder, order: Order) -> None:
    if call.amount.currency != order.currency:
        raise ToolError(
            f"{order.id} was paid in {order.currency}; a refund in "
            f"{call.amount.currency} is not possible."
        )
    if call.amount.amount > order.left:
        raise ToolError(
            f"{order.id} has {order.words(order.left)} left to refund, so "
            f"{call.amount} is not possible."
        )
