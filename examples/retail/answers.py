"""What the shop's tools tell a model; orders, products and items are the shop's own."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict

from examples.retail.shop.users import Address, Name
from keyturn import DataClass


class Told(BaseModel):
    """Part of an answer."""

    model_config = ConfigDict(frozen=True)


class UserId(Told):
    """The id of the customer who was looked for."""

    user_id: str


class PaymentMethod(Told):
    """A way to pay; what identifies a card outside the shop is no model's business."""

    id: str
    source: str
    balance: float | None = None
    brand: str | None = None
    last_four: Annotated[str | None, DataClass("pci")] = None


class Customer(Told):
    """The customer with address, payment methods and order ids."""

    user_id: str
    name: Name
    address: Address
    email: str
    payment_methods: dict[str, PaymentMethod]
    orders: tuple[str, ...]


class ProductIds(Told):
    """Product ids by name."""

    product_ids: dict[str, str]


class Result(Told):
    """The result of a sum."""

    result: str


class Message(Told):
    """Words of the shop."""

    message: str
