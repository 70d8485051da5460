"""Records: addresses, notes and help pages."""

import pytest

from keyturn import ToolError
from keyturn.activities.tools import support
from keyturn.activities.tools.support.records import Articles, Changed
from keyturn.activities.tools.support.shop import Order
from keyturn.orchestrator.rules.contract.release import spec
from keyturn.orchestrator.rules.text.redaction import drop
from keyturn.workflows.support.contracts import SUPPORT
from tests.activities.tools.desk import Desk, facts, use

PLACE = {
    "name": "R",
    "street": "15 Mill Road",
    "city": "M",
    "postcode": "2",
    "country": "US",
}


async def test_address_of_a_packed_order_is_changed(desk: Desk) -> None:
    call = {"order_id": "O-1008", "address": PLACE}
    ren = desk.context("C-1006")

    shown = await facts(support.change_address, ren, **call)
    await use(support.change_address, ren, Changed, **call)

    order = await use(support.find_order, ren, Order, order_id="O-1008")
    assert shown.model_dump()["ships_to_now"]["street"].startswith("77 Canal Street")
    assert order.ship_to.street == "15 Mill Road"


async def test_address_of_a_shipped_order_is_told_before_anyone_is_asked(
    desk: Desk,
) -> None:
    call = {"order_id": "O-1006", "address": PLACE}

    with pytest.raises(ToolError, match="is shipped"):
        await facts(support.change_address, desk.context("C-1004"), **call)


async def test_note_is_left_once_for_its_key(desk: Desk) -> None:
    for _ in range(2):
        await use(
            support.add_order_note,
            desk.context(),
            Changed,
            order_id="O-1001",
            note="Called back.",
        )

    order = await use(support.find_order, desk.context(), Order, order_id="O-1001")
    assert order.notes == ("Called back.",)


async def test_help_page_that_fits_best_comes_first(desk: Desk) -> None:
    found = await use(
        support.search_help, desk.context(), Articles, query="how long is the warranty"
    )

    assert found.articles[0].title == "Warranty"


async def test_p12_card_digits_are_dropped_from_what_a_model_reads(desk: Desk) -> None:
    order = await use(support.find_order, desk.context(), Order, order_id="O-1001")

    told = drop(
        order.model_dump(mode="json"),
        spec(support.find_order).result,
        SUPPORT.never_sees,
    )

    assert order.payment.last4 == "4021"
    assert "4021" not in str(told)
