"""P1: no effect without authority, proven in the transaction that records its start."""

from datetime import timedelta
from typing import Any

import pytest
from pydantic import JsonValue

from keyturn.orchestrator.rules.authority.binding import Signer, new_key
from keyturn.orchestrator.rules.money.money import Money
from keyturn.orchestrator.rules.policy.rules import Rule
from keyturn.orchestrator.rules.text import canonical
from keyturn.orchestrator.store.approvals import decide
from keyturn.orchestrator.store.approvals.decision import Answer
from keyturn.orchestrator.store.approvals.errors import MayNotDecide, StaleBinding
from keyturn.orchestrator.store.releases import releases
from keyturn.orchestrator.store.runs import control, messages
from keyturn.orchestrator.store.switches import switches
from keyturn.orchestrator.store.tables import (
    ApprovalRow,
    CustomerMessageRow,
    DecisionRow,
    EffectRow,
    PersonRow,
    ReleaseRow,
)
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


@pytest.mark.parametrize(
    "changed",
    [
        {"order_id": "o2"},
        {"reason": "other"},
        {"amount": {"amount": 5001, "currency": "USD"}},
        {"amount": {"amount": 5000, "currency": "CAD"}},
    ],
    ids=["subject", "wording", "amount", "currency"],
)
async def test_p01_arguments_changed_in_the_database_are_refused(
    desk: Desk, changed: dict[str, Any]
) -> None:
    run = await desk.start()
    await desk.draft(run, refund())
    await desk.decide(run)
    call = await desk.call(run)
    arguments = canonical.parse(call.arguments)
    assert isinstance(arguments, dict)
    await desk.tamper(call, arguments=canonical.text({**arguments, **changed}))

    answer = await desk.lease(run)

    assert answer.kind == "refused"
    assert await desk.rows(EffectRow) == []
    assert (await desk.approval(run)).status == "void"
    assert {"effect.refused", "call.denied"} & set(await desk.audit(run))


@pytest.mark.parametrize("field", ["binding", "effective_binding"])
async def test_p01_a_binding_of_something_else_is_refused(
    desk: Desk, field: str
) -> None:
    run = await desk.start()
    await desk.draft(run, refund())
    approval = await desk.decide(run)
    await desk.tamper(approval, **{field: "0" * 64})

    assert (await desk.lease(run)).kind == "refused"


