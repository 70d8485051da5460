"""Which models are tried, in which order."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from activities.llm import anthropic_messages, openai_chat
from activities.llm.anthropic_messages import AnthropicMessages
from activities.llm.errors import MalformedTarget, NoTarget
from activities.llm.openai_chat import OpenAIChat
from activities.llm.provider import Provider

# Self-hosted servers often want no key, but the SDKs insist on one.
_NO_KEY = "unused"


@dataclass(frozen=True)
class Route:
    """A target that can be tried: the provider and its own name of the model."""

    target: str
    provider: Provider
    model: str


def build_providers(
    *,
    openai_api_key: str | None = None,
    openai_base_url: str | None = None,
    anthropic_api_key: str | None = None,
    anthropic_base_url: str | None = None,
) -> dict[str, Provider]:
    """Return the providers that have a key or an address of their own, by name.

    Build them once for a process: each keeps a pool of connections.
    """
    providers: list[Provider] = []
    if openai_api_key or openai_base_url:
        providers.append(
            OpenAIChat(
                api_key=openai_api_key or _NO_KEY,
                base_url=openai_base_url or openai_chat.OFFICIAL_URL,
            )
        )
    if anthropic_api_key or anthropic_base_url:
        providers.append(
            AnthropicMessages(
                api_key=anthropic_api_key or _NO_KEY,
                base_url=anthropic_base_url or anthropic_messages.OFFICIAL_URL,
            )
        )
    return {provider.name: provider for provider in providers}


async def close_providers(providers: Mapping[str, Provider]) -> None:
    """Close all connections."""
    for provider in providers.values():
        await provider.aclose()


def split_target(target: str) -> tuple[str, str]:
    """Return provider and model of `provider/model`; the model may hold slashes."""
    provider, slash, model = target.partition("/")
    if not (provider and slash and model):
        raise MalformedTarget(target=target)
    return provider, model


def resolve(
    targets: Iterable[str], providers: Mapping[str, Provider]
) -> tuple[Route, ...]:
    """Return the targets whose provider is configured, in the order to try them.

    Where none is left, raises `NoTarget`.
    """
    asked = tuple(targets)
    routes = tuple(
        Route(target=target, provider=providers[provider], model=model)
        for target in asked
        for provider, model in (split_target(target),)
        if provider in providers
    )
    if not routes:
        raise NoTarget(targets=asked, configured=tuple(sorted(providers)))
    return routes
