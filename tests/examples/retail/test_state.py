"""The state of a shop: shared base, own changes, one hash."""

import contextlib
import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from examples.retail.arithmetic import NotASum, calculate
from examples.retail.shop.counter import Counter
from examples.retail.shop.state import Base, Database, State
from tests.examples.retail.conftest import MARKET


def plain_hash(state: object) -> str:
    text = json.dumps(state, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def test_hash_is_that_of_the_whole_state_as_json(ana: Counter, state: State):
    whole = json.loads(MARKET.read_text())

    ana.cancel("#A2", "no longer needed")

    for kind, records in state.changes().items():
        whole[kind].update(records)
    assert state.digest() == plain_hash(whole)


def test_untouched_hash_is_that_of_the_file(state: State):
    assert state.digest() == plain_hash(json.loads(MARKET.read_text()))


def test_a_change_undone_is_no_change(ana: Counter, state: State):
    untouched = state.digest()
    home = state.user("ana").address

    ana.move_user("ana", home.model_copy(update={"city": "Rome"}))
    ana.move_user("ana", home)

    assert state.changes() == {}
    assert state.digest() == untouched


def test_tenants_share_the_base_and_nothing_else(market: Base, ana: Counter):
    other = State(market)

    ana.cancel("#A1", "no longer needed")

    assert other.order("#A1").status == "pending"
    assert other.changes() == {}


def test_a_field_that_the_shop_does_not_know_stops_it():
    raw = json.loads(MARKET.read_text())
    raw["orders"]["#A1"]["gift_wrap"] = True

    with pytest.raises(ValidationError, match="gift_wrap"):
        Database.model_validate(raw)


@pytest.mark.parametrize(
    ("expression", "result"),
    [
        ("3131.1 + 4777.75 + 367.38", "8276.23"),
        ("135.24 - 153.23", "-17.99"),
        (" (1 + 2) * -3 / 4", "-2.25"),
        ("2", "2.0"),
    ],
)
def test_sums_are_rounded_to_cents(expression: str, result: str):
    assert calculate(expression) == result


@pytest.mark.parametrize(
    "expression",
    ["", "2 ** 9", "1 / 0", "__import__", "(" * 300, "1 2", "9" * 600, "7 // 2", "()"],
)
def test_what_is_no_sum_is_refused(expression: str):
    with pytest.raises(NotASum):
        calculate(expression)


@given(st.text(alphabet="0123456789+-*/(). ", max_size=40))
def test_no_text_breaks_the_calculator(expression: str):
    with contextlib.suppress(NotASum):
        float(calculate(expression))
