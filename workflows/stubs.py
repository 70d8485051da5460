"""The activities as workflows call them; the one place for timeouts and retries."""

from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.workflow import ActivityCancellationType

with workflow.unsafe.imports_passed_through():
    from keyturn.activities import interface
    from keyturn.activities.interface import (
        ActResult,
        CallInput,
        FaultInput,
        FaultResult,
        Finished,
        FinishInput,
        ReadResult,
        ThinkInput,
        ThinkResult,
    )

# After a SIGKILL the next attempt starts at most this much later.
HEARTBEAT = timedelta(seconds=5)
RETRY = RetryPolicy(
    initial_interval=timedelta(milliseconds=500),
    maximum_interval=timedelta(seconds=10),
)


async def think(wanted: ThinkInput) -> ThinkResult:
    """Return one turn's result; retries for as long as the store is unavailable."""
    return await workflow.execute_activity(
        interface.think,
        wanted,
        start_to_close_timeout=timedelta(minutes=30),
        heartbeat_timeout=HEARTBEAT,
        retry_policy=RETRY,
    )


async def run_tool(wanted: CallInput) -> ReadResult:
    """Carry out one read; gives up by itself, with an explanation for the model."""
    return await workflow.execute_activity(
        interface.run_tool,
        wanted,
        start_to_close_timeout=timedelta(seconds=40),
        retry_policy=RETRY,
    )


async def perform(wanted: CallInput, *, queue: str) -> ActResult:
    """Carry out one action on the effect worker; never cancelled, never abandoned."""
    return await workflow.execute_activity(
        interface.perform,
        wanted,
        task_queue=queue,
        start_to_close_timeout=timedelta(minutes=5),
        heartbeat_timeout=HEARTBEAT,
        retry_policy=RETRY,
        cancellation_type=ActivityCancellationType.ABANDON,
    )


async def finish(wanted: FinishInput) -> Finished:
    """Record how a run ended."""
    return await workflow.execute_activity(
        interface.finish,
        wanted,
        start_to_close_timeout=timedelta(seconds=30),
        retry_policy=RETRY,
    )


async def fault(wanted: FaultInput) -> FaultResult:
    """Record that a workflow's own code failed; return whether to restart."""
    return await workflow.execute_activity(
        interface.fault,
        wanted,
        start_to_close_timeout=timedelta(seconds=30),
        retry_policy=RETRY,
    )
