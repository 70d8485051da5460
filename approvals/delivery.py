"""Delivery to Temporal: after the commit, by any process, until acted on (P9)."""

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count

import structlog
from temporalio.client import Client
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.service import RPCError, RPCStatusCode

from approvals.comparison import Comparison
from orchestrator.errors import StoreUnavailable
from orchestrator.store import deadlines, meters, outbox, reassigning, sending, switches
from orchestrator.store.engine import Store
from orchestrator.store.outbox import Delivery
from workflows.messages import RunStart

SWEEP_S = 1.0
# Whom the system picked seldom loses the right to decide; a run seldom ends while
# another loop of it sends.
LOOKS_A_MEND = 15
# How often one of all processes compares the open runs with Temporal.
COMPARE_EVERY = timedelta(seconds=30)
log = structlog.get_logger()


@dataclass(frozen=True)
class Deliverer:
    """Delivers what is committed; any process may, and any may die doing it."""

    store: Store
    client: Client
    task_queue: str
    effects_queue: str
    compare_every: timedelta = COMPARE_EVERY
    comparison: Comparison = field(default_factory=Comparison)

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
        for look in count():
            try:
                while await self.deliver():
                    pass
                await deadlines.warn(self.store)
                if look % LOOKS_A_MEND == 0:
                    await reassigning.mend(self.store)
                    await sending.give_to_people(self.store)
                await meters.charge_dead(self.store)
                await switches.release_ended(self.store)
                await self.compare()
            except StoreUnavailable as error:
                log.warning("sweep.store_away", error=str(error))
            await asyncio.sleep(SWEEP_S)

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

    async def begin(self, run: str, workflow: str) -> None:
        """Start a run's execution under its id; one that is there is left alone."""
        await self.client.start_workflow(
            workflow,
            RunStart(run=run, effects_queue=self.effects_queue),
            id=run,
            task_queue=self.task_queue,
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
