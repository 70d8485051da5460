"""The engine's stage, the web application, and the bare record on each database."""

from collections.abc import AsyncIterator

import pytest

from tests.approvals.conftest import app, desk, http, people, store
from tests.engine.conftest import order, shared_stage, stage
from tests.orchestrator.store import desk as records

__all__ = [
    "app",
    "desk",
    "http",
    "order",
    "people",
    "shared_stage",
    "stage",
    "store",
]


@pytest.fixture
async def record(tables_url: str) -> AsyncIterator[records.Desk]:
    """The record of a desk without Temporal, on each database."""
    async with records.open_desk(tables_url) as opened:
        yield opened
