"""P1: a message that nobody has read voids what was approved before it."""

from keyturn.orchestrator.store.runs import messages
from keyturn.orchestrator.store.switches import switches
from keyturn.orchestrator.store.tables import CustomerMessageRow
from tests.orchestrator.store.desk import Desk, refund


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


async def turns_unread(desk: Desk, run: str) -> list[int]:
    return [one.id or 0 for one in await desk.rows(CustomerMessageRow, run=run)]
