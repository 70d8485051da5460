"""P3: switches reach models too, also while one is asked."""

import asyncio

import pytest

from keyturn.activities.llm.simulator import slow
from keyturn.orchestrator.store.switches import switches
from keyturn.orchestrator.store.tables import AttemptRow
from tests.engine.stage import DONE, Play, Stage

# Longer than any machine takes to hear of a switch.
LONG = slow(20, DONE)


async def test_p03_a_halt_stops_a_request_under_way(stage: Stage, order: str) -> None:
    run, _ = await asked(stage, order)

    await stage.engine.switch("halt", order, tenant="default")
    stopped = await stage.engine.until(
        run, lambda row: row.status == "stopped", seconds=15
    )
    await switches.clear(stage.engine.store, order, by="lea", reason="over")
    row = await stage.engine.ended(run)

    assert stopped.stopped_by == f"switch {order}"
    assert row.status == "completed"
    assert row.turns == 1


async def test_p03_what_was_cut_off_by_a_halt_is_charged(
    stage: Stage, order: str
) -> None:
    run, _ = await asked(stage, order)
    await stage.engine.switch("halt", order, tenant="default")
    await stage.engine.until(run, lambda row: row.status == "stopped")

    row = await stage.engine.run(run)
    await switches.clear(stage.engine.store, order, by="lea", reason="over")

    assert row.cost_microusd > 0
    assert row.tokens > 0


@pytest.mark.parametrize(
    "scope", [{"provider": "openai"}, {"model": "openai/gpt-5.2"}], ids=str
)
async def test_p03_a_model_that_is_switched_off_while_asked_is_passed_over(
    stage: Stage, order: str, scope: dict[str, str]
) -> None:
    run, play = await asked(stage, order)

    await stage.engine.switch("disable", order, **scope)
    row = await stage.engine.ended(run)
    await switches.clear(stage.engine.store, order, by="lea", reason="over")

    assert row.status == "completed"
    assert [one.wire for one in play.requests] == ["openai", "anthropic"]


async def test_p03_a_run_whose_every_model_is_off_is_stopped(
    stage: Stage, order: str
) -> None:
    names = [f"{order}-1", f"{order}-2"]
    await stage.engine.switch("disable", names[0], provider="openai")
    await stage.engine.switch("disable", names[1], provider="anthropic")
    run, play = await stage.play(DONE, order=order)
    await stage.engine.until(run, lambda row: row.status == "stopped")
    asked_while_off = len(play.requests)

    for name in names:
        await switches.clear(stage.engine.store, name, by="lea", reason="over")
    row = await stage.engine.ended(run)

    assert asked_while_off == 0
    assert row.status == "completed"


@pytest.mark.parametrize(
    "scope",
    [
        {"model": "standard"},
        {"model": "openai/gpt-5.2"},
        {"model": "gpt-5.2"},
        {"provider": "openai"},
        {"workflow": "desk"},
        {},
    ],
    ids=str,
)
async def test_p03_another_model_is_used_where_a_switch_says_so(
    stage: Stage, order: str, scope: dict[str, str]
) -> None:
    other = "anthropic/claude-haiku-4-5"
    await stage.engine.switch("use_model", order, value=other, **scope)

    row, play = await stage.played(DONE, order=order)
    await switches.clear(stage.engine.store, order, by="lea", reason="over")

    assert row.status == "completed"
    assert [one.model for one in play.requests] == ["claude-haiku-4-5"]


async def test_p04_a_model_without_a_price_is_not_asked(
    stage: Stage, order: str
) -> None:
    await stage.engine.switch("use_model", order, value="openai/nobody-priced-this")

    row, play = await stage.played(DONE, order=order)
    await switches.clear(stage.engine.store, order, by="lea", reason="over")

    assert (row.status, len(play.requests)) == ("handed_off", 0)
    assert "No price is known" in str(row.handed_off)
    async with stage.engine.store.read() as session:
        assert await session.get(AttemptRow, row.id) is None


async def asked(stage: Stage, order: str) -> tuple[str, Play]:
    """Start a run whose first request takes long; return when it is under way."""
    run, play = await stage.play(LONG, DONE, order=order)
    async with asyncio.timeout(60):
        while not play.requests:  # noqa: ASYNC110 another task's work
            await asyncio.sleep(0.05)
    return run, play
