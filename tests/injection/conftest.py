"""One desk for all attacks; each has a shop and a ticket of its own."""

from collections.abc import AsyncIterator

import pytest

from tests.injection.stage import Stage, running_stage
from tests.servers import postgres


@pytest.fixture(scope="module")
async def stage(
    temporal_address: str,
    postgres_server: str,
    postgres_template: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Stage]:
    """The shipped desk, before a model that obeys everybody."""
    folder = tmp_path_factory.mktemp("injection")
    with postgres.database(postgres_server, template=postgres_template) as url:
        async with running_stage(folder, temporal_address, url) as running:
            yield running
