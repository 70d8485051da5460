"""Commands that work on the database of this environment, without a server."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from orchestrator import settings
from orchestrator.cli.exit_status import Ended
from orchestrator.store import revision
from orchestrator.store.engine import Store

T = TypeVar("T")


def with_store(work: Callable[[Store], Awaitable[T]]) -> T:
    """Return what `work` made of the record; end where its schema is not this code's."""
    return asyncio.run(_within(settings.read().database_url, work))


async def _within(url: str, work: Callable[[Store], Awaitable[T]]) -> T:
    remedy = await revision.check(url)
    if remedy is not None:
        raise Ended(remedy)
    store = Store(url)
    try:
        return await work(store)
    finally:
        await store.close()
