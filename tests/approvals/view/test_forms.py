"""A form made from a schema gives back the value that it was filled with."""

from datetime import date
from enum import StrEnum
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, JsonValue

from keyturn import Money
from keyturn.approvals.view.form import fill, read, shape, view
from keyturn.orchestrator.rules.contract.marks import Prose
from keyturn.orchestrator.rules.text import canonical, json_object


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class Line(BaseModel):
    sku: str
    count: int
    note: str | None = None


class Everything(BaseModel):
    """Each kind of field that a tool's arguments may have."""

    title: str
    body: Annotated[str, Prose()]
    count: int
    weight: float
    urgent: bool
    colour: Colour
    size: Literal[1, "large", True]
    day: date
    price: Money
    lines: list[Line]
    tags: list[str]
    matrix: list[list[int]]
    extra: dict[str, int]
    either: int | str
    inner: Line
    maybe_text: str | None = None
    maybe_price: Money | None = None
    maybe_line: Line | None = None
    maybe_list: list[int] | None = None
    left_out: int = 3


SCHEMA: dict[str, JsonValue] = Everything.model_json_schema()
SHAPE = shape.of(SCHEMA)

# Browsers send no lone CR and no NUL; every other character must come back.
TEXT = st.text(
    alphabet=st.characters(exclude_categories=("Cs",), exclude_characters="\x00\r"),
    max_size=40,
)
WHOLE = st.integers(min_value=-(2**53) + 1, max_value=2**53 - 1)
MONEY: Any = st.fixed_dictionaries(
    {
        "amount": st.integers(min_value=1, max_value=10**15),
        "currency": st.sampled_from(["USD", "JPY", "KWD", "EUR"]),
    }
)
LINES: Any = st.fixed_dictionaries(
    {"sku": TEXT, "count": WHOLE}, optional={"note": TEXT | st.none()}
)
VALUES: Any = st.fixed_dictionaries(
    {
        "title": TEXT,
        "body": TEXT,
        "count": WHOLE,
        "weight": st.floats(min_value=-1e15, max_value=1e15),
        "urgent": st.booleans(),
        "colour": st.sampled_from(["red", "blue"]),
        "size": st.sampled_from([1, "large", True]),
        "day": st.dates().map(date.isoformat),
        "price": MONEY,
        "lines": st.lists(LINES, max_size=3),
        "tags": st.lists(TEXT, max_size=3),
        "matrix": st.lists(st.lists(WHOLE, max_size=2), max_size=2),
        "extra": st.dictionaries(TEXT, WHOLE, max_size=3),
        "either": WHOLE | TEXT,
        "inner": LINES,
    },
    optional={
        "maybe_text": TEXT | st.none(),
        "maybe_price": MONEY | st.none(),
        "maybe_line": LINES | st.none(),
        "maybe_list": st.lists(WHOLE, max_size=2) | st.none(),
        "left_out": WHOLE,
    },
)


@given(VALUES)
def test_a_form_gives_back_what_it_was_filled_with(value: dict[str, JsonValue]) -> None:
    value = json_object.parse(canonical.encode(value))

    form = through_a_browser(fill.fill(SHAPE, value))
    found = read.read(SHAPE, form, shown=value)

    assert found.errors == {}
    assert canonical.encode(found.value) == canonical.encode(value)


@given(VALUES)
def test_a_form_drawn_and_sent_again_is_the_same(value: dict[str, JsonValue]) -> None:
    form = fill.fill(SHAPE, value)

    drawn = view.view(SHAPE, form)

    assert sent(drawn) == form


