"""P1: no effect without authority, proven in the transaction that records its start."""

from datetime import timedelta

import pytest

from keyturn.orchestrator.rules.money.money import Money
from keyturn.orchestrator.store.approvals import decide
from keyturn.orchestrator.store.approvals.decision import Answer
from keyturn.orchestrator.store.approvals.errors import MayNotDecide
from keyturn.orchestrator.store.runs import control
from keyturn.orchestrator.store.tables import EffectRow, PersonRow
from tests.orchestrator.store.desk import FACTS, Desk, mail, note, person, refund

CHANGED_FACTS = FACTS.replace('"refunded":0', '"refunded":1')
DAY = timedelta(days=1)


async def test_p01_an_approved_refund_is_leased_with_its_proof(desk: Desk) -> None:
    run = await desk.start()
    await desk.draft(run, refund())
    approval = await desk.decide(run)

    grant = await desk.granted(run)

    effect = await desk.effect(grant.key)
    assert (effect.approval, effect.approvers) == (approval.id, ["amy"])
    assert effect.binding == approval.binding
    assert grant.key == f"{run}:1.0.0"


async def test_p01_nothing_is_leased_before_a_decision(desk: Desk) -> None:
    run = await desk.start()
    await desk.draft(run, refund())

    answer = await desk.lease(run)

    assert (answer.kind, answer.grant) == ("waiting", None)
    assert await desk.rows(EffectRow) == []


async def test_p01_facts_that_changed_void_the_approval(desk: Desk) -> None:
    run = await desk.start()
    await desk.draft(run, refund())
    await desk.decide(run)

    answer = await desk.lease(run, preview=CHANGED_FACTS)

    assert answer.kind == "void"
    assert (await desk.approval(run)).status == "void"
    assert "approval.void" in await desk.audit(run)


async def test_p01_an_approval_is_used_once(desk: Desk) -> None:
    run = await desk.start()
    await desk.draft(run, refund())
    await desk.decide(run)
    await desk.do(run)

    again = await desk.lease(run, holder="h2")

    assert (again.kind, again.grant) == ("done", None)


async def test_p01_an_approval_that_ran_out_is_asked_again(desk: Desk) -> None:
    run = await desk.start()
    await desk.draft(run, refund())
    await desk.decide(run)
    desk.clock.go_on(DAY + timedelta(seconds=1))

    answer = await desk.lease(run)

    fresh = await desk.approval(run, "pending")
    assert answer.kind == "waiting"
    assert (fresh.revision, fresh.reason) == (1, "I will.")
    assert [one for one in await desk.audit(run) if one == "approval.asked"] == [
        "approval.asked",
        "approval.asked",
    ]


async def test_p01_a_revoked_role_no_longer_approves(desk: Desk) -> None:
    run = await desk.start()
    await desk.draft(run, refund())
    await desk.decide(run)
    row = (await desk.rows(PersonRow, id="amy"))[0]
    await desk.tamper(row, role="auditor")

    assert (await desk.lease(run)).kind == "refused"


async def test_p01_a_disabled_account_no_longer_approves(desk: Desk) -> None:
    run = await desk.start()
    await desk.draft(run, refund())
    await desk.decide(run)
    row = (await desk.rows(PersonRow, id="amy"))[0]
    await desk.tamper(row, disabled_at=desk.clock())

    assert (await desk.lease(run)).kind == "refused"


async def test_p01_an_account_that_became_a_service_no_longer_approves(
    desk: Desk,
) -> None:
    run = await desk.start()
    await desk.draft(run, refund())
    await desk.decide(run)
    row = (await desk.rows(PersonRow, id="amy"))[0]
    await desk.tamper(row, kind="service")

    assert (await desk.lease(run)).kind == "refused"


async def test_p08_who_started_a_run_does_not_approve_it(desk: Desk) -> None:
    run = await desk.start(started_by="amy")
    await desk.draft(run, refund())

    with pytest.raises(MayNotDecide, match="started this run"):
        await desk.decide(run, "amy")
    await desk.decide(run, "bob")

    assert (await desk.lease(run)).grant is not None


