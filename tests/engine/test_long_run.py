"""Runs of many turns: continue-as-new on the way, with an approval pending across it."""

import asyncio

import pytest
from pydantic import JsonValue
from temporalio.client import WorkflowHandle

from keyturn.activities.llm.simulator import SimRequest, SimStep, call, calls, final
from keyturn.orchestrator.store.tables import ApprovalRow
from tests.depth import SEARCHES
from tests.engine.engine import Engine, running_engine

TURNS = 1_000 if SEARCHES else 120
PAY_AT = TURNS // 2
PAYMENT: dict[str, JsonValue] = {
    "order_id": "o1",
    "amount": {"amount": 5000, "currency": "USD"},
}


def loop_with_payment(request: SimRequest) -> SimStep | None:
    done = [r.arguments["n"] for r in request.results if r.name == "measure"]
    n = int(str(done[-1])) + 1 if done else 1
    if n > TURNS:
        return final({"summary": "done"})
    if n == PAY_AT:
        return calls([("measure", {"n": n}), ("pay", PAYMENT)])
    return call("measure", {"n": n})


async def executions(engine: Engine, workflow_id: str) -> int:
    """Count the executions of a chain, from its history's own words."""
    count, handle = 1, engine.parts.client.get_workflow_handle(workflow_id)
    first = await anext(aiter(handle.fetch_history_events()))
    previous = (
        first.workflow_execution_started_event_attributes.continued_execution_run_id
    )
    while previous:
        count += 1
        older: WorkflowHandle[object, object] = engine.parts.client.get_workflow_handle(
            workflow_id, run_id=previous
        )
        event = await anext(aiter(older.fetch_history_events()))
        previous = (
            event.workflow_execution_started_event_attributes.continued_execution_run_id
        )
    return count


@pytest.mark.timeout(420)
async def test_hundreds_of_turns_finish_with_an_approval_pending_across_continue_as_new(
    temporal_address: str, sqlite_tables: str
) -> None:
    apps = ("benchmarks.apps.loop",)
    async with running_engine(
        temporal_address, sqlite_tables, loop_with_payment, apps=apps
    ) as engine:
        run = await engine.start_workflow(
            "loop-windowed", {"customer": "c1", "text": f"bench:{TURNS}:measure"}
        )
        approval = await asyncio.wait_for(_approval(engine, run), 200)
        loop = f"{run}/act/1"
        before = await executions(engine, loop)
        handle = engine.parts.client.get_workflow_handle(loop)
        while await executions(engine, loop) == before:
            # Bells that tell nothing: each wakes the loop, which looks and waits again.
            for _ in range(20):
                await handle.signal("ring")
                await asyncio.sleep(0.02)

        await engine.decide(approval)
        row = await engine.ended(run, seconds=200)

        assert row.status == "completed"
        assert row.turns == TURNS + 1
        assert [key for _, key, _ in engine.world.posted] == [f"{run}:{PAY_AT}.1.0"]
        assert await executions(engine, loop) > before


async def _approval(engine: Engine, run: str) -> ApprovalRow:
    while True:
        try:
            return await engine.approval(run)
        except TimeoutError:
            continue