def test_an_untouched_text_keeps_its_line_ends() -> None:
    one = shape.of(
        {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
    )

    found = read.read(one, {"v/a": ["x\r\ny"]}, shown={"a": "x\ny"})

    assert found.value == {"a": "x\ny"}


def test_an_item_added_by_the_page_is_read() -> None:
    form = fill.fill(SHAPE, {"lines": [{"sku": "A", "count": 1}]})
    form["i/lines"].append("new1")
    form["v/lines/new1/sku"] = ["B"]
    form["v/lines/new1/count"] = ["2"]

    found = read.read(SHAPE, form)

    assert isinstance(found.value, dict)
    assert found.value["lines"] == [
        {"sku": "A", "count": 1},
        {"sku": "B", "count": 2},
    ]


def test_an_optional_field_can_be_given_and_taken_away() -> None:
    wanted = shape.of(Line.model_json_schema())
    base = {"v/sku": ["A"], "v/count": ["1"]}

    given_now = read.read(wanted, {**base, "g/note": ["yes"], "v/note": ["hi"]})
    still_absent = read.read(wanted, {**base, "w/note": ["absent"]})
    still_null = read.read(wanted, {**base, "w/note": ["null"]})

    assert given_now.value == {"sku": "A", "count": 1, "note": "hi"}
    assert still_absent.value == {"sku": "A", "count": 1}
    assert still_null.value == {"sku": "A", "count": 1, "note": None}


@pytest.mark.parametrize(
    ("name", "texts", "words"),
    [
        ("count", ["1.5"], "not a whole number"),
        ("count", [""], "not a whole number"),
        ("count", ["99999999999999999"], "too large for a number"),
        ("weight", ["1,5"], "Write a point, not a comma"),
        ("weight", ["NaN"], "not a number"),
        ("weight", ["1e999"], "not a number"),
        ("colour", ['"green"'], "Choose one"),
        ("urgent", ["maybe"], "Choose one"),
        ("price", ["12.345"], "2 decimal places"),
        ("price", ["0"], "more than zero"),
        ("price", ["-5"], "not an amount"),
        ("price", ["9999999999999999"], "too large for an amount"),
        ("extra", ['{"a": 1, "a": 2}'], "stands twice"),
        ("extra", ['{"a": NaN}'], "NaN"),
    ],
)
def test_a_wrong_field_says_what_to_do(name: str, texts: list[str], words: str) -> None:
    form = {f"v/{name}": texts, f"c/{name}": ["USD"]}

    found = read.read(SHAPE, form)

    assert words in found.errors[f"/{name}"]


def test_an_unknown_currency_is_named() -> None:
    found = read.read(SHAPE, {"v/price": ["5.00"], "c/price": ["XXQ"]})

    assert "“XXQ” is not a currency" in found.errors["/price"]


@pytest.mark.parametrize(
    ("text", "currency", "minor"),
    [("12.5", "USD", 1250), ("12", "JPY", 12), ("1.234", "KWD", 1234)],
)
def test_money_is_read_in_major_units(text: str, currency: str, minor: int) -> None:
    found = read.read(SHAPE, {"v/price": [text], "c/price": [currency]})

    assert isinstance(found.value, dict)
    assert found.value["price"] == {"amount": minor, "currency": currency}


def test_a_fresh_form_asks_for_its_texts() -> None:
    found = read.read(SHAPE, {}, fresh=True)

    assert found.errors["/title"] == "Fill in this field."


def test_prose_gets_an_editor_and_a_short_text_a_line() -> None:
    fields = {one.path: one for one in view.view(SHAPE, {})}

    assert fields["/body"].is_long
    assert not fields["/title"].is_long


def through_a_browser(form: dict[str, list[str]]) -> dict[str, list[str]]:
    """What a browser does to line ends."""
    return {
        name: [text.replace("\n", "\r\n") for text in texts]
        for name, texts in form.items()
    }


def sent(fields: tuple[view.Field, ...]) -> dict[str, list[str]]:
    """What a browser would send of drawn fields."""
    form: dict[str, list[str]] = {}
    for one in fields:
        form.update(_sent_of(one))
    return form


def _sent_of(one: view.Field) -> dict[str, list[str]]:
    form: dict[str, list[str]] = {}
    if one.given is False:
        return {f"w{one.path}": [one.was]}
    if one.given:
        form[f"g{one.path}"] = ["yes"]
    match one.shape.kind:
        case "object":
            form.update(sent(one.children))
        case "list":
            form[f"i{one.path}"] = list(one.keys)
            form.update(sent(one.children))
        case "money":
            form[f"v{one.path}"], form[f"c{one.path}"] = [one.text], [one.currency]
        case _:
            form[f"v{one.path}"] = [one.text]
    return form


def test_descriptions_and_titles_reach_the_form() -> None:
    class Asked(BaseModel):
        order_id: str = Field(description="The order's number")
        why: str = Field(title="Why it is done")

    found = shape.of(Asked.model_json_schema())

    assert [(one.label, one.help) for one in found.children] == [
        ("Order id", "The order's number"),
        ("Why it is done", ""),
    ]
