"""P1, P9: Temporal's port alone neither acts, nor ends a run, nor strands a decision."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, TypeVar
from uuid import uuid4

import pytest
from sqlmodel import col, delete, select
from temporalio import workflow
from temporalio.client import Client
from temporalio.common import RetryPolicy
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from keyturn.activities.finish import Finish
from keyturn.activities.guard import Guard
from keyturn.activities.interface import CallInput, FinishInput, StepStart, ThinkInput
from keyturn.activities.llm.simulator import call
from keyturn.orchestrator.dispatch.jobs import Upkeep
from keyturn.orchestrator.dispatch.lost_runs import ELSEWHERE, FORGED, IMPOSTOR
from keyturn.orchestrator.processes.connection import CONVERTER
from keyturn.orchestrator.store.runs import unfinished
from keyturn.orchestrator.store.tables import AuditRow, IncidentRow, LeaseRow
from keyturn.workflows.messages import ActStart, RunStart
from tests.engine.stage import DONE, Play, Stage, refund_of

Found = TypeVar("Found")
NOW = timedelta(0)
LONG_S = 60.0
OWN = StepStart(name="act", instructions="Refund 19.99 USD to whoever asks.")


@workflow.defn(name="rogue")
class Rogue:
    """What whoever reaches Temporal's port can have our workers asked for."""

    @workflow.run
    async def run(self, kind: str, given: Any, queue: str) -> str:
        try:
            await workflow.execute_activity(
                kind,
                given,
                task_queue=queue,
                start_to_close_timeout=timedelta(seconds=20),
                retry_policy=RetryPolicy(maximum_attempts=1),
            )
        except Exception as error:  # noqa: BLE001 whatever it is
            return repr(error.__cause__)
        return "it was answered"


@asynccontextmanager
async def stranger(stage: Stage) -> AsyncGenerator[Client]:
    """A client of the same Temporal that holds no key, with a worker of its own."""
    settings = stage.engine.parts.settings
    client = await Client.connect(settings.temporal_address, data_converter=CONVERTER)
    async with Worker(
        client,
        task_queue="elsewhere",
        workflows=[Rogue, Deaf],
        workflow_runner=UnsandboxedWorkflowRunner(),
    ):
        yield client


@workflow.defn(name="desk")
class Deaf:
    """An execution that stands in a run's place and does nothing."""

    @workflow.run
    async def run(self, _: Any) -> None:
        await workflow.wait_condition(lambda: False)

    @workflow.signal
    def ring(self) -> None:
        """Hear, and do nothing."""


async def waiting(stage: Stage, order: str) -> tuple[str, Play]:
    run, play = await stage.play(call("refund", refund_of(order)), DONE, order=order)
    await stage.engine.approval(run)
    await stage.engine.until(run, lambda row: row.status == "waiting")
    return run, play


async def goes_on(stage: Stage, run: str) -> None:
    """Decide, and see the run through: what was asked of us otherwise left no trace."""
    await stage.engine.decide(await stage.engine.approval(run))
    assert (await stage.engine.ended(run)).status == "completed"
    assert stage.posts(run) == ["/refunds"]


async def compare(stage: Stage) -> None:
    async with stage.engine.store.write() as session:
        # The engine's own sweep has the turn for half a minute.
        await session.execute(delete(LeaseRow))
    upkeep = Upkeep(stage.engine.deliverer, compare_every=NOW, grace=NOW)
    await upkeep.compare()


async def restarted(stage: Stage, run: str, why: str) -> None:
    """Compare until the run was started again for this reason."""
    query = select(AuditRow.payload).where(
        col(AuditRow.run) == run, col(AuditRow.kind) == unfinished.RESTARTED
    )
    async with asyncio.timeout(LONG_S):
        while True:
            await compare(stage)
            async with stage.engine.store.read() as session:
                found = (await session.execute(query)).scalars()
                if any(why in str(one) for one in found):
                    return
            await asyncio.sleep(0.1)


async def incidents(stage: Stage, run: str) -> list[IncidentRow]:
    async with stage.engine.store.read() as session:
        rows = (await session.execute(select(IncidentRow))).scalars()
        return [row for row in rows if row.detail.get("run") == run]


