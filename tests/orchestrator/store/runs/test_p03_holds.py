"""P3, P9: what is held is recorded with what it holds, and lifting rings all of it.

Each test plays an order of three things that may come in any: a call is held, its sibling
ends, the hold is lifted.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from itertools import permutations

import pytest

from keyturn.orchestrator.rules.authority import hold
from keyturn.orchestrator.store.runs import calls, control, end
from keyturn.orchestrator.store.runs.end import Ending, Outcome
from keyturn.orchestrator.store.switches import switches
from keyturn.orchestrator.store.turns import position as turn_position
from tests.databases import both
from tests.depth import some
from tests.orchestrator.store.desk import Desk, note, refund
from tests.orchestrator.store.runs import held_run
from tests.orchestrator.store.runs.held_run import (
    HOUR,
    delivered,
    end_sibling,
    find,
    paused,
    two_calls,
)

Act = Callable[[Desk, str], Awaitable[object]]


async def _halt_tool(desk: Desk, run: str) -> None:
    del run
    await desk.switch("halt", tool="refund")


async def _disable_tool(desk: Desk, run: str) -> None:
    del run
    await desk.switch("disable", tool="refund")


async def _disable_workflow(desk: Desk, run: str) -> None:
    del run
    await desk.switch("disable", workflow="desk")


async def _two_halts(desk: Desk, run: str) -> None:
    del run
    await desk.switch("halt", tool="refund", name="s0")
    await desk.switch("halt", tool="refund")
    await switches.clear(desk.store, "s0", by="lea", reason="one of two")


KINDS: dict[str, tuple[Act, Act]] = {
    "halt of a tool": (_halt_tool, held_run.clear),
    "disabled tool": (_disable_tool, held_run.clear),
    "disabled workflow": (_disable_workflow, held_run.clear),
    "two halts, one lifted": (_two_halts, held_run.clear),
    "pause": (held_run.pause, held_run.resume),
}
ORDERS = list(permutations(("hold", "end", "lift")))
SIBLINGS = ("read", "action")
# Each order of each kind, with one of the siblings; with both in a search.
CELLS = [
    (order, kind, sibling)
    for one, order in enumerate(ORDERS)
    for two, kind in enumerate(KINDS)
    for sibling in some(SIBLINGS, of=2, turn=(one + two) % 2)
]


@pytest.mark.parametrize(
    ("order", "kind", "sibling"), CELLS, ids=["-".join((*o, k, s)) for o, k, s in CELLS]
)
async def test_p03_whatever_the_order_a_lifted_hold_leaves_nothing_standing(
    desk: Desk, order: tuple[str, ...], kind: str, sibling: str
) -> None:
    """`hold`: the effect worker looks and finds it held, where it still is."""
    run = await two_calls(desk, sibling)
    await delivered(desk)
    put, lift = KINDS[kind]
    await put(desk, run)
    was_held = False
    for event in order:
        if event == "hold":
            was_held = (await desk.lease(run)).kind == "stopped" or was_held
        elif event == "end" and not (sibling == "action" and await paused(desk, run)):
            await end_sibling(desk, run, sibling)
        elif event == "lift":
            await lift(desk, run)
            signalled = await delivered(desk)
            assert (run in signalled) or not was_held
    await end_sibling(desk, run, sibling)
    call = await desk.call(run)
    if call.status == "open" and call.gate != "act":
        assert (await desk.lease(run)).kind == "leased"

    row = await desk.run(run)
    assert (row.status in ("running", "waiting"), row.stopped_by) == (True, None)
    assert (await desk.call(run)).held_by is None
    desk.clock.go_on(HOUR)
    assert run not in await delivered(desk)


async def test_p03_the_record_says_which_call_is_held_while_a_sibling_goes_on(
    desk: Desk,
) -> None:
    run = await two_calls(desk, "read")
    await desk.switch("halt", tool="refund")
    await desk.lease(run)
    under_way = await desk.run(run)
    await end_sibling(desk, run, "read")
    alone = await desk.run(run)

    assert (under_way.status, under_way.stopped_by) == ("waiting", None)
    assert (await desk.call(run)).held_by == "switch s1"
    assert (alone.status, alone.stopped_by) == ("stopped", "switch s1")


async def test_p03_two_calls_held_by_two_switches_are_rung_each_by_its_own(
    desk: Desk,
) -> None:
    run = await desk.start()
    await desk.draft(run, note(0), refund(10_00, index=1, order="o2"))
    await desk.switch("halt", tool="set_note", name="notes")
    await desk.switch("halt", tool="refund", name="money")
    for index in (0, 1):
        assert (await desk.lease(run, index=index)).kind == "stopped"
    await delivered(desk)

    for name, index in (("notes", 0), ("money", 1)):
        signalled = await switches.clear(desk.store, name, by="lea", reason="over")
        # The other one looks first, and is held: that answers no bell of this one.
        await desk.lease(run, index=1 - index, holder=f"{name} first")
        assert signalled == [run]
        assert run in await delivered(desk)
        assert (await desk.lease(run, index=index)).grant is not None or index == 1


@both
async def test_p03_a_read_that_is_looked_at_against_lifting_is_rung_or_free(
    desk: Desk,
) -> None:
    for n in range(6):
        run = await desk.start(customer=f"d{n}")
        await desk.draft(run, find())
        await desk.switch("halt", tool="find_order", name=f"s{n}")
        stopped, signalled = await asyncio.gather(
            calls.stand(desk.store, run, 1, 0),
            switches.clear(desk.store, f"s{n}", by="lea", reason="over"),
        )

        assert (run in signalled) == stopped
        assert ((await desk.call(run)).held_by is not None) == stopped


async def test_p03_lifting_any_of_the_switches_that_keep_models_away_rings(
    desk: Desk,
) -> None:
    run = await desk.start()
    await desk.switch("disable", provider="openai", name="one")
    await desk.switch("disable", provider="anthropic", name="two")
    seen = await turn_position.load(desk.store, run=run, step=1, turn=1)
    assert await turn_position.stop(desk.store, seen, hold.by_switch("one"))

    assert await switches.clear(desk.store, "two", by="lea", reason="over") == [run]
    assert run in await delivered(desk)
    assert not await turn_position.stop(desk.store, seen, hold.by_switch("one"))


async def test_p03_another_model_rings_what_waits_for_one(desk: Desk) -> None:
    run = await desk.start()
    await desk.switch("disable", provider="openai")
    seen = await turn_position.load(desk.store, run=run, step=1, turn=1)
    await turn_position.stop(desk.store, seen, hold.by_switch("s1"))

    await desk.switch("use_model", name="other", value="anthropic/claude-haiku-4-5")

    assert run in await delivered(desk)


async def test_p09_a_bell_of_a_lifted_hold_rings_until_the_call_has_looked(
    desk: Desk,
) -> None:
    run = await two_calls(desk, "read")
    await desk.switch("halt", tool="refund")
    await desk.lease(run)
    await switches.clear(desk.store, "s1", by="lea", reason="over")

    first = await delivered(desk)
    desk.clock.go_on(HOUR)
    again = await delivered(desk)
    await desk.lease(run)
    desk.clock.go_on(HOUR)

    assert (run in first, run in again) == (True, True)
    assert run not in await delivered(desk)


@pytest.mark.parametrize("mode", ["halt", "disable"])
async def test_p03_a_waiting_approval_survives_a_switch_and_goes_on(
    desk: Desk, mode: str
) -> None:
    run = await desk.start()
    await desk.draft(run, refund())
    await desk.switch(mode, tool="refund")
    await desk.decide(run)
    held = await desk.lease(run)
    status = (await desk.approval(run)).status

    await switches.clear(desk.store, "s1", by="lea", reason="over")

    assert (held.kind, status) == ("stopped", "approved")
    assert (await desk.lease(run)).grant is not None


async def test_p03_what_is_rejected_ends_while_its_tool_is_disabled(desk: Desk) -> None:
    run = await desk.start()
    await desk.draft(run, refund())
    await desk.switch("disable", tool="refund")
    await desk.decide(run, decision="reject")

    assert (await desk.lease(run)).kind == "rejected"


@pytest.mark.parametrize("outcome", ["failed", "cancelled"])
async def test_p03_a_read_left_open_by_an_ended_run_heeds_that_its_tool_is_disabled(
    desk: Desk, outcome: Outcome
) -> None:
    """Also of a cancelled run that has not ended yet."""
    run = await desk.start()
    await desk.draft(run, find())
    await desk.switch("disable", tool="find_order")
    if outcome == "cancelled":
        await control.cancel(desk.store, run, by="lea", reason="enough")
    else:
        await end.finish(desk.store, run, Ending(outcome=outcome))

    view = await calls.load(desk.store, run, 1, 0)

    assert (view.is_held, view.off) == (False, "look")


async def test_p09_the_clock_of_a_held_call_stands_still_and_once(desk: Desk) -> None:
    run = await desk.start()
    await desk.draft(run, refund(), note(1, order="o2"))
    await desk.decide(run)
    before = (await desk.approval(run)).usable_until
    await desk.switch("halt", tool="refund")
    await desk.lease(run)
    desk.clock.go_on(HOUR)
    await control.pause(desk.store, run, by="lea", reason="look")
    desk.clock.go_on(HOUR)
    await control.resume(desk.store, run, by="lea", reason="go")
    await desk.lease(run)
    desk.clock.go_on(HOUR)
    await switches.clear(desk.store, "s1", by="lea", reason="over")
    await desk.lease(run)

    after = (await desk.approval(run)).usable_until
    assert before is not None
    assert after is not None
    assert abs(after - before - 3 * HOUR) < timedelta(seconds=1)
