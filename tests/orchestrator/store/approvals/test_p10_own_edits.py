"""P10: only less money and other wording are an editor's own to approve."""

from typing import Annotated

import pytest
from pydantic import BaseModel, JsonValue

from keyturn import Money, ToolContext, tool
from keyturn.orchestrator.rules.contract.marks import Prose
from keyturn.orchestrator.rules.contract.release import spec
from keyturn.orchestrator.rules.policy.amendment import is_only_less


class Pay(BaseModel):
    order_id: str
    amount: Money
    words: Annotated[str, Prose()] = ""
    times: int | bool = 1
    payee: str | None = "the account on file"


@tool(authority="irreversible", owner="tests", money="amount", subject="order_id")
async def pay(call: Pay, context: ToolContext) -> Pay:
    """Pay."""
    raise NotImplementedError(call, context)


USD: JsonValue = {"amount": 50_00, "currency": "USD"}
SHOWN: dict[str, JsonValue] = {
    "order_id": "o1",
    "amount": USD,
    "words": "late",
    "times": 1,
    "payee": None,
}


@pytest.mark.parametrize(
    "edit",
    [
        {},
        {"words": "broken"},
        {"amount": {"amount": 49_99, "currency": "USD"}},
        {"amount": {"currency": "USD", "amount": 50_00}},
    ],
    ids=["nothing", "wording", "less", "order-of-keys"],
)
def test_p10_less_and_other_words_are_ones_own(edit: dict[str, JsonValue]) -> None:
    assert is_only_less(spec(pay), SHOWN, {**SHOWN, **edit})


@pytest.mark.parametrize(
    "edit",
    [
        {"amount": {"amount": 50_01, "currency": "USD"}},
        {"amount": {"amount": 1, "currency": "EUR"}},
        {"order_id": "o2"},
        {"times": True},
        {"payee": "eve"},
    ],
    ids=["more", "currency", "subject", "a-flag-for-a-number", "recipient"],
)
def test_p10_all_else_needs_another_person(edit: dict[str, JsonValue]) -> None:
    assert not is_only_less(spec(pay), SHOWN, {**SHOWN, **edit})


def test_p10_a_field_that_is_left_out_takes_its_default_and_is_a_change() -> None:
    edited = {name: value for name, value in SHOWN.items() if name != "payee"}

    assert not is_only_less(spec(pay), SHOWN, edited)
