"""Delivery to Temporal: after the commit, by any process, until acted on (P9)."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta

import structlog
from temporalio.client import Client
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.service import RPCError, RPCStatusCode

from keyturn.orchestrator.rules import pace
from keyturn.orchestrator.rules.errors import StoreUnavailable
from keyturn.orchestrator.rules.pace import Pace
from keyturn.orchestrator.store import outbox
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.outbox import Delivery
from keyturn.workflows.messages import RunStart

# A living process delivers its own commits at once: the sweep finds those of dead
# processes, and signals that are due again.
SWEEP = Pace(busy_s=1.0, idle_s=5.0)
# A worker takes milliseconds for a workflow task. If one is killed during a task,
# another receives it after this time; Temporal's default of 10 s would delay customers
# and approvers.
TASK_TIMEOUT = timedelta(seconds=6)
log = structlog.get_logger()


@dataclass(frozen=True)
class Deliverer:
    """Delivers committed work; any process may, and any may die doing it."""

    store: Store
    client: Client
    task_queue: str
    effects_queue: str
    # How long a worker may take for a workflow task; None: Temporal's default.
    task_timeout: timedelta | None = TASK_TIMEOUT

    async def deliver(self, run: str | None = None) -> int:
        """Deliver what is due, of one run or of all; return how many were accepted.

        Never raises because of Temporal: a delivery that is not accepted is retried.
        """
        due = await outbox.claim(self.store, run=run)
        done = await asyncio.gather(*(self._deliver(one) for one in due))
        accepted = [one for one, ok in zip(due, done, strict=True) if ok]
        if accepted:
            ids = [row for one in accepted for row in one.ids]
            await outbox.delivered(self.store, ids)
        return len(accepted)

    async def sweep(self) -> None:
        """Deliver forever what dead processes left, and signals that are due again."""
        await pace.repeat(self._look, pace=SWEEP, bell=self.store.audited)

    async def _look(self) -> bool:
        try:
            return await self.deliver_all() > 0
        except StoreUnavailable as error:
            log.warning("sweep.store_away", error=str(error))
            return False

    async def deliver_all(self) -> int:
        """Deliver until nothing is due; return how many were accepted."""
        found = 0
        while delivered := await self.deliver():
            found += delivered
        return found

    async def begin(self, run: str, workflow: str) -> None:
        """Start a run's execution under its id; leaves an existing one unchanged."""
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
            if one.workflow_ids:
                for workflow_id in one.workflow_ids:
                    await self._signal(one, workflow_id)
            else:
                await self.begin(one.run, one.workflow)
        except (RPCError, OSError, RuntimeError) as error:
            await outbox.failed(self.store, one.ids, error=str(error))
            return False
        return True

    async def _signal(self, one: Delivery, workflow_id: str) -> None:
        try:
            await self.client.get_workflow_handle(workflow_id).signal("ring")
        except RPCError as error:
            if error.status != RPCStatusCode.NOT_FOUND:
                raise
            # The execution is lost, or has not begun: start the run again under its
            # id; it continues from the record.
            await self.begin(one.run, one.workflow)
