"""Work that a process does beside its main one, for as long as it lives."""

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable

import structlog

from orchestrator.errors import StoreUnavailable
from orchestrator.store import audit
from orchestrator.store.engine import Store

log = structlog.get_logger()

SEAL_S = 0.5
AGAIN_S = 2.0


async def keep(name: str, work: Callable[[], Awaitable[None]]) -> None:
    """Do work that never ends; where a fault ends it, say so and begin again."""
    while True:
        try:
            await work()
        except Exception:
            # Whatever it was: runs would wait for ever if nobody swept.
            log.exception("background.failed", work=name)
        await asyncio.sleep(AGAIN_S)


async def seal_forever(store: Store) -> None:
    """Chain audit rows as they come; one process at a time does it."""
    holder = f"{socket.gethostname()}:{os.getpid()}"
    while True:
        try:
            await audit.seal(store, holder=holder)
        except StoreUnavailable as error:
            log.warning("seal.store_away", error=str(error))
        await asyncio.sleep(SEAL_S)
