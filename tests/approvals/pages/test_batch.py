"""Like items are decided at once only where each was opened as it stands."""

from keyturn.orchestrator.store.approvals import lookup as approval_lookup
from keyturn.orchestrator.store.db.database import Store
from tests.approvals.pages.conftest import Doors, Visitor
from tests.approvals.pages.seed import (
    Seed,
    approvals_of,
    look_up,
    refund,
    start,
    take_turn,
)


async def test_several_are_opened_confirmed_and_decided(
    doors: Doors, seed: Seed, store: Store
) -> None:
    visitor, items = await _with_opened(doors, seed, store)

    page = await visitor.get(f"/inbox/several/confirm?{_query(items)}")
    done = await _decide(visitor, items, page.text, decision="approve")

    assert page.status_code == 200
    assert "115.00 USD" in page.text
    assert page.text.count('<li class="panel" data-bound>') == 2
    assert "2 of 2 approved: 115.00 USD" in done.text
    assert [await _status(store, one) for one in items] == ["approved", "approved"]


async def test_what_was_not_opened_is_not_decided(
    doors: Doors, seed: Seed, store: Store
) -> None:
    visitor, other = await doors.visit("agent"), await doors.visit("other")
    items = await _refunds(store, seed)
    for item in items:
        await _open(other, item)
    await _open(visitor, items[0])

    page = await visitor.get(f"/inbox/several/confirm?{_query(items)}")
    bindings = [await visitor.binding(one) for one in items]
    served = "".join(f'name="binding" value="{one}"' for one in bindings)
    forged = await _decide(visitor, items, served, decision="approve")

    assert page.status_code == 422
    assert f"Not opened since you signed in, or changed since: {items[1]}" in page.text
    assert forged.status_code == 422
    assert "1 of 2 were not opened" in forged.text
    assert [await _status(store, one) for one in items] == ["pending", "pending"]


async def test_an_opening_with_an_old_binding_counts_for_nothing(
    doors: Doors, seed: Seed
) -> None:
    visitor = await doors.visit("agent")
    item = seed.approvals["refund_order"]

    found = await visitor.post(f"/inbox/{item}/opened", binding="0" * 64)

    assert found.status_code == 412


async def test_what_needs_two_people_is_not_offered(doors: Doors, seed: Seed) -> None:
    visitor = await doors.visit("lead")

    page = await visitor.get(f"/inbox/several/confirm?item={seed.approvals['large']}")

    assert page.status_code == 422
    assert "need several people" in page.text


async def test_unlike_items_are_not_decided_at_once(doors: Doors, seed: Seed) -> None:
    visitor = await doors.visit("agent")
    items = [seed.approvals["refund_order"], seed.approvals["address"]]
    for item in items:
        await _open(visitor, item)

    page = await visitor.get(f"/inbox/several/confirm?{_query(items)}")

    assert page.status_code == 422
    assert "The items are not of one group" in page.text


async def test_each_item_has_a_result_of_its_own(
    doors: Doors, seed: Seed, store: Store
) -> None:
    visitor, other = await doors.visit("agent"), await doors.visit("other")
    items = await _refunds(store, seed)
    for item in items:
        await _open(visitor, item)
    page = await visitor.get(f"/inbox/several/confirm?{_query(items)}")
    await other.post(
        f"/inbox/{items[0]}/decide",
        decision="approve",
        binding=await other.binding(items[0]),
    )

    done = await _decide(
        visitor, items, page.text, decision="reject", reason="It was done already."
    )

    assert "1 of 2 rejected" in done.text
    assert "Other decided approve" in done.text
    assert [await _status(store, one) for one in items] == ["approved", "rejected"]


async def test_several_are_undone_in_one_go(
    doors: Doors, seed: Seed, store: Store
) -> None:
    visitor, items = await _with_opened(doors, seed, store)
    page = await visitor.get(f"/inbox/several/confirm?{_query(items)}")
    done = await _decide(visitor, items, page.text, decision="approve")

    undone = await visitor.send("/inbox/several/undo", item=items)
    again = await visitor.send("/inbox/several/undo", item=items)

    assert "Undo all 2" in done.text
    assert "2 of 2 undone" in undone.text
    assert [await _status(store, one) for one in items] == ["void", "void"]
    assert "0 of 2 undone" in again.text
    assert "there is no decision to undo" in again.text


async def test_rejecting_several_needs_a_reason(
    doors: Doors, seed: Seed, store: Store
) -> None:
    visitor, items = await _with_opened(doors, seed, store)
    page = await visitor.get(f"/inbox/several/confirm?{_query(items)}")

    found = await _decide(visitor, items, page.text, decision="reject")

    assert found.status_code == 422
    assert "A rejection needs a reason" in found.text
    assert await _status(store, items[0]) == "pending"


async def test_looking_at_a_page_changes_nothing(
    doors: Doors, seed: Seed, store: Store
) -> None:
    """A link, in a notice or anywhere, opens the item and never decides."""
    visitor = await doors.visit("agent")
    item = seed.approvals["refund_order"]
    binding = await visitor.binding(item)

    for path in (
        f"/inbox/{item}?decision=approve&binding={binding}",
        f"/inbox/{item}/decide?decision=approve&binding={binding}",
        f"/inbox/{item}/edit?binding={binding}",
        f"/inbox/{item}/undo",
        f"/inbox/several/decide?item={item}&binding={binding}&decision=approve",
    ):
        await visitor.get(path)

    assert await _status(store, item) == "pending"


async def _refunds(store: Store, seed: Seed) -> list[str]:
    del seed
    found: list[str] = []
    for number, amount in (("91", 55_00), ("92", 60_00)):
        run = await start(store, f"c-{number}", "Broken", "It broke.", number)
        await look_up(store, run.id, f"O-{number}")
        await take_turn(store, run.id, 2, "", refund(0, f"O-{number}", amount, "Mr Li"))
        found += [one.id for one in await approvals_of(store, run.id)]
    return found


async def _open(visitor: Visitor, item: str) -> None:
    """What the page's script sends once it stands open."""
    binding = await visitor.binding(item)
    found = await visitor.post(f"/inbox/{item}/opened", binding=binding)
    assert found.status_code == 204


async def _with_opened(
    doors: Doors, seed: Seed, store: Store
) -> tuple[Visitor, list[str]]:
    """An agent who has opened items that are alike."""
    visitor = await doors.visit("agent")
    items = await _refunds(store, seed)
    for item in items:
        await _open(visitor, item)
    return visitor, items


async def _decide(visitor: Visitor, items: list[str], page: str, **fields: str):
    bindings = page.split('name="binding" value="')[1 : len(items) + 1]
    answer = await visitor.client.post(
        "/inbox/several/decide",
        data={
            "csrf": visitor.csrf,
            "item": items,
            "binding": [one.split('"', 1)[0] for one in bindings],
            **fields,
        },
    )
    led = answer.headers.get("location")
    return await visitor.get(led) if led else answer


def _query(items: list[str]) -> str:
    return "&".join(f"item={one}" for one in items)


async def _status(store: Store, approval: str) -> str:
    async with store.read() as session:
        return (await approval_lookup.get(session, approval)).status
