"""Compares open runs with Temporal (P9).

A run that is lost there is restarted; one that is idle but could continue receives a
signal; one that fails only there is shown as failing.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import structlog
from temporalio.client import Client, WorkflowExecutionDescription
from temporalio.client import WorkflowExecutionStatus as Status

from keyturn.orchestrator.dispatch import task_faults
from keyturn.orchestrator.dispatch.task_faults import TaskFault, describe
from keyturn.orchestrator.store.db import job_lease
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.integrity import forgery
from keyturn.orchestrator.store.runs import stalled, unfinished
from keyturn.orchestrator.store.runs.unfinished import OpenRun

JOB = "compare-with-temporal"
# A pass looks at this many runs; the next pass continues after them.
PASS = 500
AT_ONCE = 10
# A younger run may still be on its way to Temporal, or from a child to its parent.
GRACE = timedelta(seconds=30)
# An activity that no worker has taken for this long is not in progress.
UNTAKEN = timedelta(minutes=5)
log = structlog.get_logger()

Begin = Callable[[str, str], Awaitable[None]]


class Comparison:
    """Walks through the open runs, one pass at a time."""

    def __init__(self, queue: str, *, grace: timedelta = GRACE) -> None:
        """Start with the oldest run; all of them are carried out on one `queue`."""
        self._queue = queue
        self._grace = grace
        self._after = ""

    async def pass_over(
        self, store: Store, client: Client, begin: Begin, *, every: timedelta
    ) -> int:
        """Compare the next runs and start the lost ones; return how many were lost."""
        # Each pass is its own holder: the lease is for one pass, not for the process.
        if not await job_lease.take(store, JOB, holder=uuid4().hex, period=every):
            return 0
        found = await unfinished.open_runs(
            store, after=self._after, grace=self._grace, limit=PASS
        )
        self._after = found[-1].id if len(found) == PASS else ""
        room = asyncio.Semaphore(AT_ONCE)

        async def look(run: OpenRun) -> bool:
            async with room:
                return await self._restore(store, client, begin, run)

        return sum(await asyncio.gather(*(look(run) for run in found)))

    async def _restore(
        self, store: Store, client: Client, begin: Begin, run: OpenRun
    ) -> bool:
        seen = await self._look(client, run)
        why = seen.lost
        if why is None:
            await task_faults.show(store, run, seen.fails)
            is_idle = not seen.is_under_way and seen.fails is None
            if is_idle and await self._is_deaf(
                store, run.id, is_delivered=seen.is_delivered
            ):
                why = DEAF
        if why is None:
            return False
        # It may have ended regularly since it was listed.
        if not await unfinished.note_restart(store, run.id, why=why):
            return False
        log.warning("run.started_again", run=run.id, why=why)
        if why in MEDDLED:
            await forgery.tell(store, run.id, why)
        if why == ELSEWHERE:
            await forgery.tell_elsewhere(store, run.id, self._queue)
        if why in STILL_THERE:
            # Its loops end with it.
            await client.get_workflow_handle(run.id).terminate(why)
        await begin(run.id, run.workflow)
        return True

    async def _is_deaf(self, store: Store, run: str, *, is_delivered: bool) -> bool:
        """Signal a run that has work to do while no activity works for it.

        True where it received three signals and did nothing: then the worker on its
        tasks is not one of ours.
        """
        undone = await stalled.could_go_on(store, run, still=self._grace)
        if undone is None:
            return False
        signalled = await stalled.signal(
            store, run, why=undone, is_delivered=is_delivered
        )
        if signalled != "not":
            log.warning("run.rung_again", run=run, why=undone)
        return signalled == "deaf"

    async def _look(self, client: Client, run: OpenRun) -> "Seen":
        found = await describe(client, run.id)
        if found is None:
            return Seen(lost="Temporal has no execution of it")
        if (lost := self._misplaced(found, run)) is not None:
            return Seen(lost=lost)
        is_under_way = _is_under_way(found)
        is_delivered = _has_taken_all(found)
        fails = await task_faults.of(client, found)
        for child in found.raw_description.pending_children:
            loop = await describe(client, child.workflow_id)
            if loop is None or self._is_long_closed(loop):
                return Seen(lost=LOST_LOOP)
            is_under_way = is_under_way or _is_under_way(loop)
            is_delivered = is_delivered and _has_taken_all(loop)
            fails = fails or await task_faults.of(client, loop)
        return Seen(
            lost=_unusable(fails),
            is_under_way=is_under_way,
            is_delivered=is_delivered,
            fails=fails,
        )

    def _misplaced(
        self, found: WorkflowExecutionDescription, run: OpenRun
    ) -> str | None:
        if found.status != Status.RUNNING:
            return f"its execution is {_word(found)}"
        if found.workflow_type != run.workflow:
            return IMPOSTOR
        return None if found.task_queue == self._queue else ELSEWHERE

    def _is_long_closed(self, loop: WorkflowExecutionDescription) -> bool:
        closed = loop.close_time
        return closed is not None and datetime.now(UTC) - closed > self._grace


LOST_LOOP = "the child workflow of its tool loop is lost"
IMPOSTOR = "an execution of another workflow type has its id"
ELSEWHERE = "its execution is on another task queue"
FORGED = "its history contains payloads that no Keyturn process encrypted"
UNREADABLE = "its history is encrypted with a key that no worker has"
DEAF = "it received its signals and did nothing"
# Causes that only interference by somebody else explains.
MEDDLED = frozenset({IMPOSTOR, FORGED})
STILL_THERE = MEDDLED | {ELSEWHERE, LOST_LOOP, UNREADABLE, DEAF}


@dataclass(frozen=True)
class Seen:
    """What Temporal says of a run: why it is lost, or whether an activity works for it.

    `fails`: its workflow's code, where only Temporal sees it. `is_delivered`: all its
    signals were taken by some worker.
    """

    lost: str | None = None
    is_under_way: bool = False
    is_delivered: bool = False
    fails: TaskFault | None = None


def _unusable(fails: TaskFault | None) -> str | None:
    if fails is None:
        return None
    if fails.is_forged:
        return FORGED
    return UNREADABLE if fails.is_unreadable else None


def _is_under_way(found: WorkflowExecutionDescription) -> bool:
    return any(
        one.attempt > 1
        or one.HasField("last_started_time")
        or datetime.now(UTC) - one.scheduled_time.ToDatetime(UTC) < UNTAKEN
        for one in found.raw_description.pending_activities
    )


def _has_taken_all(found: WorkflowExecutionDescription) -> bool:
    """Return whether nothing of it waits for a worker, neither signal nor activity."""
    seen = found.raw_description
    return not seen.HasField("pending_workflow_task") and not seen.pending_activities


def _word(found: WorkflowExecutionDescription) -> str:
    return found.status.name.lower() if found.status is not None else "unknown"
