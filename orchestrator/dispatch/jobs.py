"""What time alone brings, and what the dead left: the web process's work (P9).

It writes what people's authority rests on, so that a worker's role in the database may
not do it (`keyturn.orchestrator.store.db.roles`); a worker delivers, and nothing besides.
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

# So long in each look all runs that match are worked off; other things wait, too.
WORK_S = 0.5
# Whom the system picked seldom loses the right to decide; a run seldom ends while
# another loop of it sends.
REPAIR_EVERY_S = 15.0
# How often one of all processes compares the open runs with Temporal.
COMPARE_EVERY = timedelta(seconds=30)
log = structlog.get_logger()


@dataclass(frozen=True)
class Upkeep:
    """Delivers, compares the open runs with Temporal, and does what has come due."""

    deliverer: Deliverer
    compare_every: timedelta = COMPARE_EVERY
    grace: timedelta = lost_runs.GRACE
    suspects: Suspects = field(default_factory=Suspects)
    repairing: Every = field(default_factory=lambda: Every(REPAIR_EVERY_S))
    assigning: Assigning = field(default_factory=Assigning)

    @functools.cached_property
    def comparison(self) -> Comparison:
        """What walks the open runs, from where it was."""
        return Comparison(self.deliverer.task_queue, grace=self.grace)

    async def sweep(self) -> None:
        """Do all of it, for ever; any number of processes may."""
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
        # What fails all night is no work that keeps the sweep awake.
        await self._each(self._look_at_suspects)
        return found > 0

    async def _each(self, *steps: Callable[[], Awaitable[int | None]]) -> int:
        """Do one step after the other: a fault of one keeps no other from its work."""
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
        """Start the runs again that Temporal has lost; return how many.

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
        """Work off what is asked of all runs that match, a while; return the batches."""
        clock, batches = asyncio.get_running_loop().time, 0
        until = clock() + WORK_S
        while clock() < until and await bulk.work(self.deliverer.store):
            batches += 1
        return batches
