"""ISO 4217 counts minor units as payment services do; CLDR does not."""

import pytest
from babel.core import Locale
from babel.numbers import get_territory_currencies
from pydantic import ValidationError

from keyturn.orchestrator.rules.money.currency import PLACES
from keyturn.orchestrator.rules.money.money import Money, format_minor

# As an approver should read 50,000 minor units.
READ = {
    "RSD": "500.00 RSD",
    "ALL": "500.00 ALL",
    "LBP": "500.00 LBP",
    "IQD": "50.000 IQD",
    "MMK": "500.00 MMK",
    "MGA": "500.00 MGA",
    "AFN": "500.00 AFN",
    "USD": "500.00 USD",
    "JPY": "50000 JPY",
    "KWD": "50.000 KWD",
    "CLP": "50000 CLP",
    "UGX": "50000 UGX",
    "TND": "50.000 TND",
}


@pytest.mark.parametrize(("code", "read"), READ.items())
def test_minor_units_are_those_of_iso_4217(code: str, read: str) -> None:
    assert str(Money(50_000, code)) == format_minor(50_000, code) == read


@pytest.mark.parametrize(
    "code",
    [
        "DEM",
        "HRK",
        "ZWL",
        "SLL",
        "ANG",
        "VEF",
        "XTS",
        "XXX",
        "XAU",
        "XDR",
        "ZZZ",
        "usd",
    ],
)
def test_what_is_no_money_of_today_is_refused(code: str) -> None:
    with pytest.raises(ValidationError):
        Money(1, code)


def test_the_list_has_every_tender_of_today() -> None:
    """Against another source, which alone lags: Bulgaria has had the euro since 2026."""
    tender = {
        code
        for place in map(str, Locale("en").territories)
        if len(place) == 2
        for code in get_territory_currencies(place)
    }

    assert tender - set(PLACES) <= {"BGN"}
    assert set(PLACES) - tender <= {"SVC", "VED", "XCG", "ZWG", "SLE"}
