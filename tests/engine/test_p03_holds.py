"""P3, P9 through the real engine: no order of hold, sibling's end and lift leaves a run."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from itertools import permutations

import pytest
from sqlmodel import col, select

from keyturn.activities.llm.simulator import call, calls, slow
from keyturn.orchestrator.dispatch.lost_runs import Comparison
from keyturn.orchestrator.store.runs import control, messages, stalled
from keyturn.orchestrator.store.switches import switches
from keyturn.orchestrator.store.tables import AuditRow, SwitchRow
from tests.engine.stage import DONE, Stage, refund_of

ORDERS = list(permutations(("hold", "end", "lift")))
Act = Callable[[Stage, str, str], Awaitable[None]]


async def _halt(stage: Stage, run: str, name: str) -> None:
    del run
    await stage.engine.switch("halt", name, tool="refund")


async def _disable(stage: Stage, run: str, name: str) -> None:
    del run
    await stage.engine.switch("disable", name, tool="refund")


async def _two(stage: Stage, run: str, name: str) -> None:
    del run
    await stage.engine.switch("halt", f"{name}-2", tool="refund")
    await stage.engine.switch("halt", name, workflow="desk", tool="refund")


async def _pause(stage: Stage, run: str, name: str) -> None:
    del name
    await control.pause(stage.engine.store, run, by="lea", reason="look")


async def _clear(stage: Stage, run: str, name: str) -> None:
    del run
    await switches.clear(stage.engine.store, name, by="lea", reason="over")


async def _clear_two(stage: Stage, run: str, name: str) -> None:
    await _clear(stage, run, f"{name}-2")
    await _clear(stage, run, name)


async def _resume(stage: Stage, run: str, name: str) -> None:
    del name
    await control.resume(stage.engine.store, run, by="lea", reason="over")


KINDS: dict[str, tuple[Act, Act]] = {
    "halt": (_halt, _clear),
    "disable": (_disable, _clear),
    "two halts": (_two, _clear_two),
    "pause": (_pause, _resume),
}


# The record's own tests try every kind in every order.
CASES = [
    *(("halt", order_of) for order_of in ORDERS),
    *((kind, ("hold", "end", "lift")) for kind in KINDS if kind != "halt"),
]


@pytest.mark.parametrize(("kind", "order_of"), CASES)
async def test_p09_a_run_with_a_held_call_ends_once_that_is_lifted(
    stage: Stage, order: str, order_of: tuple[str, ...], kind: str
) -> None:
    """The turn refunds and reads; a bell rings the refund's look, a gate ends the read."""
    put, lift = KINDS[kind]
    gate = asyncio.Event()
    stage.engine.world.gates[f"slow-{order}"] = gate
    asked = calls(
        [("refund", refund_of(order)), ("find_order", {"order_id": f"slow-{order}"})]
    )
    run, _ = await stage.play(asked, DONE, order=order)
    approval = await stage.engine.approval(run)
    await stage.engine.decide(approval, deliver=False)
    await put(stage, run, order)

    for event in order_of:
        match event:
            case "hold":
                await stage.engine.deliverer.deliver(run)
            case "end":
                gate.set()
            case _:
                await lift(stage, run, order)
        await asyncio.sleep(0.3)

    row = await stage.engine.ended(run, seconds=20)
    assert row.status == "completed"
    assert stage.posts(run) == ["/refunds"]


@pytest.mark.parametrize("hold", ["halt", "pause"])
async def test_p03_a_hold_in_the_last_model_call_keeps_the_runs_end(
    stage: Stage, order: str, hold: str
) -> None:
    run, play = await stage.play(slow(0.8, DONE), order=order)
    async with asyncio.timeout(30):
        while not play.requests:  # noqa: ASYNC110 another task's work
            await asyncio.sleep(0.01)
    if hold == "halt":
        await stage.engine.switch("halt", order, tenant="default")
    else:
        await _pause(stage, run, order)
    held = await stage.engine.until(run, lambda row: row.status == "stopped")
    await asyncio.sleep(1.2)
    still = await stage.engine.run(run)
    await (_clear if hold == "halt" else _resume)(stage, run, order)
    row = await stage.engine.ended(run)

    assert (held.output, still.status, still.output) == (None, "stopped", None)
    assert row.status == "completed"


async def test_p09_a_lost_bell_is_found_by_the_comparison(
    stage: Stage, order: str
) -> None:
    run, _ = await stage.play(call("refund", refund_of(order)), DONE, order=order)
    await stage.engine.switch("halt", order, tool="refund")
    await stage.engine.decide(await stage.engine.approval(run))
    await stage.engine.until(run, lambda row: row.status == "stopped")
    # As no code of ours lifts it: nobody signals it.
    async with stage.engine.store.write() as session:
        row = await session.get(SwitchRow, order)
        assert row is not None
        row.cleared_at = await session.read_clock()

    # The look that found it held may be under way for Temporal a moment longer.
    async with asyncio.timeout(60):
        while not await times_signalled(stage, run):
            await compare(stage)
            await asyncio.sleep(0.2)

    assert (await stage.engine.ended(run)).status == "completed"
    assert await times_signalled(stage, run) == 1


async def test_p09_a_run_that_rightly_waits_is_not_rung(
    stage: Stage, order: str
) -> None:
    run, _ = await stage.play(call("refund", refund_of(order)), DONE, order=order)
    approval = await stage.engine.approval(run)

    await compare(stage)
    waiting = await times_signalled(stage, run)
    await stage.engine.decide(approval)
    await stage.engine.ended(run)

    assert waiting == 0


async def compare(stage: Stage) -> None:
    """Compare the open runs with Temporal as if they had stood still for long."""
    engine = stage.engine
    comparison = Comparison(engine.deliverer.task_queue, grace=timedelta(0))
    await comparison.pass_over(
        engine.store, engine.parts.client, engine.deliverer.begin, every=timedelta(0)
    )
    await engine.deliverer.deliver()


async def times_signalled(stage: Stage, run: str) -> int:
    """Return how often the comparison signalled a run."""
    query = select(AuditRow.id).where(
        col(AuditRow.run) == run, col(AuditRow.kind) == stalled.SIGNALLED_AGAIN
    )
    async with stage.engine.store.read() as session:
        return len((await session.execute(query)).all())


@pytest.mark.parametrize("hold", ["halt", "pause"])
async def test_p03_a_customer_who_writes_while_the_end_is_held_is_answered(
    stage: Stage, order: str, hold: str
) -> None:
    run, play = await stage.play(slow(0.8, DONE), DONE, order=order)
    async with asyncio.timeout(30):
        while not play.requests:  # noqa: ASYNC110 another task's work
            await asyncio.sleep(0.01)
    if hold == "halt":
        await stage.engine.switch("halt", order, tenant="default")
    else:
        await _pause(stage, run, order)
    await stage.engine.until(run, lambda row: row.status == "stopped")
    await asyncio.sleep(1.2)
    await messages.customer_wrote(
        stage.engine.store, run, text="One more thing.", external_id=None, by="amy"
    )
    await (_clear if hold == "halt" else _resume)(stage, run, order)
    row = await stage.engine.ended(run)

    assert row.status == "completed"
    assert "One more thing." in play.last_request()
