"""Live pages: a line to the browser each time that what it shows has changed."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

from fastapi.sse import ServerSentEvent

from orchestrator.errors import StoreUnavailable

LOOK_EVERY_S = 1.0
# Then the browser connects again, which also asks again who is signed in.
LONGEST_S = 600

Fingerprint = Callable[[], Awaitable[str]]


async def changes(
    fingerprint: Fingerprint, seen: str, *, every_s: float = LOOK_EVERY_S
) -> AsyncIterator[ServerSentEvent]:
    """Yield `changed` whenever the fingerprint differs from what the page showed.

    It carries no data: the page fetches what it may see through its own route.
    """
    for _ in range(int(LONGEST_S / every_s)):
        try:
            now = await fingerprint()
        except StoreUnavailable:
            # The page stays as it is; it hears of changes when the store is back.
            now = seen
        if now != seen:
            seen = now
            yield ServerSentEvent(event="changed", raw_data=now)
        await asyncio.sleep(every_s)
