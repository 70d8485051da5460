"""An office of admins on an empty record."""

import pytest

from tests.orchestrator.store.accounts import Accounts
from tests.orchestrator.store.people.office import Office


@pytest.fixture
def office(accounts: Accounts) -> Office:
    return Office(accounts)
