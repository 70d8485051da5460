"""Work that becomes due by time, or that dead processes left: in the web process (P9).

It writes rows that people's authority is based on, which a worker's database role may
not do (`keyturn.orchestrator.store.db.roles`); a worker only delivers.
"""

import asyncio
import functools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta

import structlog
from temporalio.service import RPCError

from keyturn.orchestrator.dispatch import lost_runs
from keyturn.orchestrator.dispatch.dispatcher import SWEEP, Deliverer
from keyturn.orchestrator.dispatch.lost_runs import Comparison
from keyturn.orchestrator.dispatch.task_faults import Suspects
from keyturn.orchestrator.rules import pace
from keyturn.orchestrator.rules.errors import StoreUnavailable
from keyturn.orchestrator.rules.pace import Every
from keyturn.orchestrator.store.approvals import deadlines, reassignment
from keyturn.orchestrator.store.approvals.reassignment import Assigning
from keyturn.orchestrator.store.budgets import settlement
from keyturn.orchestrator.store.db import overstayed, request_keys
from keyturn.orchestrator.store.effects import send
from keyturn.orchestrator.store.runs import bulk
from keyturn.orchestrator.store.switches import switches

# Each look works off matching runs for this long; other jobs wait meanwhile.
WORK_S = 0.5
# An assignee seldom loses the right to decide; a run seldom ends while another of its
# loops sends.
REPAIR_EVERY_S = 15.0
# How often one of all processes compares the open runs with Temporal.
COMPARE_EVERY = timedelta(seconds=30)
log = structlog.get_logger()


@dataclass(frozen=True)
class Upkeep:
    """Delivers, compares the open runs with Temporal, and does the work that is due."""

    deliverer: Deliverer
    compare_every: timedelta = COMPARE_EVERY
    grace: timedelta = lost_runs.GRACE
    suspects: Suspects = field(default_factory=Suspects)
    repairing: Every = field(default_factory=lambda: Every(REPAIR_EVERY_S))
    assigning: Assigning = field(default_factory=Assigning)

    @functools.cached_property
    def comparison(self) -> Comparison:
        """The comparison, which continues through open runs from its last position."""
        return Comparison(self.deliverer.task_queue, grace=self.grace)

    async def sweep(self) -> None:
        """Do all of it, forever; any number of processes may."""
        store = self.deliverer.store
        await pace.repeat(self._look, pace=SWEEP, bell=store.audited)

    async def _look(self) -> bool:
        store = self.deliverer.store
        found = await self._each(
            self.deliverer.deliver_all,
            self._work,
            lambda: deadlines.warn(store),
            lambda: self.assigning.pass_over(store),
            lambda: settlement.charge_dead(store),
            lambda: switches.release_ended(store),
            lambda: overstayed.end(store),
            self.compare,
        )
        if self.repairing.is_due():
            found += await self._each(
                lambda: reassignment.repair(store),
                lambda: send.give_to_people(store),
                lambda: request_keys.forget(store),
            )
        # A run that fails all night is not work that keeps the sweep busy.
        await self._each(self._look_at_suspects)
        return found > 0

    async def _each(self, *steps: Callable[[], Awaitable[int | None]]) -> int:
        """Do the steps in order: a fault of one does not prevent the others."""
        found = 0
        for step in steps:
            try:
                found += await step() or 0
            except StoreUnavailable as error:
                log.warning("sweep.store_away", error=str(error))
            except Exception:
                log.exception("sweep.step_failed")
        return found

    async def compare(self) -> int:
        """Restart the runs that Temporal has lost; return how many.

        Does nothing where some process did it less than `compare_every` ago.
        """
        store, client = self.deliverer.store, self.deliverer.client
        try:
            return await self.comparison.pass_over(
                store, client, self.deliverer.begin, every=self.compare_every
            )
        except (RPCError, OSError, RuntimeError) as error:
            log.warning("compare.temporal_away", error=str(error))
            return 0

    async def _look_at_suspects(self) -> None:
        """Show runs that fail in Temporal alone."""
        try:
            await self.suspects.pass_over(self.deliverer.store, self.deliverer.client)
        except (RPCError, OSError, RuntimeError) as error:
            log.warning("suspects.temporal_away", error=str(error))

    async def _work(self) -> int:
        """Work for a while on requests for all matching runs; return the batches."""
        clock, batches = asyncio.get_running_loop().time, 0
        until = clock() + WORK_S
        while clock() < until and await bulk.work(self.deliverer.store):
            batches += 1
        return batches
