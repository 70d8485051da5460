"""Money as integer minor units with an ISO 4217 code."""

from dataclasses import field
from typing import Annotated

from babel.numbers import get_currency_precision, is_currency
from pydantic import AfterValidator, Field
from pydantic.dataclasses import dataclass

# 10^15 minor units stay exact in JSON numbers (RFC 8785 allows 2^53).
LARGEST_AMOUNT = 10**15


def known_currency(code: str) -> str:
    """Return `code` where ISO 4217 knows it."""
    if not is_currency(code):
        raise ValueError(f"{code!r} is not an ISO 4217 currency; write for example USD")
    return code


Currency = Annotated[
    str, Field(pattern="^[A-Z]{3}$", examples=["USD"]), AfterValidator(known_currency)
]


@dataclass(frozen=True, config={"extra": "forbid"})
class Money:
    """An amount in minor units (cents for USD), at least 1, in one currency.

    `str(Money(20_00, "USD"))` is `20.00 USD`; the number of places is the currency's
    (CLDR), so `Money(500, "JPY")` is `500 JPY`.
    """

    amount: Annotated[int, Field(ge=1, le=LARGEST_AMOUNT, strict=True)] = field()
    currency: Currency = field()

    def __str__(self) -> str:
        """Write the amount in major units."""
        return format_minor(self.amount, self.currency)


def format_minor(amount: int, currency: str) -> str:
    """Write minor units as major units and code; zero and negative amounts too."""
    places = get_currency_precision(currency)
    sign, digits = "-" if amount < 0 else "", str(abs(amount)).rjust(places + 1, "0")
    if places == 0:
        return f"{sign}{digits} {currency}"
    return f"{sign}{digits[:-places]}.{digits[-places:]} {currency}"
