"""The cost of a request to a model, in micro-dollars, rounded up."""

from collections.abc import Iterable
from decimal import ROUND_CEILING, Decimal
from typing import Final

import genai_prices
from genai_prices.types import PriceCalculation

from keyturn.activities.llm.errors import UnknownPrice
from keyturn.orchestrator.rules.contract.model import Price
from keyturn.orchestrator.rules.text.transcript import Message, ModelRequest, Usage

# What a provider may add to a request: its chat template and, for tools and
# structured output, a system text of its own (Anthropic documents up to 804 tokens).
ADDED_TOKENS: Final = 1024


def cost_microusd(
    provider: str, model: str, usage: Usage, *, price: Price | None = None
) -> int:
    """Return the cost of `usage` at `price`, or at the list price where none is set.

    The list is the installed genai-prices; it is never updated at run time. A model
    that is not on it, or whose input or output has no price, raises `UnknownPrice`.
    """
    if price is not None:
        return _micro(_usd_by_hand(price, usage))
    found = _listed(provider, model, usage)
    prices = found.model_price
    if prices.input_mtok is None or prices.output_mtok is None:
        raise UnknownPrice(provider=provider, model=model)
    return _micro(found.total_price)


def worst_case_microusd(
    provider: str,
    model: str,
    input_tokens: int,
    max_output_tokens: int,
    *,
    price: Price | None = None,
) -> int:
    """Return the maximum cost of a request: all output used, nothing cached."""
    usage = Usage(input_tokens=input_tokens, output_tokens=max_output_tokens)
    return cost_microusd(provider, model, usage, price=price)


def input_tokens_bound(request: ModelRequest) -> int:
    """Return an upper bound on the input tokens of `request` for any tokenizer.

    Tokenizers of today's models work on bytes, and a token represents at least one
    byte. The counted bytes are those of the request as JSON, whose field names and
    escapes outweigh a template's marks around each message. The bound is about four
    times too high for English text; `next_input_tokens_bound` is tighter.
    """
    return len(request.model_dump_json().encode()) + ADDED_TOKENS


def next_input_tokens_bound(previous: Usage, added: Iterable[Message]) -> int:
    """Return the bound for a request that adds messages to the one just answered.

    Holds for the same model, system text, tools and window: the same prefix makes the
    same tokens. `added` leaves out the reply itself, which `previous` counts.
    """
    counted = (
        previous.input_tokens
        + previous.output_tokens
        + previous.cache_read_tokens
        + previous.cache_write_tokens
    )
    added_bytes = sum(len(message.model_dump_json().encode()) for message in added)
    return counted + added_bytes + ADDED_TOKENS


def _listed(provider: str, model: str, usage: Usage) -> PriceCalculation:
    cached = usage.cache_read_tokens + usage.cache_write_tokens
    counted = genai_prices.Usage(
        input_tokens=usage.input_tokens + cached,
        cache_read_tokens=usage.cache_read_tokens,
        cache_write_tokens=usage.cache_write_tokens,
        output_tokens=usage.output_tokens,
    )
    try:
        return genai_prices.calc_price(counted, model, provider_id=provider)
    except LookupError:
        raise UnknownPrice(provider=provider, model=model) from None


def _usd_by_hand(price: Price, usage: Usage) -> Decimal:
    cached = usage.cache_read_tokens + usage.cache_write_tokens
    input_usd = (usage.input_tokens + cached) * price.input_usd_per_million
    return (input_usd + usage.output_tokens * price.output_usd_per_million) / 1_000_000


def _micro(usd: Decimal) -> int:
    return int((usd * 1_000_000).to_integral_value(ROUND_CEILING))
