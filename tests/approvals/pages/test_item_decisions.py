"""What a person decides, edits and drafts on an item's page."""

from sqlmodel import col, select

from keyturn.orchestrator.store.approvals import edit_drafts
from keyturn.orchestrator.store.approvals import lookup as approval_lookup
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.runs import messages
from keyturn.orchestrator.store.tables import DecisionRow, DraftRow
from tests.approvals.pages.conftest import Doors
from tests.approvals.pages.seed import Seed


async def test_approving_goes_on_to_the_next_item(
    doors: Doors, seed: Seed, store: Store
) -> None:
    visitor = await doors.visit("agent")
    item = seed.approvals["refund_order"]

    found = await visitor.post(
        f"/inbox/{item}/decide", decision="approve", binding=await visitor.binding(item)
    )
    page = await visitor.get(found.headers["location"])

    assert found.status_code == 303
    assert found.headers["location"] == (
        f"/inbox/{seed.approvals['email_customer']}?done={item}"
    )
    assert "Approved" in page.text
    assert await _status(store, item) == "approved"


async def test_a_rejection_needs_a_reason(
    doors: Doors, seed: Seed, store: Store
) -> None:
    visitor = await doors.visit("agent")
    item = seed.approvals["refund_order"]
    binding = await visitor.binding(item)

    bare = await visitor.post(
        f"/inbox/{item}/decide", decision="reject", binding=binding
    )
    given = await visitor.post(
        f"/inbox/{item}/decide",
        decision="reject",
        binding=binding,
        canned="2",
        reason="It was 48.50.",
    )

    assert bare.status_code == 422
    assert "A reason is missing" in bare.text
    assert given.status_code == 303
    assert await _status(store, item) == "rejected"
    assert await _reason(store, item) == "The amount is wrong. It was 48.50."


async def test_less_money_is_the_editors_own_approval(
    doors: Doors, seed: Seed, store: Store
) -> None:
    visitor = await doors.visit("agent")
    item = seed.approvals["refund_order"]

    found = await visitor.edit(
        item, await visitor.binding(item), **_refund(amount="80.00")
    )

    assert found.status_code == 303
    async with store.read() as session:
        row = await approval_lookup.get(session, item)
    assert row.status == "approved"
    assert '"amount":8000' in (row.effective or "")


async def test_more_money_goes_to_another_person(
    doors: Doors, seed: Seed, store: Store
) -> None:
    visitor = await doors.visit("agent")
    item = seed.approvals["refund_order"]

    found = await visitor.edit(
        item, await visitor.binding(item), **_refund(amount="95.00")
    )
    page = await visitor.get(found.headers["location"])

    assert "Your edit waits for another person" in page.text
    assert await _status(store, item) == "void"


async def test_a_wrong_field_comes_back_with_what_was_written(
    doors: Doors, seed: Seed
) -> None:
    visitor = await doors.visit("agent")
    item = seed.approvals["refund_order"]

    found = await visitor.post(
        f"/inbox/{item}/edit",
        binding=await visitor.binding(item),
        **_refund(amount="80,00"),
    )

    assert found.status_code == 422
    assert "Write a point, not a comma" in found.text
    assert 'value="80,00"' in found.text


async def test_a_conflict_names_who_was_first_and_keeps_the_draft(
    doors: Doors, seed: Seed, store: Store
) -> None:
    ana, other = await doors.visit("agent"), await doors.visit("other")
    item = seed.approvals["email_customer"]
    binding = await ana.binding(item)
    await other.post(f"/inbox/{item}/decide", decision="approve", binding=binding)

    found = await ana.edit(
        item, binding, **{"v/subject": "Hello", "v/body": "My careful words"}
    )

    assert found.status_code == 409
    assert "Somebody was first" in found.text
    assert "Other decided approve" in found.text
    assert "My careful words" in found.text
    async with store.read() as session:
        kept = await session.get(DraftRow, (item, seed.people["agent"].id))
    assert kept is not None


