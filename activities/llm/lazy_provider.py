"""A provider whose SDK is loaded at its first request, or by a worker that will use it.

An SDK takes one to two seconds to load, and a fallback may be unused for months.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from keyturn.activities.llm.errors import ProviderUnavailable
from keyturn.activities.llm.provider import Provider
from keyturn.orchestrator.rules.contract.model import Alias
from keyturn.orchestrator.rules.text import scrub
from keyturn.orchestrator.rules.text.transcript import ModelReply, ModelRequest


@dataclass
class Loading:
    """A provider by its name, and the function that loads it."""

    name: str
    load: Callable[[], Provider]
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    _loaded: Provider | None = None

    async def reply(self, request: ModelRequest, *, timeout_s: float) -> ModelReply:
        """Ask the provider, as `Provider` says; loading counts against the time."""
        clock = asyncio.get_running_loop().time
        until = clock() + timeout_s
        try:
            async with asyncio.timeout(timeout_s):
                provider = await self.loaded()
        except TimeoutError as error:
            raise self._fault(error) from error
        return await provider.reply(request, timeout_s=until - clock())

    async def loaded(self) -> Provider:
        """Return the provider; loads it in a thread, without blocking the event loop.

        Raises `ProviderUnavailable` if loading fails: nothing was sent, nothing is
        charged.
        """
        async with self._lock:
            if self._loaded is None:
                try:
                    self._loaded = await asyncio.to_thread(self.load)
                except Exception as error:
                    raise self._fault(error) from error
            return self._loaded

    def _fault(self, error: Exception) -> ProviderUnavailable:
        words = f"its SDK or its address cannot be loaded: {scrub.text(repr(error))}."
        return ProviderUnavailable(provider=self.name, words=words, sent=False)

    async def aclose(self) -> None:
        """Close the connections, if any were made."""
        if self._loaded is not None:
            await self._loaded.aclose()


async def load_first(providers: Mapping[str, Provider], aliases: list[Alias]) -> None:
    """Load the first provider of each alias, so that no run waits for it."""
    for alias in aliases:
        named = (providers.get(target.partition("/")[0]) for target in alias.targets)
        first = next((one for one in named if one is not None), None)
        if isinstance(first, Loading):
            await first.loaded()
