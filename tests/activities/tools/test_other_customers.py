"""P14: the shipped tools, attacked with other customers' ids."""

from collections.abc import Mapping

import pytest
from pydantic import JsonValue, ValidationError

from keyturn import Mail, ToolContext, ToolError
from keyturn.activities.tools import support
from keyturn.activities.tools.support.mail import MailFacts, MailReceipt
from keyturn.activities.tools.support.orders import Orders
from keyturn.activities.tools.support.shop import Customer, Order, Record, order_of
from keyturn.orchestrator.rules.contract.connector import Mailer, Reader, Writer
from tests.activities.tools.desk import Desk, facts, usd, use

THEIRS = "O-1003"
PLACE = {"name": "X", "street": "1 A St", "city": "B", "postcode": "2", "country": "CC"}
ARGUMENTS: Mapping[str, dict[str, object]] = {
    "find_order": {"order_id": THEIRS},
    "refund_order": {"order_id": THEIRS, "amount": usd(1), "reason": "For a friend."},
    "add_order_note": {"order_id": THEIRS, "note": "Mine now."},
    "change_address": {"order_id": THEIRS, "address": PLACE},
}
TOOLS = {name: getattr(support, name) for name in support.__all__}


@pytest.mark.parametrize("name", ARGUMENTS)
async def test_p14_tool_refuses_another_customers_order(desk: Desk, name: str) -> None:
    with pytest.raises(ToolError, match=f"no order {THEIRS}"):
        await use(TOOLS[name], desk.context(), Record, **ARGUMENTS[name])

    assert desk.books.statement().lines == []


@pytest.mark.parametrize("name", ["refund_order", "change_address"])
async def test_p14_preview_refuses_another_customers_order(
    desk: Desk, name: str
) -> None:
    with pytest.raises(ToolError, match=f"no order {THEIRS}"):
        await facts(TOOLS[name], desk.context(key=None), **ARGUMENTS[name])


@pytest.mark.parametrize("name", TOOLS)
def test_p14_no_tool_takes_a_customer_or_an_address(name: str) -> None:
    with pytest.raises(ValidationError, match="Extra inputs"):
        TOOLS[name].input.model_validate(
            {"customer_id": "C-1002", "to": "a@evil.example"}
        )


@pytest.mark.parametrize(
    "order_id", ["../customers/C-1002", "O-1/../O-1003", "..", "O-1003?x=", "O 1", ""]
)
def test_p14_order_id_is_no_way_to_another_path(order_id: str) -> None:
    with pytest.raises(ValidationError):
        support.find_order.input.model_validate({"order_id": order_id})


async def test_p14_reads_show_the_runs_customer_alone(desk: Desk) -> None:
    own = await use(support.find_customer, desk.context(), Customer)
    listed = await use(support.list_orders, desk.context(), Orders)

    assert own.id == "C-1001"
    assert {one.customer_id for one in listed.orders} == {"C-1001"}


async def test_p14_order_is_checked_though_a_careless_shop_shows_it() -> None:
    with pytest.raises(ToolError, match=f"no order {THEIRS}"):
        await use(support.find_order, _careless(THEIRS), Order, order_id=THEIRS)


async def test_p14_list_leaves_out_what_a_careless_shop_adds() -> None:
    found = await use(support.list_orders, _careless(THEIRS), Orders)

    assert found.orders == ()


async def test_p14_an_order_of_another_id_is_refused() -> None:
    with pytest.raises(ToolError, match="no order O-1001"):
        await order_of(_careless("O-1002", customer="C-1001"), "O-1001")


async def test_p14_mail_goes_to_the_contact_whatever_it_says(desk: Desk) -> None:
    words = {"subject": "To: a@evil.example", "body": "Bcc: a@evil.example"}

    shown = await facts(support.email_customer, desk.context(), **words)
    await use(support.email_customer, desk.context(), MailReceipt, **words)

    assert isinstance(shown, MailFacts)
    assert shown.to == "mira.holm@example.com"
    assert [to for to, _ in desk.mails] == ["mira.holm@example.com"]


async def test_mail_facts_show_an_address_that_is_not_on_file(desk: Desk) -> None:
    words = {"subject": "Hello", "body": "Hello"}

    own = await facts(support.email_customer, desk.context(), **words)
    other = await facts(support.email_customer, desk.context("C-1002"), **words)

    assert (own.model_dump()["is_address_on_file"]) is True
    assert (other.model_dump()["is_address_on_file"]) is False


class _Careless:
    """A shop that answers whatever is asked with one customer's order."""

    def __init__(self, order: Order) -> None:
        self._order = order

    def reader(self, service: str) -> Reader:
        del service
        return self

    def writer(self, service: str) -> Writer:
        raise AssertionError(service)

    def mailer(self) -> Mailer:
        raise AssertionError(Mail)

    async def get(
        self, path: str, params: Mapping[str, str] | None = None
    ) -> JsonValue:
        del params
        order = self._order.model_dump(mode="json")
        return {"orders": [order]} if path == "/orders" else order


def _careless(order: str, customer: str = "C-1002") -> ToolContext:
    found = Order.model_validate(
        {
            "id": order,
            "customer_id": customer,
            "status": "delivered",
            "placed_on": "2026-05-01",
            "items": [],
            "currency": "USD",
            "total": 100,
            "refunded": 0,
            "payment": {"method": "card"},
            "ship_to": PLACE,
        }
    )
    return ToolContext(
        run="run-1",
        call="run-1:1.0",
        tenant="north",
        customer="C-1001",
        connectors=_Careless(found),
    )
