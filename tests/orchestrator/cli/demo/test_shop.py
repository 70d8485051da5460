"""The demo shop: whom it serves, what it refuses, and that a key acts once."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from keyturn.orchestrator.cli.demo.books import Books
from keyturn.orchestrator.cli.demo.tickets import TICKETS, DemoTicket
from keyturn.workflows.support.contracts import Ticket
from tests.orchestrator.cli.demo.counter_calls import (
    STATEMENT,
    TOKEN,
    Asking,
    client,
    refund,
)


@pytest.fixture
async def mira() -> AsyncIterator[Asking]:
    books = Books(None)
    async with client(books) as shop:
        yield Asking(shop)
    books.close()


async def test_order_is_shown_to_its_customer(mira: Asking) -> None:
    answer = await mira.get("/orders/O-1001")

    assert answer.status_code == 200
    assert (answer.json()["total"], answer.json()["refunded"]) == (18_50, 0)


@pytest.mark.parametrize("path", ["/orders/O-1003", "/customers/C-1002"])
async def test_other_customers_record_looks_like_none(mira: Asking, path: str) -> None:
    answer = await mira.get(path)

    assert answer.status_code == 404
    assert answer.json() == {"error": f"This customer has no {_named(path)}."}


async def test_orders_are_the_customers_own(mira: Asking) -> None:
    answer = await mira.get("/orders")

    assert [one["id"] for one in answer.json()["orders"]] == ["O-1002", "O-1001"]


async def test_same_key_and_body_give_the_same_answer(mira: Asking) -> None:
    first = await mira.post("/refunds", refund(), "k1")
    again = await mira.post("/refunds", refund(), "k1")

    assert first.status_code == again.status_code == 201
    assert first.json() == again.json()
    assert len((await mira.get(STATEMENT)).json()["lines"]) == 1


async def test_same_key_with_another_body_is_refused(mira: Asking) -> None:
    await mira.post("/refunds", refund(10_00), "k1")

    answer = await mira.post("/refunds", refund(5_00), "k1")

    assert answer.status_code == 409


async def test_refund_over_what_is_left_is_refused(mira: Asking) -> None:
    await mira.post("/refunds", refund(10_00), "k1")

    answer = await mira.post("/refunds", refund(8_51), "k2")

    assert answer.status_code == 422
    assert "8.50 USD left" in answer.json()["error"]


async def test_refused_refund_stays_refused_under_its_key(mira: Asking) -> None:
    first = await mira.post("/refunds", refund(99_00), "k1")
    again = await mira.post("/refunds", refund(99_00), "k1")

    assert first.status_code == again.status_code == 422


async def test_refund_in_another_currency_is_refused(mira: Asking) -> None:
    answer = await mira.post("/refunds", refund(currency="EUR"), "k1")

    assert answer.status_code == 422


async def test_refund_of_another_customers_order_is_refused(mira: Asking) -> None:
    answer = await mira.post("/refunds", refund(order="O-1003"), "k1")

    assert answer.status_code == 404
    assert (await mira.get(STATEMENT)).json() == {"lines": [], "next": None}


async def test_write_without_the_token_is_refused(mira: Asking) -> None:
    stranger = replace(mira, token=TOKEN.upper())

    answer = await stranger.post("/refunds", refund(), "k1")

    assert answer.status_code == 401


async def test_write_without_a_key_is_refused(mira: Asking) -> None:
    answer = await mira.post("/refunds", refund())

    assert answer.status_code == 400


async def test_key_looked_up_tells_its_refund_or_null(mira: Asking) -> None:
    await mira.post("/refunds", refund(), "run-1:2.0.0")

    assert (await mira.get("/refunds/run-1:2.0.0")).json()["refund"]["key"]
    assert (await mira.get("/refunds/other")).json() == {"refund": None}


async def test_closed_key_refuses_a_request_that_comes_late(mira: Asking) -> None:
    closed = await mira.post("/refunds/k1/close", {})

    late = await mira.post("/refunds", refund(), "k1")

    assert closed.json() == {"refund": None}
    assert late.status_code == 409
    assert (await mira.get(STATEMENT)).json() == {"lines": [], "next": None}


async def test_closing_a_key_with_a_refund_tells_the_refund(mira: Asking) -> None:
    made = await mira.post("/refunds", refund(), "k1")

    closed = await mira.post("/refunds/k1/close", {})

    assert closed.json() == {"refund": made.json()}


async def test_tenants_have_shops_of_their_own(mira: Asking) -> None:
    await mira.post("/refunds", refund(18_50), "k1")

    south = replace(mira, tenant="south")

    assert (await south.get("/orders/O-1001")).json()["refunded"] == 0
    assert (await south.post("/refunds", refund(18_50), "k1")).status_code == 201


async def test_address_changes_until_the_parcel_is_shipped(mira: Asking) -> None:
    place = {
        "name": "R",
        "street": "1 A St",
        "city": "B",
        "postcode": "2",
        "country": "C",
    }
    ren, tomas = replace(mira, customer="C-1006"), replace(mira, customer="C-1004")

    packed = await ren.post("/orders/O-1008/address", place, "k1")
    shipped = await tomas.post("/orders/O-1006/address", place, "k2")

    assert (packed.status_code, shipped.status_code) == (200, 422)
    assert (await ren.get("/orders/O-1008")).json()["ship_to"] == place


async def test_note_after_a_refund_leaves_the_sum_alone(mira: Asking) -> None:
    await mira.post("/refunds", refund(10_00), "k1")

    await mira.post("/orders/O-1001/notes", {"text": "Called."}, "k2")

    order = (await mira.get("/orders/O-1001")).json()
    assert (order["refunded"], order["notes"]) == (10_00, ["Called."])


@pytest.mark.parametrize("ticket", TICKETS, ids=lambda one: one.external_id)
async def test_demo_ticket_is_of_a_customer_of_the_shop(ticket: DemoTicket) -> None:
    books, wanted = Books(None), Ticket.model_validate(ticket.input())

    async with client(books) as shop:
        known = await Asking(shop, wanted.customer_id).get(
            f"/customers/{wanted.customer_id}"
        )

    assert known.json()["email"] == wanted.customer_email
    books.close()


def _named(path: str) -> str:
    kind, name = path.strip("/").split("/")
    return f"{kind.removesuffix('s')} {name}"
