"""A tool that would end its worker, or be tried without end, is an error like any."""

import asyncio
import sys
from collections.abc import Callable
from typing import NoReturn

import pytest
from pydantic import JsonValue
from temporalio.exceptions import ApplicationError

from keyturn.activities.containment import BrokeOut, contained
from keyturn.activities.llm.simulator import call
from keyturn.orchestrator.store.runs import faults
from tests.engine.stage import DONE, Stage


def leave() -> NoReturn:
    sys.exit(3)


def interrupt() -> NoReturn:
    raise KeyboardInterrupt


def fail_for_good() -> NoReturn:
    raise ApplicationError("as in other workflows", non_retryable=True)


def cancel() -> NoReturn:
    raise asyncio.CancelledError


def group() -> NoReturn:
    raise BaseExceptionGroup("several", [SystemExit(1), ValueError()])


WAYS = {
    "SystemExit": leave,
    "KeyboardInterrupt": interrupt,
    "ApplicationError": fail_for_good,
    "CancelledError": cancel,
    "BaseExceptionGroup": group,
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
async def test_what_breaks_out_is_held_within(way: Callable[[], NoReturn]) -> None:
    async def work() -> None:
        way()

    with pytest.raises(BrokeOut, match="it raised "):
        await contained(work())


async def test_who_cancels_from_outside_is_heard() -> None:
    task = asyncio.create_task(contained(asyncio.sleep(60)))
    await asyncio.sleep(0)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_timeout_from_outside_is_one() -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await contained(asyncio.sleep(60))


@pytest.mark.parametrize("kind", ["SystemExit", "ApplicationError"])
async def test_a_read_that_breaks_out_ends_in_the_fallback(
    stage: Stage, order: str, kind: str
) -> None:
    stage.engine.world.does[order] = WAYS[kind]
    row, _ = await stage.played(
        call("find_order", {"order_id": order}), DONE, order=order
    )

    [one] = await stage.engine.calls(row.id)
    [shown] = faults.of(row)
    assert (row.status, one.status) == ("handed_off", "crashed")
    assert (shown.kind, shown.times) == ("BrokeOut", 4)
    assert kind in shown.words


async def test_p02_an_effect_that_breaks_out_is_unknown_and_its_worker_lives(
    stage: Stage, order: str
) -> None:
    stage.engine.world.does[f"post {order}"] = leave
    note: dict[str, JsonValue] = {"order_id": order, "note": "n"}
    run, _ = await stage.play(call("set_note", note), DONE, order=order)
    await stage.engine.until(run, lambda now: now.status == "waiting")
    [effect] = await stage.engine.effects(run)

    other, _ = await stage.played(DONE)
    assert (effect.status, stage.posts(run)) == ("unknown", [])
    assert "it raised SystemExit: 3" in str(effect.error)
    assert other.status == "completed"
