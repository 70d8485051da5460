"""What approves is what the person last saw: an open edit, or what was drafted."""

from sqlmodel import select

from keyturn.orchestrator.store.approvals import edit_drafts
from keyturn.orchestrator.store.approvals import lookup as approval_lookup
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.tables import DraftRow
from tests.approvals.pages.conftest import Doors, Visitor
from tests.approvals.pages.seed import Seed

LETTER = {"v/subject": "Your refund", "v/body": "My careful words"}


async def test_with_a_draft_kept_nothing_but_the_edit_approves(
    doors: Doors, seed: Seed, store: Store
) -> None:
    ana = await doors.visit("agent")
    item = seed.approvals["email_customer"]
    binding = await ana.binding(item)
    await ana.post(f"/inbox/{item}/draft", **LETTER)

    page = (await ana.get(f"/inbox/{item}")).text
    stale = await ana.post(f"/inbox/{item}/decide", decision="approve", binding=binding)

    assert 'id="approve"' not in page
    assert "Approve the edited version" in page
    assert stale.status_code == 409
    assert "You have an unsent edit" in stale.text
    assert "My careful words" in stale.text
    assert await _status(store, item) == "pending"


async def test_a_discarded_edit_stands_in_no_way(
    doors: Doors, seed: Seed, store: Store
) -> None:
    ana = await doors.visit("agent")
    item = seed.approvals["email_customer"]
    await ana.post(f"/inbox/{item}/draft", **LETTER)

    gone = await ana.post(f"/inbox/{item}/discard")
    page = (await ana.get(gone.headers["location"])).text
    done = await _approve(ana, item)

    assert gone.status_code == 303
    assert 'id="approve"' in page
    assert "My careful words" not in page
    assert done.status_code == 303
    assert await _status(store, item) == "approved"


async def test_an_edit_that_changes_nothing_is_none(
    doors: Doors, seed: Seed, store: Store
) -> None:
    ana = await doors.visit("agent")
    item = seed.approvals["refund_order"]
    same = {
        "v/order_id": "O-24680",
        "v/amount": "84.50",
        "u/amount": "USD",
        "v/reason": "Arrived broken",
    }
    shown = await ana.post(f"/inbox/{item}/draft", **same)
    async with store.read() as session:
        kept = (await session.execute(select(DraftRow))).scalars().all()

    if "Nothing is changed yet" in shown.text:
        assert kept == []
        assert (await _approve(ana, item)).status_code == 303
    else:
        assert [one.approval for one in kept] == [item]


async def test_anothers_draft_keeps_nobody_from_approving(
    doors: Doors, seed: Seed, store: Store
) -> None:
    ana, other = await doors.visit("agent"), await doors.visit("other")
    item = seed.approvals["email_customer"]
    await ana.post(f"/inbox/{item}/draft", **LETTER)

    assert (await _approve(other, item)).status_code == 303
    assert await _status(store, item) == "approved"


async def test_a_draft_keeps_nobody_from_saying_no(
    doors: Doors, seed: Seed, store: Store
) -> None:
    ana = await doors.visit("agent")
    item = seed.approvals["email_customer"]
    await ana.post(f"/inbox/{item}/draft", **LETTER)

    await ana.post(
        f"/inbox/{item}/decide",
        decision="reject",
        binding=await ana.binding(item),
        reason="No.",
    )

    assert await _status(store, item) == "rejected"


async def test_several_at_once_leave_out_what_has_a_draft(
    doors: Doors, seed: Seed, store: Store
) -> None:
    ana = await doors.visit("agent")
    item = seed.approvals["email_customer"]
    binding = await ana.binding(item)
    await ana.post(f"/inbox/{item}/opened", binding=binding)
    await ana.post(f"/inbox/{item}/draft", **LETTER)

    found = await ana.post(
        "/inbox/several/decide", item=item, binding=binding, decision="approve"
    )

    told = await ana.get(found.headers["location"])

    assert "has an edit of yours" in told.text
    assert await _status(store, item) == "pending"


async def test_an_edit_that_was_sent_is_kept_until_it_is_done(
    doors: Doors, seed: Seed, store: Store
) -> None:
    ana = await doors.visit("agent")
    item = seed.approvals["email_customer"]

    await ana.edit(item, await ana.binding(item), **LETTER)

    page = (await ana.get(f"/inbox/{item}")).text
    async with store.read() as session:
        (kept,) = (await session.execute(select(DraftRow))).scalars().all()
    assert kept.used_at is not None
    assert "Your draft" not in page
    await edit_drafts.drop(store, item, person=seed.people["agent"].id)


async def _approve(who: Visitor, item: str):
    return await who.post(
        f"/inbox/{item}/decide", decision="approve", binding=await who.binding(item)
    )


async def _status(store: Store, item: str) -> str:
    async with store.read() as session:
        return (await approval_lookup.get(session, item)).status