@pytest.mark.parametrize("who", ["their own address", "their own id"])
async def test_p08_whom_it_benefits_does_not_decide_it(desk: Desk, who: str) -> None:
    run = await desk.start(customer="amy" if who == "their own id" else "c1")
    await desk.draft(run, refund())
    row = await desk.approval(run)
    await desk.tamper(await desk.run(run), contact="amy@example.com")
    amy = person("amy", email="Amy@Example.com" if "address" in who else None)

    with pytest.raises(MayNotDecide, match="you benefit from it"):
        await decide.decide(
            desk.store,
            desk.signer,
            amy,
            row.id,
            Answer(decision="approve", binding=row.binding or ""),
        )


@pytest.mark.parametrize("why", ["cancel", "busy", "limit"])
async def test_p01_what_is_refused_leaves_no_approval_open(
    desk: Desk, why: str
) -> None:
    run = await refused_by(desk, why)

    answer = await desk.lease(run)

    assert answer.kind == "refused"
    assert (await desk.approval(run)).status in ("void", "cancelled")
    assert await desk.rows(EffectRow, run=run) == []


async def test_p09_the_usable_time_moves_with_a_pause_but_ends_in_a_week(
    desk: Desk,
) -> None:
    run = await desk.start()
    await desk.draft(run, refund())
    decided = await desk.decide(run)
    await control.pause(desk.store, run, by="lea", reason="look")
    desk.clock.go_on(30 * DAY)

    await control.resume(desk.store, run, by="lea", reason="go")

    usable = (await desk.approval(run)).usable_until
    assert usable is not None
    assert decided.closed_at is not None
    assert usable <= decided.closed_at + 7 * DAY


async def test_p09_what_is_decided_in_a_pause_is_not_prolonged_by_what_came_before(
    desk: Desk,
) -> None:
    run = await desk.start()
    await desk.draft(run, refund())
    await control.pause(desk.store, run, by="lea", reason="look")
    desk.clock.go_on(2 * DAY)
    decided = await desk.decide(run)

    await control.resume(desk.store, run, by="lea", reason="go")

    usable = (await desk.approval(run)).usable_until
    assert usable is not None
    assert decided.closed_at is not None
    assert usable <= decided.closed_at + DAY + timedelta(seconds=1)


async def test_p06_a_tool_without_a_rule_is_denied_and_told(desk: Desk) -> None:
    run = await desk.start()

    gated = await desk.draft(run, refund(9_000_00))

    call = await desk.call(run)
    assert [one.gate for one in gated] == ["denied"]
    assert call.status == "denied"
    assert "no rule matches" in str(call.result)


async def test_p06_nobody_answers_in_time(desk: Desk) -> None:
    run = await desk.start()
    await desk.draft(run, mail())
    desk.clock.go_on(timedelta(hours=4, seconds=1))

    answer = await desk.lease(run)

    assert answer.kind == "expired"
    assert (await desk.call(run)).status == "expired"
    assert (await desk.approval(run)).status == "expired"


async def test_p01_an_allowed_action_on_a_subject_that_was_acted_on_asks(
    desk: Desk,
) -> None:
    first, second = await desk.start(), await desk.start()
    await desk.draft(first, note())
    await desk.draft(second, note())
    await desk.do(first)

    assert (await desk.lease(second)).kind == "waiting"


async def test_p01_money_worked_out_anew_is_judged_anew(desk: Desk) -> None:
    run = await desk.start()
    await desk.draft(run, refund(15_00))

    answer = await desk.lease(run, money=Money(600_00, "USD"))

    assert answer.kind == "waiting"
    assert (await desk.approval(run, "pending")).needed == 2


async def refused_by(desk: Desk, why: str) -> str:
    """Return a run with an approved refund that must not be done."""
    if why == "limit":
        return await over_limit(desk)
    other = await desk.start()
    await desk.draft(other, refund(50_00))
    await desk.decide(other)
    if why == "busy":
        await desk.granted(other)
    run = await desk.start()
    await desk.draft(run, refund(100_00))
    await desk.decide(run)
    if why == "disable":
        await desk.switch("disable", tool="refund")
    if why == "cancel":
        await control.cancel(desk.store, run, by="lea", reason="enough")
    return run


async def over_limit(desk: Desk) -> str:
    """Return a run approved for more than 1,000 USD a customer and day leave."""
    for cents, order in ((950_00, "o1"), (60_00, "o2")):
        run = await desk.start()
        await desk.draft(run, refund(cents, order=order))
        await desk.decide(run, "lea")
        await desk.decide(run, "lou")
        if cents == 950_00:
            await desk.do(run)
    return run
