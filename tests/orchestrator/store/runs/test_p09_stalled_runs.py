"""P9: a run that could go on and does not is found; one that rightly waits is not."""

import pytest

from keyturn.orchestrator.rules.authority import hold
from keyturn.orchestrator.store.runs import control, end, stalled
from keyturn.orchestrator.store.runs.end import Ending
from keyturn.orchestrator.store.tables import IncidentRow
from keyturn.orchestrator.store.turns import position as turn_position
from tests.orchestrator.store.desk import Desk, note, refund
from tests.orchestrator.store.runs import held_run
from tests.orchestrator.store.runs.held_run import HOUR, delivered


async def test_p09_a_held_end_that_nobody_rang_is_found(desk: Desk) -> None:
    run = await desk.again()
    await desk.switch("halt")
    await end.finish(desk.store, run, Ending(outcome="handed_off", reason="so"))
    desk.clock.go_on(HOUR)
    held = await stalled.could_go_on(desk.store, run, still=HOUR / 2)
    await held_run.clear(desk, run)

    found = await stalled.could_go_on(desk.store, run, still=HOUR / 2)

    assert (held, found) == (None, "the run's end")


async def test_p09_resuming_a_run_that_nothing_holds_rings_it(desk: Desk) -> None:
    run = await desk.start()
    await desk.draft(run, note())
    await delivered(desk)

    row = await control.resume(desk.store, run, by="lea", reason="does it stand?")

    assert row.status == "running"
    assert run in await delivered(desk)


async def test_p09_what_no_ring_moves_is_one_incident(desk: Desk) -> None:
    run = await desk.start()
    await desk.draft(run, note())
    early = await stalled.could_go_on(desk.store, run, still=HOUR)
    desk.clock.go_on(2 * HOUR)
    why = await stalled.could_go_on(desk.store, run, still=HOUR)
    opened: list[int] = []
    for _ in range(stalled.MOST_SIGNALS + 3):
        assert await stalled.signal(desk.store, run, why=why or "") == "signalled"
        assert await stalled.signal(desk.store, run, why=why or "") == "not"
        opened.append(len(await desk.rows(IncidentRow)))
        desk.clock.go_on(4 * HOUR)

    [found] = await desk.rows(IncidentRow)
    assert (early, why) == (None, "set_note of turn 1")
    assert opened == [0, 0, 0, 1, 1, 1]
    assert (found.severity, found.detail["run"]) == ("high", run)


async def test_p09_a_run_held_by_a_day_that_is_over_is_found(desk: Desk) -> None:
    run = await desk.start()
    seen = await turn_position.load(desk.store, run=run, step=1, turn=1)
    by = hold.by_budget(f"workflow desk on {desk.clock().date().isoformat()}")
    await turn_position.stop(desk.store, seen, by)
    desk.clock.go_on(HOUR)
    held = await stalled.could_go_on(desk.store, run, still=HOUR / 2)
    desk.clock.go_on(24 * HOUR)

    assert held is None
    assert await stalled.could_go_on(desk.store, run, still=HOUR) == "its next turn"


async def test_p09_a_hold_by_no_budget_that_there_is_still_holds(desk: Desk) -> None:
    """Only somebody who writes into the database leaves such a text."""
    run = await desk.start()
    seen = await turn_position.load(desk.store, run=run, step=1, turn=1)
    await turn_position.stop(desk.store, seen, hold.by_budget("of nobody"))
    desk.clock.go_on(HOUR)

    assert await stalled.could_go_on(desk.store, run, still=HOUR / 2) is None


@pytest.mark.parametrize("how", ["approval", "halt", "pause", "undo"])
async def test_p09_what_rightly_waits_does_not_stand_still(
    desk: Desk, how: str
) -> None:
    run = await desk.start()
    await desk.draft(run, refund())
    if how in ("halt", "undo"):
        await desk.decide(run)
    if how == "halt":
        await desk.switch("halt", tool="refund")
        await desk.lease(run)
    if how == "pause":
        await control.pause(desk.store, run, by="lea", reason="look")
    if how == "undo":
        row = await desk.approval(run)
        await desk.tamper(row, undo_until=desk.clock() + HOUR)
    desk.clock.go_on(HOUR / 2)

    found = await stalled.could_go_on(desk.store, run, still=HOUR / 4)

    assert found is None
