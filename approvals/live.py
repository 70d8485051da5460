"""Live pages: a line to the browser each time that what it shows has changed."""

import asyncio
from collections.abc import AsyncIterator

from fastapi.sse import ServerSentEvent

from approvals.auth.standing import ASK_EVERY_S, IsLetIn
from orchestrator.errors import StoreUnavailable

# Then the browser connects again.
LONGEST_S = 600


async def changes(
    following: AsyncIterator[str], seen: str, *, is_let_in: IsLetIn
) -> AsyncIterator[ServerSentEvent]:
    """Yield `changed` whenever the fingerprint differs from what the page showed.

    It carries no data: the page fetches what it may see through its own route. It ends
    when whoever listens would be let in no more, or as another than they were.
    """
    clock = asyncio.get_running_loop().time
    ask_at, end_at = clock(), clock() + LONGEST_S
    async for now in following:
        try:
            is_due = now != seen or clock() >= ask_at
            if clock() >= end_at or (is_due and not await is_let_in()):
                return
        except StoreUnavailable:
            continue
        ask_at = clock() + ASK_EVERY_S if is_due else ask_at
        if now != seen:
            seen = now
            yield ServerSentEvent(event="changed", raw_data=now)
