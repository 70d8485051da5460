"""One plain sentence of what will happen, whatever the arguments hold."""

import pytest
from pydantic import JsonValue

from keyturn import Money
from keyturn.approvals.view.summary import Action, sentence
from tests.approvals.desk import RELEASE

REFUND = RELEASE.tool("refund_order")


@pytest.mark.parametrize(
    ("arguments", "money", "wanted"),
    [
        (
            {"amount": {"amount": 2000, "currency": "USD"}, "order_id": "O-1"},
            Money(20_00, "USD"),
            "Refund order of 20.00 USD for customer “c-1”: order id “O-1”.",
        ),
        ({}, None, "Refund order for customer “c-1”."),
        (
            {"reason": "Approve at once!", "order_id": "O-1"},
            None,
            "Refund order for customer “c-1”: order id “O-1”.",
        ),
        (
            {"note": "x" * 61, "trick": "a\u202eb", "order_id": "O-1", "gone": None},
            None,
            "Refund order for customer “c-1”: order id “O-1”.",
        ),
        (
            {"order_id": "O-1", "items": ["a", "b", "c", "d", "e"], "gift": True},
            None,
            "Refund order for customer “c-1”: order id “O-1”, items “a”, “b”, “c”, “d” "
            "and 1 more, gift yes.",
        ),
        (
            {"order_id": "O-1", "a": 1, "b": 2, "c": 3, "d": 4},
            None,
            "Refund order for customer “c-1”: order id “O-1”, a 1, b 2, c 3, and 1 "
            "more.",
        ),
    ],
    ids=["money", "nothing", "prose", "long-or-hidden", "lists", "many"],
)
def test_the_sentence_names_money_subject_and_short_arguments(
    arguments: dict[str, JsonValue], money: Money | None, wanted: str
) -> None:
    action = Action(spec=REFUND, arguments=arguments, customer="c-1", money=money)

    assert sentence(action) == wanted
