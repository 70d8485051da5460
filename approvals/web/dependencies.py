"""Dependencies of routes: the parts that the composition root built."""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Annotated, Any

import structlog
from fastapi import Depends, Request
from starlette.types import Scope

from keyturn.approvals.auth.oidc import OpenIdProvider
from keyturn.approvals.auth.waiting_room import WaitingRoom
from keyturn.approvals.web.metrics import Latency
from keyturn.approvals.web.quotas import RequestQuotas
from keyturn.approvals.web.shared_work import SharedWork
from keyturn.approvals.web.verification import Verification
from keyturn.approvals.web.watcher import Watcher
from keyturn.orchestrator.dispatch.dispatcher import Deliverer
from keyturn.orchestrator.rules.authority.binding import Signer
from keyturn.orchestrator.rules.errors import StoreUnavailable
from keyturn.orchestrator.rules.settings import Settings
from keyturn.orchestrator.store.db.database import Store, apart
from keyturn.orchestrator.store.runs import bulk as run_bulk
from keyturn.orchestrator.store.runs.bulk import NewBulk
from keyturn.orchestrator.store.tables import BulkRow

log = structlog.get_logger()
# A scraper that asks more often gets the same figures again.
FIGURES_FOR_S = 5.0
# A bulk over few runs is finished within its own request.
AT_ONCE_S = 0.5


@dataclass(frozen=True)
class Parts:
    """The parts of one web process.

    `deliverer` is None if another process delivers (tests, a web server without
    Temporal): committed messages wait in the outbox.
    """

    settings: Settings
    store: Store
    deliverer: Deliverer | None
    signer: Signer
    watcher: Watcher = field(repr=False)
    oidc: OpenIdProvider | None = None
    latency: Latency = field(default_factory=Latency, repr=False)
    figures: SharedWork[bytes] = field(
        default_factory=lambda: SharedWork(keep_s=FIGURES_FOR_S), repr=False
    )
    verification: Verification = field(default_factory=Verification, repr=False)
    quotas: RequestQuotas = field(default_factory=RequestQuotas, repr=False)
    waiting: WaitingRoom = field(default_factory=WaitingRoom, repr=False)
    _tasks: set[asyncio.Task[None]] = field(
        default_factory=set["asyncio.Task[None]"], repr=False
    )

    def deliver_soon(self, run: str | None = None) -> None:
        """Deliver new messages in the background; the sweep would find them anyway."""
        if self.deliverer is not None:
            self._start(_deliver(self.deliverer, run))

    async def bulk(self, new: NewBulk) -> BulkRow:
        """Begin a bulk over all matching runs; process the first ones in this request.

        The process that sweeps does the rest in the background.
        """
        row = await run_bulk.begin(self.store, new)
        clock = asyncio.get_running_loop().time
        until = clock() + AT_ONCE_S
        # The bulk is in force already, even if this fails.
        with suppress(StoreUnavailable):
            while await run_bulk.work(self.store) and clock() < until:
                pass
        self.deliver_soon()
        async with self.store.read() as session:
            return await run_bulk.get(session, row.id, tenant=None)

    async def finish(self) -> None:
        """Stop background work; the sweep does what is left."""
        await self.watcher.finish()
        await self.figures.finish()
        await self.verification.finish()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        # The loop holds tasks weakly; without this reference one could vanish half-way.
        task = asyncio.create_task(work, context=apart())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _deliver(deliverer: Deliverer, run: str | None) -> None:
    try:
        await deliverer.deliver(run)
    except StoreUnavailable as error:
        log.warning("deliver.store_away", run=run, error=str(error))


def parts_in(scope: Scope) -> Parts:
    """Return the parts of the process that serves this connection."""
    return scope["app"].state.parts


def parts_of(request: Request) -> Parts:
    """Return the parts of the process that serves this request."""
    return parts_in(request.scope)


PartsDep = Annotated[Parts, Depends(parts_of)]


def _store(parts: PartsDep) -> Store:
    return parts.store


StoreDep = Annotated[Store, Depends(_store)]
