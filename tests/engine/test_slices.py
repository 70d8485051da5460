"""Hostile texts hold the worker's loop for no 50 ms: input, answer, reply, mail."""

import asyncio

import pytest

from keyturn.activities.llm.simulator import call, final
from tests.depth import some
from tests.engine.stage import DONE, Stage
from tests.slices import HOSTILE, MOST_MS, beating


async def play(stage: Stage, order: str, words: str) -> str:
    """Play a run whose every text is this one, to its end."""
    read = stage.engine.world.gates[order] = asyncio.Event()
    run, _ = await stage.play(
        call("find_order", {"order_id": order}),
        call("write_mail", {"subject": "About it", "body": words}),
        final({"summary": words, "confidence": 0.9}),
        order=order,
        text=words[: len(words) // 2],
    )
    stage.engine.world.orders[order]["status"] = words
    read.set()
    await stage.engine.decide(await stage.engine.approval(run))
    return (await stage.engine.ended(run)).status


@pytest.mark.parametrize("kind", some(sorted(HOSTILE), of=3, turn=0))
async def test_no_run_holds_the_loop_for_what_strangers_wrote(
    stage: Stage, order: str, kind: str
) -> None:
    words = HOSTILE[kind]
    # What is loaded and compiled at first is no text's doing.
    await stage.played(DONE)

    async with beating() as beats:
        status = await play(stage, order, words)

    assert status == "completed"
    assert beats.worst_ms < MOST_MS
