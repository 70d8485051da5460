"""Money as integer minor units with an ISO 4217 code."""

from dataclasses import field
from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic.dataclasses import dataclass

from keyturn.orchestrator.rules.money.currency import is_active, places_of

# 10^15 minor units stay exact in JSON numbers (RFC 8785 allows 2^53).
LARGEST_AMOUNT = 10**15


def known_currency(code: str) -> str:
    """Return `code` if ISO 4217 lists it as an active currency."""
    if not is_active(code):
        raise ValueError(
            f"{code!r} is no active currency of ISO 4217; write for example USD"
        )
    return code


Currency = Annotated[
    str, Field(pattern="^[A-Z]{3}$", examples=["USD"]), AfterValidator(known_currency)
]


@dataclass(frozen=True, config={"extra": "forbid"})
class Money:
    """An amount in minor units (cents for USD), at least 1, in one currency.

    `str(Money(20_00, "USD"))` is `20.00 USD`; the number of places is the currency's
    minor unit in ISO 4217, so `Money(500, "JPY")` is `500 JPY`. Historic codes, and those
    for tests, metals and no currency, are refused.
    """

    amount: Annotated[int, Field(ge=1, le=LARGEST_AMOUNT, strict=True)] = field()
    currency: Currency = field()

    def __str__(self) -> str:
        """Return the amount in major units."""
        return format_minor(self.amount, self.currency)


def format_minor(amount: int, currency: str) -> str:
    """Return minor units as major units and code; accepts zero and negative amounts."""
    places = places_of(currency)
    sign, digits = "-" if amount < 0 else "", str(abs(amount)).rjust(places + 1, "0")
    if places == 0:
        return f"{sign}{digits} {currency}"
    return f"{sign}{digits[:-places]}.{digits[-places:]} {currency}"
