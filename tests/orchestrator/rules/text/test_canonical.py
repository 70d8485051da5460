"""Laws of canonical JSON: one value, one text, and back; what has two readings, none."""

import json
import random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import JsonValue, ValidationError

from keyturn import Money
from keyturn.orchestrator.rules.contract.release import spec
from keyturn.orchestrator.rules.errors import InvalidValue, MalformedJson
from keyturn.orchestrator.rules.money.money import LARGEST_AMOUNT
from keyturn.orchestrator.rules.text import canonical, schema
from keyturn.orchestrator.rules.text.canonical import LARGEST_DEPTH, LARGEST_INTEGER
from tests.orchestrator.rules.shop import refund

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
NUMBERS = st.integers(-LARGEST_INTEGER, LARGEST_INTEGER) | st.floats(
    allow_nan=False, allow_infinity=False
).filter(lambda one: not (LARGEST_INTEGER < abs(one) < 1e21))
VALUES: st.SearchStrategy[JsonValue] = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4)
    ),
    max_leaves=12,
)


@given(VALUES)
@example(-0.0)
@example(1e300)
def test_what_is_written_is_read_back(value: JsonValue) -> None:
    text = canonical.text(value)

    assert canonical.parse(text) == value
    assert canonical.text(canonical.parse(text)) == text


@given(VALUES)
def test_whatever_spaces_and_order_stand_in_a_text_the_form_is_one(
    value: JsonValue,
) -> None:
    loose = json.dumps(_shuffled(value), indent=3, ensure_ascii=True)

    assert canonical.digest(canonical.parse(loose)) == canonical.digest(value)


@given(st.floats() | st.integers() | VALUES)
def test_whatever_can_be_parsed_can_be_written_and_parsed_again(
    value: JsonValue,
) -> None:
    try:
        parsed = canonical.parse(json.dumps(value))
    except MalformedJson:
        return

    assert canonical.parse(canonical.text(parsed)) == parsed


@given(st.floats() | st.integers() | VALUES)
def test_what_is_mended_can_be_written_and_read(value: JsonValue) -> None:
    canonical.parse(canonical.text(canonical.repair(value)))


@given(VALUES, TEXTS, VALUES)
def test_a_key_that_stands_twice_is_refused(
    first: JsonValue, key: str, second: JsonValue
) -> None:
    name = json.dumps(key)
    text = f'{{{name}: {json.dumps(first)}, "x": 1, {name}: {json.dumps(second)}}}'

    with pytest.raises(MalformedJson, match="stands twice"):
        canonical.parse(f"[{text}]")


def test_a_key_that_is_only_escaped_otherwise_stands_twice() -> None:
    with pytest.raises(MalformedJson, match="stands twice"):
        canonical.parse('{"amount": 1, "\\u0061mount": 2}')


@pytest.mark.parametrize(
    "text",
    ["1000", "1e3", "1E3", "1000.0", "1000.00", "10e2", "1.0e+3", "0.1e4"],
)
def test_one_number_has_one_form(text: str) -> None:
    assert canonical.text(canonical.parse(text)) == "1000"


@pytest.mark.parametrize(
    "text",
    [
        "NaN",
        "Infinity",
        "-Infinity",
        '"\\ud800"',
        '{"\\udc00": 1}',
        "9007199254740992",
        "1e16",
        "1e999",
        "1e400",
        "0x10",
        "01",
        "1.",
        "'a'",
        "[1,]",
        "[" * (LARGEST_DEPTH + 1) + "]" * (LARGEST_DEPTH + 1),
        "[" * 100_000,
        "",
        "1 2",
        "\ufeff1",
    ],
)
def test_what_has_no_one_reading_is_refused(text: str) -> None:
    with pytest.raises(MalformedJson):
        canonical.parse(text)


def test_text_that_looks_alike_stays_two_texts() -> None:
    composed, decomposed, cyrillic = "\u00e9", "e\u0301", "\u0435"

    assert len({canonical.digest(one) for one in (composed, decomposed, cyrillic)}) == 3


@pytest.mark.parametrize(
    "amount", [0, -1, True, 1.5, "1", None, LARGEST_AMOUNT + 1, [1], 2**53 - 1]
)
def test_an_amount_is_at_least_one_minor_unit_and_whole(amount: JsonValue) -> None:
    money: JsonValue = {"amount": amount, "currency": "USD"}

    with pytest.raises(ValidationError):
        Money(**money)  # pyright: ignore[reportArgumentType, reportCallIssue] wrong on purpose
    with pytest.raises(InvalidValue):
        schema.check(arguments(money), spec(refund).parameters)


@pytest.mark.parametrize("currency", ["usd", "US", "", "USD ", "\uff35SD", None, 1])
def test_a_currency_is_three_capital_letters(currency: JsonValue) -> None:
    money: JsonValue = {"amount": 1, "currency": currency}

    with pytest.raises(ValidationError):
        Money(**money)  # pyright: ignore[reportArgumentType, reportCallIssue] wrong on purpose
    with pytest.raises(InvalidValue):
        schema.check(arguments(money), spec(refund).parameters)


@pytest.mark.parametrize(
    "money", [{"amount": 1}, {"currency": "USD"}, {}, 5, None, "5 USD"]
)
def test_an_amount_without_its_currency_is_no_money(money: JsonValue) -> None:
    with pytest.raises(InvalidValue):
        schema.check(arguments(money), spec(refund).parameters)


def test_the_smallest_and_the_largest_amount_are_money() -> None:
    for amount in (1, LARGEST_AMOUNT):
        money: JsonValue = {"amount": amount, "currency": "USD"}

        schema.check(arguments(money), spec(refund).parameters)
        assert Money(amount, "USD").amount == amount


def arguments(money: JsonValue) -> JsonValue:
    """Return a refund's arguments."""
    return {
        "order_id": "o1",
        "amount": money,
        "method": "card",
        "speed": "fast",
        "is_gift": False,
        "parcels": 1,
        "kind": "late",
    }


def _shuffled(value: JsonValue) -> JsonValue:
    if isinstance(value, dict):
        items = [(key, _shuffled(child)) for key, child in value.items()]
        random.Random(len(items)).shuffle(items)  # noqa: S311 an order, not a secret
        return dict(items)
    return [_shuffled(one) for one in value] if isinstance(value, list) else value
