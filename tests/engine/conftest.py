"""A stage for the tests of one module: an engine on PostgreSQL, the stricter database."""

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from tests.engine.engine import running_engine
from tests.engine.stage import Plays, Stage
from tests.servers import postgres

APPS = ("tests.apps.desk", "tests.apps.branching")


@pytest.fixture(scope="package")
async def stage(
    temporal_address: str, postgres_server: str, postgres_template: str
) -> AsyncIterator[Stage]:
    """An engine whose model plays each test's own script."""
    plays = Plays()
    with postgres.database(postgres_server, template=postgres_template) as url:
        async with running_engine(
            temporal_address, url, plays.scenario, apps=APPS
        ) as engine:
            yield Stage(engine, plays)


@pytest.fixture
def order() -> str:
    """An order that no other test has."""
    return f"o{uuid4().hex[:12]}"
