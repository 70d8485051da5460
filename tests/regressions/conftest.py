"""The engine's stage, the web application, and the bare record on each database."""

from collections.abc import AsyncIterator

import pytest

from tests.approvals.conftest import app, desk, http, people, store
from tests.engine.conftest import order, stage
from tests.store import desk as records
from tests.store.conftest import (
    postgres_tables,
    postgres_template,
    sqlite_tables,
    sqlite_template,
    tables_url,
)

__all__ = [
    "app",
    "desk",
    "http",
    "order",
    "people",
    "postgres_tables",
    "postgres_template",
    "sqlite_tables",
    "sqlite_template",
    "stage",
    "store",
    "tables_url",
]


@pytest.fixture
async def record(tables_url: str) -> AsyncIterator[records.Desk]:
    """The record of a desk without Temporal, on each database."""
    async with records.open_desk(tables_url) as opened:
        yield opened
