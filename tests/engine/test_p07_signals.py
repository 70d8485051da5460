"""P7: a signal is a doorbell; forged, repeated or unknown, it changes nothing."""

import asyncio

import pytest

from keyturn.activities.llm.simulator import call
from tests.engine.stage import DONE, Play, Stage, refund_of

FORGED: list[tuple[str, list[object]]] = [
    ("ring", []),
    ("ring", [{"approved": True}]),
    ("ring", ["approve", "amy", 7]),
    ("approve", [{"approval": "ap-1"}]),
    ("decision", []),
]


@pytest.mark.parametrize(("name", "args"), FORGED, ids=str)
async def test_p07_a_forged_signal_decides_nothing_and_breaks_nothing(
    stage: Stage, order: str, name: str, args: list[object]
) -> None:
    run, play = await waiting(stage, order)
    for target in (run, f"{run}/act/1"):
        handle = stage.engine.parts.client.get_workflow_handle(target)
        await handle.signal(name, args=args)
    await asyncio.sleep(0.5)
    after = len(play.requests), stage.posts(run), (await stage.engine.run(run)).status

    await stage.engine.decide(await stage.engine.approval(run))
    row = await stage.engine.ended(run)

    assert after == (1, [], "waiting")
    assert (row.status, stage.posts(run)) == ("completed", ["/refunds"])


async def test_p07_a_hundred_bells_carry_out_one_effect(
    stage: Stage, order: str
) -> None:
    run, _ = await waiting(stage, order)
    handle = stage.engine.parts.client.get_workflow_handle(f"{run}/act/1")
    await stage.engine.decide(await stage.engine.approval(run))
    await asyncio.gather(
        *(handle.signal("ring") for _ in range(100)), return_exceptions=True
    )

    row = await stage.engine.ended(run)

    assert (row.status, stage.posts(run)) == ("completed", ["/refunds"])


async def test_p07_a_bell_without_a_decision_leaves_the_action_waiting(
    stage: Stage, order: str
) -> None:
    run, _ = await waiting(stage, order)
    handle = stage.engine.parts.client.get_workflow_handle(f"{run}/act/1")
    for _ in range(3):
        await handle.signal("ring")
        await asyncio.sleep(0.2)

    assert (await stage.engine.approval(run)).status == "pending"
    assert await stage.engine.effects(run) == []


async def waiting(stage: Stage, order: str) -> tuple[str, Play]:
    run, play = await stage.play(call("refund", refund_of(order)), DONE, order=order)
    await stage.engine.approval(run)
    await stage.engine.until(run, lambda row: row.status == "waiting")
    return run, play
