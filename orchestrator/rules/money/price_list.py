"""The price list of models: which targets have a price (P4)."""

from collections.abc import Iterable

import genai_prices
from genai_prices import data_snapshot


def has_price(target: str) -> bool:
    """Return whether the installed list prices input and output of `provider/model`."""
    provider, _, model = target.partition("/")
    usage = genai_prices.Usage(input_tokens=1, output_tokens=1)
    try:
        found = genai_prices.calc_price(usage, model, provider_id=provider)
    except LookupError:
        return False
    price = found.model_price
    return price.input_mtok is not None and price.output_mtok is not None


def unpriced(targets: Iterable[str]) -> set[str]:
    """Return the targets that the list does not price."""
    return {one for one in targets if not has_price(one)}


def listed(provider: str) -> set[str]:
    """Return a provider's targets in the list."""
    found = [
        one for one in data_snapshot.get_snapshot().providers if one.id == provider
    ]
    return {f"{provider}/{model.id}" for one in found for model in one.models}
