"""Waiting for the store with a result in hand that would be lost otherwise."""

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
    """Return what `work` returns; where the store is away, do it again for a while.

    A reply that is paid for and a receipt are worth waiting for: what is committed
    twice is committed once.
    """
    end = time.monotonic() + within.total_seconds()
    while True:
        try:
            return await work()
        except StoreUnavailable:
            if time.monotonic() > end:
                raise
        await asyncio.sleep(PAUSE_S)