async def test_a_stale_binding_is_refused(doors: Doors, seed: Seed) -> None:
    visitor = await doors.visit("agent")
    item = seed.approvals["refund_order"]

    found = await visitor.post(
        f"/inbox/{item}/decide", decision="approve", binding="0" * 64
    )

    assert found.status_code == 412
    assert "has changed since you saw it" in found.text


async def test_a_draft_is_kept_and_shown_again(
    doors: Doors, seed: Seed, store: Store
) -> None:
    visitor = await doors.visit("agent")
    item = seed.approvals["email_customer"]

    kept = await visitor.post(
        f"/inbox/{item}/draft", **{"v/subject": "Half", "v/body": "Half a letter"}
    )
    page = await visitor.get(f"/inbox/{item}")

    assert "Draft kept" in kept.text
    assert "Half a letter" in page.text
    await edit_drafts.drop(store, item, person=seed.people["agent"].id)
    assert "Half a letter" not in (await visitor.get(f"/inbox/{item}")).text


async def test_a_post_without_the_pages_token_is_refused(
    doors: Doors, seed: Seed, store: Store
) -> None:
    visitor = await doors.visit("agent")
    item = seed.approvals["refund_order"]
    visitor.csrf = "wrong"

    found = await visitor.post(
        f"/inbox/{item}/decide", decision="approve", binding=await visitor.binding(item)
    )

    assert found.status_code == 403
    assert await _status(store, item) == "pending"


async def test_an_agent_may_not_decide_what_leads_decide(
    doors: Doors, seed: Seed, store: Store
) -> None:
    visitor = await doors.visit("agent")
    item = seed.approvals["large"]

    page = (await visitor.get(f"/inbox/{item}")).text
    lead = await doors.visit("lead")
    found = await visitor.post(
        f"/inbox/{item}/decide", decision="approve", binding=await lead.binding(item)
    )

    assert "it needs the role lead; yours is agent" in page
    assert found.status_code == 403
    assert await _status(store, item) == "pending"


async def test_two_people_are_two_people(
    doors: Doors, seed: Seed, store: Store
) -> None:
    lead, admin = await doors.visit("lead"), await doors.visit("admin")
    item = seed.approvals["large"]
    binding = await lead.binding(item)

    first = await lead.post(
        f"/inbox/{item}/decide", decision="approve", binding=binding
    )
    told = (await lead.get(first.headers["location"])).text
    again = await lead.post(
        f"/inbox/{item}/decide", decision="approve", binding=binding
    )
    waiting = await _status(store, item)
    await admin.post(f"/inbox/{item}/decide", decision="approve", binding=binding)

    assert "Your yes is recorded" in told
    assert again.status_code == 409
    assert waiting == "pending"
    assert await _status(store, item) == "approved"


async def test_the_customer_writing_again_shows_on_the_item(
    doors: Doors, seed: Seed, store: Store
) -> None:
    visitor = await doors.visit("agent")
    item = seed.approvals["refund_order"]
    await messages.customer_wrote(
        store, seed.runs["lamp"], text="Never mind!", external_id=None, by="test"
    )

    page = (await visitor.get(f"/inbox/{item}")).text

    assert "The customer wrote again" in page
    assert "Never mind!" in page
    assert "data-closed" in page


def _refund(*, amount: str) -> dict[str, str]:
    return {
        "v/order_id": "O-24680",
        "v/amount": amount,
        "c/amount": "USD",
        "v/reason": "The reading lamp arrived with a cracked shade.",
    }


async def _status(store: Store, approval: str) -> str:
    async with store.read() as session:
        return (await approval_lookup.get(session, approval)).status


async def _reason(store: Store, approval: str) -> str | None:
    async with store.read() as session:
        query = select(DecisionRow.reason).where(col(DecisionRow.approval) == approval)
        return (await session.execute(query)).scalar_one()
