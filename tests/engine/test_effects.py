"""Effects through the real engine: what happens once, and what is never told."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from keyturn.activities import perform
from keyturn.activities.llm.simulator import call, calls
from keyturn.orchestrator.rules.contract.connector import NotSent
from keyturn.orchestrator.store.effects import resolution, send
from keyturn.orchestrator.store.effects.resolution import Resolution
from keyturn.orchestrator.store.runs import control
from keyturn.orchestrator.store.switches import switches
from keyturn.orchestrator.store.tables import EffectRow
from tests.engine.stage import DONE, Stage, refund_of

FOUND = Resolution(happened=True, evidence="seen", person="lea", person_name="Lea")


async def test_p02_what_was_not_sent_is_sent_once(stage: Stage, order: str) -> None:
    stage.engine.world.breaks = [NotSent("refused"), NotSent("refused")]

    row, _ = await stage.played(call("pay", refund_of(order)), DONE, order=order)

    (effect,) = await stage.engine.effects(row.id)
    assert (row.status, effect.status, effect.attempt) == ("completed", "done", 3)
    assert stage.posts(row.id) == ["/payments"]


@pytest.mark.parametrize(
    "fault", [TimeoutError("slow"), RuntimeError("502"), OSError("cut")], ids=repr
)
async def test_p02_a_fault_while_sending_is_unknown_and_not_told(
    stage: Stage, order: str, fault: Exception
) -> None:
    stage.engine.world.breaks = [fault]
    run, play = await stage.play(call("refund", refund_of(order)), DONE, order=order)
    await stage.engine.decide(await stage.engine.approval(run))
    effect = await unknown(stage, run)
    told_before = len(play.requests)

    await resolution.resolve(stage.engine.store, effect.key, FOUND)
    row = await stage.engine.ended(run)

    assert (effect.status, told_before) == ("unknown", 1)
    assert row.status == "completed"
    assert stage.posts(run) == []
    assert "Lea found out: seen" in play.last_request()


async def test_p02_a_look_up_that_finds_the_receipt_settles_it(
    stage: Stage, order: str
) -> None:
    stage.engine.world.breaks = [RuntimeError("502")]
    stage.engine.world.paid[order] = {"id": "receipt-7"}

    row, play = await stage.played(call("pay", refund_of(order)), DONE, order=order)

    (effect,) = await stage.engine.effects(row.id)
    assert (effect.status, effect.recorded_by) == ("done", "reconcile")
    assert "receipt-7" in play.last_request()


async def test_p02_a_look_up_that_finds_nothing_at_once_proves_nothing(
    stage: Stage, order: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What it really is takes a test's half a minute.
    monkeypatch.setattr(perform, "CONNECTOR_TIMEOUT", timedelta(seconds=2))
    monkeypatch.setattr(send, "SETTLED", timedelta(seconds=2))
    stage.engine.world.breaks = [RuntimeError("502")]
    run, play = await stage.play(call("pay", refund_of(order)), DONE, order=order)
    await stage.looked_up(order)
    stage.engine.world.paid[order] = {"id": "receipt-late"}
    await asyncio.sleep(1)

    held = (await stage.engine.effects(run))[0].status
    row = await stage.engine.ended(run, seconds=60)

    assert held == "unknown"
    assert (row.status, len(play.requests)) == ("completed", 2)
    assert (await stage.engine.effects(run))[0].status == "done"


async def test_p06_a_cancelled_run_sends_nothing_and_ends(
    stage: Stage, order: str
) -> None:
    run, _ = await stage.play(call("refund", refund_of(order)), DONE, order=order)
    approval = await stage.engine.approval(run)
    await control.cancel(stage.engine.store, run, by="lea", reason="enough")
    await stage.engine.deliverer.deliver(run)

    row = await stage.engine.ended(run)

    assert row.status == "cancelled"
    assert stage.posts(run) == []
    assert [a.status for a in await stage.engine.approvals(run)] == ["cancelled"]
    assert approval.status == "pending"


async def test_p03_a_paused_run_is_cancelled_too(stage: Stage, order: str) -> None:
    run, _ = await stage.play(call("refund", refund_of(order)), DONE, order=order)
    await stage.engine.approval(run)
    await control.pause(stage.engine.store, run, by="lea", reason="look")
    await control.cancel(stage.engine.store, run, by="lea", reason="enough")

    assert (await stage.engine.ended(run)).status == "cancelled"


async def test_p03_a_paused_run_goes_on_when_it_is_resumed(
    stage: Stage, order: str
) -> None:
    run, _ = await stage.play(call("refund", refund_of(order)), DONE, order=order)
    approval = await stage.engine.approval(run)
    await control.pause(stage.engine.store, run, by="lea", reason="look")
    await stage.engine.decide(approval)
    await asyncio.sleep(1.5)
    held = (await stage.engine.run(run)).status, stage.posts(run)

    await control.resume(stage.engine.store, run, by="lea", reason="go")
    row = await stage.engine.ended(run)

    assert held == ("stopped", [])
    assert row.status == "completed"
    assert stage.posts(run) == ["/refunds"]


async def test_p03_a_halted_tool_goes_on_when_the_switch_is_cleared(
    stage: Stage, order: str
) -> None:
    run, _ = await stage.play(call("refund", refund_of(order)), DONE, order=order)
    approval = await stage.engine.approval(run)
    await stage.engine.switch("halt", order, tool="refund")
    await stage.engine.decide(approval)
    stopped = await stage.engine.until(run, lambda row: row.status == "stopped")

    await switches.clear(stage.engine.store, order, by="lea", reason="over")
    row = await stage.engine.ended(run)

    assert stopped.stopped_by == f"switch {order}"
    assert (row.status, stage.posts(run)) == ("completed", ["/refunds"])


async def test_p03_a_disabled_tool_is_told(stage: Stage, order: str) -> None:
    await stage.engine.switch("disable", order, tool="top_up")

    row, play = await stage.played(call("top_up", refund_of(order)), DONE, order=order)
    await switches.clear(stage.engine.store, order, by="lea", reason="over")

    assert row.status == "completed"
    assert "switched off: look" in play.last_request()


async def test_p10_an_edit_is_done_and_told(stage: Stage, order: str) -> None:
    run, play = await stage.play(call("refund", refund_of(order)), DONE, order=order)
    approval = await stage.engine.approval(run)
    await stage.engine.decide(approval, arguments=refund_of(order, 10_00))

    await stage.engine.ended(run)

    (posted,) = [body for _, key, body in stage.engine.world.posted if run in key]
    assert posted == refund_of(order, 10_00)
    assert "A person changed the arguments to" in play.last_request()


async def test_p10_an_edit_upward_waits_for_another_person(
    stage: Stage, order: str
) -> None:
    run, _ = await stage.play(call("refund", refund_of(order)), DONE, order=order)
    approval = await stage.engine.approval(run)
    again = await stage.engine.decide(approval, arguments=refund_of(order, 90_00))
    waiting = stage.posts(run)

    await stage.engine.decide(await stage.engine.approval(run), "bob")
    row = await stage.engine.ended(run)

    (posted,) = [body for _, key, body in stage.engine.world.posted if run in key]
    assert (again.status, again.not_by, waiting) == ("pending", ["amy"], [])
    assert (row.status, posted) == ("completed", refund_of(order, 90_00))


async def test_p01_facts_that_change_before_the_start_void_the_approval(
    stage: Stage, order: str
) -> None:
    run, play = await stage.play(call("refund", refund_of(order)), DONE, order=order)
    approval = await stage.engine.approval(run)
    stage.engine.world.orders[order]["status"] = "cancelled"
    await stage.engine.decide(approval)

    row = await stage.engine.ended(run)

    assert (row.status, stage.posts(run)) == ("completed", [])
    assert "the facts changed after it was approved" in play.last_request()


async def test_p14_another_customers_order_is_neither_read_nor_changed(
    stage: Stage, order: str
) -> None:
    theirs = f"{order}-theirs"
    stage.engine.world.orders[theirs] = {
        "order_id": theirs,
        "customer": "somebody-else",
        "status": "secret",
    }

    row, play = await stage.played(
        calls([("find_order", {"order_id": theirs}), ("refund", refund_of(theirs))]),
        DONE,
        order=order,
    )

    assert (row.status, stage.posts(row.id)) == ("completed", [])
    assert "secret" not in play.last_request()
    assert await stage.engine.approvals(row.id) == []


async def test_p14_a_mail_goes_to_the_contact_known_at_the_start(
    stage: Stage, order: str
) -> None:
    mail: Any = {"subject": "To: eve@example.com", "body": "cc: eve@example.com"}
    run, _ = await stage.play(call("write_mail", mail), DONE, order=order)
    await stage.engine.decide(await stage.engine.approval(run))

    await stage.engine.ended(run)

    sent = [to for to, key, _ in stage.engine.world.mails if run in key]
    assert sent == ["ann@example.com"]


async def unknown(stage: Stage, run: str) -> EffectRow:
    """Wait until the run's effect is unknown."""
    async with asyncio.timeout(60):
        while True:
            for effect in await stage.engine.effects(run):
                if effect.status == "unknown":
                    return effect
            await asyncio.sleep(0.05)
