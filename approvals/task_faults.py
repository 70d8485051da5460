"""Workflow tasks that fail in Temporal: nondeterminism, a missing class, a deadlock.

No code of the workflow sees these: Temporal tries them again without end. They are read
from the last events of the execution, bounded in number.
"""

from dataclasses import dataclass

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import EventType, WorkflowTaskFailedCause
from temporalio.api.history.v1 import HistoryEvent, WorkflowTaskFailedEventAttributes
from temporalio.api.workflowservice.v1 import GetWorkflowExecutionHistoryReverseRequest
from temporalio.client import Client, WorkflowExecutionDescription

from orchestrator.store import failing
from orchestrator.store.engine import Store
from orchestrator.store.failing import Fault

# The failure is most often the last event; signals may have come since.
LAST_EVENTS = 20
# One task may fail while a deploy is under way; after so many it is an incident.
ALARM_AFTER = 2


@dataclass(frozen=True)
class TaskFault:
    """A workflow task that failed, and how often it did."""

    fault: Fault
    times: int


async def of(client: Client, found: WorkflowExecutionDescription) -> TaskFault | None:
    """Return what fails in an execution's pending workflow task; None: nothing does."""
    pending = found.raw_description.pending_workflow_task
    if pending.attempt <= 1:
        return None
    last = await client.workflow_service.get_workflow_execution_history_reverse(
        GetWorkflowExecutionHistoryReverseRequest(
            namespace=client.namespace,
            execution=WorkflowExecution(workflow_id=found.id, run_id=found.run_id),
            maximum_page_size=LAST_EVENTS,
        )
    )
    for event in last.history.events:
        fault = _fault(event)
        if fault is not None:
            return TaskFault(fault, pending.attempt - 1)
    return None


async def note(store: Store, run: str, found: TaskFault) -> None:
    """Show a failure on its run, and open the run's incident where it goes on."""
    await failing.note(store, run, found.fault, times=found.times)
    if found.times >= ALARM_AFTER:
        await failing.alarm(store, run, failing.ENGINE)


def _fault(event: HistoryEvent) -> Fault | None:
    if event.event_type != EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED:
        return None
    failed = event.workflow_task_failed_event_attributes
    if (
        failed.cause
        == WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_RESET_WORKFLOW
    ):
        return None
    words = failed.failure.message or "Temporal keeps no words of it"
    return Fault(place=failing.ENGINE, kind=_kind(failed), words=words)


def _kind(failed: WorkflowTaskFailedEventAttributes) -> str:
    named = failed.failure.application_failure_info.type
    if named:
        return named
    cause = WorkflowTaskFailedCause.Name(failed.cause)
    words = cause.removeprefix("WORKFLOW_TASK_FAILED_CAUSE_").split("_")
    return "".join(word.title() for word in words)
