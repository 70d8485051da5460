"""Workflow tasks that fail in Temporal alone: shown on the run, healed by a mended worker."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from uuid import uuid4

import pytest
from sqlmodel import col, func, select
from temporalio.api.enums.v1 import EventType, TimeoutType, WorkflowTaskFailedCause
from temporalio.api.history.v1 import HistoryEvent

from keyturn.activities.llm.simulator import call
from keyturn.orchestrator.dispatch import task_faults
from keyturn.orchestrator.dispatch.dispatcher import Deliverer
from keyturn.orchestrator.dispatch.task_faults import TaskFault
from keyturn.orchestrator.processes import release_publisher, worker
from keyturn.orchestrator.rules.contract import registry
from keyturn.orchestrator.store.incidents import incidents
from keyturn.orchestrator.store.runs import faults, unfinished
from keyturn.orchestrator.store.runs.faults import Fault
from keyturn.orchestrator.store.runs.unfinished import OpenRun
from keyturn.orchestrator.store.tables import AuditRow, RunRow
from tests.apps.shifting.contracts import DEPLOYED
from tests.engine.engine import running_engine
from tests.engine.stage import DONE, Plays, Stage, refund_of
from tests.servers import postgres

NOW = timedelta(0)
DESK = "tests.apps.desk"
SHIFTING = "tests.apps.shifting"
# A task that fails is tried again after this; Temporal's own is ten seconds.
TASK = timedelta(seconds=1)


@dataclass
class Fleet:
    """Workers that come and go on a queue of their own."""

    stage: Stage
    parts: worker.Parts

    @asynccontextmanager
    async def working(self, *apps: str) -> AsyncGenerator[None]:
        parts = replace(self.parts, registry=registry.load(apps))
        async with worker.thinking_worker(parts):
            yield

    async def start(self) -> str:
        """Start a run that waits for a person's yes to a refund."""
        order = f"o{uuid4().hex[:8]}"
        play = self.stage.plays.add(call("refund", refund_of(order)), DONE)
        engine = self.stage.engine
        engine.world.orders[order] = {
            "order_id": order,
            "customer": f"c-{order}",
            "status": "delivered",
        }
        ticket: dict[str, object] = {
            "customer_id": f"c-{order}",
            "email": "ann@example.com",
            "text": f"play:{play.name}",
        }
        return await engine.start_workflow("shifting", ticket)

    async def failing(self, run: str, times: int) -> RunRow:
        """Return the run once so many failures are shown on it."""
        return await self.stage.engine.until(
            run, lambda now: any(one.times >= times for one in faults.of(now))
        )


@pytest.fixture(scope="module")
async def fleet(
    temporal_address: str, postgres_server: str, postgres_template: str
) -> AsyncIterator[Fleet]:
    plays = Plays()
    with postgres.database(postgres_server, template=postgres_template) as url:
        async with running_engine(temporal_address, url, plays.scenario) as engine:
            queue = f"test-{uuid4().hex}"
            settings = engine.parts.settings.model_copy(update={"task_queue": queue})
            apps = registry.load((DESK, SHIFTING))
            parts = replace(engine.parts, settings=settings, registry=apps)
            await release_publisher.publish(engine.store, apps, engine.signer)
            engine.deliverer = Deliverer(
                engine.store,
                parts.client,
                queue,
                engine.parts.settings.effects_queue,
                task_timeout=TASK,
            )
            yield Fleet(Stage(engine, plays), parts)


@asynccontextmanager
async def another_version() -> AsyncGenerator[None]:
    """Deploy code that is not what running histories were made with."""
    DEPLOYED.add("later")
    try:
        yield
    finally:
        DEPLOYED.clear()


async def incident_words(fleet: Fleet, run: str) -> str:
    async with fleet.stage.engine.store.read() as session:
        found = await incidents.of_source(session, f"code error in {run}")
    return "" if found is None else found.title


async def recorded(fleet: Fleet, run: str) -> int:
    query = select(func.count()).where(
        col(AuditRow.run) == run, col(AuditRow.kind) == "run.failing"
    )
    async with fleet.stage.engine.store.read() as session:
        return (await session.execute(query)).scalar_one()


