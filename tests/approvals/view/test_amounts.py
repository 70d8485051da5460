"""Amounts in the viewer's own separators; decimals are the currency's everywhere."""

import re
from decimal import Decimal

import pytest

from keyturn.approvals.view import amounts
from tests.approvals.pages.conftest import Doors, app, doors, planted, seed, store
from tests.approvals.pages.seed import Seed

__all__ = ["app", "doors", "planted", "seed", "store"]


@pytest.mark.parametrize(
    ("locale", "amount", "currency", "shown"),
    [
        ("en", 1_249_00, "USD", "1,249.00 USD"),
        ("de-DE,de;q=0.9,en;q=0.8", 1_249_00, "EUR", "1.249,00 EUR"),
        ("fr", 1_249_00, "EUR", "1 249,00 EUR"),
        ("de-CH", 1_249_00, "CHF", "1'249.00 CHF"),
        ("en-IN", 12_34_567_00, "INR", "12,34,567.00 INR"),
        ("ar-EG", 1_249_00, "EGP", "1,249.00 EGP"),
        ("de", 1_234_567, "JPY", "1.234.567 JPY"),
        ("en", 1_234_567, "KWD", "1,234.567 KWD"),
        ("sr", 1_249_00, "RSD", "1.249,00 RSD"),
        ("xx-nonsense, *;q=zero", 1_249_00, "USD", "1,249.00 USD"),
        ("en", -1_249_00, "USD", "-1,249.00 USD"),
    ],
)
def test_amounts_are_shown_as_their_viewer_writes_them(
    locale: str, amount: int, currency: str, shown: str
) -> None:
    with amounts.viewed_in(locale):
        assert amounts.text(amount, currency) == shown


@pytest.mark.parametrize(
    ("locale", "written", "currency", "read"),
    [
        ("en", "1,249.00", "USD", "1249.00"),
        ("en", "1249", "USD", "1249"),
        ("de", "1.249,00", "EUR", "1249.00"),
        ("de", "80,00", "EUR", "80.00"),
        ("fr", "1\u202f249,5", "EUR", "1249.5"),
        ("de-CH", "1\u2019249.50", "CHF", "1249.50"),
        ("en", "1.250", "KWD", "1.250"),
        ("de", "1,250", "KWD", "1.250"),
        ("de", "1.250", "EUR", "1250"),
    ],
)
def test_amounts_are_read_as_their_viewer_writes_them(
    locale: str, written: str, currency: str, read: str
) -> None:
    with amounts.viewed_in(locale):
        assert amounts.read(written, currency) == Decimal(read)


@pytest.mark.parametrize(
    ("locale", "written", "currency", "why"),
    [
        ("en", "80,00", "USD", "Write a point, not a comma"),
        ("de", "80.00", "EUR", "Write a comma, not a point"),
        ("en", "1,250", "KWD", "can be read as 1250 or as 1.250"),
        ("de", "1.250", "KWD", "can be read as 1250 or as 1,250"),
        ("en", "1,24,900.00", "USD", "is not an amount"),
        ("en", "1e3", "USD", "is not an amount"),
        ("en", "-5", "USD", "is not an amount"),
        ("en", "\u0665\u0660", "USD", "is not an amount"),
        ("en", "", "USD", "is not an amount"),
    ],
)
def test_what_could_be_two_amounts_or_is_none_is_refused(
    locale: str, written: str, currency: str, why: str
) -> None:
    with amounts.viewed_in(locale), pytest.raises(amounts.Unclear, match=why):
        amounts.read(written, currency)


@pytest.mark.parametrize("locale", ["en", "de", "fr", "de-CH", "en-IN", "sr"])
def test_what_the_form_shows_is_read_as_it_was(locale: str) -> None:
    with amounts.viewed_in(locale):
        for currency, amount in (("USD", 1_249_05), ("KWD", 1_234_567), ("JPY", 5000)):
            written = amounts.typed(amount, currency)
            places = {"USD": 2, "KWD": 3, "JPY": 0}[currency]
            assert amounts.read(written, currency).scaleb(places) == amount


@pytest.mark.parametrize(
    ("locale", "words", "shown"),
    [
        ("en", "up to 5000.00 USD: allow", "up to 5,000.00 USD: allow"),
        ("de", "up to 5000.00 USD: allow", "up to 5.000,00 USD: allow"),
        ("en", "1000000 JPY and 1234.567 KWD", "1,000,000 JPY and 1,234.567 KWD"),
        ("de", "5000.0 USD, 5000 DEM, O-5000.00 USD", None),
        ("de", "asks 2 people of role lead, after 4 h", None),
    ],
)
def test_amounts_in_the_words_of_a_rule_have_separators(
    locale: str, words: str, shown: str | None
) -> None:
    with amounts.viewed_in(locale):
        assert amounts.in_words(words) == (shown or words)


@pytest.mark.parametrize(("locale", "shown"), [("en", "12,345"), ("de", "12.345")])
def test_counts_have_the_viewers_separators(locale: str, shown: str) -> None:
    with amounts.viewed_in(locale):
        assert amounts.count(12_345) == shown


async def test_a_page_shows_amounts_in_the_browsers_language(
    doors: Doors, seed: Seed
) -> None:
    lea = await doors.visit("lead")
    lea.client.headers["Accept-Language"] = "de-DE,de;q=0.9"
    item = seed.approvals["large"]

    page = (await lea.get(f"/inbox/{item}")).text
    shown = (await lea.get(f"/api/v1/approvals/{item}")).json()

    contract = (await lea.get("/contracts/support-ticket")).text

    assert "1.249,00" in page
    assert "up to 5.000,00 USD" in page
    assert not re.search(r"\d{4}\.\d\d [A-Z]{3}", contract)
    assert shown["money"]["text"].startswith("1249.00")
