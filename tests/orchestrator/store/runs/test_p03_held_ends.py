"""P3: a run whose end is held keeps its end, and ends once nothing holds it."""

import pytest

from keyturn.orchestrator.store import holds
from keyturn.orchestrator.store.runs import control, end, messages
from keyturn.orchestrator.store.runs.end import Ending
from keyturn.orchestrator.store.switches import switches
from keyturn.orchestrator.store.turns import position as turn_position
from keyturn.orchestrator.store.turns.errors import EndHeld
from tests.orchestrator.store.desk import Desk
from tests.orchestrator.store.runs import held_run
from tests.orchestrator.store.runs.held_run import (
    HOUR,
    delivered,
    last_turn,
    two_calls,
    workflow_ids,
)


@pytest.mark.parametrize("hold", ["halt", "pause"])
async def test_p03_a_hold_in_the_last_model_call_commits_nothing(
    desk: Desk, hold: str
) -> None:
    run = await desk.start()
    seen = await turn_position.load(desk.store, run=run, step=1, turn=1)
    await (held_run.pause(desk, run) if hold == "pause" else desk.switch("halt"))
    with pytest.raises(EndHeld) as caught:
        await last_turn(desk, run)
    assert await turn_position.stop(desk.store, seen, caught.value.by)
    held = await desk.run(run)
    await delivered(desk)
    await (held_run.resume(desk, run) if hold == "pause" else held_run.clear(desk, run))
    signalled = await workflow_ids(desk, run)

    assert (held.status, held.output) == ("stopped", None)
    assert run in signalled
    assert (await last_turn(desk, run)).ends_run
    row = await desk.run(run)
    assert (row.status, row.stopped_by) == ("completed", None)
    assert row.output == {"summary": "done", "confidence": 0.9}


@pytest.mark.parametrize("hold", ["halt", "pause"])
async def test_p03_a_hold_keeps_the_end_of_an_authors_own_run(
    desk: Desk, hold: str
) -> None:
    run = await desk.start()
    made = await last_turn(desk, run, ends_run=False)
    await (held_run.pause(desk, run) if hold == "pause" else desk.switch("halt"))
    ended = await end.finish(desk.store, run, Ending(outcome="completed", step=1))
    held = await desk.run(run)
    await delivered(desk)
    await (held_run.resume(desk, run) if hold == "pause" else held_run.clear(desk, run))
    signalled = await workflow_ids(desk, run)

    assert (made.is_final, made.ends_run, ended) == (True, False, False)
    assert (held.status, held.output) == ("stopped", None)
    assert run in signalled
    assert await end.finish(desk.store, run, Ending(outcome="completed", step=1))
    assert (await desk.run(run)).status == "completed"


@pytest.mark.parametrize("hold", ["halt", "pause"])
async def test_p03_what_a_customer_writes_while_the_end_is_held_is_the_next_turn(
    desk: Desk, hold: str
) -> None:
    run = await desk.start()
    await (held_run.pause(desk, run) if hold == "pause" else desk.switch("halt"))
    with pytest.raises(EndHeld):
        await last_turn(desk, run)
    await messages.customer_wrote(
        desk.store, run, text="One more thing.", external_id=None, by="amy"
    )
    await (held_run.resume(desk, run) if hold == "pause" else held_run.clear(desk, run))

    made = await last_turn(desk, run)

    assert (made.is_final, made.ends_run) == (False, False)
    assert (await desk.run(run)).status not in ("handed_off", "completed")


@pytest.mark.parametrize("hold", ["halt", "pause"])
async def test_p03_the_held_end_of_a_run_that_took_no_step_is_rung(
    desk: Desk, hold: str
) -> None:
    """Its author's code hands it off at once: only the run itself hears the bell."""
    run = await desk.again()
    await (held_run.pause(desk, run) if hold == "pause" else desk.switch("halt"))
    ending = Ending(outcome="handed_off", reason="not ours")
    assert not await end.finish(desk.store, run, ending)
    await delivered(desk)
    await (held_run.resume(desk, run) if hold == "pause" else held_run.clear(desk, run))

    assert await workflow_ids(desk, run) == {run}
    desk.clock.go_on(HOUR)
    assert await workflow_ids(desk, run) == {run}
    assert await end.finish(desk.store, run, ending)
    desk.clock.go_on(HOUR)
    assert run not in await delivered(desk)


async def test_p03_what_is_disabled_ends_in_good_order(desk: Desk) -> None:
    run = await desk.start()
    await desk.switch("disable")

    assert (await last_turn(desk, run)).ends_run
    assert (await desk.run(run)).status == "completed"


async def test_p03_a_cancelled_run_ends_under_a_halt(desk: Desk) -> None:
    run = await desk.start()
    await desk.switch("halt")
    await control.cancel(desk.store, run, by="lea", reason="enough")

    assert await end.finish(desk.store, run, Ending(outcome="cancelled"))


async def test_p03_an_ended_run_holds_nothing(desk: Desk) -> None:
    run = await two_calls(desk, "read")
    await desk.switch("halt", tool="refund")
    await desk.lease(run)
    await control.cancel(desk.store, run, by="lea", reason="enough")
    await end.finish(desk.store, run, Ending(outcome="cancelled"))

    assert await switches.clear(desk.store, "s1", by="lea", reason="over") == []
    async with desk.store.read() as session:
        assert await holds.of_runs(session, [run]) == {}
