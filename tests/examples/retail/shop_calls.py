"""Calls by their names in the shop's tool list, made directly or over HTTP."""

from collections.abc import Callable, Mapping
from typing import cast
from urllib.parse import quote

import httpx2
from pydantic import BaseModel, ConfigDict, JsonValue

from examples.retail.arithmetic import NotASum, calculate
from examples.retail.shop.counter import Counter
from examples.retail.shop.errors import ShopError
from examples.retail.shop.records import Record
from examples.retail.shop.state import State
from examples.retail.shop.swaps import Swap
from examples.retail.shop.users import Address, Name

Arguments = Mapping[str, JsonValue]


class Sent(BaseModel):
    """An HTTP request to a tenant's shop; without a body it is a read."""

    model_config = ConfigDict(frozen=True)

    path: str
    params: dict[str, str] | None = None
    body: dict[str, JsonValue] | None = None


def call(state: State, customer: str, name: str, arguments: Arguments) -> str | None:
    """Make one call directly; give the error's text where it fails."""
    if name == "calculate":
        return sum_up(arguments)
    try:
        DIRECT[name](state, Counter(state, customer), arguments)
    except ShopError as error:
        return error.text
    return None


def send(
    shop: httpx2.Client, tenant: str, customer: str, name: str, arguments: Arguments
) -> str | None:
    """Make one call over HTTP; give the error's text where it fails."""
    if name == "calculate":
        return sum_up(arguments)
    sent = request_for(name, arguments)
    url, headers = f"/{tenant}{sent.path}", {"Keyturn-Customer": customer}
    if sent.body is None:
        answer = shop.get(url, params=sent.params, headers=headers)
    else:
        answer = shop.post(url, json=sent.body, headers=headers)
    return None if answer.is_success else answer.json()["error"]


def request_for(name: str, arguments: Arguments) -> Sent:
    """Give the request that a call is over HTTP: ids in the path, the rest behind."""
    place = PLACES[name]
    ids = {key: quote(str(value), safe="") for key, value in arguments.items()}
    rest = {key: v for key, v in arguments.items() if "{" + key + "}" not in place}
    path = place.format(**ids)
    if name.startswith(("get_", "find_", "list_")):
        return Sent(path=path, params={key: str(v) for key, v in rest.items()})
    return Sent(path=path, body=rest)


def sum_up(arguments: Arguments) -> str | None:
    """Calculate; give the error's text where there is no result."""
    try:
        calculate(str(arguments["expression"]))
    except NotASum as error:
        return str(error)
    return None


def address(arguments: Arguments) -> Address:
    fields = {key: arguments[key] for key in Address.model_fields}
    return Address.model_validate(fields)


def swap(arguments: Arguments) -> Swap:
    fields = {key: arguments[key] for key in Swap.model_fields}
    return Swap.model_validate(fields)


def name_of(arguments: Arguments) -> Name:
    fields = {key: arguments[key] for key in Name.model_fields}
    return Name.model_validate(fields)


def strings(value: JsonValue) -> tuple[str, ...]:
    return tuple(map(str, cast("list[JsonValue]", value)))


def order_id(arguments: Arguments) -> str:
    return str(arguments["order_id"])


def method_id(arguments: Arguments) -> str:
    return str(arguments["payment_method_id"])


Direct = Callable[[State, Counter, Arguments], Record | str | dict[str, str]]

DIRECT: dict[str, Direct] = {
    "find_user_id_by_email": lambda _, at, a: at.find_by_email(str(a["email"])),
    "find_user_id_by_name_zip": lambda _, at, a: at.find_by_name(
        name_of(a), str(a["zip"])
    ),
    "get_user_details": lambda _, at, a: at.user(str(a["user_id"])),
    "get_order_details": lambda _, at, a: at.order(order_id(a)),
    "get_product_details": lambda state, _, a: state.product(str(a["product_id"])),
    "get_item_details": lambda state, _, a: state.variant(str(a["item_id"])),
    "list_all_product_types": lambda state, _, __: state.product_ids(),
    "cancel_pending_order": lambda _, at, a: at.cancel(order_id(a), str(a["reason"])),
    "exchange_delivered_order_items": lambda _, at, a: at.exchange(
        order_id(a), swap(a)
    ),
    "return_delivered_order_items": lambda _, at, a: at.send_back(
        order_id(a), strings(a["item_ids"]), method_id(a)
    ),
    "modify_pending_order_items": lambda _, at, a: at.change_items(
        order_id(a), swap(a)
    ),
    "modify_pending_order_payment": lambda _, at, a: at.repay(
        order_id(a), method_id(a)
    ),
    "modify_pending_order_address": lambda _, at, a: at.move_order(
        order_id(a), address(a)
    ),
    "modify_user_address": lambda _, at, a: at.move_user(str(a["user_id"]), address(a)),
    "transfer_to_human_agents": lambda _, __, ___: "Transfer successful",
}

PLACES: dict[str, str] = {
    "find_user_id_by_email": "/users",
    "find_user_id_by_name_zip": "/users",
    "get_user_details": "/users/{user_id}",
    "get_order_details": "/orders/{order_id}",
    "get_product_details": "/products/{product_id}",
    "get_item_details": "/items/{item_id}",
    "list_all_product_types": "/products",
    "cancel_pending_order": "/orders/{order_id}/cancellation",
    "exchange_delivered_order_items": "/orders/{order_id}/exchange",
    "return_delivered_order_items": "/orders/{order_id}/return",
    "modify_pending_order_items": "/orders/{order_id}/items",
    "modify_pending_order_payment": "/orders/{order_id}/payment",
    "modify_pending_order_address": "/orders/{order_id}/address",
    "modify_user_address": "/users/{user_id}/address",
    "transfer_to_human_agents": "/transfers",
}
