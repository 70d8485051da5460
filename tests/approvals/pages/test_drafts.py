"""Edits are shown before they are decided; sent-back drafts keep their thread."""

import pytest
from sqlmodel import col, update

from keyturn.orchestrator.store.approvals import lookup as approval_lookup
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.tables import ApprovalRow, CallRow
from tests.approvals.pages.conftest import Doors, Visitor
from tests.approvals.pages.seed import Seed, approvals_of, refund, take_turn

WHY = "Check the amount against the order."


async def test_an_edit_is_shown_before_it_is_decided(
    doors: Doors, seed: Seed, store: Store
) -> None:
    visitor = await doors.visit("agent")
    item = seed.approvals["refund_order"]
    binding = await visitor.binding(item)

    first = await visitor.post(
        f"/inbox/{item}/edit", binding=binding, **_refund("80.00")
    )

    assert first.status_code == 200
    assert "What your edit changes" in first.text
    assert "<del>84.50 </del>" in first.text
    assert "<ins>80.00 </ins>" in first.text
    assert "Approve as edited" in first.text
    assert await _status(store, item) == "pending"


async def test_another_edit_than_the_one_shown_is_shown_again(
    doors: Doors, seed: Seed, store: Store
) -> None:
    visitor = await doors.visit("agent")
    item = seed.approvals["refund_order"]
    shown = await visitor.post(f"/inbox/{item}/draft", **_refund("80.00"))
    previewed = shown.text.split('name="previewed" value="', 1)[1].split('"', 1)[0]

    found = await visitor.post(
        f"/inbox/{item}/edit",
        binding=await visitor.binding(item),
        previewed=previewed,
        **_refund("70.00"),
    )

    assert found.status_code == 200
    assert "<ins>70.00 </ins>" in found.text
    assert await _status(store, item) == "pending"


async def test_an_edit_upward_says_that_somebody_else_is_needed(
    doors: Doors, seed: Seed
) -> None:
    visitor = await doors.visit("agent")
    item = seed.approvals["refund_order"]

    shown = (await visitor.post(f"/inbox/{item}/draft", **_refund("95.00"))).text

    assert "You cannot approve this alone" in shown
    assert "1 agent besides you must approve it" in shown
    assert "Send it to another person" in shown
    assert "Approve as edited" not in shown


@pytest.mark.parametrize(
    ("amount", "words"),
    [("80,00", "Amount: “80,00” is not an amount"), ("9000000.00", "not allowed")],
)
async def test_an_edit_that_cannot_be_says_so_while_it_is_written(
    amount: str, words: str, doors: Doors, seed: Seed
) -> None:
    visitor = await doors.visit("agent")
    item = seed.approvals["refund_order"]

    shown = (await visitor.post(f"/inbox/{item}/draft", **_refund(amount))).text

    assert words in shown
    assert 'name="previewed" value=""' in shown


async def test_an_edit_stands_beside_what_was_proposed(
    doors: Doors, seed: Seed
) -> None:
    visitor = await doors.visit("agent")
    item = seed.approvals["refund_order"]
    await visitor.edit(item, await visitor.binding(item), **_refund("80.00"))

    page = (await visitor.get(f"/inbox/{item}")).text
    mine = (await visitor.get("/decisions")).text

    for found in (page, mine):
        assert "Proposed by the model" in found
        assert "Decided by people" in found
        assert "<del>84.50 </del>" in found
        assert "<ins>80.00 </ins>" in found
    assert "Drafted by the model and edited by a person" in page


async def test_a_redraft_shows_who_sent_it_back_and_why(
    doors: Doors, seed: Seed, store: Store
) -> None:
    visitor = await doors.visit("agent")
    first, second = await _sent_back(visitor, seed, store, amount=72_50)

    old = (await visitor.get(f"/inbox/{first}")).text
    new = (await visitor.get(f"/inbox/{second}")).text

    assert f'href="/inbox/{second}"' in old
    assert "Open the new draft" in old
    assert f'href="/inbox/{first}"' in new
    assert "Round 1 of 3" in new
    assert "Ana Agent" in new
    assert WHY in new
    assert "<del>84.50 </del>" in new
    assert "<ins>72.50 </ins>" in new


async def test_after_the_last_round_the_page_says_what_is_left(
    doors: Doors, seed: Seed, store: Store
) -> None:
    visitor = await doors.visit("agent")
    item = seed.approvals["refund_order"]
    binding = await visitor.binding(item)
    async with store.write() as session:
        await session.execute(
            update(ApprovalRow).where(col(ApprovalRow.id) == item).values(round=3)
        )

    page = (await visitor.get(f"/inbox/{item}")).text
    found = await visitor.post(
        f"/inbox/{item}/decide", decision="change", binding=binding, reason=WHY
    )

    assert "Sent back 3 times, which is the maximum" in page
    assert "Send back</button>" not in page
    assert found.status_code == 409
    assert "This item cannot be sent back again" in found.text
    assert await _status(store, item) == "pending"


async def _sent_back(
    visitor: Visitor, seed: Seed, store: Store, *, amount: int
) -> tuple[str, str]:
    """Send the refund back and let the model draft it anew."""
    item, run = seed.approvals["refund_order"], seed.runs["lamp"]
    await visitor.post(
        f"/inbox/{item}/decide",
        decision="change",
        binding=await visitor.binding(item),
        reason=WHY,
    )
    async with store.write() as session:
        await session.execute(
            update(CallRow)
            .where(col(CallRow.run) == run, col(CallRow.status) == "open")
            .values(status="rejected")
        )
    await take_turn(store, run, 4, "Again.", refund(0, "O-24680", amount, "Ms Okafor"))
    found = [
        one for one in await approvals_of(store, run) if one.tool == "refund_order"
    ]
    return item, found[-1].id


def _refund(amount: str) -> dict[str, str]:
    return {
        "v/order_id": "O-24680",
        "v/amount": amount,
        "c/amount": "USD",
        "v/reason": "The item arrived broken.",
    }


async def _status(store: Store, approval: str) -> str:
    async with store.read() as session:
        return (await approval_lookup.get(session, approval)).status
