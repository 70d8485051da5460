"""P14: the attack finds tools that serve strangers, and none among ours."""

from collections.abc import AsyncIterator, Iterator, Mapping
from types import ModuleType

import httpx2
import pytest
from pydantic import BaseModel, JsonValue

from examples.retail import tools as retail
from keyturn import Tool, ToolContext, ToolError, tool
from keyturn.activities.connectors.source import Services
from keyturn.activities.toolbox import Actor
from keyturn.activities.tools import support
from keyturn.orchestrator.cli.demo.books import Books
from keyturn.orchestrator.evals.boundary import Boundary, attack
from keyturn.orchestrator.rules.contract.connector import Connectors
from tests.activities.tools.desk import Desk, Ports
from tests.examples.retail.conftest import MARKET
from tests.examples.retail.connectors import (
    ShopConnectors,
    ShopService,
    context_for,
)
from tests.examples.retail.shop_process import shop_process

Json = dict[str, JsonValue]
USD: JsonValue = {"amount": 100, "currency": "USD"}
PLACE: JsonValue = {
    "name": "X",
    "street": "1 A St",
    "city": "B",
    "postcode": "2",
    "country": "CC",
}
SUPPORT_CALLS: Mapping[str, Json] = {
    "find_customer": {},
    "list_orders": {},
    "find_order": {"order_id": "O-1008"},
    "search_help": {"query": "delivery times"},
    "add_order_note": {"order_id": "O-1008", "note": "Called."},
    "change_address": {"order_id": "O-1008", "address": PLACE},
    "refund_order": {"order_id": "O-1008", "amount": USD, "reason": "Late."},
    "email_customer": {"subject": "Your order", "body": "It is on its way."},
}
ADDRESS: Json = {
    "address1": "9 Quay",
    "address2": "",
    "city": "Rome",
    "state": "RM",
    "country": "Italy",
    "zip": "1",
}
CARD: Json = {"payment_method_id": "card-ana"}
RETAIL_CALLS: Mapping[str, Json] = {
    "find_user_id_by_email": {"email": "ana.berg@example.com"},
    "get_user_details": {"user_id": "ana"},
    "get_order_details": {"order_id": "#A1"},
    "modify_user_address": {"user_id": "ana", **ADDRESS},
    "modify_pending_order_address": {"order_id": "#A1", **ADDRESS},
    "modify_pending_order_payment": {
        "order_id": "#A1",
        "payment_method_id": "pay-ana",
    },
    "cancel_pending_order": {"order_id": "#A2", "reason": "no longer needed"},
    "find_user_id_by_name_zip": {
        "first_name": "\u00c1na",
        "last_name": "Berg",
        "zip": "0150",
    },
    "return_delivered_order_items": {
        "order_id": "#A3",
        "item_ids": ["mug-red"],
        "payment_method_id": "card-ana",
    },
}
# These leave orders in a state in which others above no longer work.
RETAIL_SWAPS: Mapping[str, Json] = {
    "exchange_delivered_order_items": {
        "order_id": "#A3",
        "item_ids": ["mug-red"],
        "new_item_ids": ["mug-blue"],
        "payment_method_id": "card-ana",
    },
    "modify_pending_order_items": {
        "order_id": "#A1",
        "item_ids": ["mug-blue"],
        "new_item_ids": ["mug-red"],
        "payment_method_id": "card-ana",
    },
}
# Products are everybody's, and what a colleague reads of a hand-off is nobody's id.
NOBODYS = {
    "get_product_details",
    "get_item_details",
    "list_all_product_types",
    "calculate",
    "transfer_to_human_agents",
}
# What in a call says whose object it is about.
NAMES_AN_OWNER = {"order_id", "user_id", "payment_method_id", "email", "zip"}
RETAIL_OTHERS = {
    "ana": ["bo"],
    "#A1": ["#B1"],
    "#A2": ["#B1"],
    "#A3": ["#B1"],
    "pay-ana": ["card-bo"],
    "card-ana": ["card-bo"],
    "ana.berg@example.com": ["bo@example.com"],
}


class Wanted(BaseModel):
    order_id: str


class Found(BaseModel):
    text: str


@tool(authority="read_only", owner="tests", description="Serves anybody.")
async def open_door(call: Wanted, context: ToolContext) -> Found:
    del context
    return Found(text=f"{call.order_id} is of Bo, 2 Hill")


@tool(authority="read_only", owner="tests", description="Refuses, and tells why.")
async def gossip(call: Wanted, context: ToolContext) -> Found:
    del context
    if call.order_id == "B":
        raise ToolError("B is Bo's, who lives at 2 Hill.")
    return Found(text="yours")


