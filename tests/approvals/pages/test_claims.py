"""Who has an item is seen on its page and in the queue, and kept to."""

from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, update

from keyturn.orchestrator.store.approvals import lookup as approval_lookup
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.tables import ApprovalRow
from tests.approvals.pages.conftest import Doors
from tests.approvals.pages.seed import Seed


async def test_a_claim_is_seen_by_others_and_keeps_them_from_deciding(
    doors: Doors, seed: Seed, store: Store
) -> None:
    ana, other = await doors.visit("agent"), await doors.visit("other")
    item = seed.approvals["refund_order"]
    binding = await other.binding(item)

    taken = await ana.post(f"/inbox/{item}/claim")
    mine = (await ana.get(f"/inbox/{item}")).text
    theirs = (await other.get(f"/inbox/{item}")).text
    queue = (await other.get("/inbox/queue")).text
    refused = await other.post(
        f"/inbox/{item}/decide", decision="approve", binding=binding
    )

    assert taken.status_code == 303
    assert "Claimed by you" in mine
    assert f'hx-post="/inbox/{item}/keep"' in mine
    assert "Claimed by Ana Agent" in theirs
    assert "data-held" in theirs
    assert "claimed by Ana Agent until" in queue
    assert refused.status_code == 409
    assert "Somebody else has claimed this item" in refused.text
    assert await _status(store, item) == "pending"


async def test_taking_over_needs_a_reason_and_the_one_who_was_seen(
    doors: Doors, seed: Seed
) -> None:
    ana, other = await doors.visit("agent"), await doors.visit("other")
    lead = await doors.visit("lead")
    item = seed.approvals["refund_order"]
    await ana.post(f"/inbox/{item}/claim")
    held_by = seed.people["agent"].id

    bare = await other.post(f"/inbox/{item}/claim", take_over=held_by)
    taken = await other.post(
        f"/inbox/{item}/claim", take_over=held_by, reason="Ana is at lunch."
    )
    late = await lead.post(
        f"/inbox/{item}/claim", take_over=held_by, reason="Ana is at lunch."
    )

    assert bare.status_code == 422
    assert "say why you take it over" in bare.text
    assert taken.status_code == 303
    assert late.status_code == 409
    assert "Claimed by Other" in (await ana.get(f"/inbox/{item}")).text


async def test_an_open_page_keeps_its_claim_and_retakes_none(
    doors: Doors, seed: Seed, store: Store
) -> None:
    ana = await doors.visit("agent")
    item = seed.approvals["refund_order"]
    await ana.post(f"/inbox/{item}/claim")
    async with store.write() as session:
        now = await session.read_clock()
        await _until(session, item, now + timedelta(seconds=20))

    kept = await ana.post(f"/inbox/{item}/keep")
    async with store.write() as session:
        row = await approval_lookup.get(session, item)
        assert row.claim_until is not None
        assert row.claim_until > now + timedelta(minutes=4)
        await _until(session, item, now - timedelta(seconds=1))
    ended = await ana.post(f"/inbox/{item}/keep")

    assert "Claimed by you" in kept.text
    assert "Not claimed." in ended.text


async def test_what_is_given_back_is_free(doors: Doors, seed: Seed) -> None:
    ana, other = await doors.visit("agent"), await doors.visit("other")
    item = seed.approvals["refund_order"]
    await ana.post(f"/inbox/{item}/claim")

    not_theirs = await other.post(f"/inbox/{item}/unclaim")
    await ana.post(f"/inbox/{item}/unclaim")

    assert not_theirs.status_code == 409
    assert "Not claimed." in (await other.get(f"/inbox/{item}")).text


async def test_a_lead_gives_an_item_to_somebody_and_more_time(
    doors: Doors, seed: Seed, store: Store
) -> None:
    ana, lead = await doors.visit("agent"), await doors.visit("lead")
    item = seed.approvals["refund_order"]
    to = seed.people["other"].id
    async with store.read() as session:
        before = (await approval_lookup.get(session, item)).answer_by

    given = await lead.post(f"/inbox/{item}/assign", to=to, reason="He knows lamps.")
    longer = await lead.post(f"/inbox/{item}/extend", minutes="60", reason="Holiday.")
    bare = await lead.post(f"/inbox/{item}/extend", minutes="60")
    page = (await lead.get(f"/inbox/{item}")).text
    not_a_lead = await ana.post(f"/inbox/{item}/assign", to=to, reason="Mine!")

    assert given.status_code == longer.status_code == 303
    assert bare.status_code == 422
    assert "Assigned to Other" in page
    assert not_a_lead.status_code == 403
    assert "As a lead" not in (await ana.get(f"/inbox/{item}")).text
    async with store.read() as session:
        row = await approval_lookup.get(session, item)
    assert row.assigned_to == to
    assert row.answer_by == before + timedelta(hours=1)


async def test_the_queue_is_filtered_by_whose_it_is_team_and_language(
    doors: Doors, seed: Seed, store: Store
) -> None:
    ana = await doors.visit("agent")
    item, other = seed.approvals["refund_order"], seed.approvals["address"]
    await ana.post(f"/inbox/{item}/claim")
    async with store.write() as session:
        await session.execute(
            update(ApprovalRow)
            .where(col(ApprovalRow.id) == item)
            .values(team="lamps", language="de")
        )

    async def rows(query: str) -> tuple[bool, bool]:
        page = (await ana.get(f"/inbox/queue?{query}")).text
        return f"row-{item}" in page, f"row-{other}" in page

    assert await rows("") == (True, True)
    assert await rows("whose=mine") == (True, False)
    assert await rows("whose=free") == (False, True)
    assert await rows("team=lamps") == (True, False)
    assert await rows("language=de") == (True, False)
    assert await rows("whose=nonsense") == (True, True)
    assert (
        "<option selected>lamps</option>" in (await ana.get("/inbox?team=lamps")).text
    )


async def _until(session: AsyncSession, item: str, at: datetime) -> None:
    await session.execute(
        update(ApprovalRow).where(col(ApprovalRow.id) == item).values(claim_until=at)
    )


async def _status(store: Store, approval: str) -> str:
    async with store.read() as session:
        return (await approval_lookup.get(session, approval)).status
