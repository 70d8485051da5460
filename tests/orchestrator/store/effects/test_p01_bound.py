"""P1: whatever changes between showing and starting, the approval does not carry it."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from pydantic import JsonValue

from keyturn.orchestrator.rules.authority.binding import Statement
from keyturn.orchestrator.rules.money.money import Money
from keyturn.orchestrator.rules.policy.rules import Rule
from keyturn.orchestrator.rules.text import canonical
from keyturn.orchestrator.store.approvals import lookup as approval_lookup
from keyturn.orchestrator.store.approvals import request
from keyturn.orchestrator.store.tables import (
    ApprovalRow,
    AuditRow,
    DecisionRow,
    EffectRow,
)
from tests.orchestrator.store.desk import FACTS, Desk, refund

DAY = timedelta(days=1)
ANOTHER = {"order_id": "o2", "reason": "other", "amount": 5001, "currency": "CAD"}
FACT_CHANGES: Mapping[str, JsonValue] = {
    "customer": "c2",
    "order_id": "o2",
    "refunded": 1,
    "status": "cancelled",
}


async def why(desk: Desk, run: str) -> str:
    """Return what the audit log says of the run's refusals and closed approvals."""
    rows = await desk.rows(AuditRow, run=run)
    kinds = ("effect.refused", "approval.void", "call.denied", "call.refused")
    return " ".join(str(row.payload) for row in rows if row.kind in kinds)


async def assert_refused(desk: Desk, run: str, *words: str) -> None:
    """Nothing was leased; it is recorded, and the model is told why."""
    call = await desk.call(run)
    assert await desk.rows(EffectRow, run=run) == []
    assert call.status in ("refused", "void", "denied"), call.status
    assert (await desk.approval(run)).status == "void"
    for one in words:
        assert one in str(call.result)
        assert one in await why(desk, run)


def changed(arguments: str, field: str) -> str:
    """Return arguments with one field, also one within the amount, changed."""
    found = canonical.parse(arguments)
    assert isinstance(found, dict)
    amount = found["amount"]
    assert isinstance(amount, dict)
    inner = amount if field in amount else found
    inner[field] = ANOTHER[field]
    return canonical.text(found)


@pytest.mark.parametrize("field", sorted(ANOTHER))
async def test_p01_an_argument_that_changes_is_refused(desk: Desk, field: str) -> None:
    run = await desk.approved()
    call = await desk.call(run)
    await desk.tamper(call, arguments=changed(call.arguments, field))

    await desk.lease(run)

    # No rule speaks of that currency, so policy is the first to refuse it.
    words = "no rule" if field == "currency" else "the approval is for something else"
    await assert_refused(desk, run, words)


@pytest.mark.parametrize("field", sorted(ANOTHER))
async def test_p01_an_argument_and_its_binding_that_change_are_refused(
    desk: Desk, field: str
) -> None:
    run = await desk.approved()
    call = await desk.call(run)
    row = await desk.run(run)
    await desk.tamper(call, arguments=changed(call.arguments, field))
    forged = request.bind(row, await desk.call(run), desk.release, FACTS)
    await desk.tamper(await desk.approval(run), binding=forged)

    await desk.lease(run)

    await assert_refused(desk, run)


@pytest.mark.parametrize("field", sorted(FACT_CHANGES))
async def test_p01_a_fact_that_changes_voids_the_approval(
    desk: Desk, field: str
) -> None:
    run = await desk.approved()
    facts = canonical.parse(FACTS)
    assert isinstance(facts, dict)
    fresh = canonical.text({**facts, field: FACT_CHANGES[field]})

    answer = await desk.lease(run, preview=fresh)

    assert answer.kind == "void"
    await assert_refused(desk, run, "the facts changed after it was approved")


async def test_p01_a_fact_that_appears_voids_the_approval(desk: Desk) -> None:
    run = await desk.approved()
    facts = canonical.parse(FACTS)
    assert isinstance(facts, dict)

    await desk.lease(run, preview=canonical.text({**facts, "new": None}))

    await assert_refused(desk, run, "the facts changed after it was approved")


@pytest.mark.parametrize(
    "money", [Money(50_01, "USD"), Money(49_99, "USD"), Money(50_00, "CAD"), None]
)
async def test_p01_money_that_changes_voids_the_approval(
    desk: Desk, money: Money | None
) -> None:
    """Code may work it out anew from facts that nobody was shown."""
    run = await desk.approved()

    await desk.lease(run, money=money)

    await assert_refused(desk, run)


async def test_p01_another_tool_is_refused(desk: Desk) -> None:
    run = await desk.approved()
    await desk.tamper(await desk.call(run), tool="top_up")

    await desk.lease(run, preview=FACTS)

    await assert_refused(desk, run, "the approval is for something else")


async def test_p01_another_contract_is_refused(desk: Desk) -> None:
    run = await desk.approved()
    other = await desk.go_live(description="another")
    await desk.tamper(await desk.run(run), release=other.hash())

    await desk.lease(run)

    await assert_refused(desk, run, "the approval is for something else")


