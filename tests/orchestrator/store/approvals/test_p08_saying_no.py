"""P8: guards bind a yes; whoever may see an item may say no to it, and is told why not."""

from datetime import timedelta
from typing import Any

import pytest

from keyturn.orchestrator.rules.authority.person import Person
from keyturn.orchestrator.rules.errors import NotFound
from keyturn.orchestrator.store.approvals import claims, decide
from keyturn.orchestrator.store.approvals.decision import Answer
from keyturn.orchestrator.store.approvals.errors import (
    AlreadyDecided,
    Claimed,
    MayNotDecide,
)
from keyturn.orchestrator.store.tables import ApprovalRow
from tests.orchestrator.store.desk import Desk, person, refund

DAY = timedelta(days=1)


@pytest.mark.parametrize("decision", ["reject", "change"])
@pytest.mark.parametrize(
    ("who", "why"),
    [
        ("self", "for you yourself"),
        ("author", "you started this run"),
        ("new", "new to approving"),
        ("editor", "you edited it beyond its draft"),
        ("rejecter", "to an earlier draft"),
        ("low", "role lead"),
        ("held", "claimed by Lou"),
    ],
)
async def test_p08_no_is_heard_where_yes_is_not(
    desk: Desk, who: str, why: str, decision: str
) -> None:
    row, somebody = await _guarded(desk, who)

    with pytest.raises((MayNotDecide, Claimed), match=why):
        await _answer(desk, row, somebody, "approve")
    refused = await _answer(desk, row, somebody, decision)
    await desk.lease(row.run, turn=row.turn)

    assert refused.status == ("rejected" if decision == "reject" else "changes")
    call = await desk.call(row.run, row.turn)
    assert (call.status, "so" in (call.result or "")) == ("rejected", True)


async def test_p08_who_said_yes_may_still_say_no_while_another_is_waited_for(
    desk: Desk,
) -> None:
    run = await desk.start()
    await desk.draft(run, refund(600_00))
    await desk.decide(run, "lea")
    with pytest.raises(AlreadyDecided):
        await desk.decide(run, "lea")

    await desk.decide(run, "lea", "reject")

    assert (await desk.lease(run)).kind == "rejected"


async def test_p08_no_is_heard_while_the_facts_of_an_edit_are_read(desk: Desk) -> None:
    run = await desk.start()
    await desk.draft(run, refund(50_00))
    amount = {"amount": 90_00, "currency": "USD"}
    edited = {"order_id": "o1", "amount": amount, "reason": "late"}
    await desk.decide(run, "amy", arguments=edited)
    row = await desk.approval(run, "pending")

    await _answer(desk, row, person("amy"), "reject")

    assert row.binding is None
    assert (await desk.lease(run)).kind == "rejected"


@pytest.mark.parametrize("decision", ["approve", "reject", "change"])
async def test_p08_a_service_and_another_tenants_people_decide_nothing(
    desk: Desk, decision: str
) -> None:
    run = await desk.start()
    await desk.draft(run, refund())
    row = await desk.approval(run)

    with pytest.raises(MayNotDecide, match="a service may not decide"):
        await _answer(desk, row, person("amy", kind="service"), decision)
    with pytest.raises(NotFound):
        await _answer(desk, row, person("amy", tenant="other"), decision)


async def _guarded(desk: Desk, who: str) -> tuple[ApprovalRow, Person]:
    """Return an approval that this person may not approve, and the person."""
    started: dict[str, Any] = {
        "self": {"customer": "amy"},
        "author": {"started_by": "amy"},
    }
    run = await desk.start(**started.get(who, {}))
    amy = person("amy")
    await desk.draft(run, refund(600_00 if who == "low" else 50_00))
    if who == "new":
        amy = person("amy", approves_from=desk.clock.at + DAY)
    if who == "editor":
        amount = {"amount": 90_00, "currency": "USD"}
        edited = {"order_id": "o1", "amount": amount, "reason": "late"}
        await desk.decide(run, "amy", arguments=edited)
        await desk.lease(run)
    if who == "rejecter":
        await desk.decide(run, "amy", "change")
        await desk.lease(run)
        await desk.draft(run, refund(60_00), turn=2)
    if who == "held":
        row = await desk.approval(run, "pending")
        await claims.claim(desk.store, person("lou"), row.id)
    return await desk.approval(run, "pending"), amy


async def _answer(
    desk: Desk, row: ApprovalRow, who: Person, decision: str
) -> ApprovalRow:
    answer = Answer.model_validate(
        {"decision": decision, "binding": row.binding or "", "reason": "so"}
    )
    return await decide.decide(desk.store, desk.signer, who, row.id, answer)