@pytest.mark.parametrize("kind", ["think", "perform", "run_tool", "finish", "fault"])
async def test_p01_what_a_stranger_has_our_workers_asked_is_not_done(
    stage: Stage, order: str, kind: str
) -> None:
    run, play = await waiting(stage, order)
    asked = len(play.requests)
    settings = stage.engine.parts.settings
    given: dict[str, Any] = {
        "think": ThinkInput(run=run, step=2, turn=10_001, start=OWN, ends_run=True),
        "perform": CallInput(run=run, turn=1, index=0),
        "run_tool": CallInput(run=run, turn=1, index=0),
        "finish": FinishInput(run=run, outcome="handed_off", reason="mine"),
        "fault": {"run": run, "kind": "Error", "is_final": True},
    }
    queue = settings.effects_queue if kind == "perform" else settings.task_queue
    async with stranger(stage) as client:
        came = await client.execute_workflow(
            Rogue.run,
            args=[kind, given[kind], queue],
            id=f"rogue-{uuid4().hex}",
            task_queue="elsewhere",
        )

    assert "Failed decoding arguments" in came, came
    row = await stage.engine.run(run)
    assert (row.status, len(play.requests), stage.posts(run)) == ("waiting", asked, [])
    await goes_on(stage, run)


async def test_p01_a_stranger_starts_no_loop_of_ours(stage: Stage, order: str) -> None:
    run, play = await waiting(stage, order)
    asked = len(play.requests)
    settings = stage.engine.parts.settings
    start = ActStart(
        run=run, step=2, effects_queue=settings.effects_queue, turn=10_001, start=OWN
    )
    async with stranger(stage) as client:
        handle = await client.start_workflow(
            "act", start, id=f"{run}/act/2", task_queue=settings.task_queue
        )
        await until(lambda: failing(handle))
        await handle.terminate()

    assert len(play.requests) == asked
    await goes_on(stage, run)


async def test_p07_a_bell_with_anything_in_it_stops_nothing(
    stage: Stage, order: str
) -> None:
    run, _ = await waiting(stage, order)
    async with stranger(stage) as client:
        for workflow_id in (run, f"{run}/act/1"):
            handle = client.get_workflow_handle(workflow_id)
            await handle.signal("ring", {"decision": "approve"})
            await handle.signal("ring", args=["x" * 10_000, None])
            await handle.signal("nothing of ours", 1)

    await goes_on(stage, run)


async def test_p02_an_answer_in_a_workers_place_is_found_and_done_once(
    stage: Stage, order: str
) -> None:
    """Whoever reaches the port answers "done" while the effect worker is about it."""
    run, _ = await waiting(stage, order)
    gate = stage.engine.world.gates[order] = asyncio.Event()
    await stage.engine.decide(await stage.engine.approval(run))
    settings = stage.engine.parts.settings
    client = await Client.connect(settings.temporal_address, data_converter=CONVERTER)
    loop = client.get_workflow_handle(f"{run}/act/1")
    [activity] = await until(lambda: pending(loop))
    await client.get_async_activity_handle(
        workflow_id=f"{run}/act/1", run_id=None, activity_id=activity
    ).complete({"kind": "rejected"})
    gate.set()

    await restarted(stage, run, FORGED)
    row = await stage.engine.ended(run, seconds=LONG_S)

    assert (row.status, stage.posts(run)) == ("completed", ["/refunds"])
    [found] = [one for one in await incidents(stage, run) if one.severity == "critical"]
    assert "wrote into Temporal" in found.title


async def until(look: Callable[[], Awaitable[Found]]) -> Found:
    """Look until there is something, and return it."""
    async with asyncio.timeout(LONG_S):
        while not (found := await look()):  # noqa: ASYNC110 Temporal's own work
            await asyncio.sleep(0.05)
    return found


async def failing(handle: Any) -> bool:
    described = (await handle.describe()).raw_description
    return described.pending_workflow_task.attempt > 1


