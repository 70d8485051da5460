"""P8, P10: whom an edit keeps away from the next decision, and what is sent after it."""

from datetime import timedelta

import pytest
from pydantic import JsonValue

from keyturn.orchestrator.rules.text import canonical
from keyturn.orchestrator.store.approvals.errors import MayNotDecide
from tests.orchestrator.store.desk import Desk, refund
from tests.orchestrator.store.effects.test_p01_authority import DAY


async def test_p08_an_edit_that_is_asked_again_keeps_its_author_away(
    desk: Desk,
) -> None:
    run = await desk.start()
    await desk.draft(run, refund())
    arguments = {"order_id": "o1", "amount": {"amount": 9000, "currency": "USD"}}
    await desk.decide(run, "amy", arguments=arguments)
    await desk.lease(run)
    await desk.decide(run, "bob")
    desk.clock.go_on(DAY + timedelta(seconds=1))

    await desk.lease(run)

    assert "amy" in (await desk.approval(run, "pending")).not_by
    with pytest.raises(MayNotDecide):
        await desk.decide(run, "amy")


async def test_p10_two_who_each_lower_an_amount_can_both_approve_it(
    desk: Desk,
) -> None:
    run = await desk.start()
    await desk.draft(run, refund(600_00))
    await desk.decide(run, "lea", arguments=_less(590_00))
    await desk.lease(run)
    await desk.decide(run, "lou", arguments=_less(580_00))
    await desk.lease(run)

    await desk.decide(run, "lea")

    effect = await desk.effect((await desk.granted(run)).key)
    assert effect.amount == 580_00
    assert sorted(effect.approvers) == ["lea", "lou"]


async def test_p10_who_raised_an_amount_is_kept_away_when_another_lowers_it(
    desk: Desk,
) -> None:
    run = await desk.start()
    await desk.draft(run, refund(600_00))
    await desk.decide(run, "lea", arguments=_less(900_00))
    await desk.lease(run)
    await desk.decide(run, "lou", arguments=_less(890_00))
    await desk.lease(run)

    with pytest.raises(MayNotDecide):
        await desk.decide(run, "lea")


def _less(cents: int) -> dict[str, JsonValue]:
    amount: JsonValue = {"amount": cents, "currency": "USD"}
    return {"order_id": "o1", "amount": amount, "reason": "late"}


async def test_p01_an_edit_after_a_revoked_lease_sends_what_was_edited(
    desk: Desk,
) -> None:
    run = await desk.start()
    await desk.draft(run, refund(15_00))
    await desk.granted(run)
    await desk.switch("require_approval", tool="refund")
    assert (await desk.lease(run, holder="h2")).kind == "waiting"
    less = {
        "order_id": "o1",
        "amount": {"amount": 100, "currency": "USD"},
        "reason": "late",
    }
    await desk.decide(run, "amy", arguments=less)

    grant = await desk.granted(run, holder="h3")

    effect = await desk.effect(grant.key)
    assert canonical.parse(grant.arguments) == less
    assert (effect.amount, effect.approvers) == (100, ["amy"])