async def test_p01_a_release_changed_in_the_database_is_not_loaded(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = await desk.start()
    await desk.draft(run, refund(400_00))
    row = (await desk.rows(ReleaseRow))[0]
    rules = [{"tool": "refund", "verdict": "allow"}]
    await desk.tamper(row, content={**row.content, "rules": rules})
    monkeypatch.setattr(releases, "_parsed", type(releases._parsed)())  # pyright: ignore[reportPrivateUsage] as after a restart

    with pytest.raises(Exception, match="changed"):
        await desk.lease(run)

    assert await desk.rows(EffectRow) == []


@pytest.mark.parametrize(
    "forged",
    [
        {"signature": "AAAA"},
        {"person": "bob"},
        {"session": "s-other"},
        {"binding": "0" * 64},
    ],
    ids=["signature", "person", "session", "binding"],
)
async def test_p01_a_decision_changed_in_the_database_is_refused(
    desk: Desk, forged: dict[str, str]
) -> None:
    run = await desk.start()
    await desk.draft(run, refund())
    await desk.decide(run)
    await desk.tamper((await desk.rows(DecisionRow))[0], **forged)

    answer = await desk.lease(run)

    assert answer.kind == "refused"
    assert "effect.refused" in await desk.audit(run)


async def test_p01_a_decision_signed_by_another_key_is_refused(desk: Desk) -> None:
    run = await desk.start()
    await desk.draft(run, refund())
    desk.signer, desk.is_honest = Signer(new_key()), False
    await desk.decide(run)

    assert (await desk.lease(run)).kind == "refused"


async def test_p01_an_approval_written_into_the_database_is_refused(
    desk: Desk,
) -> None:
    run = await desk.start()
    await desk.draft(run, refund())
    approval = await desk.approval(run)
    await desk.tamper(
        approval, status="approved", usable_until=desk.clock() + timedelta(hours=1)
    )

    assert (await desk.lease(run)).kind == "refused"


async def test_p01_fewer_people_written_into_the_database_are_not_enough(
    desk: Desk,
) -> None:
    run = await desk.start()
    await desk.draft(run, refund(600_00))
    await desk.decide(run, "lea")
    approval = await desk.approval(run)
    await desk.tamper(
        approval,
        needed=1,
        role="agent",
        status="approved",
        usable_until=desk.clock() + timedelta(hours=1),
    )

    assert (await desk.lease(run)).grant is None


async def test_p01_a_binding_shown_for_a_sibling_decides_nothing(desk: Desk) -> None:
    run = await desk.start()
    await desk.draft(run, refund(index=0), refund(index=1, order="o2"))
    first, second = sorted(await desk.rows(ApprovalRow), key=lambda one: one.index)
    seen = Answer(decision="approve", binding=str(first.binding))

    with pytest.raises(StaleBinding):
        await decide.decide(desk.store, desk.signer, person("amy"), second.id, seen)

    assert await desk.rows(DecisionRow) == []


async def test_p01_a_decision_copied_to_a_sibling_is_refused(desk: Desk) -> None:
    run = await desk.start()
    await desk.draft(run, refund(index=0), refund(index=1, order="o2"))
    decided = await desk.decide(run)
    copied = (await desk.rows(DecisionRow, approval=decided.id))[0]
    sibling = await desk.approval(run, "pending")
    fields = copied.model_dump(exclude={"id", "approval"})
    await desk.tamper(DecisionRow(approval=sibling.id, **fields))
    await desk.tamper(
        sibling, status="approved", usable_until=desk.clock() + timedelta(hours=1)
    )

    answer = await desk.lease(run, index=sibling.index)

    assert answer.kind == "refused"


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


async def test_p01_a_new_message_voids_what_is_approved(desk: Desk) -> None:
    run = await desk.start()
    await desk.draft(run, refund())
    await desk.decide(run)
    await messages.customer_wrote(
        desk.store, run, text="never mind", external_id=None, by="c1"
    )

    assert (await desk.lease(run)).kind == "void"


async def test_p01_a_message_that_came_while_the_model_thought_voids_the_draft(
    desk: Desk,
) -> None:
    run = await desk.start()
    await messages.customer_wrote(
        desk.store, run, text="never mind", external_id=None, by="c1"
    )
    await desk.draft(run, refund())
    await desk.decide(run)

    assert (await desk.lease(run)).kind == "void"


async def test_p01_a_message_that_the_model_read_voids_nothing(desk: Desk) -> None:
    run = await desk.start()
    await messages.customer_wrote(
        desk.store, run, text="please", external_id=None, by="c1"
    )
    unread = (await turns_unread(desk, run))[0]
    await desk.draft(run, refund(), read=[unread])
    await desk.decide(run)

    assert (await desk.lease(run)).grant is not None


async def test_p01_a_message_after_a_revoked_lease_voids_the_approval(
    desk: Desk,
) -> None:
    run = await desk.start()
    await desk.draft(run, refund())
    await desk.decide(run)
    await desk.granted(run)
    await desk.switch("halt", tool="refund")
    await messages.customer_wrote(
        desk.store, run, text="stop", external_id=None, by="c1"
    )
    await switches.clear(desk.store, "s1", by="lea", reason="over")

    assert (await desk.lease(run, holder="h2")).kind == "void"


async def test_p11_a_stricter_policy_asks_again_for_what_is_approved(
    desk: Desk,
) -> None:
    run = await desk.start()
    await desk.draft(run, refund())
    await desk.decide(run)
    await desk.go_live(rules=(Rule("refund", approvers=2, role="lead"),))

    answer = await desk.lease(run)

    fresh = await desk.approval(run, "pending")
    assert answer.kind == "waiting"
    assert (fresh.needed, fresh.role) == (2, "lead")


async def test_p11_a_stricter_policy_asks_again_for_what_waits(desk: Desk) -> None:
    run = await desk.start()
    await desk.draft(run, refund())
    await desk.go_live(rules=(Rule("refund", approvers=2, role="lead"),))

    await desk.lease(run)

    assert (await desk.approval(run, "pending")).needed == 2


async def test_p11_a_looser_policy_releases_nothing(desk: Desk) -> None:
    run = await desk.start()
    await desk.draft(run, refund())
    await desk.go_live(rules=(Rule("refund", verdict="allow"),))

    assert (await desk.lease(run)).kind == "waiting"


async def test_p11_a_policy_that_denies_closes_what_is_approved(desk: Desk) -> None:
    run = await desk.start()
    await desk.draft(run, refund())
    await desk.decide(run)
    await desk.go_live(rules=(Rule("set_note", verdict="allow"),))

    answer = await desk.lease(run)

    assert answer.kind == "refused"
    assert (await desk.approval(run)).status == "void"
    assert (await desk.call(run)).status == "denied"


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


@pytest.mark.parametrize("who", ["their own address", "their own id"])
async def test_p08_whom_it_benefits_does_not_decide_it(desk: Desk, who: str) -> None:
    run = await desk.start(customer="amy" if who == "their own id" else "c1")
    await desk.draft(run, refund())
    row = await desk.approval(run)
    await desk.tamper(await desk.run(run), contact="amy@example.com")
    amy = person("amy", email="Amy@Example.com" if "address" in who else None)

    with pytest.raises(MayNotDecide, match="for you yourself"):
        await decide.decide(
            desk.store,
            desk.signer,
            amy,
            row.id,
            Answer(decision="approve", binding=row.binding or ""),
        )


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


async def turns_unread(desk: Desk, run: str) -> list[int]:
    return [one.id or 0 for one in await desk.rows(CustomerMessageRow, run=run)]


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
