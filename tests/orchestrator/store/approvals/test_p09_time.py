"""P9: deadlines escalate or reject, and a decision can be taken back for a while."""

from datetime import timedelta

import pytest

from keyturn import Escalation
from keyturn.orchestrator.rules.errors import ContractError
from keyturn.orchestrator.rules.policy.rules import Rule
from keyturn.orchestrator.store.approvals.errors import MayNotDecide
from keyturn.orchestrator.store.effects import undo
from keyturn.orchestrator.store.effects.errors import TooLate
from tests.databases import both
from tests.orchestrator.store.desk import Desk, person, refund

pytestmark = both


WINDOW = timedelta(seconds=10)
HOUR = timedelta(hours=1)
CHAIN = (Escalation(role="lead", within=2 * HOUR), Escalation(role="admin"))


async def escalating(desk: Desk) -> str:
    rule = Rule("refund", approvers=1, role="agent", within=HOUR, escalate=CHAIN)
    await desk.go_live(rules=(rule,))
    run = await desk.start()
    await desk.draft(run, refund())
    return run


async def test_p09_a_deadline_asks_the_next_role_and_never_approves(desk: Desk) -> None:
    run = await escalating(desk)
    desk.clock.go_on(HOUR)

    answer = await desk.lease(run)

    row = await desk.approval(run, "pending")
    assert answer.kind == "waiting"
    assert (row.role, row.level) == ("lead", 1)
    assert answer.until == row.answer_by
    with pytest.raises(MayNotDecide, match="role lead"):
        await desk.decide(run, "amy")


async def test_p09_the_end_of_the_chain_rejects(desk: Desk) -> None:
    run = await escalating(desk)
    for time in (HOUR, 2 * HOUR, 4 * HOUR):
        desk.clock.go_on(time)
        answer = await desk.lease(run)

    assert answer.kind == "expired"
    assert (await desk.approval(run)).status == "expired"


async def test_p09_whom_it_was_escalated_to_approves(desk: Desk) -> None:
    run = await escalating(desk)
    desk.clock.go_on(HOUR)
    await desk.lease(run)

    await desk.decide(run, "lea")

    assert (await desk.effect((await desk.granted(run)).key)).approvers == ["lea"]


def test_p09_a_chain_needs_somebody_to_begin_with() -> None:
    with pytest.raises(ContractError, match="nobody to escalate from"):
        Rule("refund", verdict="allow", escalate=CHAIN)


async def with_window(desk: Desk) -> None:
    """Make a release live whose tools' decisions can be undone for a while."""
    tools = tuple(
        spec.model_copy(update={"undo": WINDOW}) for spec in desk.release.tools
    )
    await desk.go_live(tools=tools)


async def undoable(desk: Desk) -> str:
    await with_window(desk)
    run = await desk.start()
    await desk.draft(run, refund())
    return run


async def test_p09_nothing_starts_while_it_can_be_undone(desk: Desk) -> None:
    run = await undoable(desk)
    row = await desk.decide(run)

    held = await desk.lease(run)
    desk.clock.go_on(WINDOW)
    grant = await desk.granted(run)

    assert (held.kind, held.until) == ("not_before", row.undo_until)
    assert (await desk.approval(run)).consumed_by == grant.key


@pytest.mark.parametrize("decision", ["approve", "reject"])
async def test_p09_what_is_undone_is_asked_again(desk: Desk, decision: str) -> None:
    run = await undoable(desk)
    row = await desk.decide(run, decision=decision, reason="hm")

    fresh = await undo.undo(desk.store, person("amy"), row.id, "a slip")
    await desk.decide(run, "bob")
    desk.clock.go_on(WINDOW)
    grant = await desk.granted(run)

    assert (fresh.status, fresh.revision) == ("pending", row.revision + 1)
    assert (await desk.effect(grant.key)).approvers == ["bob"]


async def test_p10_an_undone_edit_asks_for_what_was_asked_before(desk: Desk) -> None:
    run = await undoable(desk)
    amount = {"amount": 10_00, "currency": "USD"}
    less = {"order_id": "o1", "amount": amount, "reason": "late"}
    row = await desk.decide(run, arguments=less)

    fresh = await undo.undo(desk.store, person("amy"), row.id, "a slip")

    assert (fresh.arguments, fresh.amount) == (row.arguments, refund().money.amount)  # pyright: ignore[reportOptionalMemberAccess] a refund has money
    assert (await desk.call(run)).effective is None


async def test_p09_after_its_time_nothing_is_undone(desk: Desk) -> None:
    run = await undoable(desk)
    row = await desk.decide(run)
    desk.clock.go_on(WINDOW)

    with pytest.raises(TooLate, match="over"):
        await undo.undo(desk.store, person("amy"), row.id, "a slip")
    await desk.granted(run)
    with pytest.raises(TooLate, match="carried out"):
        await undo.undo(desk.store, person("amy"), row.id, "a slip")


async def test_p08_another_agent_undoes_nothing(desk: Desk) -> None:
    run = await undoable(desk)
    row = await desk.decide(run)

    with pytest.raises(MayNotDecide, match="or a lead"):
        await undo.undo(desk.store, person("bob"), row.id, "mine")

    assert (
        await undo.undo(desk.store, person("lea"), row.id, "no")
    ).status == "pending"