async def test_a_run_whose_class_no_worker_has_is_shown_and_healed(
    fleet: Fleet,
) -> None:
    async with fleet.working(DESK):
        run = await fleet.start()
        row = await fleet.failing(run, 2)
    [shown] = faults.of(row)
    words = await incident_words(fleet, run)

    async with fleet.working(DESK, SHIFTING):
        await fleet.stage.engine.decide(await fleet.stage.engine.approval(run))
        ended = await fleet.stage.engine.ended(run)

    # What was seen a moment ago is not noted on a run that has ended since.
    late = TaskFault(Fault(place=faults.ENGINE, kind="Late", words="late"), 9)
    seen = OpenRun(id=run, workflow="shifting")
    await task_faults.show(fleet.stage.engine.store, seen, late)
    after = await fleet.stage.engine.run(run)

    assert after.failing is None
    assert (shown.place, row.status) == (faults.ENGINE, "queued")
    assert "shifting" in shown.words
    assert faults.ENGINE in words
    assert (ended.status, ended.failing) == ("completed", None)
    assert fleet.stage.posts(run) == ["/refunds"]


async def test_a_run_whose_code_is_not_the_one_it_began_with_is_shown_and_healed(
    fleet: Fleet,
) -> None:
    async with fleet.working(DESK, SHIFTING):
        run = await fleet.start()
        approval = await fleet.stage.engine.approval(run)
    async with another_version(), fleet.working(DESK, SHIFTING):
        await fleet.stage.engine.decide(approval)
        row = await fleet.failing(run, 2)
    [shown] = faults.of(row)
    words = await incident_words(fleet, run)

    async with fleet.working(DESK, SHIFTING):
        ended = await fleet.stage.engine.ended(run)

    assert shown.place == faults.ENGINE
    assert "ondeterminism" in shown.kind + shown.words
    assert faults.ENGINE in words
    assert (ended.status, ended.failing) == ("completed", None)
    assert fleet.stage.posts(run) == ["/refunds"]


async def test_a_failure_is_recorded_once_and_taken_back_where_the_run_only_waits(
    fleet: Fleet,
) -> None:
    engine = fleet.stage.engine
    async with fleet.working(DESK, SHIFTING):
        run = await fleet.start()
        await engine.approval(run)
    client = fleet.parts.client
    workflow = client.get_workflow_handle(run)
    async with another_version(), fleet.working(DESK, SHIFTING):
        await workflow.signal("ring")
        fault = None
        while fault is None:
            fault = await task_faults.of(client, await workflow.describe())
    [open_run] = await _open(fleet, run)
    for _ in range(3):
        await task_faults.show(engine.store, open_run, fault)
    shown = await engine.run(run)
    times = await recorded(fleet, run)

    async with fleet.working(DESK, SHIFTING):
        while fault is not None:
            fault = await task_faults.of(client, await workflow.describe())
    [open_run] = await _open(fleet, run)
    await task_faults.show(engine.store, open_run, fault)

    assert (shown.status, times) == ("waiting", 1)
    assert [one.place for one in faults.of(shown)] == [faults.ENGINE]
    assert (await engine.run(run)).failing is None


async def _open(fleet: Fleet, run: str) -> list[unfinished.OpenRun]:
    found = await unfinished.open_runs(
        fleet.stage.engine.store, after="", grace=NOW, limit=100
    )
    return [one for one in found if one.id == run]


def failed(cause: str, message: str = "") -> HistoryEvent:
    named = WorkflowTaskFailedCause.Value(f"WORKFLOW_TASK_FAILED_CAUSE_{cause}")
    event = HistoryEvent(event_type=EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED)
    event.workflow_task_failed_event_attributes.cause = named
    event.workflow_task_failed_event_attributes.failure.message = message
    return event


def timed_out(kind: str) -> HistoryEvent:
    event = HistoryEvent(event_type=EventType.EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT)
    named = TimeoutType.Value(f"TIMEOUT_TYPE_{kind}")
    event.workflow_task_timed_out_event_attributes.timeout_type = named
    return event


SIGNAL = HistoryEvent(event_type=EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED)
MENDED = HistoryEvent(event_type=EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED)
BROKEN = failed("NON_DETERMINISTIC_ERROR", "other commands")
LATEST: dict[str, tuple[list[HistoryEvent], int, str | None]] = {
    "a failure before a signal": ([SIGNAL, BROKEN], 1, "NonDeterministicError"),
    "one that was mended since": ([SIGNAL, MENDED, BROKEN], 1, None),
    "a reset by an operator": ([failed("RESET_WORKFLOW")], 1, None),
    "workers that died": ([timed_out("START_TO_CLOSE")] * 3, 3, None),
    "a task that ends its workers": (
        [timed_out("START_TO_CLOSE")],
        4,
        "WorkflowTaskTimedOut",
    ),
    "a worker that is away": ([timed_out("SCHEDULE_TO_START")], 9, None),
}


@pytest.mark.parametrize(("events", "times", "kind"), LATEST.values(), ids=LATEST)
def test_what_a_history_says_of_its_task(
    events: list[HistoryEvent], times: int, kind: str | None
) -> None:
    found = task_faults.latest(events, times)

    assert (found and found.kind) == kind
