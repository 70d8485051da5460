"""A desk on each database."""

from collections.abc import AsyncIterator

import pytest

from tests.orchestrator.store.accounts import Accounts, open_accounts
from tests.orchestrator.store.desk import Desk, open_desk


@pytest.fixture
async def desk(tables_url: str) -> AsyncIterator[Desk]:
    """The record of a desk, once on SQLite and once on PostgreSQL."""
    async with open_desk(tables_url) as opened:
        yield opened


@pytest.fixture
async def accounts(tables_url: str) -> AsyncIterator[Accounts]:
    """An empty record whose clock the test sets, once on each database."""
    async with open_accounts(tables_url) as opened:
        yield opened