@tool(authority="read_only", owner="tests", description="Breaks.")
async def brittle(call: Wanted, context: ToolContext) -> Found:
    del context
    return Found(text={"A": "yours"}[call.order_id])


@pytest.mark.parametrize(
    ("leaky", "what"),
    [
        (open_door, "it answered"),
        (gossip, "its refusal tells '2 Hill'"),
        (brittle, "it failed instead of refusing"),
    ],
    ids=["open", "gossip", "brittle"],
)
async def test_p14_the_attack_finds_a_tool_that_serves_strangers(
    leaky: Tool, what: str
) -> None:
    boundary = Boundary(
        tools={leaky.name: leaky},
        connectors=_nothing,
        customer="ana",
        calls={leaky.name: {"order_id": "A"}},
        others={"A": ["B"]},
        secrets=["2 Hill"],
    )

    found = await attack(boundary)

    assert any(what in str(breach) for breach in found), found


async def test_p14_a_tool_without_a_call_is_not_passed_over() -> None:
    boundary = Boundary(
        tools={"gossip": gossip},
        connectors=_nothing,
        customer="ana",
        calls={},
        others={},
    )

    [breach] = await attack(boundary)

    assert "no call" in str(breach)


async def test_p14_a_call_that_does_not_work_proves_nothing() -> None:
    boundary = Boundary(
        tools={"brittle": brittle},
        connectors=_nothing,
        customer="ana",
        calls={"brittle": {"order_id": "C"}},
        others={},
    )

    [breach] = await attack(boundary)

    assert "does not work" in str(breach)


async def test_p14_the_shipped_tools_serve_the_runs_customer_alone() -> None:
    desk = Desk(Books(None))

    def connectors(actor: Actor) -> Connectors:
        writes = actor.effect_key is not None
        urls = {"payments": "http://shop.test"}
        services = Services(desk.client, urls, may_write=writes)
        return Ports(services(actor), desk)

    found = await attack(
        Boundary(
            tools=_tools(support),
            connectors=connectors,
            customer="C-1006",
            calls=SUPPORT_CALLS,
            others={"O-1008": ["O-1003", "O-1018", "C-1002"]},
            secrets=["Jonas Okafor", "88 Juniper Street", "O-1003 has"],
            contact="own@example.com",
        )
    )
    await desk.client.aclose()
    desk.books.close()

    assert found == []


@pytest.mark.parametrize("calls", [RETAIL_CALLS, RETAIL_SWAPS], ids=["most", "swaps"])
async def test_p14_the_retail_tools_serve_the_runs_customer_alone(
    market: httpx2.AsyncClient, calls: Mapping[str, Json]
) -> None:
    def connectors(actor: Actor) -> Connectors:
        service = ShopService(market, actor.customer, actor.effect_key)
        return ShopConnectors(service)

    tools = {n: t for n, t in _tools(retail).items() if n in calls}

    found = await attack(
        Boundary(
            tools=tools,
            connectors=connectors,
            customer="ana",
            calls=calls,
            others=RETAIL_OTHERS,
            secrets=["2 Hill", "2222", "5003"],
            tenant=f"boundary-{len(calls)}",
        )
    )

    assert found == []


async def test_p14_a_stranger_is_not_found_by_name_and_zip(
    market: httpx2.AsyncClient,
) -> None:
    # Three words name a person here, so no one of them alone can be taken from another.
    context = context_for(market, "boundary-name", "ana")
    bo = {"first_name": "Bo", "last_name": "Dahl", "zip": "5003"}
    find = _tools(retail)["find_user_id_by_name_zip"]

    with pytest.raises(ToolError) as refused:
        await find.function(find.input.model_validate(bo), context)

    assert "bo" not in str(refused.value).replace("belongs", "")


def test_p14_every_tool_that_names_an_owner_is_attacked() -> None:
    calls = {**RETAIL_CALLS, **RETAIL_SWAPS}

    assert set(_tools(retail)) - set(calls) == NOBODYS
    assert set(_tools(support)) == set(SUPPORT_CALLS)
    for name, given in calls.items():
        named = {str(given[part]) for part in NAMES_AN_OWNER & set(given)}
        assert named <= set(RETAIL_OTHERS) | {"0150", "1"}, name


@pytest.fixture(scope="module")
def market_url() -> Iterator[str]:
    with shop_process(MARKET) as url:
        yield url


@pytest.fixture
async def market(market_url: str) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=market_url) as client:
        yield client


def _tools(module: ModuleType) -> dict[str, Tool]:
    return {t.name: t for t in vars(module).values() if isinstance(t, Tool)}


def _nothing(actor: Actor) -> Connectors:
    del actor
    return Services(httpx2.AsyncClient(), {})(
        Actor(run="r", call="c", tenant="t", customer="ana", contact=None)
    )
