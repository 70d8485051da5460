"""The shop alone, without Keyturn: each case's calls leave the state that is expected."""

from collections.abc import Iterator

import httpx2
import pytest

from examples.retail.shop.state import Base, State, load
from tests.acceptance.retail_cases import DATABASE, FOLDER, Case, cases, needs_cases
from tests.examples.retail.shop_calls import call, send
from tests.examples.retail.shop_process import shop_process

pytestmark = needs_cases

each_case = pytest.mark.parametrize("case", cases(), ids=lambda case: case.id)

UNTOUCHED = "f08162ba14d2d3ce9ebe4ebc0fa3cd4bdc2876eaaf9d3411802cdba96ea1f41a"


@pytest.fixture(scope="module")
def base() -> Base:
    return load(DATABASE)


@pytest.fixture(scope="module")
def shop() -> Iterator[httpx2.Client]:
    with shop_process(DATABASE) as url, httpx2.Client(base_url=url) as client:
        yield client


def test_untouched_shop_has_the_published_hash(base: Base):
    assert State(base).digest() == UNTOUCHED


def test_the_folder_holds_cases():
    assert cases(), f"no cases in {FOLDER}"


@each_case
def test_calls_in_order_leave_the_expected_state(base: Base, case: Case):
    state = State(base)

    failures = [call(state, case.customer, a.name, a.arguments) for a in case.actions]

    assert failures == [action.fails for action in case.actions]
    assert state.changes() == case.expected_changes
    assert state.digest() == case.expected_state_hash


@each_case
def test_requests_in_order_leave_the_expected_state(shop: httpx2.Client, case: Case):
    failures = [
        send(shop, case.id, case.customer, action.name, action.arguments)
        for action in case.actions
    ]

    assert failures == [action.fails for action in case.actions]
    assert shop.get(f"/{case.id}/changes").json() == case.expected_changes
    digest = shop.get(f"/{case.id}/state-hash").json()["state_hash"]
    assert digest == case.expected_state_hash


@each_case
def test_another_customer_gets_none_of_it(base: Base, case: Case):
    state = State(base)
    other = next(u for u in base.database.users if u != case.customer)
    owned = [a for a in case.actions if {"order_id", "user_id"} & a.arguments.keys()]

    failures = [call(state, other, action.name, action.arguments) for action in owned]

    assert None not in failures
    assert state.digest() == UNTOUCHED
