"""Workflow tasks that fail in Temporal: nondeterminism, a missing class, a deadlock.

No code of the workflow sees these: Temporal retries them without end. They are read
from the last events of the execution, bounded in number.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from uuid import uuid4

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import EventType, TimeoutType, WorkflowTaskFailedCause
from temporalio.api.history.v1 import HistoryEvent, WorkflowTaskFailedEventAttributes
from temporalio.api.workflowservice.v1 import GetWorkflowExecutionHistoryReverseRequest
from temporalio.client import Client, WorkflowExecutionDescription
from temporalio.client import WorkflowExecutionStatus as Status
from temporalio.service import RPCError, RPCStatusCode

from keyturn.orchestrator.rules.pace import Every
from keyturn.orchestrator.store.db import job_lease
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.runs import faults, unfinished
from keyturn.orchestrator.store.runs.faults import Fault
from keyturn.orchestrator.store.runs.unfinished import OpenRun

# The failure is most often the last event; signals may have arrived since.
LAST_EVENTS = 20
# One task may fail during a deploy; after this many it is an incident.
ALARM_AFTER = 2
# A worker's death loses one task; a task lost this often kills or freezes its worker.
LOST = 4
JOB = "look-at-suspects"
EVERY = timedelta(seconds=3)
# A younger task, or one requested a moment ago, is in transit.
GRACE = timedelta(seconds=2)
PASS = 20

# The kind of a failure over a payload that the codec marks as forged.
FORGED = "ForgedPayload"
# Processes receive a new key one by one: payloads sealed with it wait some tries.
UNKNOWN_KEY = "UnknownPayloadKey"
UNKNOWN_FOR_GOOD = 8

_FAILED = EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED
_TIMED_OUT = EventType.EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT
_COMPLETED = EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED
_RESET = WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_RESET_WORKFLOW
_IN_HAND = TimeoutType.TIMEOUT_TYPE_START_TO_CLOSE


@dataclass(frozen=True)
class TaskFault:
    """A workflow task that failed, and how many times."""

    fault: Fault
    times: int

    @property
    def is_forged(self) -> bool:
        """Return whether it fails over a payload that no process of ours sealed."""
        return self.fault.kind == FORGED

    @property
    def is_unreadable(self) -> bool:
        """Return whether it was sealed with a key that no worker has had for long."""
        return self.fault.kind == UNKNOWN_KEY and self.times >= UNKNOWN_FOR_GOOD


class Suspects:
    """Checks every few seconds runs that are working and ask no model now, in passes.

    A run whose workflow fails is one of them. The comparison checks all others.
    """

    def __init__(self) -> None:
        """Start with the oldest run."""
        self._after = ""
        self._due = Every(EVERY.total_seconds())

    async def pass_over(self, store: Store, client: Client) -> int:
        """Show the failures of the next runs; return how many fail."""
        if not self._due.is_due():
            return 0
        found = await unfinished.busy_runs(
            store, after=self._after, grace=GRACE, limit=PASS
        )
        self._after = found[-1].id if len(found) == PASS else ""
        if not found:
            return 0
        # Each pass is its own holder: the lease is for one pass, not for the process.
        if not await job_lease.take(store, JOB, holder=uuid4().hex, period=EVERY):
            return 0
        looked = await asyncio.gather(*(_look(store, client, run) for run in found))
        return sum(looked)


async def _look(store: Store, client: Client, run: OpenRun) -> bool:
    found = await describe(client, run.id)
    if found is None or found.status != Status.RUNNING:
        # The comparison restarts lost runs.
        return False
    fails = await of(client, found)
    for child in found.raw_description.pending_children:
        loop = None if fails else await describe(client, child.workflow_id)
        fails = fails if loop is None else await of(client, loop)
    await show(store, run, fails)
    return fails is not None


async def describe(client: Client, name: str) -> WorkflowExecutionDescription | None:
    """Return an execution's description from Temporal; None where there is none."""
    try:
        return await client.get_workflow_handle(name).describe()
    except RPCError as error:
        if error.status == RPCStatusCode.NOT_FOUND:
            return None
        raise


async def of(client: Client, found: WorkflowExecutionDescription) -> TaskFault | None:
    """Return the fault of an execution's pending workflow task; None without one."""
    pending = found.raw_description.pending_workflow_task
    if pending.attempt <= 1:
        return None
    times = pending.attempt - 1
    fault = latest(await _last_events(client, found), times)
    return TaskFault(fault, times) if fault else None


async def _last_events(
    client: Client, found: WorkflowExecutionDescription
) -> Iterable[HistoryEvent]:
    """Return an execution's last events, the latest first; none if it is gone."""
    asked = GetWorkflowExecutionHistoryReverseRequest(
        namespace=client.namespace,
        execution=WorkflowExecution(workflow_id=found.id, run_id=found.run_id),
        maximum_page_size=LAST_EVENTS,
    )
    ask = client.workflow_service.get_workflow_execution_history_reverse
    try:
        return (await ask(asked)).history.events
    except RPCError as error:
        if error.status == RPCStatusCode.NOT_FOUND:
            return ()
        raise


def latest(events: Iterable[HistoryEvent], times: int) -> Fault | None:
    """Return the latest task's fault after `times` failures; events latest first."""
    for event in events:
        if event.event_type == _COMPLETED:
            # Earlier failures have been repaired.
            return None
        fault = _fault(event, times)
        if fault is not None:
            return fault
    return None


async def show(store: Store, run: OpenRun, found: TaskFault | None) -> None:
    """Show on a run how it fails in Temporal, or clear that.

    If it continues to fail, the run's incident is opened.
    """
    if found is None:
        if faults.ENGINE in run.failing:
            await faults.heal(store, run.id, faults.ENGINE)
        return
    await faults.note(store, run.id, found.fault, times=found.times)
    if found.times >= ALARM_AFTER:
        await faults.alarm(store, run.id, faults.ENGINE)


def _fault(event: HistoryEvent, times: int) -> Fault | None:
    if event.event_type == _TIMED_OUT:
        lost = event.workflow_task_timed_out_event_attributes
        is_in_hand = lost.timeout_type == _IN_HAND
        return _lost() if is_in_hand and times >= LOST else None
    if event.event_type != _FAILED:
        return None
    failed = event.workflow_task_failed_event_attributes
    if failed.cause == _RESET:
        return None
    words = failed.failure.message or "Temporal stores no message for it"
    return Fault(place=faults.ENGINE, kind=_kind(failed), words=words)


def _lost() -> Fault:
    words = (
        "Workers took the workflow's task repeatedly and did not complete it: its code "
        "ends the process, or takes longer than a workflow task may."
    )
    return Fault(place=faults.ENGINE, kind="WorkflowTaskTimedOut", words=words)


def _kind(failed: WorkflowTaskFailedEventAttributes) -> str:
    named = failed.failure.application_failure_info.type
    cause = failed.failure.cause.application_failure_info.type
    if cause in (FORGED, UNKNOWN_KEY):
        # The SDK's own error says only that the arguments are unusable.
        return cause
    if named:
        return named
    by = WorkflowTaskFailedCause.Name(failed.cause)
    words = by.removeprefix("WORKFLOW_TASK_FAILED_CAUSE_").split("_")
    return "".join(word.title() for word in words)
