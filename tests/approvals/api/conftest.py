"""A counter on a database of the test's own."""

from collections.abc import AsyncIterator

import httpx2
import pytest

from keyturn.approvals.web.app import create_app
from keyturn.orchestrator.rules.settings import Settings
from tests.approvals.api.counter import Counter
from tests.approvals.people import People
from tests.orchestrator.store.desk import open_desk
from tests.orchestrator.store.ledger.test_p04_thresholds import ASK, NOTES, SMALL


@pytest.fixture
async def counter(tables_url: str) -> AsyncIterator[Counter]:
    rules = (SMALL, ASK, NOTES)
    async with open_desk(tables_url, rules=rules, limits=()) as desk:
        app = create_app(Settings(), desk.store, None, desk.signer)
        transport = httpx2.ASGITransport(app=app, raise_app_exceptions=False)
        async with httpx2.AsyncClient(
            transport=transport, base_url="http://keyturn.test"
        ) as http:
            yield Counter(desk, http, People(desk.store))
