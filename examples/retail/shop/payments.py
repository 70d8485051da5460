"""Ways to pay, and what was paid; amounts are floats in dollars, as the shop's are."""

from typing import Annotated, Literal

from pydantic import Field

from examples.retail.shop.records import Record


class GiftCard(Record):
    """A card with money on it; it alone is charged and credited at once."""

    source: Literal["gift_card"]
    id: str
    balance: float


class Paypal(Record):
    """A PayPal account."""

    source: Literal["paypal"]
    id: str


class CreditCard(Record):
    """A credit card."""

    source: Literal["credit_card"]
    id: str
    brand: str
    last_four: str


PaymentMethod = Annotated[GiftCard | Paypal | CreditCard, Field(discriminator="source")]


class Payment(Record):
    """One line of an order's payment history."""

    transaction_type: Literal["payment", "refund"]
    amount: float
    payment_method_id: str


def covers(method: PaymentMethod, amount: float) -> bool:
    """Whether the method can pay the amount; only a gift card runs out."""
    return not isinstance(method, GiftCard) or method.balance >= amount


def charge(method: PaymentMethod, amount: float) -> PaymentMethod:
    """Give the method after paying the amount; a negative amount is credited."""
    if not isinstance(method, GiftCard):
        return method
    balance = round(method.balance - amount, 2)
    return method.model_copy(update={"balance": balance})
