"""Refunds: facts that were read, one refund a key, and what is known after a fault."""

import pytest

from keyturn import Money, ToolError
from keyturn.activities.tools.support import refund_order
from keyturn.activities.tools.support.refunds import RefundFacts, RefundReceipt
from keyturn.orchestrator.rules.contract.connector import NotKnown, NotSent
from keyturn.orchestrator.rules.contract.release import spec
from tests.activities.tools.desk import Desk, facts, usd, use

MUG = {"order_id": "O-1001", "amount": usd(10_00), "reason": "The handle is broken."}


async def test_facts_are_read_from_the_order(desk: Desk) -> None:
    found = await facts(refund_order, desk.context(key=None), **MUG)

    assert found == RefundFacts(
        order="O-1001",
        status="delivered",
        items=("1 of Stoneware mug, slate: 18.50 USD",),
        total="18.50 USD",
        refunded="0.00 USD",
        left="18.50 USD",
        pays_back_to="Visa ending in 4021",
    )


async def test_facts_change_with_a_refund(desk: Desk) -> None:
    before = await facts(refund_order, desk.context(), **MUG | {"amount": usd(5_00)})
    await use(refund_order, desk.context(), RefundReceipt, **MUG)

    after = await facts(refund_order, desk.context(), **MUG | {"amount": usd(5_00)})

    assert before != after


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"amount": usd(18_51)}, "18.50 USD left"),
        ({"amount": {"amount": 100, "currency": "EUR"}}, "paid in USD"),
        ({"order_id": "O-9999"}, "no order O-9999"),
    ],
    ids=["over what is left", "another currency", "no such order"],
)
async def test_impossible_refund_is_told_before_anyone_is_asked(
    desk: Desk, change: dict[str, object], words: str
) -> None:
    with pytest.raises(ToolError, match=words):
        await facts(refund_order, desk.context(key=None), **MUG | change)


async def test_refund_is_made_once_for_its_key(desk: Desk) -> None:
    first = await use(refund_order, desk.context(), RefundReceipt, **MUG)
    again = await use(refund_order, desk.context(), RefundReceipt, **MUG)

    assert first == again
    assert first.amount == Money(10_00, "USD")
    assert len(desk.books.statement().lines) == 1


async def test_5xx_leaves_the_outcome_open_and_reconcile_finds_it(desk: Desk) -> None:
    desk.break_next("after")

    with pytest.raises(NotKnown):
        await use(refund_order, desk.context(), RefundReceipt, **MUG)

    assert (await _reconcile(desk)) is not None


async def test_reconcile_that_finds_none_makes_it_final(desk: Desk) -> None:
    found = await _reconcile(desk)

    assert found is None
    with pytest.raises(ToolError, match="closed"):
        await use(refund_order, desk.context(), RefundReceipt, **MUG)
    assert desk.books.statement().lines == []


async def test_busy_service_has_sent_nothing(desk: Desk) -> None:
    desk.break_next("busy")

    with pytest.raises(NotSent):
        await use(refund_order, desk.context(), RefundReceipt, **MUG)

    assert desk.books.statement().lines == []


async def test_refund_outside_an_effect_is_refused(desk: Desk) -> None:
    with pytest.raises(ToolError, match="effect alone"):
        await use(refund_order, desk.context(key=None), RefundReceipt, **MUG)


def test_release_knows_how_a_refund_is_guarded() -> None:
    pinned = spec(refund_order)

    assert (pinned.authority, pinned.subject, pinned.money) == (
        "irreversible",
        "order_id",
        "amount",
    )
    assert pinned.has_preview
    assert pinned.has_reconcile
    assert pinned.idempotency_window is not None


async def _reconcile(desk: Desk) -> object:
    assert refund_order.reconcile is not None
    call = refund_order.input.model_validate(MUG)
    return await refund_order.reconcile(call, desk.context())
