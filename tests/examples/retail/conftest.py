"""A small shop of our own data."""

from pathlib import Path

import pytest

from examples.retail.shop.counter import Counter
from examples.retail.shop.state import Base, State, load

MARKET = Path(__file__).with_name("market.json")


@pytest.fixture(scope="session")
def market() -> Base:
    return load(MARKET)


@pytest.fixture
def state(market: Base) -> State:
    return State(market)


@pytest.fixture
def ana(state: State) -> Counter:
    return Counter(state, "ana")
