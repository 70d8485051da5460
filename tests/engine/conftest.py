"""A stage for this package's tests: an engine on PostgreSQL, the stricter database."""

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from tests.engine.engine import running_engine
from tests.engine.stage import Plays, Stage
from tests.servers import postgres

APPS = ("tests.apps.desk", "tests.apps.branching")


@pytest.fixture(scope="package")
async def shared_stage(
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
def stage(shared_stage: Stage) -> Stage:
    """The engine; what an earlier test left to break breaks nothing in this one."""
    shared_stage.engine.world.breaks.clear()
    return shared_stage


@pytest.fixture
def order() -> str:
    """An order that no other test has."""
    return f"o{uuid4().hex[:12]}"
