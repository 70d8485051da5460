"""The tools against a shop of our own: what people see, what is done, what is refused."""

from collections.abc import AsyncIterator, Iterator
from itertools import count

import httpx2
import pytest

from examples.retail import calls, facts, tools
from keyturn import Money, ToolContext, ToolError
from tests.examples.retail.conftest import MARKET
from tests.examples.retail.connectors import context_for
from tests.examples.retail.shop_process import shop_process

CANCEL_A2 = calls.CancelPendingOrder(order_id="#A2", reason="no longer needed")

numbers = count()


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with shop_process(MARKET) as address:
        yield address


@pytest.fixture
async def shop(url: str) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=url) as client:
        yield client


@pytest.fixture
def ana(shop: httpx2.AsyncClient) -> ToolContext:
    """Ana's context in a tenant of this test's own."""
    return context_for(shop, f"tools-{next(numbers)}", "ana", key="run:1.0.0")


async def test_p02_the_same_effect_key_cancels_once(
    shop: httpx2.AsyncClient, ana: ToolContext
):
    first = await tools.cancel_pending_order.function(CANCEL_A2, ana)
    second = await tools.cancel_pending_order.function(CANCEL_A2, ana)

    assert first == second
    writes = (await shop.get(f"/{ana.tenant}/writes")).json()["items"]
    assert [(write["key"], write["repeats"]) for write in writes] == [("run:1.0.0", 1)]


async def test_a_refusal_of_the_shop_is_told_in_its_words(ana: ToolContext):
    whim = calls.CancelPendingOrder(order_id="#A2", reason="a whim")

    with pytest.raises(ToolError, match="Invalid reason"):
        await tools.cancel_pending_order.function(whim, ana)


async def test_p14_another_customers_order_is_refused(ana: ToolContext):
    cancel = calls.CancelPendingOrder(order_id="#B1", reason="no longer needed")

    for look in (tools.cancel_pending_order.function, facts.cancel_facts):
        with pytest.raises(ToolError, match="another customer"):
            await look(cancel, ana)


async def test_cancelling_shows_and_counts_what_was_paid(ana: ToolContext):
    shown = await facts.cancel_facts(CANCEL_A2, ana)

    assert shown.status == "pending"
    assert shown.paid == ("payment 40.20 USD gift-ana",)
    assert shown.items == (facts.Line(item="Lamp (wood: oak)", price="40.20 USD"),)
    assert shown.amount == "refund of 40.20 USD"
    assert await facts.order_money(CANCEL_A2, ana) == Money(40_20, "USD")


async def test_returning_counts_the_items_alone(ana: ToolContext):
    call = calls.ReturnDeliveredOrderItems(
        order_id="#A3", item_ids=("mug-red",), payment_method_id="card-ana"
    )

    assert (await facts.return_facts(call, ana)).amount == "refund of 12.30 USD"
    assert await facts.return_money(call, ana) == Money(12_30, "USD")


async def test_exchanging_shows_both_items_and_the_difference(ana: ToolContext):
    call = calls.ExchangeDeliveredOrderItems(
        order_id="#A3",
        item_ids=("mug-red", "lamp-ash"),
        new_item_ids=("mug-blue", "lamp-oak"),
        payment_method_id="card-ana",
    )

    shown = await facts.swap_facts(call, ana)

    assert [(line.item, line.becomes) for line in shown.items] == [
        ("Mug (color: red)", "Mug (color: blue)"),
        ("Lamp (wood: ash)", "Lamp (wood: oak)"),
    ]
    assert shown.amount == "6.90 USD to pay"


async def test_facts_are_shown_even_of_what_the_shop_will_refuse(ana: ToolContext):
    call = calls.ModifyPendingOrderItems(
        order_id="#A1",
        item_ids=("unknown", "mug-blue"),
        new_item_ids=("mug-red", "lamp-ash"),
        payment_method_id="card-ana",
    )

    shown = await facts.swap_facts(call, ana)

    assert [(line.item, line.becomes) for line in shown.items] == [
        ("Mug (color: blue)", "unknown")
    ]


async def test_p01_facts_change_with_the_order(ana: ToolContext):
    before = await facts.cancel_facts(CANCEL_A2, ana)

    await tools.cancel_pending_order.function(CANCEL_A2, ana)

    assert await facts.cancel_facts(CANCEL_A2, ana) != before


async def test_a_sum_that_is_none_is_a_plain_failure(ana: ToolContext):
    with pytest.raises(ToolError, match="Invalid characters"):
        await tools.calculate.function(calls.Calculate(expression="2 ^ 3"), ana)
