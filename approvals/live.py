"""Live pages: a line to the browser each time that what it shows has changed."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

from fastapi.sse import ServerSentEvent

from approvals.auth.standing import ASK_EVERY_S, IsLetIn
from orchestrator.errors import StoreUnavailable

LOOK_EVERY_S = 1.0
# Then the browser connects again.
LONGEST_S = 600

Fingerprint = Callable[[], Awaitable[str]]


async def changes(
    fingerprint: Fingerprint,
    seen: str,
    *,
    is_let_in: IsLetIn,
    every_s: float = LOOK_EVERY_S,
) -> AsyncIterator[ServerSentEvent]:
    """Yield `changed` whenever the fingerprint differs from what the page showed.

    It carries no data: the page fetches what it may see through its own route. It ends
    when whoever listens would be let in no more, or as another than they were.
    """
    clock = asyncio.get_running_loop().time
    ask_at = clock()
    for _ in range(int(LONGEST_S / every_s)):
        try:
            now = await fingerprint()
            if now != seen or clock() >= ask_at:
                if not await is_let_in():
                    return
                ask_at = clock() + ASK_EVERY_S
        except StoreUnavailable:
            # The page stays as it is; it hears of changes when the store is back.
            now = seen
        if now != seen:
            seen = now
            yield ServerSentEvent(event="changed", raw_data=now)
        await asyncio.sleep(every_s)
