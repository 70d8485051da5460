"""Background work of a process, for as long as it lives."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from keyturn.orchestrator.rules import pace
from keyturn.orchestrator.rules.errors import StoreUnavailable
from keyturn.orchestrator.rules.pace import Pace
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.integrity.sealer import Sealer

log = structlog.get_logger()

# A row is chained within a second or two of its commit. The workers' commits do not
# ring the bell here, in the web process, which alone may chain.
SEAL = Pace(busy_s=0.5, idle_s=1.0)
AGAIN_S = 2.0


async def restart_forever(name: str, work: Callable[[], Awaitable[None]]) -> None:
    """Run work that never ends; if an error ends it, log the error and restart it."""
    while True:
        try:
            await work()
        except Exception:
            # Any fault is caught: without the sweep, runs would wait forever.
            log.exception("background.failed", work=name)
        await asyncio.sleep(AGAIN_S)


async def seal_forever(store: Store) -> None:
    """Chain audit rows as they arrive; one process at a time does it."""
    sealer = Sealer(store)

    async def look() -> bool:
        try:
            return await _seal_all(sealer)
        except StoreUnavailable as error:
            log.warning("seal.store_away", error=str(error))
            return False

    await pace.repeat(look, pace=SEAL, bell=store.audited)


async def _seal_all(sealer: Sealer) -> bool:
    found = False
    while await sealer.seal():
        found = True
    if found:
        # Workers' commits ring no bell here: this wakes the upkeep for them.
        sealer.store.audited.ring()
    return found
