"""`ask`: one small structured answer, whatever the model says first, before or after."""

import pytest

from keyturn.activities.llm.simulator import call, final
from keyturn.activities.llm.simulator.step import SimStep
from keyturn.orchestrator.store.tables import RunRow
from tests.engine.stage import DONE, Play, Stage

SORTED = final({"kind": "lamp"})
WRONG: dict[str, SimStep] = {
    "a call, where there are no tools": call("find_order", {"order_id": "o1"}),
    "more than 16 kB": final({"kind": "x" * 16_000}),
    "another document": final({"sort": "lamp"}),
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG.keys())
async def test_a_wrong_answer_is_told_and_repaired(
    stage: Stage, wrong: SimStep
) -> None:
    play = stage.plays.add(wrong, SORTED, DONE)
    row = await ended(stage, "branching", play)

    assert (row.status, len(play.requests)) == ("completed", 3)
    assert "Solve the lamp." in play.last_request()


async def test_a_run_of_ones_own_goes_on_after_the_loop(stage: Stage) -> None:
    play = stage.plays.add(DONE, final({"kind": "angry"}))
    row = await ended(stage, "thorough", play)

    assert (row.status, len(play.requests)) == ("handed_off", 2)
    assert row.handed_off is not None
    assert row.handed_off["reason"] == "the customer is angry"


async def ended(stage: Stage, workflow: str, play: Play) -> RunRow:
    """Play a run of this workflow to its end."""
    ticket: dict[str, object] = {
        "customer_id": "c1",
        "email": "ann@example.com",
        "text": f"play:{play.name}",
    }
    run = await stage.engine.start_workflow(workflow, ticket)
    return await stage.engine.ended(run)
