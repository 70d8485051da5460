"""The models to try, in order."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial

from keyturn.activities.llm.anthropic.reply import NAME as ANTHROPIC
from keyturn.activities.llm.errors import MalformedTarget, NoTarget
from keyturn.activities.llm.lazy_provider import Loading
from keyturn.activities.llm.openai.reply import NAME as OPENAI
from keyturn.activities.llm.provider import Provider
from keyturn.orchestrator.rules.text import scrub

# Self-hosted servers often need no key, but the SDKs require one.
_NO_KEY = "unused"


@dataclass(frozen=True)
class Route:
    """A target to try: the provider and its own name of the model.

    `alias` is what the target was resolved from; None where it was named itself.
    """

    target: str
    provider: Provider
    model: str
    alias: str | None = None


def build_providers(
    *,
    openai_api_key: str | None = None,
    openai_base_url: str | None = None,
    anthropic_api_key: str | None = None,
    anthropic_base_url: str | None = None,
) -> dict[str, Provider]:
    """Return the providers that have a key or an address of their own, by name.

    Build them once for a process: each keeps a pool of connections. Their SDKs are
    loaded later (`Loading`).
    """
    # A transport's error may quote the keys; they are removed from its text.
    scrub.know(openai_api_key, anthropic_api_key)
    providers: list[Provider] = []
    if openai_api_key or openai_base_url:
        key = openai_api_key or _NO_KEY
        providers.append(Loading(OPENAI, partial(_openai, key, openai_base_url)))
    if anthropic_api_key or anthropic_base_url:
        key = anthropic_api_key or _NO_KEY
        load = partial(_anthropic, key, anthropic_base_url)
        providers.append(Loading(ANTHROPIC, load))
    return {provider.name: provider for provider in providers}


def _openai(api_key: str, base_url: str | None) -> Provider:
    from keyturn.activities.llm.openai.chat import (  # noqa: PLC0415 see Loading
        OFFICIAL_URL,
        OpenAIChat,
    )

    return OpenAIChat(api_key=api_key, base_url=base_url or OFFICIAL_URL)


def _anthropic(api_key: str, base_url: str | None) -> Provider:
    from keyturn.activities.llm.anthropic.messages import (  # noqa: PLC0415 see Loading
        OFFICIAL_URL,
        AnthropicMessages,
    )

    return AnthropicMessages(api_key=api_key, base_url=base_url or OFFICIAL_URL)


async def close_providers(providers: Mapping[str, Provider]) -> None:
    """Close all connections."""
    for provider in providers.values():
        await provider.aclose()


def split_target(target: str) -> tuple[str, str]:
    """Return provider and model of `provider/model`; the model may contain slashes."""
    provider, slash, model = target.partition("/")
    if not (provider and slash and model):
        raise MalformedTarget(target=target)
    return provider, model


def resolve(
    targets: Iterable[str],
    providers: Mapping[str, Provider],
    *,
    alias: str | None = None,
) -> tuple[Route, ...]:
    """Return the targets whose provider is configured, in the order to try them.

    Raises `NoTarget` if none is left.
    """
    asked = tuple(targets)
    routes = tuple(
        Route(target, providers[provider], model, alias)
        for target in asked
        for provider, model in (split_target(target),)
        if provider in providers
    )
    if not routes:
        raise NoTarget(targets=asked, configured=tuple(sorted(providers)))
    return routes
