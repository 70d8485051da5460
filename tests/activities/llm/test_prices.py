"""Prices never come out too low, and an unknown one is refused."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyturn.activities.llm.errors import UnknownPrice
from keyturn.activities.llm.prices import (
    cost_microusd,
    input_tokens_bound,
    next_input_tokens_bound,
    worst_case_microusd,
)
from keyturn.orchestrator.rules.contract.model import Price
from keyturn.orchestrator.rules.text.transcript import (
    AssistantMessage,
    ModelRequest,
    ToolMessage,
    Usage,
    UserMessage,
)
from tests.activities.llm.questions import request

TOKENS = st.integers(0, 150_000)
HAND_SET = Price(
    input_usd_per_million=Decimal("0.10"), output_usd_per_million=Decimal("0.40")
)


def test_list_price_is_counted_per_million():
    usage = Usage(input_tokens=1_000_000, output_tokens=1_000_000)

    assert cost_microusd("openai", "gpt-4o-mini", usage) == 750_000


def test_cost_is_rounded_up():
    usage = Usage(input_tokens=1, output_tokens=0)

    assert cost_microusd("openai", "gpt-4o-mini", usage) == 1


def test_nothing_costs_nothing():
    usage = Usage(input_tokens=0, output_tokens=0)

    assert cost_microusd("anthropic", "claude-haiku-4-5", usage) == 0


def test_cached_tokens_are_billed_beside_the_input():
    bare = Usage(input_tokens=1000, output_tokens=0)
    written = bare.model_copy(update={"cache_write_tokens": 1000})
    read = bare.model_copy(update={"cache_read_tokens": 1000})
    model = ("anthropic", "claude-haiku-4-5")

    assert cost_microusd(*model, bare) == 1000
    assert cost_microusd(*model, written) == 2250
    assert cost_microusd(*model, read) == 1100


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("openai", "qwen-self-hosted"),
        ("nobody", "gpt-4o"),
        ("openai", "text-embedding-3-small"),
    ],
    ids=["model", "provider", "no output price"],
)
def test_unknown_price_is_refused(provider: str, model: str):
    with pytest.raises(UnknownPrice, match=model):
        worst_case_microusd(provider, model, 1000, 1000)


def test_price_set_by_hand_stands_for_any_model():
    usage = Usage(input_tokens=1_000_000, output_tokens=500_000, cache_read_tokens=10)

    assert cost_microusd("openai", "qwen", usage, price=HAND_SET) == 300_001


@given(bound=TOKENS, limit=TOKENS, data=st.data())
def test_worst_case_is_never_exceeded(bound: int, limit: int, data: st.DataObject):
    used = Usage(
        input_tokens=data.draw(st.integers(0, bound)),
        output_tokens=data.draw(st.integers(0, limit)),
    )
    model = data.draw(st.sampled_from(["claude-sonnet-4-5", "claude-haiku-4-5"]))

    assert cost_microusd("anthropic", model, used) <= worst_case_microusd(
        "anthropic", model, bound, limit
    )


@given(text=st.text(st.characters(exclude_categories=["Cs"])))
def test_bound_counts_a_token_for_each_byte(text: str):
    asked = ModelRequest(
        model="m",
        system=text,
        messages=(UserMessage(text=text), ToolMessage(call_id="a", text=text)),
    )

    assert input_tokens_bound(asked) > 3 * len(text.encode())


def test_bound_of_the_next_turn_counts_only_what_is_new():
    long = UserMessage(text="word " * 10_000)
    added = (ToolMessage(call_id="a", text="x" * 100),)
    previous = Usage(input_tokens=10_100, output_tokens=50)

    bound = next_input_tokens_bound(previous, added)

    whole = input_tokens_bound(request(long, AssistantMessage(text="ok"), *added))
    assert 10_250 < bound < 12_000 < whole
