"""Customers: who they are, where they live, and how they pay."""

import unicodedata

from examples.retail.shop.errors import NotFound
from examples.retail.shop.payments import PaymentMethod, charge
from examples.retail.shop.records import Record


class Name(Record):
    """A customer's name."""

    first_name: str
    last_name: str


class Address(Record):
    """A postal address."""

    address1: str
    address2: str
    city: str
    state: str
    country: str
    zip: str


class User(Record):
    """A customer with the ways to pay and the ids of all orders."""

    user_id: str
    name: Name
    address: Address
    email: str
    payment_methods: dict[str, PaymentMethod]
    orders: tuple[str, ...]


def lives_at(user: User, name: Name, zip_code: str) -> bool:
    """Whether the customer has this name, in any case or accents, and this zip code."""
    return (
        fold(user.name.first_name) == fold(name.first_name)
        and fold(user.name.last_name) == fold(name.last_name)
        and user.address.zip == zip_code
    )


def writes_from(user: User, email: str) -> bool:
    """Whether this is the customer's email address, in any case or accents."""
    return fold(user.email) == fold(email)


def payment_method(user: User, method_id: str) -> PaymentMethod:
    """Give the customer's payment method, or raise NotFound."""
    if method_id not in user.payment_methods:
        raise NotFound("Payment method not found")
    return user.payment_methods[method_id]


def pay(user: User, method_id: str, amount: float) -> User:
    """Give the customer after paying; a negative amount is credited."""
    paid = charge(payment_method(user, method_id), amount)
    methods = {**user.payment_methods, method_id: paid}
    return user.model_copy(update={"payment_methods": methods})


def fold(text: str) -> str:
    """Give the text without case and accents, for comparing what people say."""
    letters = unicodedata.normalize("NFD", text.strip())
    return "".join(c for c in letters if not unicodedata.combining(c)).casefold()
