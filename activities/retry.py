"""Waits for the store while holding a result that would otherwise be lost."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TypeVar

from keyturn.orchestrator.rules.errors import StoreUnavailable

Result = TypeVar("Result")

PAUSE_S = 0.5


async def keep_trying(
    work: Callable[[], Awaitable[Result]], *, within: timedelta
) -> Result:
    """Return what `work` returns; while the store is unavailable, retry for some time.

    A paid reply and a receipt are worth waiting for: committing one twice has the
    effect of committing it once.
    """
    end = time.monotonic() + within.total_seconds()
    while True:
        try:
            return await work()
        except StoreUnavailable:
            if time.monotonic() > end:
                raise
        await asyncio.sleep(PAUSE_S)
