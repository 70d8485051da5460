"""Live pages: an event to the browser at each change of what it shows."""

import asyncio
from collections.abc import AsyncIterator

from fastapi.sse import ServerSentEvent

# Then the browser connects again.
LONGEST_S = 600


async def changes(
    following: AsyncIterator[str], seen: str
) -> AsyncIterator[ServerSentEvent]:
    """Yield `changed` whenever the fingerprint differs from what the page showed.

    The event carries no data: the page fetches what it may see from its own route.
    """
    clock = asyncio.get_running_loop().time
    end_at = clock() + LONGEST_S
    async for now in following:
        if clock() >= end_at:
            return
        if now != seen:
            seen = now
            yield ServerSentEvent(event="changed", raw_data=now)
