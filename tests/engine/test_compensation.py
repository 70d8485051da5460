"""Through the real engine: an effect is taken back by an action of its own, once."""

import asyncio

import pytest

from keyturn.activities.llm.simulator import call
from keyturn.orchestrator.store.approvals.errors import MayNotDecide
from keyturn.orchestrator.store.effects import compensation, reconcile
from keyturn.orchestrator.store.effects.errors import NoCompensation
from keyturn.orchestrator.store.switches import switches
from keyturn.orchestrator.store.tables import RunRow
from tests.engine.stage import DONE, Stage, refund_of


async def paid(stage: Stage, order: str) -> str:
    """Return the key of a payment that was done."""
    row, _ = await stage.played(call("pay", refund_of(order)), DONE, order=order)
    (effect,) = await stage.engine.effects(row.id)
    assert effect.status == "done"
    return effect.key


async def ask(stage: Stage, key: str, who: str = "lea") -> RunRow:
    row, _ = await compensation.ask(
        stage.engine.store, key, by=who, by_name=who.title(), reason="Paid by mistake."
    )
    await stage.engine.deliverer.deliver(row.id)
    return row


async def test_effect_is_taken_back_by_an_approved_action_of_its_own(
    stage: Stage, order: str
) -> None:
    key = await paid(stage, order)

    run = (await ask(stage, key)).id
    asked = await stage.engine.approval(run)
    with pytest.raises(MayNotDecide):
        await stage.engine.decide(asked, "lea")
    await stage.engine.decide(asked, "amy")
    row = await stage.engine.ended(run)

    (effect,) = await stage.engine.effects(run)
    assert (row.status, row.compensates) == ("completed", key)
    assert (effect.tool, effect.status, effect.approvers) == (
        "take_back",
        "done",
        ["amy"],
    )
    assert effect.key != key
    assert stage.posts(run) == ["/taken-back"]
    assert "Paid by mistake." in asked.reason
    assert row.tokens == 0


async def test_it_is_asked_for_once_and_again_once_it_was_rejected(
    stage: Stage, order: str
) -> None:
    key = await paid(stage, order)

    rows = await asyncio.gather(
        *(ask(stage, key, who) for who in ("lea", "amy", "lea"))
    )

    assert len({row.id for row in rows}) == 1
    run = rows[0].id
    await stage.engine.decide(
        await stage.engine.approval(run),
        "amy" if rows[0].started_by == "lea" else "lea",
        "reject",
        reason="no",
    )
    ended = await stage.engine.ended(run)
    assert ended.status == "handed_off"
    assert ended.handed_off is not None
    assert "was rejected" in ended.handed_off["reason"]
    assert stage.posts(run) == []

    again = (await ask(stage, key)).id
    await stage.engine.decide(await stage.engine.approval(again), "amy")
    await stage.engine.ended(again)

    assert stage.posts(again) == ["/taken-back"]


async def test_only_what_is_done_and_can_be_taken_back_is(
    stage: Stage, order: str
) -> None:
    run, _ = await stage.play(call("refund", refund_of(order)), DONE, order=order)
    await stage.engine.decide(await stage.engine.approval(run))
    await stage.engine.ended(run)
    (effect,) = await stage.engine.effects(run)

    with pytest.raises(NoCompensation, match="declares no `compensate`"):
        await ask(stage, effect.key)


async def test_what_is_not_allowed_is_denied_with_words(
    stage: Stage, order: str
) -> None:
    key = await paid(stage, order)
    await stage.engine.switch("disable", f"s-{order.lower()}", tool="take_back")

    try:
        run = (await ask(stage, key)).id
        row = await stage.engine.ended(run)
    finally:
        await switches.clear(
            stage.engine.store, f"s-{order.lower()}", by="lea", reason="over"
        )

    assert row.status == "handed_off"
    assert row.handed_off is not None
    assert "denied" in row.handed_off["reason"]
    assert await stage.engine.effects(run) == []


async def test_p02_a_person_makes_the_tool_look_an_unknown_effect_up_now(
    stage: Stage, order: str
) -> None:
    stage.engine.world.breaks = [RuntimeError("502")]
    run, _ = await stage.play(call("pay", refund_of(order)), DONE, order=order)
    await stage.looked_up(order)
    stage.engine.world.paid[order] = {"id": "receipt-9"}
    (effect,) = await stage.engine.effects(run)

    await reconcile.ask(stage.engine.store, effect.key, by="lea")
    await stage.engine.deliverer.deliver(run)
    # Without being asked it looks again after the connector's time-out and more.
    row = await stage.engine.ended(run, seconds=22)

    (effect,) = await stage.engine.effects(run)
    assert row.status == "completed"
    assert (effect.status, effect.recorded_by) == ("done", "reconcile")
