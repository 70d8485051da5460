"""Delivery to Temporal: after the commit, by any process, until acted on (P9)."""

import asyncio
import functools
from dataclasses import dataclass, field
from datetime import timedelta

import structlog
from temporalio.client import Client
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.service import RPCError, RPCStatusCode

from approvals import comparison
from approvals.comparison import Comparison
from approvals.task_faults import Suspects
from orchestrator import pace
from orchestrator.errors import StoreUnavailable
from orchestrator.pace import Every, Pace
from orchestrator.store import (
    deadlines,
    idempotency,
    many,
    meters,
    outbox,
    reassigning,
    sending,
    switches,
)
from orchestrator.store.engine import Store
from orchestrator.store.outbox import Delivery
from workflows.messages import RunStart

# What a living process commits it delivers itself, at once: this finds what the dead
# left, what is rung again, and what time alone brings.
SWEEP = Pace(busy_s=1.0, idle_s=5.0)
# So long in each look all runs that match are worked off; other things wait, too.
WORK_S = 0.5
# Whom the system picked seldom loses the right to decide; a run seldom ends while
# another loop of it sends.
MEND_EVERY_S = 15.0
# How often one of all processes compares the open runs with Temporal.
COMPARE_EVERY = timedelta(seconds=30)
# A worker takes milliseconds for a workflow task. One that is killed over it is waited
# for this long before another has the task; Temporal's own 10 s are what a customer,
# and whoever has approved, would wait for.
TASK_TIMEOUT = timedelta(seconds=6)
log = structlog.get_logger()


@dataclass(frozen=True)
class Deliverer:
    """Delivers what is committed; any process may, and any may die doing it."""

    store: Store
    client: Client
    task_queue: str
    effects_queue: str
    compare_every: timedelta = COMPARE_EVERY
    grace: timedelta = comparison.GRACE
    suspects: Suspects = field(default_factory=Suspects)
    # How long a worker may take for a workflow task; None: as Temporal has it.
    task_timeout: timedelta | None = TASK_TIMEOUT
    mending: Every = field(default_factory=lambda: Every(MEND_EVERY_S))

    @functools.cached_property
    def comparison(self) -> Comparison:
        """What walks the open runs, from where it was."""
        return Comparison(self.task_queue, grace=self.grace)

    async def deliver(self, run: str | None = None) -> int:
        """Deliver what is due, of one run or of all; return how many were accepted.

        Never raises for Temporal's sake: what is not accepted now is tried again.
        """
        due = await outbox.claim(self.store, run=run)
        done = await asyncio.gather(*(self._deliver(one) for one in due))
        accepted = [one for one, ok in zip(due, done, strict=True) if ok]
        if accepted:
            ids = [row for one in accepted for row in one.ids]
            await outbox.delivered(self.store, ids)
        return len(accepted)

    async def sweep(self) -> None:
        """Deliver what is left, and tidy up after the dead, for ever."""
        await pace.repeat(self._look, pace=SWEEP, bell=self.store.audited)

    async def _look(self) -> bool:
        try:
            return await self._sweep_once() > 0
        except StoreUnavailable as error:
            log.warning("sweep.store_away", error=str(error))
            return False

    async def _sweep_once(self) -> int:
        found = await self._deliver_all()
        found += await self.work()
        found += await deadlines.warn(self.store)
        if self.mending.is_due():
            await reassigning.mend(self.store)
            await sending.give_to_people(self.store)
            found += await idempotency.forget(self.store)
        found += await meters.charge_dead(self.store)
        found += await switches.release_ended(self.store)
        # What fails all night is no work that keeps the sweep awake.
        await self.look_at_suspects()
        return found + await self.compare()

    async def _deliver_all(self) -> int:
        found = 0
        while delivered := await self.deliver():
            found += delivered
        return found

    async def compare(self) -> int:
        """Start the runs again that Temporal has lost; return how many.

        Does nothing where some process did it less than `compare_every` ago.
        """
        try:
            return await self.comparison.pass_over(
                self.store, self.client, self.begin, every=self.compare_every
            )
        except (RPCError, OSError, RuntimeError) as error:
            log.warning("compare.temporal_away", error=str(error))
            return 0

    async def look_at_suspects(self) -> int:
        """Show runs that fail in Temporal alone; return how many do."""
        try:
            return await self.suspects.pass_over(self.store, self.client)
        except (RPCError, OSError, RuntimeError) as error:
            log.warning("suspects.temporal_away", error=str(error))
            return 0

    async def work(self) -> int:
        """Work off what is asked of all runs that match, a while; return the batches."""
        clock, batches = asyncio.get_running_loop().time, 0
        until = clock() + WORK_S
        while clock() < until and await many.work(self.store):
            batches += 1
        return batches

    async def begin(self, run: str, workflow: str) -> None:
        """Start a run's execution under its id; one that is there is left alone."""
        await self.client.start_workflow(
            workflow,
            RunStart(run=run, effects_queue=self.effects_queue),
            id=run,
            task_queue=self.task_queue,
            task_timeout=self.task_timeout,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
        )

    async def _deliver(self, one: Delivery) -> bool:
        try:
            if one.doors:
                for door in one.doors:
                    await self._ring(one, door)
            else:
                await self.begin(one.run, one.workflow)
        except (RPCError, OSError, RuntimeError) as error:
            await outbox.failed(self.store, one.ids, error=str(error))
            return False
        return True

    async def _ring(self, one: Delivery, door: str) -> None:
        try:
            await self.client.get_workflow_handle(door).signal("ring")
        except RPCError as error:
            if error.status != RPCStatusCode.NOT_FOUND:
                raise
            # The execution is lost, or has not begun: start the run again under its
            # id; it goes on from the record.
            await self.begin(one.run, one.workflow)
