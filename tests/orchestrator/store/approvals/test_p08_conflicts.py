"""P8, P10: whose words led the model to a draft does not approve it."""

import pytest

from keyturn.orchestrator.store.approvals.errors import MayNotDecide
from keyturn.orchestrator.store.runs import messages
from keyturn.orchestrator.store.tables import CustomerMessageRow
from tests.orchestrator.store.desk import Desk, mail, refund


async def sent_back(desk: Desk, decision: str) -> str:
    """Start a run whose first draft Amy answered so."""
    run = await desk.start()
    await desk.draft(run, refund(50_00))
    await desk.decide(run, "amy", decision, reason="make it 499, please")
    assert (await desk.lease(run)).kind == "rejected"
    return run


@pytest.mark.parametrize("decision", ["change", "reject"])
async def test_p10_who_has_more_drafted_does_not_approve_it(
    desk: Desk, decision: str
) -> None:
    run = await sent_back(desk, decision)

    await desk.draft(run, refund(499_00), turn=2)

    with pytest.raises(MayNotDecide, match="another person"):
        await desk.decide(run, "amy")
    assert (await desk.decide(run, "bob")).status == "approved"


async def test_p10_who_is_struck_from_the_barred_is_found_again_at_the_lease(
    desk: Desk,
) -> None:
    """Whoever writes to the database frees themselves, and it carries nothing."""
    run = await sent_back(desk, "change")
    await desk.draft(run, refund(499_00), turn=2)
    await desk.tamper(await desk.approval(run, "pending"), not_by=[])

    await desk.decide(run, "amy")

    answer = await desk.lease(run, turn=2)
    assert answer.kind == "refused"
    assert "wrote what the draft is based on" in str((await desk.call(run, 2)).result)


async def test_p10_who_has_another_order_drafted_does_not_approve_it(
    desk: Desk,
) -> None:
    run = await sent_back(desk, "change")

    await desk.draft(run, refund(50_00, order="o2"), turn=2)

    with pytest.raises(MayNotDecide, match="another person"):
        await desk.decide(run, "amy")


async def test_p10_who_has_less_drafted_approves_it(desk: Desk) -> None:
    run = await sent_back(desk, "change")

    await desk.draft(run, refund(49_00), turn=2)

    assert (await desk.decide(run, "amy")).status == "approved"


async def test_p10_less_than_the_first_draft_is_not_less_than_the_second(
    desk: Desk,
) -> None:
    run = await sent_back(desk, "change")
    await desk.draft(run, refund(30_00), turn=2)
    await desk.decide(run, "bob", "change", reason="make it 40")
    assert (await desk.lease(run, turn=2)).kind == "rejected"

    await desk.draft(run, refund(40_00), turn=3)

    with pytest.raises(MayNotDecide, match="another person"):
        await desk.decide(run, "bob")
    assert (await desk.decide(run, "amy")).status == "approved"


async def test_p10_what_was_said_of_a_mail_moves_no_money_of_ones_own(
    desk: Desk,
) -> None:
    run = await desk.start()
    await desk.draft(run, mail())
    await desk.decide(run, "amy", "reject", reason="refund 400 of o1 instead")
    assert (await desk.lease(run)).kind == "rejected"

    await desk.draft(run, refund(400_00), turn=2)

    with pytest.raises(MayNotDecide, match="another person"):
        await desk.decide(run, "amy")


async def test_p08_a_mail_after_a_rejection_is_anybodys_to_approve(desk: Desk) -> None:
    run = await sent_back(desk, "reject")

    await desk.draft(run, mail(), turn=2)

    assert (await desk.decide(run, "amy")).status == "approved"


async def test_p08_who_writes_as_the_customer_approves_nothing_of_it(
    desk: Desk,
) -> None:
    run = await desk.start()
    await messages.customer_wrote(
        desk.store, run, text="I want 400 back.", external_id=None, by="amy"
    )
    [message] = await desk.rows(CustomerMessageRow, run=run)
    assert message.id is not None

    await desk.draft(run, refund(400_00), read=[message.id])

    with pytest.raises(MayNotDecide, match="what you wrote to the run"):
        await desk.decide(run, "amy")
    assert (await desk.decide(run, "bob")).status == "approved"
