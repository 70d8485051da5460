"""Targets become routes in order; what cannot be tried is left out or named."""

import pytest

from keyturn.activities.llm.errors import MalformedTarget, NoTarget
from keyturn.activities.llm.route import (
    build_providers,
    close_providers,
    resolve,
    split_target,
)


def test_model_may_hold_slashes():
    assert split_target("openai/meta-llama/Llama-4") == ("openai", "meta-llama/Llama-4")


@pytest.mark.parametrize("target", ["", "gpt-4o", "/gpt-4o", "openai/"])
def test_target_without_its_parts_is_named(target: str):
    with pytest.raises(MalformedTarget, match="provider/model"):
        split_target(target)


async def test_routes_keep_the_order_and_leave_out_what_is_not_configured():
    providers = build_providers(openai_api_key="k")

    routes = resolve(
        ["anthropic/claude-haiku-4-5", "openai/gpt-4o", "openai/gpt-4o-mini"], providers
    )

    assert [route.model for route in routes] == ["gpt-4o", "gpt-4o-mini"]
    assert {route.provider.name for route in routes} == {"openai"}
    await close_providers(providers)


async def test_no_route_names_what_was_asked_and_what_there_is():
    providers = build_providers(openai_api_key="k")

    with pytest.raises(NoTarget, match=r"anthropic/claude.*configured: openai"):
        resolve(["anthropic/claude-haiku-4-5"], providers)
    await close_providers(providers)


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ({}, set[str]()),
        ({"openai_api_key": "k"}, {"openai"}),
        ({"openai_base_url": "http://localhost:1/v1"}, {"openai"}),
        ({"anthropic_api_key": "k", "openai_api_key": "k"}, {"openai", "anthropic"}),
    ],
    ids=["nothing", "key", "own host", "both"],
)
async def test_only_configured_providers_are_built(
    settings: dict[str, str], names: set[str]
):
    providers = build_providers(**settings)

    assert set(providers) == names
    await close_providers(providers)
