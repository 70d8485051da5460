"""P4 through the real engine: a run that its budget holds goes on once two raise it."""

from decimal import Decimal

import pytest

from keyturn.activities.llm.simulator import call
from keyturn.orchestrator.store.dual_control import budget_raise, proposals, requests
from keyturn.orchestrator.store.dual_control.budget_raise import Held, Raise
from keyturn.orchestrator.store.releases import releases
from keyturn.orchestrator.store.tables import RunRow
from tests.engine.engine import person
from tests.engine.stage import DONE, Stage

SMALL: dict[str, dict[str, object]] = {
    "turns": {"turns": 1},
    "tokens": {"tokens": 1_000},
    "cost_microusd": {"cost_usd": Decimal("0.01")},
    "a day's dollars": {"workflow_day_usd": Decimal("0.01")},
}


@pytest.mark.parametrize("unit", SMALL)
async def test_p04_a_run_held_by_its_budget_goes_on_once_two_people_raise_it(
    stage: Stage, order: str, unit: str
) -> None:
    store = stage.engine.store
    async with store.read() as session:
        _, before = await releases.live(session, "desk")
    budget = before.budget.model_copy(update=SMALL[unit])
    stops = before.fallback.model_copy(update={"budget": "stop"})
    small = before.model_copy(update={"budget": budget, "fallback": stops})
    await releases.publish(store, small, code_version="2", signer=stage.engine.signer)
    try:
        run, play = await stage.play(
            call("find_order", {"order_id": order}), DONE, order=order
        )
        held = await stage.engine.until(run, lambda row: row.status == "stopped")
        asked = len(play.requests)
        await raised(stage, held)
        row = await stage.engine.ended(run)
    finally:
        await releases.publish(
            store, before, code_version="1", signer=stage.engine.signer
        )

    assert asked < len(play.requests) == 2
    assert row.status == "completed"


async def raised(stage: Stage, run: RunRow) -> None:
    """Let two people raise what holds the run to ten times what its contract says."""
    store, scope = stage.engine.store, (run.stopped_by or "").removeprefix("budget ")
    async with store.read() as session:
        await session.read_clock()
        held = await budget_raise.held(session, scope, sees=None)
    made = await requests.to_raise(
        store, _ten_times(held), person("lea"), reason="A long talk."
    )
    await proposals.confirm(store, made.id, person("lou"), roles=("lead",))


def _ten_times(held: Held) -> Raise:
    short = {
        unit: getattr(held.declared, unit) * budget_raise.MOST_TIMES
        for unit in budget_raise.UNITS
        if getattr(held.may, unit) is not None
        and getattr(held.least, unit) > getattr(held.may, unit)
    }
    return Raise.model_validate({"scope": held.scope, **short})