async def pending(handle: Any) -> list[str]:
    described = (await handle.describe()).raw_description
    return [
        one.activity_id
        for one in described.pending_activities
        if one.activity_type.name == "perform"
    ]


@pytest.mark.parametrize("queue", ["elsewhere", "ours"])
async def test_p09_an_impostor_in_a_runs_place_strands_no_decision(
    stage: Stage, order: str, queue: str
) -> None:
    run, _ = await waiting(stage, order)
    settings = stage.engine.parts.settings
    async with stranger(stage) as client:
        await client.get_workflow_handle(run).terminate("mine")
        kind = "desk" if queue == "elsewhere" else "act"
        place = "elsewhere" if queue == "elsewhere" else settings.task_queue
        await client.start_workflow(
            kind,
            RunStart(run=run, effects_queue="elsewhere"),
            id=run,
            task_queue=place,
        )
        await stage.engine.decide(await stage.engine.approval(run))

        await restarted(stage, run, ELSEWHERE if queue == "elsewhere" else IMPOSTOR)
        row = await stage.engine.ended(run, seconds=LONG_S)

    assert (row.status, stage.posts(run)) == ("completed", ["/refunds"])
    [found] = await incidents(stage, run)
    assert found.severity == ("high" if queue == "elsewhere" else "critical")


@pytest.mark.parametrize("turn", [2, 3, 7, 10_001])
async def test_p01_a_turn_that_is_not_the_next_is_thought_by_nobody(
    stage: Stage, order: str, turn: int
) -> None:
    """A process that holds the key is broken into: the record knows what is next."""
    run, play = await waiting(stage, order)
    asked = len(play.requests)
    client, settings = stage.engine.parts.client, stage.engine.parts.settings
    start = ActStart(
        run=run, step=1, effects_queue=settings.effects_queue, turn=turn, start=None
    )
    handle = await client.start_workflow(
        "act", start, id=f"forged-{uuid4().hex}", task_queue=settings.task_queue
    )
    with pytest.raises(Exception, match="Workflow execution failed"):
        await handle.result()

    assert len(play.requests) == asked
    assert (await stage.engine.run(run)).status == "waiting"
    [found] = await incidents(stage, run)
    assert found.severity == "critical"
    await goes_on(stage, run)


@pytest.mark.parametrize(
    ("end", "words"),
    [
        ({"outcome": "completed", "step": 1}, "output of step 1, which has none"),
        ({"outcome": "completed", "step": 9}, "output of step 9, which has none"),
    ],
)
async def test_p01_a_run_ends_only_as_the_record_says(
    stage: Stage, order: str, end: dict[str, Any], words: str
) -> None:
    run, _ = await waiting(stage, order)
    store = stage.engine.store
    finish = Finish(store, Guard(store))

    with pytest.raises(ApplicationError, match="goes on from the record"):
        await ActivityEnvironment().run(
            finish.__call__, FinishInput.model_validate({"run": run, **end})
        )

    [found] = await incidents(stage, run)
    assert words in str(found.detail["words"])
    await goes_on(stage, run)


async def test_a_cancel_that_was_stopped_ends_nothing_and_accuses_nobody(
    stage: Stage, order: str
) -> None:
    run, _ = await waiting(stage, order)
    finish = Finish(stage.engine.store, Guard(stage.engine.store))

    with pytest.raises(ApplicationError, match="goes on from the record"):
        await ActivityEnvironment().run(
            finish.__call__, FinishInput(run=run, outcome="cancelled")
        )

    assert await incidents(stage, run) == []
    await goes_on(stage, run)


async def test_p05_what_temporal_keeps_of_a_run_says_nothing_to_it(
    stage: Stage, order: str
) -> None:
    run, _ = await stage.played(DONE, order=order)
    client = stage.engine.parts.client
    for workflow_id in (run.id, f"{run.id}/act/1"):
        history = await client.get_workflow_handle(workflow_id).fetch_history()
        for event in history.events:
            kept = event.SerializeToString()
            assert b"effects_queue" not in kept
            assert b"json/plain" not in kept
            assert b'"step"' not in kept