async def test_p01_another_policy_is_refused(desk: Desk) -> None:
    run = await desk.approved()
    rules = (*desk.release.rules[:1], Rule("refund", approvers=1, role="agent"))
    other = await desk.go_live(rules=rules)
    await desk.tamper(await desk.run(run), release=other.hash())

    await desk.lease(run)

    await assert_refused(desk, run, "the approval is for something else")


async def test_p01_an_approval_of_another_run_is_refused(desk: Desk) -> None:
    mine, theirs = await desk.approved(), await desk.start()
    await desk.draft(theirs, refund())
    await _copy(desk, await desk.approval(mine), to=await desk.approval(theirs))

    answer = await desk.lease(theirs)

    assert answer.kind == "refused"
    await assert_refused(desk, theirs)
    assert (await desk.lease(mine)).grant is not None


async def test_p01_an_approval_of_another_call_is_refused(desk: Desk) -> None:
    run = await desk.start()
    await desk.draft(run, refund(index=0), refund(index=1, order="o2"))
    first, second = sorted(await desk.rows(ApprovalRow), key=lambda one: one.index)
    await desk.answer(first, "approve")
    await _copy(desk, await _fresh(desk, first), to=second)

    answer = await desk.lease(run, index=1)

    assert (answer.kind, answer.grant) == ("refused", None)
    assert "effect.refused" in await desk.audit(run)


async def test_p01_an_approval_of_an_earlier_revision_is_refused(desk: Desk) -> None:
    run = await desk.approved()
    before = await desk.approval(run)
    desk.clock.go_on(DAY + timedelta(seconds=1))
    await desk.lease(run)
    await _copy(desk, before, to=await desk.approval(run, "pending"))

    answer = await desk.lease(run)

    assert (answer.kind, answer.grant) == ("refused", None)
    assert "effect.refused" in await desk.audit(run)


@pytest.mark.parametrize(
    "forged",
    [
        {"approval": None},
        {"person": "bob"},
        {"session": "s-other"},
        {"binding": "0" * 64},
        {"effective": "0" * 64},
        {"at": timedelta(milliseconds=1)},
        {"signature": "AAAA"},
        {"signature": "not base64!"},
        {"signature": ""},
    ],
    ids=lambda one: f"{next(iter(one))}-{str(next(iter(one.values())))[:3]}",
)
async def test_p01_no_field_of_a_decision_can_be_changed(
    desk: Desk, forged: dict[str, Any]
) -> None:
    run = await desk.start()
    await desk.draft(run, refund(index=0), refund(index=1, order="o2"))
    first, second = sorted(await desk.rows(ApprovalRow), key=lambda one: one.index)
    await desk.answer(first, "approve")
    [decision] = await desk.rows(DecisionRow)
    if "approval" in forged:
        forged = {"approval": second.id}
        await desk.tamper(second, status="approved", usable_until=desk.clock() + DAY)
    if "at" in forged:
        forged = {"at": decision.at + forged["at"]}
    await desk.tamper(decision, **forged)

    answer = await desk.lease(run, index=1 if "approval" in forged else 0)

    assert (answer.kind, answer.grant) == ("refused", None)
    assert "effect.refused" in await desk.audit(run)


async def test_p01_a_decision_written_into_the_database_is_refused(desk: Desk) -> None:
    run = await desk.start()
    await desk.draft(run, refund())
    approval = await desk.approval(run)
    assert approval.binding is not None
    statement = Statement(
        approval=approval.id,
        binding=approval.binding,
        effective=approval.binding,
        person="amy",
        session="s-amy",
        decision="approve",
        at=desk.clock(),
    )
    await desk.tamper(
        DecisionRow(**statement.model_dump(), person_name="Amy", signature="c2lnbmVk")
    )
    usable = desk.clock() + DAY
    await desk.tamper(approval, status="approved", usable_until=usable)

    await desk.lease(run)

    await assert_refused(desk, run, "a decision's signature does not verify")


async def test_p11_a_stricter_policy_is_asked_for_and_a_looser_one_is_not(
    desk: Desk,
) -> None:
    run = await desk.approved(100_00)
    stricter = Rule("refund", approvers=2, role="lead")
    await desk.go_live(rules=(stricter,))
    await desk.lease(run)
    asked = await desk.approval(run, "pending")

    await desk.go_live(rules=(Rule("refund", verdict="allow"),))
    answer = await desk.lease(run)

    assert (asked.needed, asked.role) == (2, "lead")
    assert (answer.kind, answer.grant) == ("waiting", None)
    assert (await desk.approval(run, "pending")).needed == 2
    assert "the policy became stricter" in await why(desk, run)


async def _copy(desk: Desk, approval: ApprovalRow, *, to: ApprovalRow) -> None:
    """Write an approval's decisions under another one, as an attacker would."""
    async with desk.store.read() as session:
        given = await approval_lookup.decisions(session, approval.id)
    for one in given:
        fields = one.model_dump(exclude={"id", "approval"})
        await desk.tamper(DecisionRow(approval=to.id, **fields))
    await desk.tamper(
        to,
        status="approved",
        binding=approval.binding,
        usable_until=desk.clock() + DAY,
    )


async def _fresh(desk: Desk, row: ApprovalRow) -> ApprovalRow:
    [found] = await desk.rows(ApprovalRow, id=row.id)
    return found
